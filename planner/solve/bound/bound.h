/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_BOUND_H
#define GLET_PLANNER_BOUND_H

/*
 * The certified lower bound: looks for prices (price.h) that prove much, by column generation on a
 * linear program with one row per model and per slot (slots.h), or per size where the pieces are
 * whole. What it returns is proven by the prices alone, whatever the linear program said.
 */

#include "planner/solve/bound/price.h"
#include "planner/solve/space/halt.h"

struct glet_bound_options {
    int rounds;                   /* of column generation with pieces that may be divided at will */
    int piece_rounds;             /* of column generation with whole pieces; 0 = none */
    int grid;                     /* steps per demand for whole pieces */
    bool round_up;                /* only the next whole number of the bound matters: end early */
    const struct glet_halt *halt; /* NULL = never */
};

/*
 * A lower bound on the sum of cost[type] over the GPUs of any plan; INFINITY when none exists for
 * the stock. prices (initialised) receives the best prices found; may be NULL.
 */
double glet_bound_find(const struct glet_space *space, const double *cost,
                       const struct glet_bound_options *options, struct glet_prices *prices);

/*
 * The same for the demands of the space's problem with prices that are at hand: nothing is searched
 * for.
 */
double glet_bound_evaluate(const struct glet_space *space, const double *cost, int grid,
                           const struct glet_prices *prices);

#endif
