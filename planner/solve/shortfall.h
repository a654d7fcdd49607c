/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_SHORTFALL_H
#define GLET_PLANNER_SHORTFALL_H

/* By how much a stock is too small, or seems to be: for those who want to know why there is no plan. */

#include "planner/solve/outcome.h"

struct glet_shortfall {
    int gpus_enough;           /* a plan with so many exists if the stock had no limits; 0 = open */
    double bound;              /* ... and none is cheaper; INFINITY = none exists */
    double scale, scale_bound; /* the stock serves `scale` times every rate, no plan `scale_bound`
                                  times; 0 = not looked for */
};

/*
 * outcome: of the task, without a plan; marked impossible when the stock turns out to be. Rough: one
 * fast search each, and none where the outcome has a plan beyond the stock.
 */
void glet_shortfall_find(const struct glet_task *task, struct glet_outcome *outcome,
                         struct glet_shortfall *out);

#endif
