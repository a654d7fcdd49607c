/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/survive_exact.h"

#include "planner/solve/lp_glpk.h"
#include "planner/solve/scratch.h"

#include <math.h>
#include <stdlib.h>

#define NODES     2000000
#define SAFE      1e-8 /* relative; errs towards searching on */
#define DEPTH_MAX GLET_SURVIVE_DEPTH_MAX

static bool enough_budget(const struct glet_survive_exact *d, const double *need, double budget)
{
    double sum = 0;
    for (int m = 0; m < d->models; m++) {
        if (need[m] > budget * d->most[m] * (1 + SAFE) + SAFE)
            return false;
        sum += d->price[m] * fmax(0, need[m]);
    }
    return sum <= budget * (1 + SAFE) + SAFE;
}

/* total, largest: per model, what the chosen columns cover together and at most. */
static bool descend(struct glet_survive_exact *d, const double *total, const double *largest,
                    double budget)
{
    double need[GLET_MENU_MODELS];
    int hardest = -1;
    if (--d->nodes < 0 || d->depth == DEPTH_MAX)
        return false;
    for (int m = 0; m < d->models; m++) {
        need[m] = 1 + largest[m] - total[m];
        if (need[m] > SAFE &&
            (hardest < 0 || need[m] * d->most[hardest] > need[hardest] * d->most[m]))
            hardest = m;
    }
    if (hardest < 0)
        return true;
    if (!enough_budget(d, need, budget))
        return false;
    const int mark = ++d->depth; /* columns tried here need not come again beside each other */
    bool found = false;
    for (int i = 0; i < d->columns->count && !found && d->nodes >= 0; i++) {
        const struct glet_column *column = &d->columns->list[i];
        if (d->banned[i] || column->cover[hardest] <= 0 || column->cost > budget * (1 + SAFE) ||
            d->stock_left[column->type] == 0)
            continue;
        double sum[GLET_MENU_MODELS], most[GLET_MENU_MODELS];
        for (int m = 0; m < d->models; m++) {
            sum[m] = total[m] + column->cover[m];
            most[m] = fmax(largest[m], column->cover[m]);
        }
        d->chosen[mark - 1] = i;
        d->stock_left[column->type]--;
        found = descend(d, sum, most, budget - column->cost);
        d->stock_left[column->type]++;
        d->banned[i] = mark;
    }
    for (int i = 0; i < d->columns->count; i++)
        if (d->banned[i] == mark)
            d->banned[i] = 0;
    if (!found)
        d->depth--;
    return found;
}

/* Prices of the covering program, scaled so that no column is worth more than its cost. */
static void find_prices(struct glet_survive_exact *d)
{
    struct glet_lp *lp = glet_lp_new();
    double ratio = 1e-12;
    glet_lp_add_rows(lp, d->models);
    for (int m = 0; m < d->models; m++)
        glet_lp_row_at_least(lp, m, 1);
    for (int i = 0; i < d->columns->count; i++) {
        const struct glet_column *column = &d->columns->list[i];
        int rows[GLET_MENU_MODELS], n = 0;
        double values[GLET_MENU_MODELS];
        for (int m = 0; m < d->models; m++) {
            d->most[m] = fmax(d->most[m], column->cover[m] / column->cost);
            if (column->cover[m] > 0) {
                rows[n] = m;
                values[n++] = column->cover[m];
            }
        }
        glet_lp_add_col(lp, column->cost, n, rows, values);
    }
    if (glet_lp_solve(lp) == 0)
        for (int m = 0; m < d->models; m++)
            d->price[m] = fmax(0, glet_lp_dual(lp, m));
    glet_lp_free(lp);
    for (int i = 0; i < d->columns->count; i++) {
        double worth = 0;
        for (int m = 0; m < d->models; m++)
            worth += d->price[m] * d->columns->list[i].cover[m];
        ratio = fmax(ratio, worth / d->columns->list[i].cost);
    }
    for (int m = 0; m < d->models; m++)
        d->price[m] /= ratio;
}

void glet_survive_exact_init(struct glet_survive_exact *exact, const struct glet_problem *problem,
                             const struct glet_columns *columns, int models)
{
    *exact = (struct glet_survive_exact){.columns = columns, .models = models, .nodes = NODES};
    for (int g = 0; g < problem->type_count; g++)
        exact->stock_left[g] = problem->types[g].count < 0 ? 1 << 30 : problem->types[g].count;
    exact->banned = glet_must_alloc(sizeof *exact->banned, (size_t)columns->count);
    find_prices(exact);
}

void glet_survive_exact_fini(struct glet_survive_exact *exact)
{
    free(exact->banned);
    exact->banned = NULL;
}

bool glet_survive_exact_find(struct glet_survive_exact *exact, double budget)
{
    const double none[GLET_MENU_MODELS] = {0};
    exact->depth = 0;
    return descend(exact, none, none, budget);
}
