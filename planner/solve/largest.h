/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_LARGEST_H
#define GLET_PLANNER_LARGEST_H

/* Max-rate: the largest common factor on all demands that a stock serves. */

#include "planner/solve/outcome.h"

/*
 * Fills found, boxes, cost, scale and scale_bound of out: the plan serves scale times every demand,
 * and no plan within the stock serves scale_bound times.
 */
void glet_outcome_largest(const struct glet_task *task, struct glet_outcome *out);

/*
 * A factor near the smallest that bounds alone prove to be out of the stock's reach. guess: a factor
 * that may be near; 0 = none.
 */
double glet_largest_limit(const struct glet_task *task, double guess);

#endif
