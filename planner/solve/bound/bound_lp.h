/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_BOUND_LP_H
#define GLET_PLANNER_BOUND_LP_H

/*
 * The linear program behind the search for prices (bound.h). Rows: a model's demand, what GPUs offer
 * of each slot and of memory, and the stock. Columns: the size patterns of each type, what memory
 * classes may share a GPU, and ways to serve a model's whole demand.
 */

#include "planner/solve/bound/price.h"
#include "planner/solve/space/lp_glpk.h"

struct glet_bound_lp {
    const struct glet_space *space;
    const double *cost;
    struct glet_lp *lp;
    bool merged;    /* a size costs the same in all intervals */
    int *model_row; /* -1: no demand */
    /* Private: */
    int *slot_row; /* [type]: row of slot 0 */
    int stock_row; /* of type 0; the others follow */
    struct glet_memory_rows {
        int mib;                  /* -1 = none */
        int heavy;                /* GPUs, then models of at most each class; -1 = none */
    } (*memory_rows)[GLET_KINDS]; /* [type][kind] */
    int *rows;                    /* scratch of one column */
    double *values, *use;
};

/* Without any way to serve a model. space and cost are borrowed. Free with glet_bound_lp_fini(). */
void glet_bound_lp_init(struct glet_bound_lp *b, const struct glet_space *space, const double *cost,
                        bool merged, const struct glet_share_table *tables);
void glet_bound_lp_fini(struct glet_bound_lp *b);

/* Intervals of the type that are told apart. */
int glet_bound_lp_intervals(const struct glet_bound_lp *b, int g);

/* Adds a way to serve model m, with pieces. */
void glet_bound_lp_add(struct glet_bound_lp *b, int m, const struct glet_payment *payment);

/* After a solution: its duals as prices. Adds patterns that they make worth it; returns how many. */
int glet_bound_lp_prices(struct glet_bound_lp *b, struct glet_prices *prices);

#endif
