/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_ROOM_H
#define GLET_PLANNER_ROOM_H

/*
 * Room for arrivals that come in bursts: each model is planned for its demand times a factor of its
 * own, the plan is served on paper (simulate/), and whoever misses its percentile gets more.
 */

#include "planner/session.h"
#include "planner/simulate/simulate.h"

struct glet_room {
    double *ratio; /* by model of the workload: planned for this x its demand; >= 1 */
    size_t model_count;
    double end_s; /* by glet_clock_ns(): when the session's time limit is over; INFINITY = none */
};

/* No room yet; the session's time limit begins. glet_room_fini() in either case. GLET_ERR_NOMEM. */
GLET_MUST_CHECK
int glet_room_init(struct glet_room *room, const struct glet_session *session,
                   struct glet_error *err);
void glet_room_fini(struct glet_room *room);

/* The smallest factor of a model with demand. */
double glet_room_least(const struct glet_room *room, const struct glet_problem *problem);

/*
 * The plan with that room. What its GPUs have left over is put to use (spare.h): room that costs
 * nothing. Verified against the workload as it is. The plan's rates are those it has room for; its
 * certificate is that of the problem with room. Errors as glet_session_solve().
 */
GLET_MUST_CHECK
int glet_room_solve(const struct glet_session *session, const struct glet_wishes *wishes,
                    const struct glet_room *room, struct glet_answer *answer,
                    struct glet_error *err);

/* Enough arrivals to tell a percentile, at `scale` times every rate, but no more than about
   most_requests. */
struct glet_simulate_options glet_room_simulation(const struct glet_workload *workload,
                                                  double scale, double most_requests);

/* Whether everybody meets its percentile, with the simulation's error to spare. */
bool glet_room_suffices(const struct glet_simulation *simulation);

/* Gives room to whoever does not: a little when it is close, more when it is far off. False when
   there is nobody to give it to. */
bool glet_room_widen(struct glet_room *room, const struct glet_problem *problem,
                     const struct glet_simulation *simulation);

#endif
