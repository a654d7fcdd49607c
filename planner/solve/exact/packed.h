/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_PACKED_H
#define GLET_PLANNER_PACKED_H

/*
 * A list of GPU configurations laid out for the two questions that a covering search asks of all of
 * them again and again: blocks of columns, a model's coverages side by side, so that the processor
 * answers for several at once.
 */

#include "planner/solve/exact/menu.h"

#include <stdbool.h>

#define GLET_PACKED_BLOCK 8

struct glet_item {                  /* a configuration */
    double cover[GLET_MENU_MODELS]; /* of each model's demand, 0 .. 1 */
    double cost;                    /* > 0 */
    int type;
};

struct glet_packed {
    int models;
    double (*cover)[GLET_MENU_MODELS][GLET_PACKED_BLOCK];
    double (*cost)[GLET_PACKED_BLOCK];
};

/* Packs items[list[0]], items[list[1]], ...; copies them. models: 1 .. GLET_MENU_MODELS. */
void glet_packed_init(struct glet_packed *packed, const struct glet_item *items, const int *list,
                      int count, int models);
void glet_packed_fini(struct glet_packed *packed);

/*
 * Whether no columns of [from, end), each capped at `rest` and used as often as wished, can cover
 * `rest` for at most `budget` > 0, because at these prices (>= 0) each is worth a smaller part of
 * its cost than the rest is of the budget. Exact when covers, rest, costs and prices are on their
 * grids (grid.h). False says nothing; it may also come of the columns just outside the range, in
 * the same block.
 */
bool glet_packed_exceeds(const struct glet_packed *packed, int from, int end, const double *rest,
                         double budget, const double *price);

/* The first of [from, end) that alone covers `rest`; end if none. */
int glet_packed_fit(const struct glet_packed *packed, int from, int end, const double *rest);

#endif
