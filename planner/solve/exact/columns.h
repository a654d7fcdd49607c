/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_COLUMNS_H
#define GLET_PLANNER_COLUMNS_H

/*
 * GPU configurations of a menu, as columns of a covering problem: how much of each model's demand
 * one GPU serves, at most all of it.
 */

#include "planner/solve/exact/menu.h"

struct glet_column {
    double cover[GLET_MENU_MODELS]; /* 0 .. 1, by open model */
    double cost;                    /* whole (grid.h) where something is proven */
    int type, count;
    const struct glet_entry *entries[GLET_MENU_LETS];
};

struct glet_columns {
    struct glet_column *list;
    int count, room;
};

struct glet_covering { /* the demands, by open model */
    const struct glet_menu *menu;
    const double *cost; /* [type] */
    int models;
    int index[GLET_MENU_MODELS]; /* of the problem's models */
    int *position;               /* of the problem's models: open model, or -1 */
    double demand_rps[GLET_MENU_MODELS];
};

void glet_covering_init(struct glet_covering *covering, const struct glet_menu *menu,
                        const double *cost);
void glet_covering_fini(struct glet_covering *covering);

/*
 * With blur 0: all configurations worth at least cost - slack at the prices of a whole demand of
 * each model into out, which must be empty, without those that another one equals or exceeds once
 * its positive covers are raised by grain. With blur > 0: appended to out, of each combination of
 * sizes one configuration that is worth more than its cost and, up to the factor 1 + blur, the
 * most. At most `most` leaves are
 * looked at. Covers are rounded up, and prices must have been rounded down (grid.h), so that worths
 * are compared as integers. *ratio_out is an upper bound of the worth / cost of any configuration
 * (with slack >= 0), and with blur 0 at most 1 only if none is worth more than its cost: a list is
 * also the check of its prices. Returns false when a limit was hit: then nothing is complete.
 */
bool glet_columns_price(const struct glet_covering *covering, const double *price, double slack,
                        double grain, double blur, long most, const struct glet_halt *halt,
                        struct glet_columns *out, double *ratio_out);

void glet_columns_add(struct glet_columns *columns, const struct glet_column *column);
void glet_columns_free(struct glet_columns *columns);

/* The column as a box; evaluated. */
void glet_column_box(const struct glet_covering *covering, const struct glet_column *column,
                     struct glet_box *out);

/* Fills cover from a plan's box. */
void glet_column_of_box(const struct glet_covering *covering, const struct glet_box *box,
                        struct glet_column *out);

#endif
