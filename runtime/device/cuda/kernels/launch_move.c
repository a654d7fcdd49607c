/* SPDX-License-Identifier: Apache-2.0 */
/* Launches of movement that strides cannot say. */
#include "runtime/device/cuda/kernels/launch_parts.h"

int glet_launch_gather(const struct glet_cuda_step *step, void *const *bases,
                       struct glet_cuda_launch *out, struct glet_error *err)
{
    struct glet_k_gather *p = &out->parameters.gather;
    const struct glet_cuda_place *x = &step->places[0], *y = &step->places[2];
    int64_t row_bytes = x->dims[2] * (int64_t)glet_dtype_size(x->dtype), unit = 16;
    p->data = glet_cuda_address(bases, x);
    p->index = glet_cuda_address(bases, &step->places[1]);
    p->y = glet_cuda_address(bases, y);
    while (row_bytes % unit != 0 || (uintptr_t)p->data % (size_t)unit != 0 ||
           (uintptr_t)p->y % (size_t)unit != 0)
        unit /= 2;
    snprintf(out->kernel, sizeof out->kernel, "glet_gather%d", (int)unit);
    p->units = (unsigned)(row_bytes / unit);
    p->indices = (unsigned)y->dims[1];
    p->axis = x->dims[1];
    p->index_bytes = (int)glet_dtype_size(step->places[1].dtype);
    return glet_launch_threads(step, out, y->dims[0] * y->dims[1] * (row_bytes / unit), &p->count,
                               err);
}

int glet_launch_pad(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                    void *const *bases, struct glet_cuda_launch *out, struct glet_error *err)
{
    struct glet_k_pad *p = &out->parameters.pad;
    const struct glet_cuda_place *x = &step->places[0], *y = &step->places[1];
    if (!glet_launch_reaches(x) || !glet_launch_reaches(y))
        return glet_launch_too_large(step, err);
    for (int i = 0; i < 4; i++) {
        int from = i - (4 - y->rank);
        p->dims[i] = from < 0 ? 1 : (unsigned)y->dims[from];
        p->x_dims[i] = from < 0 ? 1 : (int)x->dims[from];
        p->begin[i] = from < 0 ? 0 : (int)step->node->pads_begin[from];
        p->x_strides[i] = from < 0 ? 0 : (int)x->strides[from];
        p->y_strides[i] = from < 0 ? 0 : (int)y->strides[from];
    }
    p->mode = step->node->mode;
    p->value = step->node->alpha;
    p->x = glet_cuda_address(bases, x);
    p->y = glet_cuda_address(bases, y);
    glet_launch_name(out, "glet_pad", plan->type);
    return glet_launch_threads(step, out, glet_cuda_place_count(y), &p->count, err);
}

int glet_launch_resize(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                       void *const *bases, struct glet_cuda_launch *out, struct glet_error *err)
{
    struct glet_k_resize *p = &out->parameters.resize;
    const struct glet_cuda_place *x = &step->places[0], *y = &step->places[1];
    if (!glet_launch_reaches(x) || !glet_launch_reaches(y))
        return glet_launch_too_large(step, err);
    p->channels = (unsigned)y->channels;
    p->out_h = (unsigned)y->dims[2];
    p->out_w = (unsigned)y->dims[3];
    p->h = (int)x->dims[2];
    p->w = (int)x->dims[3];
    p->x_n = (int)x->strides[0];
    p->x_h = (int)x->strides[2];
    p->x_w = (int)x->strides[3];
    p->y_n = (int)y->strides[0];
    p->y_h = (int)y->strides[2];
    p->y_w = (int)y->strides[3];
    p->linear = step->node->mode == 1;
    p->coordinates = (int)step->node->coordinates;
    p->rounding = (int)step->node->rounding;
    p->scale_h = step->node->scales[2];
    p->scale_w = step->node->scales[3];
    p->x = glet_cuda_address(bases, x);
    p->y = glet_cuda_address(bases, y);
    glet_launch_name(out, "glet_resize", plan->type);
    return glet_launch_threads(step, out, y->dims[0] * y->dims[2] * y->dims[3] * y->channels,
                               &p->count, err);
}
