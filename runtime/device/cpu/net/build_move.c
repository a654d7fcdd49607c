/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builders of the operators that move elements: Transpose, Slice and Expand as strides, Gather,
 * Pad, Resize. All row-major.
 */
#include "runtime/device/cpu/net/build.h"

#include "runtime/device/cpu/kernels/kernels.h"

#include <math.h>
#include <string.h>

struct strided_params {
    struct glet_cpu_loop loop;
    size_t element_bytes;
    int64_t in_offset; /* elements */
};

static int strided_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    const struct strided_params *p = params;
    (void)err;
    glet_cpu_copy(&p->loop, p->element_bytes, operands[0],
                  (const char *)operands[1] + p->in_offset * (int64_t)p->element_bytes);
    return 0;
}

int glet_cpu_build_strided_copy(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cpu_tensor(b, node->inputs[0]);
    const struct glet_tensor *y = glet_cpu_tensor(b, node->output);
    struct strided_params params = {.loop = glet_cpu_loop_new(y->rank, y->dims),
                                    .element_bytes =
                                        glet_dtype_size(glet_cpu_held_dtype(y->dtype))};
    int64_t strides[GLET_MAX_RANK], stride = 1;
    for (int i = x->rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= x->dims[i];
    }
    if (node->op == GLET_OP_EXPAND) {
        glet_cpu_loop_broadcast(&params.loop, x->rank, x->dims);
    } else {
        params.loop.operands = 2;
        for (int i = 0; i < y->rank; i++) {
            int from = node->op == GLET_OP_TRANSPOSE ? node->perm[i] : i;
            params.loop.strides[1][i] = strides[from];
            if (node->op == GLET_OP_SLICE) {
                params.loop.strides[1][i] *= node->steps[i];
                params.in_offset += node->starts[i] * strides[i];
            }
        }
    }
    glet_cpu_loop_simplify(&params.loop);
    int from = glet_cpu_want_plain(b, node->inputs[0], err);
    int to = from < 0 ? -1 : glet_cpu_define_plain(b, node->output, err);
    if (to < 0)
        return -1;
    int buffers[] = {to, from};
    return glet_cpu_add_kernel(b, strided_kernel, buffers, 2, &params, sizeof params, err);
}

struct gather_params {
    enum glet_dtype index_dtype;
    int64_t outer, axis, count;
    size_t inner_bytes;
};

static int gather_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    const struct gather_params *p = params;
    (void)err;
    glet_cpu_gather(operands[0], operands[1], operands[2], p->index_dtype, p->outer, p->axis,
                    p->count, p->inner_bytes);
    return 0;
}

int glet_cpu_build_gather(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cpu_tensor(b, node->inputs[0]);
    const struct glet_tensor *indices = glet_cpu_tensor(b, node->inputs[1]);
    struct gather_params params = {
        .index_dtype = indices->dtype,
        .outer = 1,
        .axis = x->dims[node->axis],
        .count = glet_tensor_elements(indices),
        .inner_bytes = glet_dtype_size(glet_cpu_held_dtype(x->dtype)),
    };
    if (indices->dtype != GLET_INT32 && indices->dtype != GLET_INT64)
        return glet_cpu_unsupported(b, err, "indices of type %s", glet_dtype_name(indices->dtype));
    for (int i = 0; i < x->rank; i++) {
        if (i < node->axis)
            params.outer *= x->dims[i];
        else if (i > node->axis)
            params.inner_bytes *= (size_t)x->dims[i];
    }
    int buffers[3] = {-1, glet_cpu_want_plain(b, node->inputs[0], err), -1};
    if (buffers[1] < 0 || (buffers[2] = glet_cpu_want_plain(b, node->inputs[1], err)) < 0 ||
        (buffers[0] = glet_cpu_define_plain(b, node->output, err)) < 0)
        return -1;
    return glet_cpu_add_kernel(b, gather_kernel, buffers, 3, &params, sizeof params, err);
}

struct pad_params {
    int rank, mode;
    int64_t out_dims[GLET_MAX_RANK], in_dims[GLET_MAX_RANK], begin[GLET_MAX_RANK];
    size_t element_bytes;
    unsigned char value[8];
};

static int pad_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    const struct pad_params *p = params;
    (void)err;
    glet_cpu_pad(operands[0], p->out_dims, operands[1], p->in_dims, p->begin, p->rank, p->mode,
                 p->element_bytes, p->value);
    return 0;
}

int glet_cpu_build_pad(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cpu_tensor(b, node->inputs[0]);
    const struct glet_tensor *y = glet_cpu_tensor(b, node->output);
    enum glet_dtype held = glet_cpu_held_dtype(x->dtype);
    struct pad_params params = {
        .rank = x->rank, .mode = node->mode, .element_bytes = glet_dtype_size(held)};
    memcpy(params.out_dims, y->dims, sizeof params.out_dims);
    memcpy(params.in_dims, x->dims, sizeof params.in_dims);
    memcpy(params.begin, node->pads_begin, sizeof params.begin);
    glet_cpu_convert(params.value, held, &node->alpha, GLET_FLOAT32, 1);
    int from = glet_cpu_want_plain(b, node->inputs[0], err);
    int to = from < 0 ? -1 : glet_cpu_define_plain(b, node->output, err);
    if (to < 0)
        return -1;
    int buffers[] = {to, from};
    return glet_cpu_add_kernel(b, pad_kernel, buffers, 2, &params, sizeof params, err);
}

/* ---- Resize ---- */

static double source_of(const struct glet_node *node, int64_t i, int64_t in, int64_t out,
                        double scale)
{
    switch (node->coordinates) {
    case GLET_ASYMMETRIC:
        return (double)i / scale;
    case GLET_ALIGN_CORNERS:
        return out > 1 ? (double)i * (double)(in - 1) / (double)(out - 1) : 0.0;
    case GLET_PYTORCH_HALF_PIXEL:
        if (out <= 1)
            return 0.0;
        break;
    default:
        break;
    }
    return ((double)i + 0.5) / scale - 0.5;
}

static int64_t nearest(enum glet_rounding rounding, double x)
{
    switch (rounding) {
    case GLET_ROUND_FLOOR:
        return (int64_t)floor(x);
    case GLET_ROUND_CEIL:
        return (int64_t)ceil(x);
    case GLET_ROUND_PREFER_CEIL:
        return (int64_t)floor(x + 0.5);
    default:
        return (int64_t)ceil(x - 0.5);
    }
}

static int32_t clamp(int64_t i, int64_t size)
{
    return (int32_t)(i < 0 ? 0 : i >= size ? size - 1 : i);
}

static int fill_taps(struct glet_cpu_build *b, int dimension, struct glet_cpu_taps *taps,
                     struct glet_error *err)
{
    const struct glet_node *node = b->node;
    taps->in = glet_cpu_tensor(b, node->inputs[0])->dims[dimension];
    taps->out = glet_cpu_tensor(b, node->output)->dims[dimension];
    size_t count = (size_t)taps->out;
    taps->low = glet_cpu_alloc(b, count * sizeof *taps->low, err);
    taps->high = taps->low ? glet_cpu_alloc(b, count * sizeof *taps->high, err) : NULL;
    taps->weight = taps->high ? glet_cpu_alloc(b, count * sizeof *taps->weight, err) : NULL;
    if (!taps->weight)
        return -1;
    double scale = (double)node->scales[dimension];
    if (scale <= 0.0)
        scale = (double)taps->out / (double)taps->in;
    for (int64_t i = 0; i < taps->out; i++) {
        double x = source_of(node, i, taps->in, taps->out, scale);
        if (node->mode == 0) {
            taps->low[i] = taps->high[i] = clamp(nearest(node->rounding, x), taps->in);
            continue;
        }
        double below = floor(x);
        taps->low[i] = clamp((int64_t)below, taps->in);
        taps->high[i] = clamp((int64_t)below + 1, taps->in);
        taps->weight[i] = (float)(x - below);
    }
    return 0;
}

struct resize_params {
    int64_t outer;
    int spatial;
    bool nearest;
    size_t element_bytes;
    struct glet_cpu_taps taps[GLET_MAX_RANK];
};

static int resize_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    const struct resize_params *p = params;
    (void)err;
    glet_cpu_resize(operands[0], operands[1], p->outer, p->spatial, p->taps, p->nearest,
                    p->element_bytes);
    return 0;
}

int glet_cpu_build_resize(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cpu_tensor(b, node->inputs[0]);
    const struct glet_tensor *y = glet_cpu_tensor(b, node->output);
    struct resize_params params = {.outer = 1,
                                   .nearest = node->mode == 0,
                                   .element_bytes = glet_dtype_size(glet_cpu_held_dtype(x->dtype))};
    if (!params.nearest && !glet_cpu_is_float(b, node->inputs[0]))
        return glet_cpu_unsupported(b, err, "linear on %s", glet_dtype_name(x->dtype));
    int first = 0; /* leading dimensions that keep their size need no taps */
    while (first < x->rank && x->dims[first] == y->dims[first])
        params.outer *= x->dims[first++];
    params.spatial = x->rank - first;
    for (int i = first; i < x->rank; i++)
        if (fill_taps(b, i, &params.taps[i - first], err) < 0)
            return -1;
    int from = glet_cpu_want_plain(b, node->inputs[0], err);
    int to = from < 0 ? -1 : glet_cpu_define_plain(b, node->output, err);
    if (to < 0)
        return -1;
    int buffers[] = {to, from};
    return glet_cpu_add_kernel(b, resize_kernel, buffers, 2, &params, sizeof params, err);
}
