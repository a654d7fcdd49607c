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

#endif
