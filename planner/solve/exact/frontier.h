/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_FRONTIER_H
#define GLET_PLANNER_FRONTIER_H

/*
 * The columns that no other one makes useless, out of millions offered one after the other. An
 * index of bits, one per column, model and step of the cover, finds in a few hundred words who
 * could beat a column, where looking at every column takes tens of thousands of comparisons.
 */

#include "planner/solve/exact/columns.h"

#include <stdint.h>

#define GLET_FRONT_STEPS 64 /* of a cover between 0 and 1 */

struct glet_front {
    struct glet_columns *columns; /* borrowed; changed by nobody else in between */
    int models;
    double grain;
    int words, room; /* of every row of bits */
    uint64_t *bits;  /* [model][step][room]: cover, grain included, reaches the step */
    uint64_t *alive; /* [room]: not dropped yet */
    int last;        /* the column that beat the last one offered */
};

/* models: open models, at most GLET_MENU_MODELS; columns: empty; grain: >= 0, absolute. */
void glet_front_init(struct glet_front *front, struct glet_columns *columns, int models,
                     double grain);

/*
 * Adds the column unless another one of its type covers as much, up to the grain, for at most its
 * cost; drops those that it beats outright, so that the grain does not add up.
 */
void glet_front_add(struct glet_front *front, const struct glet_column *column);

/* Takes the dropped ones out of the columns. */
void glet_front_fini(struct glet_front *front);

#endif
