/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_BULK_H
#define GLET_PLANNER_BULK_H

/*
 * The bulk of a large plan: whole GPUs that a linear program (bulk_lp.h) uses more than once. What
 * they leave of the demands is a much smaller problem for the search: 1 % of the GPUs above the bound
 * become 0.7 % where a thousand models need 5000 (benchmarks/planner/fleets 1000/5000).
 */

#include "planner/solve/space/halt.h"
#include "planner/solve/space/space.h"

/*
 * Appends GPUs, evaluated, to out, and lowers rate_rps [model_count], what is to be served, by what
 * they serve. load: GPUs that it needs at least. Takes nothing where models need only a few GPUs
 * each or the program does not fit: several types, layouts, memory that binds, no linear model of
 * interference.
 */
void glet_bulk_take(const struct glet_space *space, double load, const struct glet_halt *halt,
                    double *rate_rps, struct glet_boxes *out);

#endif
