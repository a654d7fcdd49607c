/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_SEARCH_STATE_H
#define GLET_PLANNER_SEARCH_STATE_H

/*
 * One search for the cheapest plan at given demands and limits: everything that finds plans offers
 * them here, everything that proves bounds raises the bound here.
 */

#include "planner/solve/solve.h"
#include "planner/solve/space/halt.h"
#include "planner/solve/space/space.h"

struct glet_search {
    const struct glet_problem *problem;
    struct glet_space *space; /* its problem is this one */
    double *cost;             /* [type], in the objective's unit */
    double *demand_rps;       /* [model] */
    double *rate_rps;         /* [model], scratch */
    struct glet_boxes bulk;   /* GPUs that are decided beforehand (bulk.h) */
    double *rest_rps;         /* [model]: what they leave of the demands */
    enum glet_effort effort;
    const struct glet_halt *halt;
    double enough; /* any plan of at most this cost will do; 0 = only the cheapest */
    struct glet_boxes best;
    double best_cost; /* INFINITY: none yet */
    double bound;     /* proven lower bound of the cost; INFINITY: no plan exists */
    double linear; /* where no stock is limited: a bound that shrinks no faster than the demands */
    double most;   /* a plan that costs more is of no use; at first the cost of the stock */
    bool count;    /* a plan of any cost is of use, but none better once the bound exceeds most */
    bool whole_costs; /* every cost is 1, so that bounds round up */
    bool is_try;      /* of many, of which the most promising is annealed elsewhere */
    bool survive;     /* plans must serve everything when any one of their GPUs is gone, too */
};

/* space: borrowed, and made to point at problem while the search lives. */
void glet_search_init(struct glet_search *search, const struct glet_problem *problem,
                      struct glet_space *space, enum glet_effort effort,
                      const struct glet_halt *halt);
void glet_search_fini(struct glet_search *search);

/* Keeps a copy when the plan is correct and cheaper than the best. Returns whether it is correct.
 */
bool glet_search_offer(struct glet_search *search, const struct glet_boxes *boxes);

/* Raises the bound to value if that is higher. */
void glet_search_raise(struct glet_search *search, double value);

/* Proven: no plan is cheap enough to be of use. */
bool glet_search_excluded(const struct glet_search *search);

/* Nothing more to gain: the best plan is proven, or proven to be enough, or none can exist. */
bool glet_search_closed(const struct glet_search *search);

#endif
