/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators over rows: softmax, layer normalisation, reductions, arg-max. The dimension that they
 * work along is moved to the end by strides.
 */
#include "runtime/device/cuda/plan/builder.h"

static void last_axis(int rank, int axis, int *perm)
{
    int at = 0;
    for (int i = 0; i < rank; i++)
        if (i != axis)
            perm[at++] = i;
    perm[at] = axis;
}

int glet_cuda_plan_softmax(struct glet_cuda_builder *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *y = glet_cuda_tensor(b, node->output);
    struct glet_cuda_place p[3] = {[1] = glet_cuda_none()};
    int perm[GLET_MAX_RANK];
    if (!glet_cuda_is_float(b, node->inputs[0]))
        return glet_cuda_unsupported(b, err, "integers");
    if (glet_cuda_want(b, node->inputs[0], GLET_CUDA_ANY, &p[0], err) < 0)
        return -1;
    if (node->has_mask) {
        if (glet_cuda_want(b, node->inputs[1], GLET_CUDA_ANY, &p[1], err) < 0)
            return -1;
        p[1] = glet_cuda_broadcast(&p[1], y->rank, y->dims);
    }
    if (glet_cuda_define(b, node->output, GLET_CUDA_ROWS, &p[2], err) < 0)
        return -1;
    last_axis(y->rank, node->axis, perm);
    for (int i = 0; i < 3; i++)
        if (p[i].buffer >= 0)
            p[i] = glet_cuda_permute(&p[i], perm);
    return glet_cuda_step_add(b, GLET_CUDA_SOFTMAX, p, 3, err) ? 0 : -1;
}

int glet_cuda_plan_layer_norm(struct glet_cuda_builder *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cuda_tensor(b, node->inputs[0]);
    struct glet_cuda_place p[4] = {[2] = glet_cuda_none()};
    int64_t dims[2] = {1, 1};
    for (int i = 0; i < x->rank; i++)
        dims[i >= node->axis] *= x->dims[i];
    if (!glet_cuda_is_float(b, node->inputs[0]))
        return glet_cuda_unsupported(b, err, "integers");
    if (glet_cuda_want(b, node->inputs[0], GLET_CUDA_ROWS, &p[0], err) < 0 ||
        glet_cuda_want(b, node->inputs[1], GLET_CUDA_ROWS, &p[1], err) < 0 ||
        (node->has_bias && glet_cuda_want(b, node->inputs[2], GLET_CUDA_ROWS, &p[2], err) < 0) ||
        glet_cuda_define(b, node->output, GLET_CUDA_ROWS, &p[3], err) < 0)
        return -1;
    if (glet_cuda_place_count(&p[1]) != dims[1] ||
        (node->has_bias && glet_cuda_place_count(&p[2]) != dims[1]))
        return glet_cuda_unsupported(b, err, "a scale of another size than the row's");
    if (!glet_cuda_reshape(&p[0], 2, dims, &p[0]) || !glet_cuda_reshape(&p[3], 2, dims, &p[3]))
        return glet_error_set(err, GLET_ERR_INTERNAL, "rows that are not rows");
    return glet_cuda_step_add(b, GLET_CUDA_LAYER_NORM, p, 4, err) ? 0 : -1;
}

int glet_cuda_plan_reduce(struct glet_cuda_builder *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cuda_tensor(b, node->inputs[0]);
    struct glet_cuda_place p[2], rows;
    int64_t kept[GLET_MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        kept[i] = node->axes_mask >> i & 1u ? 1 : x->dims[i];
    if (!glet_cuda_is_float(b, node->inputs[0]))
        return glet_cuda_unsupported(b, err, "integers");
    if (glet_cuda_want(b, node->inputs[0], GLET_CUDA_ANY, &p[0], err) < 0 ||
        glet_cuda_define(b, node->output, GLET_CUDA_ROWS, &rows, err) < 0)
        return -1;
    p[1] = glet_cuda_rows(rows.buffer, rows.dtype, x->rank, kept);
    p[1] = glet_cuda_broadcast(&p[1], x->rank, x->dims);
    for (int i = 0; i < x->rank; i++)
        if (node->axes_mask >> i & 1u)
            p[1].strides[i] = 0;
    return glet_cuda_step_add(b, GLET_CUDA_REDUCE, p, 2, err) ? 0 : -1;
}

int glet_cuda_plan_arg_max(struct glet_cuda_builder *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cuda_tensor(b, node->inputs[0]);
    struct glet_cuda_place p[2], rows;
    int64_t kept[GLET_MAX_RANK];
    int perm[GLET_MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        kept[i] = i == node->axis ? 1 : x->dims[i];
    if (!glet_cuda_is_float(b, node->inputs[0]))
        return glet_cuda_unsupported(b, err, "integers");
    if (glet_cuda_want(b, node->inputs[0], GLET_CUDA_ANY, &p[0], err) < 0 ||
        glet_cuda_define(b, node->output, GLET_CUDA_ROWS, &rows, err) < 0)
        return -1;
    p[1] = glet_cuda_rows(rows.buffer, rows.dtype, x->rank, kept);
    p[1] = glet_cuda_broadcast(&p[1], x->rank, x->dims);
    p[1].strides[node->axis] = 0;
    last_axis(x->rank, node->axis, perm);
    p[0] = glet_cuda_permute(&p[0], perm);
    p[1] = glet_cuda_permute(&p[1], perm);
    return glet_cuda_step_add(b, GLET_CUDA_ARG_MAX, p, 2, err) ? 0 : -1;
}
