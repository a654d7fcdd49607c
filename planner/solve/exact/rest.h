/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_REST_H
#define GLET_PLANNER_REST_H

/*
 * The residual problem of a covering search: what is still to be covered, and prices for it. They
 * come of a linear program over the few columns that matter, priced against all. Covers, rests and
 * costs are integers in doubles (grid.h); so are prices once they have passed glet_rest_prove().
 */

#include "planner/solve/exact/columns.h"
#include "planner/solve/exact/packed.h"

#define GLET_REST_POOL 32 /* columns that mattered last */

struct glet_relaxed { /* the columns, every positive cover raised by the grain and rounded up */
    int models;
    struct glet_item *items;
    int pool[GLET_REST_POOL], pool_count; /* the first `models` cover every model */
};

struct glet_rest {
    double rest[GLET_MENU_MODELS]; /* of each model's demand; at most 2 */
    double total[GLET_MENU_MODELS], largest[GLET_MENU_MODELS]; /* cover of all chosen, of one */
    double budget;
    int *list; /* columns that may still be used; borrowed */
    int count;
};

/* False when no column covers some model; to be given to _fini() in either case. */
bool glet_relaxed_init(struct glet_relaxed *relaxed, const struct glet_columns *columns, int models,
                       double grain);
void glet_relaxed_fini(struct glet_relaxed *relaxed);

/* fmin() without its care for NaN, which costs half of the search's time. */
static inline double glet_rest_least(double a, double b)
{
    return a < b ? a : b;
}

/* What a column, capped at the rest, is worth at these prices. */
static inline double glet_rest_worth(const struct glet_relaxed *relaxed, int column,
                                     const double *price, const double *rest)
{
    double sum = 0;
    for (int m = 0; m < relaxed->models; m++)
        sum += price[m] * glet_rest_least(relaxed->items[column].cover[m], rest[m]);
    return sum;
}

/*
 * Improves the prices, from those given, until no column of the list, capped at the rest, is worth
 * more than its cost; stops early once they seem to prove that the budget is too small. Nobody need
 * trust them.
 */
void glet_rest_price(struct glet_relaxed *relaxed, const struct glet_rest *node, double *price);

/*
 * What the rest costs at least, by any prices whatever: rounds them down, and sees whether no
 * column of the list, capped at the rest, is worth more than its cost. If one is, they prove
 * nothing: returns 0 and makes all of them 0. Exact.
 */
double glet_rest_prove(const struct glet_relaxed *relaxed, const struct glet_rest *node,
                       double *price);

#endif
