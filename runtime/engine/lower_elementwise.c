/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elementwise operators: functions of one value, arithmetic and comparisons with numpy
 * broadcasting, choices and conversions.
 */
#include "runtime/engine/lower.h"
#include "runtime/engine/numeric.h"
#include "runtime/engine/onnx_tensor.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

int glet_lower_unary(struct glet_bind *b, const struct glet_model_node *node)
{
    enum glet_activation_kind kind = (enum glet_activation_kind)node->op->variant;
    float first = 0.0f, second = 0.0f;
    switch (kind) { /* defaults as in ONNX's operator list */
    case GLET_ACT_HARD_SIGMOID:
        first = glet_attr_float(node, "alpha", 0.2f);
        second = glet_attr_float(node, "beta", 0.5f);
        break;
    case GLET_ACT_LEAKY_RELU:
        first = glet_attr_float(node, "alpha", 0.01f);
        break;
    case GLET_ACT_ELU:
        first = glet_attr_float(node, "alpha", 1.0f);
        break;
    default:
        break;
    }
    return glet_out(b, node, 0, glet_bind_unary(b, kind, first, second, glet_in(b, node, 0)));
}

/* *out stays what it is without such an input. */
static int limit(struct glet_bind *b, int tensor, float *out)
{
    double value = (double)*out;
    if (tensor >= 0 && !glet_bind_uniform(b, tensor, &value))
        return glet_refuse(b, "a limit that is computed from the input");
    value = fmin(fmax(value, (double)-FLT_MAX), (double)FLT_MAX);
    *out = (float)value;
    return 0;
}

int glet_lower_clip(struct glet_bind *b, const struct glet_model_node *node)
{
    int x = glet_in(b, node, 0);
    float low = -FLT_MAX, high = FLT_MAX;
    if (limit(b, glet_in(b, node, 1), &low) < 0 || limit(b, glet_in(b, node, 2), &high) < 0)
        return -1;
    if (!glet_dtype_is_float(glet_bind_tensor(b, x)->dtype))
        return glet_refuse(b, "clipping %s", glet_dtype_name(glet_bind_tensor(b, x)->dtype));
    if (fabsf(low) <= 0.0f && high >= FLT_MAX)
        return glet_out(b, node, 0, glet_bind_unary(b, GLET_ACT_RELU, 0.0f, 0.0f, x));
    return glet_out(b, node, 0, glet_bind_unary(b, GLET_ACT_CLIP, low, high, x));
}

int glet_lower_gelu(struct glet_bind *b, const struct glet_model_node *node)
{
    bool tanh_form = glet_attr_is(node, "approximate", "tanh");
    return glet_out(b, node, 0,
                    glet_bind_unary(b, tanh_form ? GLET_ACT_GELU_TANH : GLET_ACT_GELU_ERF, 0.0f,
                                    0.0f, glet_in(b, node, 0)));
}

/* One slope for all channels is a leaky ReLU; otherwise max(x, 0) + slope * min(x, 0). */
int glet_lower_prelu(struct glet_bind *b, const struct glet_model_node *node)
{
    int x = glet_in(b, node, 0), slope = glet_in(b, node, 1);
    double value;
    if (glet_bind_uniform(b, slope, &value))
        return glet_out(b, node, 0, glet_bind_unary(b, GLET_ACT_LEAKY_RELU, (float)value, 0.0f, x));
    int zero = glet_bind_scalar(b, glet_bind_tensor(b, x)->dtype, 0.0);
    int negative = zero < 0 ? -1 : glet_bind_binary(b, GLET_MIN, x, zero);
    int scaled = negative < 0 ? -1 : glet_bind_binary(b, GLET_MUL, negative, slope);
    int positive = scaled < 0 ? -1 : glet_bind_unary(b, GLET_ACT_RELU, 0.0f, 0.0f, x);
    return glet_out(b, node, 0,
                    positive < 0 ? -1 : glet_bind_binary(b, GLET_ADD, positive, scaled));
}

/* Pow alone takes two types; the result has the base's. */
static int power_types(struct glet_bind *b, int base, int exponent)
{
    struct glet_node node = glet_bind_node(GLET_OP_CAST);
    struct glet_shape shape = glet_bind_shape(b, exponent);
    return glet_bind_add(b, &node, &exponent, 1, glet_bind_tensor(b, base)->dtype, &shape);
}

/* Max, Min and Sum take any number of operands. */
int glet_lower_binary(struct glet_bind *b, const struct glet_model_node *node)
{
    enum glet_binary kind = (enum glet_binary)node->op->variant;
    int result = glet_in(b, node, 0);
    bool floating = glet_dtype_is_float(glet_bind_tensor(b, result)->dtype);
    if (kind == GLET_MOD && floating != (glet_attr_int(node, "fmod", 0) != 0))
        return glet_refuse(b, "a remainder with that sign");
    for (int i = 1; i < node->input_count && result >= 0; i++) {
        int operand = glet_in(b, node, i);
        if (operand < 0)
            return glet_bad_node(b, "input %d is left out", i);
        if (kind == GLET_POW &&
            glet_bind_tensor(b, operand)->dtype != glet_bind_tensor(b, result)->dtype)
            operand = power_types(b, result, operand);
        result = operand < 0 ? -1 : glet_bind_binary(b, kind, result, operand);
    }
    return glet_out(b, node, 0, result);
}

/* Only not-a-number differs from itself. */
int glet_lower_is_nan(struct glet_bind *b, const struct glet_model_node *node)
{
    int x = glet_in(b, node, 0);
    int same = glet_bind_binary(b, GLET_EQUAL, x, x);
    return glet_out(b, node, 0, same < 0 ? -1 : glet_bind_unary(b, GLET_ACT_NOT, 0.0f, 0.0f, same));
}

int glet_lower_where(struct glet_bind *b, const struct glet_model_node *node)
{
    int inputs[3];
    struct glet_shape shape = {0, {0}};
    for (int i = 0; i < 3; i++) {
        inputs[i] = glet_in(b, node, i);
        struct glet_shape own = glet_bind_shape(b, inputs[i]);
        if (!glet_shape_broadcast(&shape, &own, &shape))
            return glet_bad_node(b, "the shapes do not fit");
    }
    enum glet_dtype dtype = glet_bind_tensor(b, inputs[1])->dtype;
    if (glet_bind_tensor(b, inputs[0])->dtype != GLET_BOOL ||
        glet_bind_tensor(b, inputs[2])->dtype != dtype)
        return glet_bad_node(b, "the types do not fit");
    struct glet_node where = glet_bind_node(GLET_OP_WHERE);
    return glet_out(b, node, 0, glet_bind_add(b, &where, inputs, 3, dtype, &shape));
}

int glet_lower_cast(struct glet_bind *b, const struct glet_model_node *node)
{
    int64_t to = glet_attr_int(node, "to", 0);
    int dtype = glet_onnx_dtype(to), x = glet_in(b, node, 0);
    if (dtype < 0)
        return glet_refuse(b, "element type %" PRId64, to);
    struct glet_node cast = glet_bind_node(GLET_OP_CAST);
    struct glet_shape shape = glet_bind_shape(b, x);
    return glet_out(b, node, 0, glet_bind_add(b, &cast, &x, 1, (enum glet_dtype)dtype, &shape));
}

int glet_lower_identity(struct glet_bind *b, const struct glet_model_node *node)
{
    /* Dropout's training_mode */
    double training = 0.0;
    int mode = glet_in(b, node, 2);
    if (mode >= 0 && (!glet_bind_uniform(b, mode, &training) || training > 0.0))
        return glet_refuse(b, "training");
    return glet_out(b, node, 0, glet_in(b, node, 0));
}
