/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_APP_BOUND_H
#define GLET_PLANNER_APP_BOUND_H

#include "planner/solve/space/halt.h"
#include "planner/solve/space/space.h"

struct glet_app_bound_options {
    double room_ratio; /* >= 1: what a split leaves to the latencies that it is priced for */
    int grid;          /* 0: demands may be divided at will; else whole pieces (price.h) */
    const struct glet_halt *halt; /* NULL = never */
};

/*
 * Prices (price.h) over all ways to split the apps' SLOs at once.
 *
 * On entry view has limits, where the first prices are found. bound_out receives a proven lower
 * bound of sum cost[type] over the GPUs of any plan, whatever its split. Then view's limits become
 * the split that is cheapest at these prices when every model is given room_ratio times the latency
 * that it is priced for: neighbours and time sharing need some. Returns false, and leaves view
 * alone, when no such split exists.
 */
bool glet_app_bound(const struct glet_problem *problem, struct glet_problem *view,
                    const double *cost, const struct glet_app_bound_options *options,
                    double *bound_out);

#endif
