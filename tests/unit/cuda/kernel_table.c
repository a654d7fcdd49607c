/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cuda/kernel_table.h"

#include <stdlib.h>
#include <string.h>

int table_below(struct table *t, int limit)
{
    t->random ^= t->random << 13; /* Marsaglia's xorshift64 */
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return (int)(t->random >> 33) % limit;
}

void table_start(struct table *t, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    t->random = seed * 0x9e3779b97f4a7c15u + 1;
    t->half = seed % 2;
    t->plan.type = t->half ? GLET_FLOAT16 : GLET_FLOAT32;
    t->plan.graph = &t->graph;
    t->graph.tensors = &t->tensor;
    t->tensor.rank = 4;
    t->step.node = &t->node;
    t->step.name = "test";
    for (int i = 0; i < TABLE_PLACES; i++) {
        t->bases[i] = aligned_alloc(64, TABLE_ELEMENTS * sizeof(float));
        t->values[i] = malloc(TABLE_ELEMENTS * sizeof(float));
        uint16_t *halves = malloc(TABLE_ELEMENTS * sizeof *halves);
        for (int k = 0; k < TABLE_ELEMENTS; k++)
            t->values[i][k] = (float)(table_below(t, 2001) - 1000) / 500.0F;
        host_floats_to_halves(t->values[i], halves, TABLE_ELEMENTS);
        if (t->half) { /* the values are what the halves hold */
            host_halves_to_floats(halves, t->values[i], TABLE_ELEMENTS);
            memcpy(t->bases[i], halves, TABLE_ELEMENTS * sizeof *halves);
        } else {
            memcpy(t->bases[i], t->values[i], TABLE_ELEMENTS * sizeof(float));
        }
        free(halves);
    }
}

void table_end(struct table *t)
{
    for (int i = 0; i < TABLE_PLACES; i++) {
        free(t->bases[i]);
        free(t->values[i]);
    }
}

float table_result(const struct table *t, int buffer, int64_t at)
{
    float value;
    if (!t->half)
        return ((const float *)t->bases[buffer])[at];
    host_halves_to_floats((const uint16_t *)t->bases[buffer] + at, &value, 1);
    return value;
}

void table_run(struct table *t)
{
    struct glet_error err = {0};
    struct glet_cuda_launch launch;
    if (glet_cuda_launch_of(&t->plan, &t->step, t->bases, &launch, &err) < 0)
        fail_msg("%s", err.message);
    if (launch.grid[0] > 0 && !host_launch(&launch))
        fail_msg("no kernel %s", launch.kernel);
}

void table_expect(const struct table *t, uint64_t seed, const char *what, float got, double wanted)
{
    double tolerance = (t->half ? 2e-3 : 1e-5) * fmax(1.0, fabs(wanted));
    if (!(fabs((double)got - wanted) <= tolerance))
        fail_msg("%s, seed %d: %g instead of %g", what, (int)seed, (double)got, wanted);
}

struct glet_cuda_place *table_place(struct table *t, int rank, const int64_t *dims)
{
    struct glet_cuda_place *p = &t->step.places[t->step.place_count];
    int64_t stride = 1;
    *p = (struct glet_cuda_place){
        .buffer = t->step.place_count++, .dtype = t->plan.type, .rank = rank};
    for (int i = rank - 1; i >= 0; i--) {
        p->dims[i] = dims[i];
        p->strides[i] = stride;
        stride *= dims[i];
    }
    return p;
}

int64_t table_vector(const struct table *t)
{
    return t->half ? 8 : 4;
}

struct glet_cuda_place *table_map(struct table *t, int64_t n, int64_t c, int64_t h, int64_t w,
                                  int64_t extra_vectors)
{
    struct glet_cuda_place *p = table_place(t, 4, (int64_t[]){n, c, h, w});
    int64_t vector = table_vector(t), padded = (c + vector - 1) / vector * vector;
    int64_t pitch = padded + extra_vectors * vector;
    p->channels = padded;
    p->strides[1] = 1;
    p->strides[3] = pitch;
    p->strides[2] = pitch * w;
    p->strides[0] = pitch * w * h;
    return p;
}

int64_t place_at(const struct glet_cuda_place *p, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return p->offset + a * p->strides[0] + b * p->strides[1] + c * p->strides[2] +
           d * p->strides[3];
}
