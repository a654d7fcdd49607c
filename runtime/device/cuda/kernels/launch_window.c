/* SPDX-License-Identifier: Apache-2.0 */
/* Launches of windows over feature maps. */
#include "runtime/device/cuda/kernels/launch_parts.h"

#include <string.h>

static int64_t pads_at(const int64_t *pads, int spatial, int i)
{
    return i < 2 - spatial ? 0 : pads[i - (2 - spatial)];
}

static int64_t size_at(const int64_t *values, int spatial, int i)
{
    int64_t value = i < 2 - spatial ? 1 : values[i - (2 - spatial)];
    return value > 0 ? value : 1;
}

static void fill_window(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                        void *const *bases, struct glet_k_window *p)
{
    const struct glet_node *node = step->node;
    const struct glet_cuda_place *x = &step->places[0], *y = &step->places[step->place_count - 1];
    int spatial = plan->graph->tensors[node->output].rank - 2;
    p->batch = (int)y->dims[0];
    p->channels = (int)x->dims[1];
    p->h = (int)x->dims[2];
    p->w = (int)x->dims[3];
    p->out_channels = (int)y->dims[1];
    p->out_h = (unsigned)y->dims[2];
    p->out_w = (unsigned)y->dims[3];
    p->kernel_h = (int)size_at(node->kernel, spatial, 0);
    p->kernel_w = (int)size_at(node->kernel, spatial, 1);
    p->stride_h = (int)size_at(node->strides, spatial, 0);
    p->stride_w = (int)size_at(node->strides, spatial, 1);
    p->dilation_h = (int)size_at(node->dilations, spatial, 0);
    p->dilation_w = (int)size_at(node->dilations, spatial, 1);
    p->pad_h = (int)pads_at(node->pads_begin, spatial, 0);
    p->pad_w = (int)pads_at(node->pads_begin, spatial, 1);
    p->end_h = p->h + (int)pads_at(node->pads_end, spatial, 0);
    p->end_w = p->w + (int)pads_at(node->pads_end, spatial, 1);
    p->group = node->group > 0 ? (int)node->group : 1;
    p->x = glet_cuda_address(bases, x);
    p->x_n = (int)x->strides[0];
    p->x_h = (int)x->strides[2];
    p->x_w = (int)x->strides[3];
    p->y = glet_cuda_address(bases, y);
    p->y_n = (int)y->strides[0];
    p->y_h = (int)y->strides[2];
    p->y_w = (int)y->strides[3];
    p->is_max = node->op == GLET_OP_MAX_POOL;
    p->count_include_pad = node->count_include_pad;
    p->activation = (int)step->activation.kind;
    p->a = step->activation.a;
    p->b = step->activation.b;
    if (step->place_count < 5)
        return;
    p->filter = glet_cuda_address(bases, &step->places[1]);
    p->filter_columns = (int)step->places[1].dims[3];
    p->bias = glet_cuda_address(bases, &step->places[2]);
    p->residual = glet_cuda_address(bases, &step->places[3]);
    if (step->places[3].buffer >= 0) {
        p->r_n = (int)step->places[3].strides[0];
        p->r_h = (int)step->places[3].strides[2];
        p->r_w = (int)step->places[3].strides[3];
    }
}

static bool is_global(const struct glet_k_window *p)
{
    return p->out_h == 1 && p->out_w == 1 && p->pad_h == 0 && p->pad_w == 0 &&
           p->kernel_h == p->h && p->kernel_w == p->w && p->dilation_h == 1 && p->dilation_w == 1 &&
           p->h * p->w >= 16;
}

static const char *depthwise_kernel(const struct glet_k_window *p)
{
    bool square = p->kernel_h == p->kernel_w && p->stride_h == p->stride_w && p->dilation_h == 1 &&
                  p->dilation_w == 1 && p->stride_h <= 2;
    if (square && p->kernel_h == 3)
        return p->stride_h == 1 ? "glet_depthwise3s1" : "glet_depthwise3s2";
    if (square && p->kernel_h == 5)
        return p->stride_h == 1 ? "glet_depthwise5s1" : "glet_depthwise5s2";
    return "glet_depthwise";
}

int glet_launch_window(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                       void *const *bases, struct glet_cuda_launch *out, struct glet_error *err)
{
    struct glet_k_window *p = &out->parameters.window;
    const struct glet_cuda_place *x = &step->places[0], *y = &step->places[step->place_count - 1];
    int64_t vector = GLET_CUDA_VECTOR_BYTES / (int64_t)glet_dtype_size(plan->type);
    int64_t padded = (y->dims[1] + vector - 1) / vector, columns = y->dims[3], per_row = padded;
    const char *kernel = "glet_pool";
    if (!glet_launch_reaches(x) || !glet_launch_reaches(y))
        return glet_launch_too_large(step, err);
    fill_window(plan, step, bases, p);
    p->vectors = (unsigned)padded;
    p->tiles_w = (p->out_w + GLET_K_DEPTHWISE_TILE - 1) / GLET_K_DEPTHWISE_TILE;
    if (step->kind == GLET_CUDA_CONV_DIRECT || step->kind == GLET_CUDA_CONV_TRANSPOSE) {
        kernel = step->kind == GLET_CUDA_CONV_DIRECT ? "glet_conv_direct" : "glet_conv_transpose";
        per_row = y->dims[1];
    } else if (step->kind == GLET_CUDA_DEPTHWISE) {
        kernel = depthwise_kernel(p);
        columns = strcmp(kernel, "glet_depthwise") != 0 ? (int64_t)p->tiles_w : columns;
    } else if (is_global(p)) {
        glet_launch_name(out, "glet_pool_global", plan->type);
        out->grid[0] = (p->vectors + 3) / 4;
        out->grid[1] = (unsigned)y->dims[0];
        out->grid[2] = out->block[2] = 1;
        out->block[0] = 4;
        out->block[1] = 32;
        return 0;
    }
    glet_launch_name(out, kernel, plan->type);
    return glet_launch_threads(step, out, y->dims[0] * y->dims[2] * columns * per_row, &p->count,
                               err);
}

int glet_launch_lrn(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                    void *const *bases, struct glet_cuda_launch *out, struct glet_error *err)
{
    struct glet_k_lrn *p = &out->parameters.lrn;
    const struct glet_node *node = step->node;
    const struct glet_cuda_place *x = &step->places[0], *y = &step->places[1];
    int64_t vector = GLET_CUDA_VECTOR_BYTES / (int64_t)glet_dtype_size(plan->type);
    if (!glet_launch_reaches(x) || !glet_launch_reaches(y))
        return glet_launch_too_large(step, err);
    p->vectors = (unsigned)((x->dims[1] + vector - 1) / vector);
    p->h = (unsigned)x->dims[2];
    p->w = (unsigned)x->dims[3];
    p->channels = (int)x->dims[1];
    p->before = (node->mode - 1) / 2;
    p->after = node->mode - 1 - p->before;
    p->alpha = node->alpha / (float)node->mode;
    p->beta = node->beta;
    p->k = node->epsilon;
    p->x = glet_cuda_address(bases, x);
    p->x_n = (int)x->strides[0];
    p->x_h = (int)x->strides[2];
    p->x_w = (int)x->strides[3];
    p->y = glet_cuda_address(bases, y);
    p->y_n = (int)y->strides[0];
    p->y_h = (int)y->strides[2];
    p->y_w = (int)y->strides[3];
    glet_launch_name(out, "glet_lrn", plan->type);
    return glet_launch_threads(step, out, x->dims[0] * x->dims[2] * x->dims[3] * p->vectors,
                               &p->count, err);
}
