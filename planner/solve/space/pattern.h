/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_PATTERN_H
#define GLET_PLANNER_PATTERN_H

/*
 * Size patterns: the multisets of gpu-let sizes that fill one GPU of a type. Only maximal ones are
 * kept: none that stays allowed when a gpu-let is added or enlarged. With 16 sizes and at most 8
 * gpu-lets there are 186; under MIG they are the device's layouts.
 */

#include "planner/model/problem.h"

#include <stdint.h>

struct glet_patterns {
    int size_count;
    int count;
    int16_t *uses; /* [count * size_count]: how many gpu-lets of each size */
    bool complete; /* false: there were more than the limit, and these are only some */
};

/* At most limit patterns. Free with glet_patterns_fini(). */
void glet_patterns_init(struct glet_patterns *patterns, const struct glet_problem_type *type,
                        int limit);
void glet_patterns_fini(struct glet_patterns *patterns);

/* Appends one (size_count counts) unless it is there; returns whether it was new. */
bool glet_patterns_add(struct glet_patterns *patterns, const int16_t *uses);

/*
 * The most valuable way to fill a GPU with gpu-lets of the given integer prices (>= 0, one per
 * size): exact, whether or not the patterns are complete. uses_out (size_count) may be NULL.
 */
int64_t glet_pattern_best(const struct glet_problem_type *type, const int64_t *price,
                          int16_t *uses_out);

/* The same of what a gpu-let of size `taken` leaves, which is not counted. The type has no layouts. */
int64_t glet_pattern_best_beside(const struct glet_problem_type *type, int taken,
                                 const int64_t *price, int16_t *uses_out);

#endif
