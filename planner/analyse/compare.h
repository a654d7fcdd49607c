/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_COMPARE_H
#define GLET_PLANNER_COMPARE_H

/*
 * The planners of the literature on the same workload, next to ours: GPUs, the largest factor on
 * all rates within the stock, what the verifier finds wrong with their plan, CPU time.
 */

#include "planner/session.h"

struct glet_comparison {
    const char *name;
    bool accepted; /* the planner says that it serves everything */
    int gpus, violations;
    double cost_per_hour;
    double scale; /* largest factor it accepts within the stock; NAN = the stock is unlimited */
    double cpu_seconds; /* of the plan itself; 0 unless timed */
};

struct glet_comparisons {
    struct glet_comparison *rows; /* ours first */
    size_t count;
};

/*
 * with_scale: also look for the largest factor (by bisection, about 20 plans each). timed: fill
 * cpu_seconds, which differs from run to run. Fails as glet_session_solve(). Release with
 * glet_comparisons_fini() in either case.
 */
GLET_MUST_CHECK
int glet_compare(const struct glet_session *session, bool with_scale, bool timed,
                 struct glet_comparisons *out, struct glet_error *err);

void glet_comparisons_fini(struct glet_comparisons *comparisons);

#endif
