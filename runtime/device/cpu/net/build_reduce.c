/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builders of reductions. The mean over all of the space of a blocked layout (a global pooling that
 * the exporter wrote as ReduceMean) stays in that layout as a pooling primitive would; everything
 * else is row-major.
 */
#include "runtime/device/cpu/net/build.h"

#include "runtime/device/cpu/kernels/kernels.h"

#include <string.h>

struct reduce_params {
    enum glet_op op;
    enum glet_dtype dtype;
    int rank;
    int64_t dims[GLET_MAX_RANK];
    uint32_t axes_mask;
};

static int reduce_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    const struct reduce_params *p = params;
    (void)err;
    glet_cpu_reduce(p->op, p->dtype, operands[0], operands[1], p->rank, p->dims, p->axes_mask);
    return 0;
}

/* Blocks of channels without padding: (outer, space, block) with space reduced is the row-major
   (N, C) result. */
static bool reduce_blocked(const struct glet_cpu_build *b, const dnnl_memory_desc_t *md,
                           struct reduce_params *params)
{
    const struct glet_tensor *x = glet_cpu_tensor(b, b->node->inputs[0]);
    int64_t block = glet_dnnl_channel_block(md);
    uint32_t space = 0;
    int64_t inner = 1;
    for (int i = 2; i < x->rank; i++) {
        space |= 1U << i;
        inner *= x->dims[i];
    }
    if (block <= 1 || glet_dnnl_has_padding(md) || b->node->axes_mask != space)
        return false;
    params->rank = 3;
    params->dims[0] = x->dims[0] * x->dims[1] / block;
    params->dims[1] = inner;
    params->dims[2] = block;
    params->axes_mask = 2;
    return true;
}

int glet_cpu_build_reduce(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cpu_tensor(b, node->inputs[0]);
    struct reduce_params params = {.op = node->op,
                                   .dtype = glet_cpu_held_dtype(x->dtype),
                                   .rank = x->rank,
                                   .axes_mask = node->axes_mask};
    memcpy(params.dims, x->dims, sizeof params.dims);
    int from;
    if (params.dtype == GLET_FLOAT32 && x->rank >= 3) {
        dnnl_memory_desc_t md;
        if (glet_cpu_current(b, node->inputs[0], &md, &from, err) < 0)
            return -1;
        if (!reduce_blocked(b, &md, &params))
            from = glet_cpu_want_plain(b, node->inputs[0], err);
    } else {
        from = glet_cpu_want_plain(b, node->inputs[0], err);
    }
    int to = from < 0 ? -1 : glet_cpu_define_plain(b, node->output, err);
    if (to < 0)
        return -1;
    int buffers[] = {to, from};
    return glet_cpu_add_kernel(b, reduce_kernel, buffers, 2, &params, sizeof params, err);
}

struct arg_max_params {
    enum glet_dtype dtype;
    int64_t outer, axis, inner;
};

static int arg_max_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    const struct arg_max_params *p = params;
    (void)err;
    glet_cpu_arg_max(operands[0], operands[1], p->dtype, p->outer, p->axis, p->inner);
    return 0;
}

int glet_cpu_build_arg_max(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cpu_tensor(b, node->inputs[0]);
    struct arg_max_params params = {.dtype = glet_cpu_held_dtype(x->dtype),
                                    .outer = 1,
                                    .axis = x->rank > 0 ? x->dims[node->axis] : 1,
                                    .inner = 1};
    for (int i = 0; i < x->rank; i++)
        if (i != node->axis)
            *(i < node->axis ? &params.outer : &params.inner) *= x->dims[i];
    int from = glet_cpu_want_plain(b, node->inputs[0], err);
    int to = from < 0 ? -1 : glet_cpu_define_plain(b, node->output, err);
    if (to < 0)
        return -1;
    int buffers[] = {to, from};
    return glet_cpu_add_kernel(b, arg_max_kernel, buffers, 2, &params, sizeof params, err);
}
