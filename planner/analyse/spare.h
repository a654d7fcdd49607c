/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_SPARE_H
#define GLET_PLANNER_SPARE_H

/*
 * Puts to use what a solution leaves idle: units of its GPUs that no gpu-let has. Costs no GPU, and
 * is what absorbs bursts for nothing.
 */

#include "planner/solution.h"

/*
 * On each GPU, as long as one of these helps: gives a gpu-let a larger size, or adds a copy of one.
 * The move that adds most to the sum of the models' log capacities comes first; none may lower what
 * the GPU serves of any model, or break a constraint. The result is evaluated; deterministic.
 * O(GPUs x gpu-lets^2 x sizes). GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_spare_use(const struct glet_problem *problem, struct glet_solution *solution,
                   struct glet_error *err);

#endif
