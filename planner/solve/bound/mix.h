/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_MIX_H
#define GLET_PLANNER_MIX_H

/*
 * A lower bound that knows that the models of one gpu-let share a duty cycle and run whole batches.
 * The prices of price.h let every model choose a duty cycle of its own and any part of a gpu-let,
 * which promises much where shares are coarse and most models need less than one.
 *
 * With a price per request of every model, a size is worth no more than the best mix of models that
 * one such gpu-let can serve, and a GPU no more than its most valuable size pattern. All demands at
 * their prices, over that, is what any plan takes at least: again a proof by the prices alone.
 *
 * Source: the bound of Dantzig and Wolfe's decomposition, with the subproblem relaxed.
 */

#include "planner/solve/space/halt.h"
#include "planner/solve/space/space.h"

struct glet_mix_options {
    int rounds;                   /* of column generation, at most */
    double known;                 /* a bound that is proven; no lower one is looked for */
    bool round_up;                /* only the next whole number of the bound matters: end early */
    const struct glet_halt *halt; /* NULL = never */
};

/*
 * The highest bound found on the cost of any plan, for a problem with one type of GPUs, whose stock
 * and memory it leaves out; cost: of one GPU. 0 where nothing is proven.
 */
double glet_mix_bound(const struct glet_space *space, double cost,
                      const struct glet_mix_options *options);

#endif
