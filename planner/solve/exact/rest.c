/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/exact/rest.h"

#include "planner/solve/exact/grid.h"
#include "planner/solve/space/lp_glpk.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define POOL   GLET_REST_POOL
#define TIGHT  1.001 /* prices are good enough: no column is worth more of its cost */
#define ROUNDS 25    /* of pricing per node */
#define ENOUGH 1e-6  /* relative, above the budget: stays above it when rounded down */
#define UNDER  1e-12 /* relative, taken off the prices: more than they were rounded */

static void relax(struct glet_relaxed *r, const struct glet_columns *columns, double grain)
{
    r->items = glet_must_alloc(sizeof *r->items, (size_t)columns->count + 1);
    for (int i = 0; i < columns->count; i++) {
        const struct glet_column *column = &columns->list[i];
        r->items[i].cost = column->cost;
        r->items[i].type = column->type;
        for (int m = 0; m < r->models; m++)
            if (column->cover[m] > 0)
                r->items[i].cover[m] = glet_grid_cover_up(fmin(1, column->cover[m] + grain));
    }
}

/* For every model the column that covers most of it for its cost; false when one has none. */
static bool seed_pool(struct glet_relaxed *r, int count)
{
    for (int m = 0; m < r->models; m++) {
        double most = 0;
        for (int i = 0; i < count; i++)
            if (r->items[i].cover[m] / r->items[i].cost > most) {
                most = r->items[i].cover[m] / r->items[i].cost;
                r->pool[m] = i;
            }
        if (most <= 0)
            return false;
    }
    r->pool_count = r->models;
    return true;
}

bool glet_relaxed_init(struct glet_relaxed *relaxed, const struct glet_columns *columns, int models,
                       double grain)
{
    *relaxed = (struct glet_relaxed){.models = models};
    relax(relaxed, columns, grain);
    return seed_pool(relaxed, columns->count);
}

void glet_relaxed_fini(struct glet_relaxed *relaxed)
{
    free(relaxed->items);
    relaxed->items = NULL;
}

static void add_capped(const struct glet_relaxed *r, struct glet_lp *lp, int column,
                       const double *rest)
{
    int rows[GLET_MENU_MODELS], n = 0;
    double values[GLET_MENU_MODELS];
    for (int m = 0; m < r->models; m++)
        if (rest[m] > 0 && r->items[column].cover[m] > 0) {
            rows[n] = m;
            values[n++] = fmin(1, r->items[column].cover[m] / rest[m]);
        }
    glet_lp_add_col(lp, r->items[column].cost, n, rows, values);
}

static struct glet_lp *residual_lp(const struct glet_relaxed *r, const struct glet_rest *node)
{
    struct glet_lp *lp = glet_lp_new();
    glet_lp_add_rows(lp, r->models);
    for (int m = 0; m < r->models; m++)
        if (node->rest[m] > 0)
            glet_lp_row_at_least(lp, m, 1);
    for (int i = 0; i < r->pool_count; i++)
        add_capped(r, lp, r->pool[i], node->rest);
    return lp;
}

/* The first columns stay: with them every model can be covered. */
static void remember(struct glet_relaxed *r, int column)
{
    for (int i = 0; i < r->pool_count; i++)
        if (r->pool[i] == column)
            return;
    if (r->pool_count < POOL) {
        r->pool[r->pool_count++] = column;
    } else {
        memmove(r->pool + r->models, r->pool + r->models + 1,
                sizeof r->pool[0] * (size_t)(POOL - 1 - r->models));
        r->pool[POOL - 1] = column;
    }
}

/*
 * Makes the prices such that no column, capped at the rest, is worth more than its cost. Returns
 * the column that was worth most of its cost, or -1; *ratio is how much.
 */
static int scale_prices(const struct glet_relaxed *r, const struct glet_rest *node, double *price,
                        double *ratio)
{
    int best = -1;
    *ratio = 1e-12;
    for (int i = 0; i < node->count; i++) {
        int column = node->list[i];
        double here = glet_rest_worth(r, column, price, node->rest) / r->items[column].cost;
        if (here > *ratio) {
            *ratio = here;
            best = column;
        }
    }
    for (int m = 0; m < r->models; m++)
        price[m] = best < 0 ? 0 : price[m] / *ratio * (1 - UNDER);
    return best;
}

double glet_rest_prove(const struct glet_relaxed *r, const struct glet_rest *node, double *price)
{
    double bound = 0;
    glet_grid_prices_down(price, r->models);
    for (int i = 0; i < node->count; i++)
        if (glet_rest_worth(r, node->list[i], price, node->rest) > r->items[node->list[i]].cost) {
            memset(price, 0, sizeof *price * (size_t)r->models);
            return 0;
        }
    for (int m = 0; m < r->models; m++)
        bound += price[m] * node->rest[m];
    return bound;
}

void glet_rest_price(struct glet_relaxed *r, const struct glet_rest *node, double *price)
{
    double bound = 0, limit = node->budget * (1 + ENOUGH), ratio;
    scale_prices(r, node, price, &ratio);
    for (int m = 0; m < r->models; m++)
        bound += price[m] * node->rest[m];
    if (bound > limit)
        return;
    struct glet_lp *lp = residual_lp(r, node);
    for (int round = 0; round < ROUNDS && glet_lp_solve(lp) == 0; round++) {
        double trial[GLET_MENU_MODELS] = {0}, sum = 0;
        for (int m = 0; m < r->models; m++)
            if (node->rest[m] > 0)
                trial[m] = fmax(0, glet_lp_dual(lp, m)) / node->rest[m];
        int best = scale_prices(r, node, trial, &ratio);
        for (int m = 0; m < r->models; m++)
            sum += trial[m] * node->rest[m];
        if (sum > bound) {
            bound = sum;
            memcpy(price, trial, sizeof *price * (size_t)r->models);
        }
        if (bound > limit || ratio <= TIGHT || best < 0)
            break;
        remember(r, best);
        add_capped(r, lp, best, node->rest);
    }
    glet_lp_free(lp);
}
