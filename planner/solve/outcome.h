/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_OUTCOME_H
#define GLET_PLANNER_OUTCOME_H

/*
 * The cheapest plan at fixed demands, apps included: one search, or one per way to split the apps'
 * SLOs. And on top of it the largest common factor on all demands that a stock can serve.
 */

#include "planner/solve/search.h"

struct glet_task {
    const struct glet_problem *problem;
    enum glet_effort effort;
    const struct glet_halt *halt;
    double enough;      /* any plan of at most this cost will do; 0 = only the cheapest */
    double scale_guess; /* max-rate: a factor that may fit; 0 = none */
    bool survive;       /* the plan must serve everything when any one of its GPUs is gone */
    bool keep;          /* survive only by adding to the plan at hand */
};

struct glet_outcome {
    bool found;
    struct glet_boxes boxes;
    double cost;
    double bound;              /* proven: no plan is cheaper; INFINITY = none exists at all */
    bool impossible;           /* proven: none within the stock */
    double scale, scale_bound; /* max-rate only */
};

/* Without the apps: every model's limit_ms is all that binds its latency. */
void glet_outcome_at_limits(const struct glet_task *task, struct glet_outcome *out);

/* With apps (app_search.h) where there are some. */
void glet_outcome_cheapest(const struct glet_task *task, struct glet_outcome *out);
void glet_outcome_largest(const struct glet_task *task, struct glet_outcome *out);
void glet_outcome_fini(struct glet_outcome *outcome);

/* Cost of the whole stock; INFINITY when some type is unlimited. */
double glet_stock_cost(const struct glet_problem *problem);

#endif
