/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_TESTS_FLEET_PROBLEM_H
#define GLET_TESTS_FLEET_PROBLEM_H

/* A synthetic fleet as a problem, for the solver's tests. */

#include "benchmarks/planner/fleet.h"
#include "planner/model/problem.h"
#include "tests/unit/check.h"

static inline struct glet_problem *fleet_problem(struct glet_fleet *fleet, int models,
                                                 double target, uint64_t seed)
{
    struct glet_fleet_options options = {.models = models,
                                         .target = target,
                                         .seed = seed,
                                         .types = 1,
                                         .zipf = 0.9,
                                         .interference = true};
    struct glet_problem *problem = NULL;
    struct glet_error err = {0};
    glet_fleet_make(&options, fleet);
    CHECK_OK(glet_problem_new(fleet->workload, fleet->profile, GLET_MIN_GPUS, &problem, &err),
             &err);
    return problem;
}

#endif
