/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/device/cuda/plan/work.h"

#include <inttypes.h>

/* Elements that a broadcast reads again are counted once. */
static double bytes_of(const struct glet_cuda_place *place)
{
    double bytes = place->buffer < 0 ? 0 : (double)glet_dtype_size(place->dtype);
    for (int i = 0; i < place->rank; i++)
        if (place->strides[i] != 0)
            bytes *= (double)place->dims[i];
    return bytes;
}

static double flop_of(const struct glet_cuda_step *step, const struct glet_cuda_place *y)
{
    const struct glet_cuda_gemm *g = &step->gemm;
    const struct glet_cuda_attention *a = &step->attention;
    const struct glet_cuda_place *w = &step->places[1]; /* K x R x S x C, or 1 x R x S x C */
    double outputs = (double)glet_cuda_place_count(y);
    switch (step->kind) {
    case GLET_CUDA_GEMM:
        return 2.0 * (double)(g->outer * g->batch * g->m) * (double)(g->n * g->k);
    case GLET_CUDA_ATTENTION:
        return 2.0 * (double)(a->batch * a->heads * a->queries) *
               (double)(a->keys * (a->depth + a->value_depth));
    case GLET_CUDA_CONV:
    case GLET_CUDA_CONV_DIRECT:
        return 2.0 * outputs * (double)(w->dims[1] * w->dims[2] * w->dims[3]);
    case GLET_CUDA_DEPTHWISE:
        return 2.0 * outputs * (double)(w->dims[1] * w->dims[2]);
    default:
        return 0.0;
    }
}

static void print_shape(const struct glet_cuda_step *step, const struct glet_cuda_place *y,
                        char *out, size_t size)
{
    const struct glet_cuda_gemm *g = &step->gemm;
    const struct glet_cuda_place *w = &step->places[1];
    size_t at = 0;
    if (step->kind == GLET_CUDA_GEMM) {
        snprintf(out, size, "%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64, g->outer * g->batch,
                 g->m, g->n, g->k);
        return;
    }
    out[0] = '\0';
    for (int i = 0; i < y->rank && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%" PRId64, i ? "x" : "", y->dims[i]);
    if (step->kind == GLET_CUDA_ATTENTION && at < size)
        snprintf(out + at, size - at, " keys %" PRId64, step->attention.keys);
    if ((step->kind == GLET_CUDA_CONV || step->kind == GLET_CUDA_DEPTHWISE) && at < size)
        snprintf(out + at, size - at, " of %" PRId64 " by %" PRId64 "x%" PRId64 "/%" PRId64,
                 step->places[0].dims[1], w->dims[1], w->dims[2], step->node->strides[0]);
}

struct glet_cuda_work glet_cuda_work_of(const struct glet_cuda_step *step)
{
    struct glet_cuda_work work = {.bytes = 0};
    bool attention = step->kind == GLET_CUDA_ATTENTION; /* whose last place is scratch */
    int count = attention ? step->place_count - 1 : step->place_count;
    const struct glet_cuda_place *y = &step->places[count - 1];
    for (int i = 0; i < count; i++)
        work.bytes += bytes_of(&step->places[i]);
    if (step->kind == GLET_CUDA_GATHER) /* as many rows as it takes, of however many there are */
        work.bytes += bytes_of(y) - bytes_of(&step->places[0]);
    work.flop = flop_of(step, y);
    print_shape(step, y, work.shape, sizeof work.shape);
    return work;
}
