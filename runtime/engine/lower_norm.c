/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Normalisations, softmax, reductions, resizing: operators over whole dimensions.
 */
#include "runtime/engine/lower.h"
#include "runtime/engine/numeric.h"
#include "runtime/engine/onnx_tensor.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* scale * (x - mean) / sqrt(variance + epsilon) + bias as x * a + c, a and c per channel. */
static int scale_and_shift(struct glet_bind *b, const int *inputs, int64_t channels, float epsilon,
                           float **out)
{
    float *values = glet_arena_array(b->arena, (size_t)channels * 2, sizeof *values);
    if (!values)
        return glet_error_set(b->err, GLET_ERR_NOMEM, "out of memory");
    for (int64_t c = 0; c < channels; c++) {
        double p[4];
        for (int i = 0; i < 4; i++)
            p[i] = glet_tensor_float(glet_bind_tensor(b, inputs[i + 1]), c);
        double factor = p[0] / sqrt(p[3] + (double)epsilon);
        values[c] = (float)factor;
        values[channels + c] = (float)(p[1] - p[2] * factor);
    }
    *out = values;
    return 0;
}

int glet_lower_batch_norm(struct glet_bind *b, const struct glet_model_node *node)
{
    int inputs[5];
    for (int i = 0; i < 5; i++)
        inputs[i] = glet_in(b, node, i);
    const struct glet_tensor *x = glet_bind_tensor(b, inputs[0]);
    if (x->rank < 2 || x->dims[1] < 1)
        return glet_refuse(b, "an input without channels");
    if (x->dtype != GLET_FLOAT32)
        return glet_refuse(b, "an input of type %s", glet_dtype_name(x->dtype));
    for (int i = 1; i < 5; i++) {
        const struct glet_tensor *parameter = glet_bind_tensor(b, inputs[i]);
        if (!parameter->data || !glet_dtype_is_float(parameter->dtype))
            return glet_refuse(b, "a parameter that is computed from the input");
        if (parameter->rank != 1 || parameter->dims[0] != x->dims[1])
            return glet_bad_node(b, "parameter %d does not have %" PRId64 " elements", i,
                                 x->dims[1]);
    }
    if (glet_attr_int(node, "training_mode", 0) != 0 && glet_out_wanted(b, node, 1))
        return glet_refuse(b, "training");
    float *values = NULL;
    if (scale_and_shift(b, inputs, x->dims[1], glet_attr_float(node, "epsilon", 1e-5f), &values) <
        0)
        return -1;
    struct glet_shape vector = {1, {x->dims[1]}}, shape = glet_bind_shape(b, inputs[0]);
    int operands[] = {inputs[0], glet_bind_constant(b, GLET_FLOAT32, &vector, values),
                      glet_bind_constant(b, GLET_FLOAT32, &vector, values + x->dims[1])};
    if (operands[1] < 0 || operands[2] < 0)
        return -1;
    struct glet_node norm = glet_bind_node(GLET_OP_BATCH_NORM);
    return glet_out(b, node, 0, glet_bind_add(b, &norm, operands, 3, GLET_FLOAT32, &shape));
}

int glet_lower_layer_norm(struct glet_bind *b, const struct glet_model_node *node)
{
    struct glet_node norm = glet_bind_node(GLET_OP_LAYER_NORM);
    int inputs[] = {glet_in(b, node, 0), glet_in(b, node, 1), glet_in(b, node, 2)};
    struct glet_shape shape = glet_bind_shape(b, inputs[0]);
    norm.axis = glet_axis(b, glet_attr_int(node, "axis", -1), shape.rank);
    if (norm.axis < 0)
        return -1;
    norm.epsilon = glet_attr_float(node, "epsilon", 1e-5f);
    norm.has_bias = inputs[2] >= 0;
    int64_t elements = 1;
    for (int i = norm.axis; i < shape.rank; i++)
        elements *= shape.dims[i];
    enum glet_dtype dtype = glet_bind_tensor(b, inputs[0])->dtype;
    for (int i = 1; i < 2 + norm.has_bias; i++) {
        const struct glet_tensor *vector = glet_bind_tensor(b, inputs[i]);
        if (glet_tensor_elements(vector) != elements || vector->dtype != dtype)
            return glet_bad_node(b, "input %d does not have %" PRId64 " elements", i, elements);
    }
    if (glet_out_wanted(b, node, 1) || glet_out_wanted(b, node, 2))
        return glet_refuse(b, "mean and deviation as outputs");
    return glet_out(b, node, 0,
                    glet_bind_add(b, &norm, inputs, norm.has_bias ? 3 : 2, dtype, &shape));
}

/* Before opset 13 softmax ran over all dimensions from the axis on. */
int glet_lower_softmax(struct glet_bind *b, const struct glet_model_node *node)
{
    bool flat = b->model->opset < 13;
    int x = glet_in(b, node, 0);
    struct glet_shape shape = glet_bind_shape(b, x), matrix = {2, {1, 1}};
    struct glet_node softmax = glet_bind_node(GLET_OP_SOFTMAX);
    softmax.axis = glet_axis(b, glet_attr_int(node, "axis", flat ? 1 : -1), shape.rank);
    if (softmax.axis < 0)
        return -1;
    flat = flat && softmax.axis != shape.rank - 1;
    struct glet_shape work = shape;
    if (flat) {
        for (int i = 0; i < shape.rank; i++)
            matrix.dims[i >= softmax.axis] *= shape.dims[i];
        softmax.axis = 1;
        work = matrix;
        x = glet_bind_view(b, x, &work);
        if (x < 0)
            return -1;
    }
    int result = glet_bind_add(b, &softmax, &x, 1, glet_bind_tensor(b, x)->dtype, &work);
    if (result >= 0 && node->op->variant == 1)
        result = glet_bind_unary(b, GLET_ACT_LOG, 0.0f, 0.0f, result);
    return glet_out(b, node, 0, result < 0 ? -1 : glet_bind_view(b, result, &shape));
}

int glet_lower_lrn(struct glet_bind *b, const struct glet_model_node *node)
{
    struct glet_node lrn = glet_bind_node(GLET_OP_LRN);
    int x = glet_in(b, node, 0);
    struct glet_shape shape = glet_bind_shape(b, x);
    int64_t size = glet_attr_int(node, "size", 0);
    if (size < 1 || size > INT16_MAX || shape.rank < 3)
        return glet_bad_node(b, "size %" PRId64, size);
    lrn.mode = (int)size;
    lrn.alpha = glet_attr_float(node, "alpha", 0.0001f);
    lrn.beta = glet_attr_float(node, "beta", 0.75f);
    lrn.epsilon = glet_attr_float(node, "bias", 1.0f);
    return glet_out(b, node, 0,
                    glet_bind_add(b, &lrn, &x, 1, glet_bind_tensor(b, x)->dtype, &shape));
}

/* The mean over all of an image is a global pooling, which devices are good at. */
static int mean_of_image(struct glet_bind *b, int x, uint32_t axes_mask,
                         const struct glet_shape *kept)
{
    const struct glet_tensor *tensor = glet_bind_tensor(b, x);
    if (tensor->rank != 4 || axes_mask != 0xcu || tensor->dtype != GLET_FLOAT32)
        return -1;
    struct glet_node pool = glet_bind_node(GLET_OP_AVG_POOL);
    pool.kernel[0] = tensor->dims[2];
    pool.kernel[1] = tensor->dims[3];
    return glet_bind_add(b, &pool, &x, 1, tensor->dtype, kept);
}

int glet_lower_reduce(struct glet_bind *b, const struct glet_model_node *node)
{
    struct glet_node reduce = glet_bind_node((enum glet_op)node->op->variant);
    int x = glet_in(b, node, 0);
    struct glet_shape from = glet_bind_shape(b, x), kept = from, to = {0, {0}};
    int64_t axes[GLET_MAX_RANK];
    bool absent;
    int count = glet_list_arg(b, node, 1, "axes", axes, &absent);
    if (count < 0)
        return -1;
    for (int i = 0; i < count; i++) {
        int axis = glet_axis(b, axes[i], from.rank);
        if (axis < 0)
            return -1;
        reduce.axes_mask |= 1u << axis;
    }
    if (count == 0 && glet_attr_int(node, "noop_with_empty_axes", 0) != 0)
        return glet_out(b, node, 0, x);
    if (count == 0)
        reduce.axes_mask = (1u << from.rank) - 1;
    bool keep = glet_attr_int(node, "keepdims", 1) != 0;
    for (int i = 0; i < from.rank; i++) {
        bool reduced = reduce.axes_mask >> i & 1u;
        if (reduced && from.dims[i] == 0)
            return glet_refuse(b, "reducing nothing");
        kept.dims[i] = reduced ? 1 : from.dims[i];
        if (keep || !reduced)
            to.dims[to.rank++] = kept.dims[i];
    }
    int result = -1;
    if (reduce.op == GLET_OP_REDUCE_MEAN && glet_shape_elements(&from) > 0)
        result = mean_of_image(b, x, reduce.axes_mask, &kept);
    if (result < 0)
        result = glet_bind_add(b, &reduce, &x, 1, glet_bind_tensor(b, x)->dtype, &kept);
    return glet_out(b, node, 0, result < 0 ? -1 : glet_bind_view(b, result, &to));
}

int glet_lower_arg_max(struct glet_bind *b, const struct glet_model_node *node)
{
    struct glet_node arg = glet_bind_node(GLET_OP_ARG_MAX);
    int x = glet_in(b, node, 0);
    struct glet_shape kept = glet_bind_shape(b, x), to = kept;
    arg.axis = glet_axis(b, glet_attr_int(node, "axis", 0), kept.rank);
    if (arg.axis < 0)
        return -1;
    if (glet_attr_int(node, "select_last_index", 0) != 0)
        return glet_refuse(b, "the last of equal values");
    if (kept.dims[arg.axis] == 0)
        return glet_bad_node(b, "nothing to choose from");
    kept.dims[arg.axis] = 1;
    if (glet_attr_int(node, "keepdims", 1) == 0) {
        to.rank--;
        memmove(to.dims + arg.axis, to.dims + arg.axis + 1,
                sizeof to.dims[0] * (size_t)(to.rank - arg.axis));
    } else {
        to = kept;
    }
    int result = glet_bind_append(b, &arg, &x, 1, GLET_INT64, &kept);
    return glet_out(b, node, 0, result < 0 ? -1 : glet_bind_view(b, result, &to));
}
