/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_DIVE_H
#define GLET_PLANNER_DIVE_H

/*
 * From the master's fractional solution to gpu-lets: commit what is certain, price again for what
 * is left, repeat. Rounding the whole solution at once loses several times more GPUs, because the
 * columns that serve small remainders well are not worth anything to the first program.
 */

#include "planner/solve/search/draft.h"
#include "planner/solve/search/pricing.h"
#include "planner/solve/space/halt.h"

struct glet_dive_options {
    int root_rounds;              /* pricing rounds before the first commit */
    int rounds;                   /* pricing rounds between commits */
    double commit_ratio;          /* share of the remaining gpu-lets committed at once, (0, 1] */
    double keep_open;             /* copies of a repeated gpu-let left open at the root, 0 .. 2 */
    int duty_cycles;              /* tried by the pricing */
    bool shared;                  /* time-shared gpu-lets */
    double stock_ratio;           /* share of each limited stock that it may use, (0, 1] */
    double memory_ratio;          /* share of each GPU's memory that it counts on, (0, 1] */
    int taken;                    /* GPUs of the first type that it may not use */
    const struct glet_halt *halt; /* NULL = never */
};

/*
 * Appends gpu-lets that serve demand_rps [model_count] to out, and writes the root's prices to
 * places (zeroed; freed by the caller), if it has a solution. Returns the value of the root linear
 * program, or -1 when demands are left that no column could serve within the stock.
 */
double glet_dive(const struct glet_space *space, const double *demand_rps,
                 const struct glet_dive_options *options, struct glet_places *places,
                 struct glet_placed_list *out);

/* The value of the root linear program with one-model gpu-lets alone, in a fraction of the time;
   INFINITY when it has no solution. */
double glet_dive_estimate(const struct glet_space *space, const double *demand_rps,
                          const struct glet_dive_options *options);

#endif
