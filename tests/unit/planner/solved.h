/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_TESTS_SOLVED_H
#define GLET_TESTS_SOLVED_H

/* Small cases solved, and every plan checked by the verifier; no bound may exceed its plan. */

#include "planner/solve/solve.h"
#include "tests/support/planner/fixture.h"

struct outcome {
    bool found, infeasible;
    int gpus, lets, slots, bound;
    double scale, scale_bound, cost, cost_bound;
    struct glet_plan *plan; /* outcome_fini() */
};
void outcome_fini(struct outcome *o);

struct outcome solve_with(struct fixture *f, enum glet_objective objective,
                          const struct glet_solve_options *options);
struct outcome solve(struct fixture *f, enum glet_objective objective);

/* Solves for the fewest GPUs; the answer must be `gpus`, -1 = none. Frees the fixture. */
void expect(struct fixture *f, int gpus);

/* A device of 10 units, plenty of memory, up to 4 gpu-lets, no limit on the stock. */
struct fixture ten(void);

#endif
