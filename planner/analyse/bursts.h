/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_BURSTS_H
#define GLET_PLANNER_BURSTS_H

/*
 * Planning for percentiles instead of mean rates: a plan is served on paper (simulate/), models
 * whose share of requests in time is too small are given more room, and the workload is planned
 * again, until every model and app meets its percentile. What a GPU has left over is used before
 * each simulation (spare.h): room that costs nothing.
 *
 * So the room is what the model's own arrivals, rate, SLO and neighbours need: a model of ten
 * requests per second may need a third more than its rate, one of ten thousand next to nothing.
 * A fixed headroom or a quantile of the rate gives both the same rule.
 *
 * The certificate's bounds stay those of the workload as it is: they hold for this plan as well.
 */

#include "planner/analyse/room.h"

struct glet_bursts {
    struct glet_room room;
    int rounds;   /* plans that were simulated */
    bool settled; /* every percentile is met in the last simulation */
};

/*
 * As glet_session_solve(), then round after round. When the stock has no room for what is needed,
 * answer is that of the workload with the room (too small, or none found). For max-rate, the plan's
 * scale is the largest at which every percentile is met of the plans that were tried: a result of a
 * search, below a bound that holds for mean rates. Deterministic. bursts is the caller's to release
 * in either case.
 */
GLET_MUST_CHECK
int glet_bursts_solve(const struct glet_session *session, const struct glet_wishes *wishes,
                      struct glet_bursts *bursts, struct glet_answer *answer,
                      struct glet_error *err);
void glet_bursts_fini(struct glet_bursts *bursts);

/* "room for bursts: resnet50 x 1.21, ...": one note on standard error. */
void glet_bursts_note(const struct glet_session *session, const struct glet_bursts *bursts);

/*
 * A note on standard error for each model or app that misses its percentile in a simulation of the
 * plan, and what to do about it. Silent where that would take more than about a second, and where
 * the workload asks for room itself (headroom, rate_quantile). GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_bursts_warn(const struct glet_session *session, const struct glet_plan *plan,
                     struct glet_error *err);

#endif
