/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_RUIN_H
#define GLET_PLANNER_RUIN_H

#include "common/random.h"
#include "planner/solve/search/draft.h"
#include "planner/solve/space/halt.h"

/*
 * Ruin and recreate (Schrimpf et al., 2000): takes a few gpu-lets away and serves their models
 * again, each where it adds least to the price, a few thousand times. Ends with the cheapest draft
 * seen, which is at first the one it got. Returns what it saved, in the prices' unit.
 */
double glet_ruin(struct glet_draft *draft, int tries, struct glet_random *random,
                 const struct glet_halt *halt);

#endif
