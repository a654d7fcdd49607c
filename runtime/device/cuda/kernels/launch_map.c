/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launches of maps: dimensions in the order in which the result lies, merged where all operands
 * allow, so that most become one or two dimensions and threads write neighbouring bytes.
 */
#include "runtime/device/cuda/kernels/launch_parts.h"

#include <stdlib.h>
#include <string.h>

/* Dimensions sorted by the result's stride, 1s dropped, merged: at least one is left. */
int glet_launch_arrange(const struct glet_cuda_place *places, int count, int64_t *dims,
                        int64_t strides[][GLET_MAX_RANK])
{
    const struct glet_cuda_place *y = &places[count - 1];
    int order[GLET_MAX_RANK], rank = 0, merged = 0;
    for (int i = 0; i < y->rank; i++) {
        if (y->dims[i] == 1)
            continue;
        int at = rank++;
        for (; at > 0 && llabs(y->strides[order[at - 1]]) < llabs(y->strides[i]); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    for (int i = 0; i < rank; i++) {
        bool joins = merged > 0;
        for (int k = 0; joins && k < count; k++)
            joins = strides[k][merged - 1] == places[k].strides[order[i]] * y->dims[order[i]];
        if (!joins)
            dims[merged++] = 1;
        dims[merged - 1] *= y->dims[order[i]];
        for (int k = 0; k < count; k++)
            strides[k][merged - 1] = places[k].strides[order[i]];
    }
    if (merged == 0) {
        dims[merged++] = 1;
        for (int k = 0; k < count; k++)
            strides[k][0] = 1;
    }
    return merged;
}

static bool vectorises(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                       void *const *bases, int rank, const int64_t *dims,
                       int64_t strides[][GLET_MAX_RANK])
{
    int64_t vector = GLET_CUDA_VECTOR_BYTES / (int64_t)glet_dtype_size(plan->type);
    if (step->integer || dims[rank - 1] % vector != 0)
        return false;
    for (int k = 0; k < step->place_count; k++) {
        const struct glet_cuda_place *place = &step->places[k];
        bool is_out = k == step->place_count - 1;
        if (place->dtype != plan->type)
            return false;
        if (!is_out && strides[k][rank - 1] == 0)
            continue;
        if (strides[k][rank - 1] != 1 ||
            (uintptr_t)glet_cuda_address(bases, place) % GLET_CUDA_VECTOR_BYTES != 0)
            return false;
        for (int i = 0; i < rank - 1; i++)
            if (strides[k][i] % vector != 0)
                return false;
    }
    return true;
}

static void fill_operations(const struct glet_cuda_step *step, struct glet_k_map *map)
{
    map->operation_count = step->operation_count;
    for (int i = 0; i < step->operation_count; i++) {
        const struct glet_cuda_map_operation *op = &step->operations[i];
        map->operations[i].code = (int)op->code;
        map->operations[i].binary = (int)op->binary;
        map->operations[i].swapped = op->swapped;
        map->operations[i].input = op->input;
        map->operations[i].activation = (int)op->activation.kind;
        map->operations[i].cast = (int)op->cast;
        map->operations[i].a = op->activation.a;
        map->operations[i].b = op->activation.b;
    }
}

static bool is_pixels(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step)
{
    const struct glet_cuda_place *y = &step->places[1];
    return step->operation_count == 0 && step->place_count == 2 && !step->integer &&
           y->channels > 0 &&
           y->channels % (GLET_CUDA_VECTOR_BYTES / (int64_t)glet_dtype_size(plan->type)) == 0 &&
           (y->rank == 3 || y->rank == 4) && y->dtype == plan->type;
}

static int launch_pixels(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                         void *const *bases, struct glet_cuda_launch *out, struct glet_error *err)
{
    struct glet_k_pixels *p = &out->parameters.pixels;
    const struct glet_cuda_place *x = &step->places[0], *y = &step->places[1];
    int h = y->rank == 4 ? 2 : -1, w = y->rank - 1;
    int64_t vector = GLET_CUDA_VECTOR_BYTES / (int64_t)glet_dtype_size(plan->type);
    int64_t height = h < 0 ? 1 : y->dims[h], pixels = y->dims[0] * height * y->dims[w];
    if (!glet_launch_reaches(x) || !glet_launch_reaches(y) ||
        glet_launch_threads(step, out, pixels * (y->channels / vector), &p->count, err) < 0)
        return glet_launch_too_large(step, err);
    glet_launch_name(out, "glet_pixels", plan->type);
    p->pixels = (unsigned)pixels;
    p->height = (unsigned)height;
    p->width = (unsigned)y->dims[w];
    p->vectors = (unsigned)(y->channels / vector);
    p->channels = (int)y->dims[1];
    p->x.data = glet_cuda_address(bases, x);
    p->x.dtype = (int)x->dtype;
    p->x.strides[0] = (int)x->strides[0];
    p->x.strides[1] = (int)x->strides[1];
    p->x.strides[2] = h < 0 ? 0 : (int)x->strides[h];
    p->x.strides[3] = (int)x->strides[w];
    p->y = glet_cuda_address(bases, y);
    p->y_n = (int)y->strides[0];
    p->y_h = h < 0 ? 0 : (int)y->strides[h];
    p->y_w = (int)y->strides[w];
    return 0;
}

int glet_launch_map(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                    void *const *bases, struct glet_cuda_launch *out, struct glet_error *err)
{
    struct glet_k_map *map = &out->parameters.map;
    int64_t dims[GLET_MAX_RANK], strides[GLET_CUDA_MAP_INPUTS + 1][GLET_MAX_RANK];
    int64_t count = glet_cuda_place_count(&step->places[step->place_count - 1]);
    int64_t vector = GLET_CUDA_VECTOR_BYTES / (int64_t)glet_dtype_size(plan->type);
    if (is_pixels(plan, step))
        return launch_pixels(plan, step, bases, out, err);
    int rank = glet_launch_arrange(step->places, step->place_count, dims, strides);
    if (rank > GLET_K_RANK)
        return glet_launch_too_large(step, err);
    bool vectors = vectorises(plan, step, bases, rank, dims, strides);
    if (vectors) {
        glet_launch_name(out, "glet_map_vector", plan->type);
        count /= vector;
        dims[rank - 1] /= vector;
    } else {
        strcpy(out->kernel, step->integer ? "glet_map_integer" : "glet_map_float");
    }
    map->rank = rank;
    map->input_count = step->place_count - 1;
    for (int i = 0; i < rank; i++)
        map->dims[i] = (unsigned)dims[i];
    for (int k = 0; k < step->place_count; k++) {
        struct glet_k_operand *operand = k == step->place_count - 1 ? &map->out : &map->inputs[k];
        if (!glet_launch_reaches(&step->places[k]))
            return glet_launch_too_large(step, err);
        operand->data = glet_cuda_address(bases, &step->places[k]);
        operand->dtype = (int)step->places[k].dtype;
        for (int i = 0; i < rank; i++)
            operand->strides[i] = (int)strides[k][i];
    }
    fill_operations(step, map);
    return glet_launch_threads(step, out, count, &map->count, err);
}
