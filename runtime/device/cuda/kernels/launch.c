/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which launch a step is, and what launches share; the kinds are in the files beside this one.
 */
#include "runtime/device/cuda/kernels/launch_parts.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 256, ROWS_PER_BLOCK = 4, WARP = 32 };

void *glet_cuda_address(void *const *bases, const struct glet_cuda_place *place)
{
    if (place->buffer < 0)
        return NULL;
    return (char *)bases[place->buffer] + place->offset * (int64_t)glet_dtype_size(place->dtype);
}

int glet_launch_too_large(const struct glet_cuda_step *step, struct glet_error *err)
{
    return glet_error_set(err, GLET_ERR_UNSUPPORTED,
                          "node %s: more elements or dimensions than a kernel counts", step->name);
}

void glet_launch_name(struct glet_cuda_launch *out, const char *name, enum glet_dtype type)
{
    snprintf(out->kernel, sizeof out->kernel, "%s_%s", name, type == GLET_FLOAT16 ? "f16" : "f32");
}

int glet_launch_threads(const struct glet_cuda_step *step, struct glet_cuda_launch *out,
                        int64_t count, unsigned *count_out, struct glet_error *err)
{
    if (count > INT_MAX)
        return glet_launch_too_large(step, err);
    *count_out = (unsigned)count;
    out->grid[0] = (unsigned)((count + BLOCK - 1) / BLOCK);
    out->grid[1] = out->grid[2] = out->block[1] = out->block[2] = 1;
    out->block[0] = BLOCK;
    return 0;
}

void glet_launch_warps(struct glet_cuda_launch *out, unsigned rows)
{
    out->grid[0] = (rows + ROWS_PER_BLOCK - 1) / ROWS_PER_BLOCK;
    out->grid[1] = out->grid[2] = out->block[2] = 1;
    out->block[0] = WARP;
    out->block[1] = ROWS_PER_BLOCK;
}

/* The furthest element of a place that 32 bits can reach. */
bool glet_launch_reaches(const struct glet_cuda_place *place)
{
    int64_t far = 0;
    for (int i = 0; i < place->rank; i++)
        far += (place->dims[i] - 1) * llabs(place->strides[i]);
    return far <= INT_MAX;
}

int glet_cuda_launch_of(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                        void *const *bases, struct glet_cuda_launch *out, struct glet_error *err)
{
    *out = (struct glet_cuda_launch){.kernel = ""};
    switch (step->kind) {
    case GLET_CUDA_MAP:
        return glet_launch_map(plan, step, bases, out, err);
    case GLET_CUDA_POOL:
    case GLET_CUDA_DEPTHWISE:
    case GLET_CUDA_CONV_DIRECT:
    case GLET_CUDA_CONV_TRANSPOSE:
        return glet_launch_window(plan, step, bases, out, err);
    case GLET_CUDA_LRN:
        return glet_launch_lrn(plan, step, bases, out, err);
    case GLET_CUDA_SOFTMAX:
    case GLET_CUDA_LAYER_NORM:
    case GLET_CUDA_ARG_MAX:
        return glet_launch_rows(plan, step, bases, out, err);
    case GLET_CUDA_REDUCE:
        return glet_launch_reduce(plan, step, bases, out, err);
    case GLET_CUDA_GATHER:
        return glet_launch_gather(step, bases, out, err);
    case GLET_CUDA_PAD:
        return glet_launch_pad(plan, step, bases, out, err);
    case GLET_CUDA_RESIZE:
        return glet_launch_resize(plan, step, bases, out, err);
    default:
        return glet_error_set(err, GLET_ERR_INTERNAL, "node %s: %s is no kernel", step->name,
                              glet_cuda_step_kind_name(step->kind));
    }
}

/* -- what libraries leave ---------------------------------------------------------------------- */

static struct glet_cuda_place along(const struct glet_cuda_place *vector, int axis,
                                    const struct glet_cuda_place *y)
{
    struct glet_cuda_place place = *y;
    place.buffer = vector->buffer;
    place.offset = vector->offset;
    place.dtype = vector->dtype;
    for (int i = 0; i < y->rank; i++)
        place.strides[i] = i == axis ? 1 : 0;
    return place;
}

int glet_cuda_epilogue_step(const struct glet_cuda_step *step, bool with_bias, bool with_residual,
                            int bias_axis, struct glet_cuda_step *out, struct glet_error *err)
{
    struct glet_cuda_place y = step->places[4];
    *out = (struct glet_cuda_step){
        .kind = GLET_CUDA_MAP, .name = step->name, .node = step->node, .place_count = 1};
    if (step->kind == GLET_CUDA_CONV) /* the padding too: it must stay finite */
        y.dims[1] = y.channels;
    y.channels = 0;
    out->places[0] = y;
    for (int i = 0; i < 2; i++) {
        if (!(i == 0 ? with_bias : with_residual))
            continue;
        struct glet_cuda_place operand = step->places[3];
        if (i == 0)
            operand = along(&step->places[2], bias_axis, &y);
        memcpy(operand.dims, y.dims, sizeof y.dims);
        if (operand.rank != y.rank)
            return glet_error_set(err, GLET_ERR_INTERNAL, "node %s: a residual of another rank",
                                  step->name);
        out->operations[out->operation_count++] = (struct glet_cuda_map_operation){
            .code = GLET_CUDA_MAP_BINARY, .binary = GLET_ADD, .input = out->place_count};
        out->places[out->place_count++] = operand;
    }
    if (step->activation.kind != GLET_ACT_NONE)
        out->operations[out->operation_count++] = (struct glet_cuda_map_operation){
            .code = GLET_CUDA_MAP_ACTIVATION, .activation = step->activation};
    out->places[out->place_count++] = y;
    return 0;
}

struct glet_cuda_step glet_cuda_scores_step(const struct glet_cuda_step *attention)
{
    struct glet_cuda_step step = {
        .kind = GLET_CUDA_SOFTMAX,
        .name = attention->name,
        .node = attention->node,
        .place_count = 3,
        .places = {attention->places[5], attention->places[3], attention->places[5]}};
    return step;
}
