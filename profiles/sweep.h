/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_SWEEP_H
#define GLET_PROFILES_SWEEP_H

/*
 * Which points of batch x size to measure, and in which order. Pure.
 *
 * A sweep may be cut short by its budget, so that what a plan needs most comes first: one unit size
 * after another in the order of their use, each with its smallest and largest batch before those
 * between (the planner interpolates over batches, never over sizes). Points of equal use are in
 * random order, so that a machine that gets slower does not look like a model that does.
 */

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

struct glet_sweep_point {
    size_t model; /* index of the caller's */
    int batch, units;
    int rank; /* 0 = most useful */
};

/*
 * Sizes worth measuring on a device of `units`, most useful first: with grain > 1 (a CPU: ten units
 * are a core) a core, half a core, the whole device, other fractions, other numbers of cores; with
 * grain 1 the whole device, halves, quarters, ... and the rest. At most `room`; returns how many.
 */
int glet_sweep_default_sizes(int units, int grain, int *sizes_out, int room);

/* Batches worth measuring, most useful first: 1, 8, 4, 2, 16, 32. */
extern const int glet_sweep_default_batches[6];

/*
 * All points of models x batches x sizes, both most useful first, in the order of measuring.
 * *points_out belongs to the caller.
 */
GLET_MUST_CHECK
int glet_sweep_order(size_t models, const int *batches, int batch_count, const int *sizes,
                     int size_count, uint64_t seed, struct glet_sweep_point **points_out,
                     size_t *count_out, struct glet_error *err);

/*
 * Milliseconds that the next point may take, of at most ten seconds: an equal part of what is left
 * of the budget, but at least a second and 20 runs where a tenth of the budget is that long. So a
 * short budget measures few points well rather than many badly. budget_ms INFINITY: none was set;
 * predicted_ms NAN: unknown.
 */
double glet_sweep_allowance_ms(double budget_ms, double left_ms, size_t points_left,
                               double predicted_ms);

#endif
