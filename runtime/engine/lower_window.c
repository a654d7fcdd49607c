/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions and pooling: everything with a window over spatial dimensions. Padding is made
 * explicit here: auto_pad and ceil_mode become pads_begin and pads_end that give the output's size
 * by the plain formula.
 */
#include "runtime/engine/lower.h"

#include <inttypes.h>
#include <string.h>

/* Larger windows, strides or pads are not networks but overflows to be. */
#define LARGEST_WINDOW ((int64_t)1 << 24)

static int spatial_list(struct glet_bind *b, const struct glet_model_node *node, const char *name,
                        int64_t low, int64_t *values, int count)
{
    const int64_t *given;
    int length = glet_attr_ints(node, name, &given);
    if (length < 0)
        return 0;
    if (length != count)
        return glet_bad_node(b, "%s has %d entries, not %d", name, length, count);
    for (int i = 0; i < count; i++) {
        if (given[i] < low || given[i] > LARGEST_WINDOW)
            return glet_bad_node(b, "%s: %" PRId64, name, given[i]);
        values[i] = given[i];
    }
    return 1;
}

static int spatial_rank(struct glet_bind *b, int x)
{
    const struct glet_tensor *tensor = glet_bind_tensor(b, x);
    int spatial = tensor->rank - 2;
    if (spatial < 1 || spatial > GLET_MAX_SPATIAL)
        return glet_refuse(b, "a window over %d dimensions", spatial);
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->dims[i] < 1 || tensor->dims[i] > INT32_MAX)
            return glet_bad_node(b, "dimension %d of the input is %" PRId64, i, tensor->dims[i]);
    }
    return spatial;
}

/* Reads kernel (if the node has it), strides, dilations and pads. */
static int read_window(struct glet_bind *b, const struct glet_model_node *node,
                       struct glet_node *window, int spatial)
{
    int64_t pads[2 * GLET_MAX_SPATIAL] = {0};
    if (spatial_list(b, node, "kernel_shape", 1, window->kernel, spatial) < 0 ||
        spatial_list(b, node, "strides", 1, window->strides, spatial) < 0 ||
        spatial_list(b, node, "dilations", 1, window->dilations, spatial) < 0 ||
        spatial_list(b, node, "pads", 0, pads, 2 * spatial) < 0)
        return -1;
    memcpy(window->pads_begin, pads, sizeof pads[0] * (size_t)spatial);
    memcpy(window->pads_end, pads + spatial, sizeof pads[0] * (size_t)spatial);
    return 0;
}

/* SAME: the output has ceil(input / stride) positions, the odd pad goes to one end. */
static void pad_same(struct glet_node *window, int i, int64_t input, bool upper)
{
    int64_t reach = (window->kernel[i] - 1) * window->dilations[i] + 1;
    int64_t output = (input + window->strides[i] - 1) / window->strides[i];
    int64_t total = (output - 1) * window->strides[i] + reach - input;
    total = total > 0 ? total : 0;
    window->pads_begin[i] = upper ? total / 2 : total - total / 2;
    window->pads_end[i] = total - window->pads_begin[i];
}

static int output_extent(struct glet_bind *b, const struct glet_model_node *node,
                         struct glet_node *window, int i, int64_t input, int64_t *out)
{
    bool ceil_mode = glet_attr_int(node, "ceil_mode", 0) != 0;
    if (glet_attr_is(node, "auto_pad", "SAME_UPPER"))
        pad_same(window, i, input, true);
    else if (glet_attr_is(node, "auto_pad", "SAME_LOWER"))
        pad_same(window, i, input, false);
    int64_t reach = (window->kernel[i] - 1) * window->dilations[i] + 1;
    int64_t padded = input + window->pads_begin[i] + window->pads_end[i];
    int64_t stride = window->strides[i];
    if (padded < reach)
        return glet_bad_node(
            b, "the window (%" PRId64 ") is larger than the padded input (%" PRId64 ")", reach,
            padded);
    *out = (padded - reach) / stride + 1;
    int64_t rest = (padded - reach) % stride;
    /* A last window that only starts in the padding is left out, as PyTorch and ORT do. */
    if (!ceil_mode || !rest || *out * stride >= input + window->pads_begin[i])
        return 0;
    if (window->op == GLET_OP_AVG_POOL && window->count_include_pad)
        return glet_refuse(b, "ceil_mode with count_include_pad");
    window->pads_end[i] += stride - rest;
    (*out)++;
    return 0;
}

static int finish(struct glet_bind *b, const struct glet_model_node *node, struct glet_node *window,
                  const int *inputs, int count, int64_t channels)
{
    const struct glet_tensor *x = glet_bind_tensor(b, inputs[0]);
    struct glet_shape shape = {x->rank, {x->dims[0], channels}};
    for (int i = 0; i < x->rank - 2; i++) {
        if (output_extent(b, node, window, i, x->dims[i + 2], &shape.dims[i + 2]) < 0)
            return -1;
    }
    return glet_out(b, node, 0, glet_bind_add(b, window, inputs, count, x->dtype, &shape));
}

/* Checks x, w and the bias; sets group. Returns the spatial rank. */
static int read_conv(struct glet_bind *b, const struct glet_model_node *node,
                     struct glet_node *conv, int *inputs, int *count, bool transposed)
{
    for (int i = 0; i < 3; i++)
        inputs[i] = glet_in(b, node, i);
    const struct glet_tensor *x = glet_bind_tensor(b, inputs[0]);
    const struct glet_tensor *w = glet_bind_tensor(b, inputs[1]);
    int spatial = spatial_rank(b, inputs[0]);
    if (spatial < 0)
        return -1;
    conv->group = glet_attr_int(node, "group", 1);
    if (w->rank != x->rank || w->dtype != x->dtype || conv->group < 1 || conv->group > INT32_MAX)
        return glet_bad_node(b, "the weights do not fit the input");
    for (int i = 0; i < w->rank; i++) {
        if (w->dims[i] < 1 || w->dims[i] > LARGEST_WINDOW)
            return glet_bad_node(b, "dimension %d of the weights is %" PRId64, i, w->dims[i]);
    }
    int64_t channels = transposed ? w->dims[0] : w->dims[1] * conv->group;
    int64_t maps = transposed ? w->dims[1] * conv->group : w->dims[0];
    if (channels != x->dims[1] || maps % conv->group || channels % conv->group)
        return glet_bad_node(b, "weights for %" PRId64 " channels, the input has %" PRId64,
                             channels, x->dims[1]);
    memcpy(conv->kernel, w->dims + 2, sizeof w->dims[0] * (size_t)spatial);
    if (read_window(b, node, conv, spatial) < 0)
        return -1;
    if (memcmp(conv->kernel, w->dims + 2, sizeof w->dims[0] * (size_t)spatial) != 0)
        return glet_bad_node(b, "kernel_shape is not the weights' shape");
    conv->has_bias = inputs[2] >= 0;
    *count = conv->has_bias ? 3 : 2;
    if (conv->has_bias) {
        const struct glet_tensor *bias = glet_bind_tensor(b, inputs[2]);
        if (bias->rank != 1 || bias->dims[0] != maps || bias->dtype != x->dtype)
            return glet_bad_node(b, "the bias does not fit");
    }
    return spatial;
}

int glet_lower_conv(struct glet_bind *b, const struct glet_model_node *node)
{
    struct glet_node conv = glet_bind_node(GLET_OP_CONV);
    int inputs[3], count;
    if (read_conv(b, node, &conv, inputs, &count, false) < 0)
        return -1;
    return finish(b, node, &conv, inputs, count, glet_bind_tensor(b, inputs[1])->dims[0]);
}

int glet_lower_conv_transpose(struct glet_bind *b, const struct glet_model_node *node)
{
    struct glet_node conv = glet_bind_node(GLET_OP_CONV_TRANSPOSE);
    int inputs[3], count;
    int spatial = read_conv(b, node, &conv, inputs, &count, true);
    if (spatial < 0)
        return -1;
    if (glet_attr_has(node, "output_shape") ||
        (glet_attr_has(node, "auto_pad") && !glet_attr_is(node, "auto_pad", "NOTSET")))
        return glet_refuse(b, "output_shape or auto_pad");
    int64_t extra[GLET_MAX_SPATIAL] = {0};
    if (spatial_list(b, node, "output_padding", 0, extra, spatial) < 0)
        return -1;
    const struct glet_tensor *x = glet_bind_tensor(b, inputs[0]);
    const struct glet_tensor *w = glet_bind_tensor(b, inputs[1]);
    struct glet_shape shape = {x->rank, {x->dims[0], w->dims[1] * conv.group}};
    for (int i = 0; i < spatial; i++) {
        int64_t reach = (conv.kernel[i] - 1) * conv.dilations[i] + 1;
        /* The output's shape says how much is added at the end: pads_end is what is left out. */
        conv.pads_end[i] -= extra[i];
        shape.dims[i + 2] =
            (x->dims[i + 2] - 1) * conv.strides[i] + reach - conv.pads_begin[i] - conv.pads_end[i];
        if (shape.dims[i + 2] < 1)
            return glet_bad_node(b, "the padding leaves no output");
    }
    return glet_out(b, node, 0, glet_bind_add(b, &conv, inputs, count, x->dtype, &shape));
}

int glet_lower_pool(struct glet_bind *b, const struct glet_model_node *node)
{
    struct glet_node pool = glet_bind_node((enum glet_op)node->op->variant);
    int x = glet_in(b, node, 0), spatial = spatial_rank(b, x);
    if (spatial < 0 || read_window(b, node, &pool, spatial) < 0)
        return -1;
    if (!glet_attr_has(node, "kernel_shape"))
        return glet_bad_node(b, "no kernel_shape");
    pool.count_include_pad =
        pool.op == GLET_OP_AVG_POOL && glet_attr_int(node, "count_include_pad", 0) != 0;
    for (int i = 0; i < spatial; i++) {
        if (pool.op == GLET_OP_AVG_POOL && pool.dilations[i] != 1)
            return glet_refuse(b, "an average over a dilated window");
        if (pool.pads_begin[i] >= pool.kernel[i] * pool.dilations[i] ||
            pool.pads_end[i] >= pool.kernel[i] * pool.dilations[i])
            return glet_bad_node(b, "the padding is as large as the window");
    }
    if (glet_attr_int(node, "storage_order", 0) != 0)
        return glet_refuse(b, "column-major indices");
    return finish(b, node, &pool, &x, 1, glet_bind_tensor(b, x)->dims[1]);
}

int glet_lower_global_pool(struct glet_bind *b, const struct glet_model_node *node)
{
    struct glet_node pool = glet_bind_node((enum glet_op)node->op->variant);
    int x = glet_in(b, node, 0), spatial = spatial_rank(b, x);
    if (spatial < 0)
        return -1;
    const struct glet_tensor *tensor = glet_bind_tensor(b, x);
    struct glet_shape shape = glet_bind_shape(b, x);
    for (int i = 0; i < spatial; i++) {
        pool.kernel[i] = tensor->dims[i + 2];
        shape.dims[i + 2] = 1;
    }
    return glet_out(b, node, 0, glet_bind_add(b, &pool, &x, 1, tensor->dtype, &shape));
}
