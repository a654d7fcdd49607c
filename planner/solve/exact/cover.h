/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_COVER_H
#define GLET_PLANNER_COVER_H

/*
 * Which GPU configurations of a list, each as often as wished, cover all demands within a budget?
 * An exhaustive search for few GPUs: "none" is a proof for everything that the list stands for.
 */

#include "planner/solve/exact/columns.h"

enum glet_cover_status {
    GLET_COVER_FOUND,  /* the columns themselves cover the demands */
    GLET_COVER_NONE,   /* no plan within the budget, nor one with columns within the grain */
    GLET_COVER_COARSE, /* a plan may exist with columns that the grain has merged */
    GLET_COVER_LIMIT,  /* gave up */
};

struct glet_cover_options {
    double budget; /* highest cost; whole, like the columns' (grid.h) */
    double grain;  /* every positive cover may be that much higher, absolute, than listed */
    long nodes;    /* subproblems at most */
    bool survive;  /* all demands are to be covered without any one of the GPUs, too */
    const struct glet_halt *halt;
};

/* copies [columns->count], zeroed: how often each column is used; written when found. */
enum glet_cover_status glet_cover_search(const struct glet_covering *covering,
                                         const struct glet_columns *columns,
                                         const struct glet_cover_options *options, double *copies);

#endif
