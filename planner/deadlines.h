/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_DEADLINES_H
#define GLET_PLANNER_DEADLINES_H

#include "common/error.h"
#include "common/plan_file.h"
#include "planner/model/problem.h"

/*
 * Gives every model that only apps use a deadline: its worst latency bound, lengthened by what the
 * tightest path through it leaves of its app's SLO. Stages of a path are lengthened by the same
 * factor or less, so that deadlines along every path still sum to at most the SLO. Without it a
 * stage would be refused for being late to a bound of a fraction of a millisecond, while its app has
 * all the time of its SLO left. plan's models are those of the problem, in its order. GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_plan_set_deadlines(const struct glet_problem *problem, struct glet_plan *plan,
                            struct glet_error *err);

#endif
