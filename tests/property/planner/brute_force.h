/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_TESTS_BRUTE_FORCE_H
#define GLET_TESTS_BRUTE_FORCE_H

/*
 * Tiny planning problems, and their true optimum by trying everything. The reference reads the
 * profile's rows itself and knows nothing of the planner's tables, bounds or search.
 */

#include "tests/support/planner/fixture.h"

#include <stdint.h>

#define BRUTE_MODELS 3
#define BRUTE_GPUS   3 /* plans with more are not searched */

struct brute_instance {
    struct fixture fixture;
    enum glet_objective objective;
    char what[256]; /* the features it was drawn with, for messages */
};

/* The same seed gives the same instance. Release with fixture_free(&instance.fixture). */
struct brute_instance brute_instance_new(uint64_t seed);

enum brute_status {
    BRUTE_FOUND,      /* value is the optimum */
    BRUTE_INFEASIBLE, /* no plan within the stock, which is at most BRUTE_GPUS */
    BRUTE_MORE,       /* needs more than BRUTE_GPUS */
    BRUTE_TOO_LARGE,  /* gave up */
};

struct brute_answer {
    enum brute_status status;
    double value;        /* GPUs, cost per hour, or scale */
    long configurations; /* of one GPU, after dominance */
};

struct brute_answer brute_solve(const struct brute_instance *instance);

/* The same among the plans that still serve everything when any one of their GPUs is gone. */
struct brute_answer brute_survive(const struct brute_instance *instance);

/* One gpu-let of an older plan on GPU number gpu: batch of each model, 0 = absent. */
struct brute_let {
    int gpu, type; /* type: index into the workload's gpus */
    int units, batch[BRUTE_MODELS];
};

struct brute_replan {
    enum brute_status status;
    double value; /* of the objective, the smallest within max_moves */
    int moves;    /* the fewest at that value */
};

/*
 * The best change of an older plan with at most max_moves new gpu-lets (-1 = any number). A gpu-let
 * stays when it is on the same GPU as before; every old GPU becomes at most one new one.
 */
struct brute_replan brute_replan(const struct brute_instance *instance, const struct brute_let *old,
                                 int old_count, int max_moves);

/* New gpu-lets of one plan after another, with the GPUs put in each other's places at best. */
int brute_moves(const struct brute_let *old, int old_count, const struct brute_let *now,
                int now_count);

#endif
