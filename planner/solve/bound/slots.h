/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_SLOTS_H
#define GLET_PLANNER_SLOTS_H

/*
 * What the bound puts prices on (price.h): sizes, for each pair of intervals of aggressor ratios,
 * the one of the gpu-let in the slot and the one that it sees at least.
 */

#include "planner/solve/space/space.h"

#define GLET_PRICE_UNIT 4294967296.0 /* prices are multiples of 1 / 2^32 */

/* Intervals of aggressor ratios of a type; 1 where they would gain little for their time. */
int glet_slots_intervals(const struct glet_problem *problem, int type);

/* Slots of a type: index (own * intervals + seen) * size_count + size. */
int glet_slots_count(const struct glet_problem *problem, int type);

/*
 * The most that the slots of one GPU with largest ratios in intervals a >= b are worth, in units of
 * 2^-32, and how many of each slot it has: uses_out[slots], or NULL.
 */
int64_t glet_slots_filling(const struct glet_problem *problem, int type, const double *sigma, int a,
                           int b, int16_t *uses_out);

/*
 * The largest ratio of an interval: one of the space's ends; INFINITY for the last one, the smallest
 * ratio of all for -1.
 */
double glet_slots_interval_end(const struct glet_space *space, int type, int interval);

#endif
