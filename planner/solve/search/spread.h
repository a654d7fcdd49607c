/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_SPREAD_H
#define GLET_PLANNER_SPREAD_H

/*
 * Spreading gpu-lets over interference levels. A gpu-let was priced in one level, but it may be
 * packed in any level whose threshold is at least its own aggressor ratio and under which it still
 * serves what is asked of it. Choosing levels for all gpu-lets together balances large and small
 * ones within each level, so that size patterns waste little.
 */

#include "planner/solve/search/master.h"

struct glet_span { /* levels that an atom may sit in: low .. high; 0, 0 = alone on its GPU */
    int16_t low, high;
};

/* Spans of all atoms; demand_rps [model_count] is what they serve together. */
void glet_spread_spans(const struct glet_space *space, const double *demand_rps,
                       const struct glet_placed_list *atoms, struct glet_span *spans);

/* Puts an atom into a level of its span, with the rates that it has there. */
void glet_spread_move(const struct glet_space *space, struct glet_placed *placed, int level);

/*
 * Moves each atom to the level of its span that a linear program over all patterns prefers.
 * Memory is not looked at.
 */
void glet_spread(const struct glet_space *space, int type, const struct glet_span *spans,
                 struct glet_placed_list *atoms);

#endif
