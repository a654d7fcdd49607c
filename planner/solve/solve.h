/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_SOLVE_H
#define GLET_PLANNER_SOLVE_H

/*
 * The solver: the best plan it can find and the best bound it can prove, for the problem's
 * objective. Deterministic: the same problem and options give the same result, unless a time limit
 * or the stop flag cuts it short.
 */

#include "planner/solution.h"

#include <signal.h>

enum glet_effort { GLET_EFFORT_FAST, GLET_EFFORT_DEFAULT, GLET_EFFORT_MAX };

struct glet_solve_options {
    enum glet_effort effort;
    double time_limit_s;               /* of wall time; 0 = none */
    const volatile sig_atomic_t *stop; /* NULL, or a flag that ends the search when set */
    const struct glet_plan *from;      /* NULL, or an older plan to stay close to */
    int max_moves;                     /* with from: at most so many new gpu-lets; -1 = any */
    bool fit_only; /* any plan within the stock will do: none cheaper is sought */
    int survive;   /* so many GPUs may fail, and the rest still serves all */
    bool explain;  /* with no plan: also by how much the stock falls short */
};

struct glet_solve_result {
    bool found;
    struct glet_solution solution; /* evaluated and feasible when found; else empty */
    struct glet_bound bound;       /* valid in any case */
    bool infeasible;               /* proven: no plan exists within the stock */
    bool limit_hit;                /* a limit or the flag ended the search early */

    /* options.explain, not found, no limit hit, objective not max-rate: */
    bool explained;
    int gpus_enough;           /* so many would do if the stock had no limits; 0 = open */
    struct glet_bound open;    /* of any plan if the stock had no limits */
    double scale, scale_bound; /* the stock serves `scale` times every rate, no plan `scale_bound`
                                  times; 0 = not looked for */
};

/*
 * problem: borrowed. Every model with demand must be serveable alone on some GPU
 * (glet_unserveable()); else the result is infeasible. Returns 0 with *out filled, to be released
 * with glet_solve_result_fini(); -1 for GLET_ERR_NOMEM, GLET_ERR_UNSUPPORTED (an option that this
 * problem does not allow, with its reason), GLET_ERR_INTERNAL.
 */
GLET_MUST_CHECK
int glet_solve(const struct glet_problem *problem, const struct glet_solve_options *options,
               struct glet_solve_result *out, struct glet_error *err);

void glet_solve_result_fini(struct glet_solve_result *result);

#endif
