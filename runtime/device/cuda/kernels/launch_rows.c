/* SPDX-License-Identifier: Apache-2.0 */
/* Launches of what works along rows, and of reductions: a warp each. */
#include "runtime/device/cuda/kernels/launch_parts.h"

#include <limits.h>

/* The leading dimensions of all operands in three, the last one apart. */
static bool fill_rows(const struct glet_cuda_place *const operands[], int count,
                      struct glet_k_operand *const out[], void *const *bases, unsigned *dims)
{
    struct glet_cuda_place lead[3];
    int64_t lead_dims[GLET_MAX_RANK], strides[3][GLET_MAX_RANK];
    for (int k = 0; k < count; k++) {
        lead[k] = *operands[k];
        lead[k].rank--;
    }
    int rank = glet_launch_arrange(lead, count, lead_dims, strides);
    if (rank > 3)
        return false;
    for (int i = 0; i < 3; i++)
        dims[i] = i < 3 - rank ? 1 : (unsigned)lead_dims[i - (3 - rank)];
    for (int k = 0; k < count; k++) {
        if (!glet_launch_reaches(operands[k]))
            return false;
        out[k]->data = glet_cuda_address(bases, operands[k]);
        out[k]->dtype = (int)operands[k]->dtype;
        for (int i = 0; i < 3; i++)
            out[k]->strides[i] = i < 3 - rank ? 0 : (int)strides[k][i - (3 - rank)];
        out[k]->strides[3] = (int)operands[k]->strides[operands[k]->rank - 1];
    }
    return true;
}

int glet_launch_rows(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                     void *const *bases, struct glet_cuda_launch *out, struct glet_error *err)
{
    struct glet_k_rows *p = &out->parameters.rows;
    const struct glet_cuda_place *x = &step->places[0], *y = &step->places[step->place_count - 1];
    int64_t n = x->dims[x->rank - 1], count = glet_cuda_place_count(x);
    int64_t rows = n > 0 ? count / n : 0;
    if (count > INT_MAX)
        return glet_launch_too_large(step, err);
    p->rows = (unsigned)rows;
    p->n = (int)n;
    p->alpha = step->node->alpha;
    p->epsilon = step->node->epsilon;
    glet_launch_warps(out, p->rows);
    if (step->kind == GLET_CUDA_LAYER_NORM) {
        glet_launch_name(out, "glet_layer_norm", plan->type);
        p->x.data = glet_cuda_address(bases, x);
        p->y.data = glet_cuda_address(bases, y);
        p->scale = glet_cuda_address(bases, &step->places[1]);
        p->bias = glet_cuda_address(bases, &step->places[2]);
        return 0;
    }
    /* y last: its strides give the order */
    bool has_mask = step->kind == GLET_CUDA_SOFTMAX && step->places[1].buffer >= 0;
    const struct glet_cuda_place *with[3] = {x, &step->places[1], y}, *without[2] = {x, y};
    struct glet_k_operand *const with_out[3] = {&p->x, &p->mask, &p->y};
    struct glet_k_operand *const without_out[2] = {&p->x, &p->y};
    p->has_mask = has_mask;
    if (!fill_rows(has_mask ? with : without, has_mask ? 3 : 2, has_mask ? with_out : without_out,
                   bases, p->dims))
        return glet_launch_too_large(step, err);
    if (step->kind == GLET_CUDA_SOFTMAX) {
        glet_launch_name(out, "glet_softmax", plan->type);
        return 0;
    }
    glet_launch_name(out, "glet_arg_max", plan->type);
    return glet_launch_threads(step, out, rows, &p->rows, err);
}

int glet_launch_reduce(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                       void *const *bases, struct glet_cuda_launch *out, struct glet_error *err)
{
    struct glet_k_reduce *p = &out->parameters.reduce;
    const struct glet_cuda_place *x = &step->places[0], *y = &step->places[1];
    int kept = GLET_K_RANK, reduced = GLET_K_RANK;
    p->outputs = p->reduced = 1;
    for (int i = 0; i < GLET_K_RANK; i++)
        p->kept_dims[i] = p->reduced_dims[i] = 1;
    if (!glet_launch_reaches(x) || glet_cuda_place_count(x) > INT_MAX)
        return glet_launch_too_large(step, err);
    for (int i = x->rank - 1; i >= 0; i--) {
        bool gone = step->node->axes_mask >> i & 1u;
        if (x->dims[i] == 1)
            continue;
        int *at = gone ? &reduced : &kept;
        if (--*at < 0)
            return glet_launch_too_large(step, err);
        (gone ? p->reduced_dims : p->kept_dims)[*at] = (unsigned)x->dims[i];
        (gone ? p->x_reduced : p->x_kept)[*at] = (int)x->strides[i];
        if (!gone)
            p->y_kept[*at] = (int)y->strides[i];
        *(gone ? &p->reduced : &p->outputs) *= (unsigned)x->dims[i];
    }
    p->x = glet_cuda_address(bases, x);
    p->y = glet_cuda_address(bases, y);
    p->operation = (int)step->node->op - (int)GLET_OP_REDUCE_MEAN;
    glet_launch_name(out, "glet_reduce", plan->type);
    glet_launch_warps(out, p->outputs);
    return 0;
}
