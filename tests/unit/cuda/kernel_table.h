/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_KERNEL_TABLE_H
#define GLET_TESTS_KERNEL_TABLE_H

/*
 * A step of one kernel on random values, for tests that hold its arithmetic, from the source that
 * GPUs run, against plain loops in double precision. The seed of a failure is printed.
 */

#include "tests/unit/check.h"
#include "tests/unit/cuda/host_kernels.h"

#include <math.h>

enum { ROUNDS = 40, TABLE_ELEMENTS = 1 << 15, TABLE_PLACES = 8 };

/* Buffers 0 ... of TABLE_ELEMENTS elements each, in the plan's type, and the values they were given. */
struct table {
    uint64_t random;
    struct glet_graph graph;
    struct glet_tensor tensor;
    struct glet_node node;
    struct glet_cuda_plan plan;
    struct glet_cuda_step step;
    void *bases[TABLE_PLACES];
    float *values[TABLE_PLACES];
    bool half;
};

/* Odd seeds: FP16. */
void table_start(struct table *t, uint64_t seed);
void table_end(struct table *t);
int table_below(struct table *t, int limit); /* random, from 0 */

/* Adds a place of the next buffer: row-major; or N x C x H x W with channels innermost and a pitch
   of whole vectors. */
struct glet_cuda_place *table_place(struct table *t, int rank, const int64_t *dims);
struct glet_cuda_place *table_map(struct table *t, int64_t n, int64_t c, int64_t h, int64_t w,
                                  int64_t extra_vectors);
int64_t table_vector(const struct table *t); /* elements */
int64_t place_at(const struct glet_cuda_place *p, int64_t a, int64_t b, int64_t c, int64_t d);

void table_run(struct table *t);
float table_result(const struct table *t, int buffer, int64_t at);
void table_expect(const struct table *t, uint64_t seed, const char *what, float got, double wanted);

#endif
