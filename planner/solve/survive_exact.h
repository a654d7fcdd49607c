/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_SURVIVE_EXACT_H
#define GLET_PLANNER_SURVIVE_EXACT_H

/*
 * Which GPU configurations still serve every demand when any one GPU is gone? Depth-first search
 * over all of them, for small menus. A configuration that covers at least as much for no more may
 * replace another one wherever it stands, so the list may leave the dominated ones out, and more
 * than the whole demand of a model on one GPU is never of use.
 */

#include "planner/solve/columns.h"

#define GLET_SURVIVE_DEPTH_MAX 64 /* GPUs */

struct glet_survive_exact {
    const struct glet_columns *columns; /* borrowed */
    int models;
    double price[GLET_MENU_MODELS]; /* no column is worth more than its cost */
    double most[GLET_MENU_MODELS];  /* largest cover per cost of any column */
    int stock_left[GLET_MENU_LETS];
    int *banned; /* [column] depth at which it was tried; 0 = free */
    long nodes;  /* that may still be looked at, in all searches; negative: gave up */
    int chosen[GLET_SURVIVE_DEPTH_MAX], depth; /* columns of the plan found */
};

/* models: open models of the columns; the problem has at most GLET_MENU_LETS types. */
void glet_survive_exact_init(struct glet_survive_exact *exact, const struct glet_problem *problem,
                             const struct glet_columns *columns, int models);
void glet_survive_exact_fini(struct glet_survive_exact *exact);

/*
 * Whether there is a plan of at most this cost; it is chosen[0 .. depth - 1] then. False is a proof
 * that there is none unless nodes is negative.
 */
bool glet_survive_exact_find(struct glet_survive_exact *exact, double budget);

#endif
