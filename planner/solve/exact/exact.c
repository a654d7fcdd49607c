/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Price, enumerate, search.
 *
 * 1. Column generation over whole GPU configurations with exact pricing: the prices at its end
 *    prove the configuration bound, and its columns usually contain a plan (integer program).
 * 2. A plan of cost at most T uses only configurations whose worth at those prices is at least
 *    their cost minus the gap between T and the bound: list them all, without the dominated ones.
 * 3. Search the list exhaustively (cover.h): first a coarse one that stands for all, because what
 *    no coarse configurations cover no configurations do, then finer ones.
 *
 * "Not found" is a proof in integers (grid.h), whatever the linear programs returned: their prices
 * are rounded, then checked against every configuration while listing them, and against every
 * column at every node of the search. GLPK's branch and bound only looks for plans.
 */
#include "planner/solve/exact/exact.h"

#include "planner/solve/exact/cover.h"
#include "planner/solve/exact/grid.h"
#include "planner/solve/space/lp_glpk.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MENU_ENTRIES 120000  /* gpu-lets: 62 MB */
#define ROUNDS       80      /* of column generation */
#define PRICE_LEAVES 2000000 /* configurations evaluated per round */
#define LIST_LEAVES  8000000 /* configurations evaluated for the list */
#define LIST_COLUMNS 20000
#define SEARCH_WORK  500000000L /* nodes x columns of one search */
#define FAST_ENTRIES 20000      /* when the effort is fast */
#define FAST_LEAVES  400000
#define FAST_WORK    2000000L
#define PROBE_NODES  200 /* of a look at the most valuable configurations only */
#define ILP_NODES    500
#define BETTER       5e-7 /* relative: what counts as cheaper where costs are rounded */

struct exact {
    struct glet_search *search;
    struct glet_covering covering;
    struct glet_columns columns;    /* of column generation */
    double cost[GLET_MENU_LETS];    /* [type], whole numbers */
    double scale;                   /* of them for 1 of the search's cost */
    bool same_costs;                /* none was rounded */
    double price[GLET_MENU_MODELS]; /* proves the bound; rounded */
    double bound;
    double target; /* looking for a plan of at most this cost, whole */
};

static struct glet_lp *covering_lp(const struct glet_covering *covering,
                                   const struct glet_columns *columns)
{
    struct glet_lp *lp = glet_lp_new();
    glet_lp_add_rows(lp, covering->models);
    for (int m = 0; m < covering->models; m++)
        glet_lp_row_at_least(lp, m, 1);
    for (int i = 0; i < columns->count; i++) {
        int rows[GLET_MENU_MODELS], n = 0;
        double values[GLET_MENU_MODELS];
        for (int m = 0; m < covering->models; m++)
            if (columns->list[i].cover[m] > 0) {
                rows[n] = m;
                values[n++] = columns->list[i].cover[m];
            }
        glet_lp_add_col(lp, columns->list[i].cost, n, rows, values);
    }
    return lp;
}

/* A first column for every model, so that the program is feasible. */
static bool seed(struct exact *e)
{
    const struct glet_menu *menu = e->covering.menu;
    int seeded = 0;
    for (int m = 0; m < e->covering.models; m++) {
        struct glet_column best = {.cost = 1};
        for (int i = 0; i < menu->combination_count; i++) {
            const struct glet_combination *c = &menu->combinations[i];
            const struct glet_entries *entries = &menu->alone[c->type][c->sizes[0]];
            for (int k = 0; c->count == 1 && k < entries->count; k++) {
                struct glet_column column;
                struct glet_box box = {.type = c->type, .count = 1};
                box.atoms[0] = entries->list[k].atom;
                if (box.atoms[0].count > 1 || box.atoms[0].model[0] != e->covering.index[m] ||
                    !glet_box_evaluate(menu->problem, &box))
                    continue;
                glet_column_of_box(&e->covering, &box, &column);
                column.count = 1;
                column.entries[0] = &entries->list[k];
                if (column.cover[m] / column.cost > best.cover[m] / best.cost)
                    best = column;
            }
        }
        if (best.count) {
            glet_columns_add(&e->columns, &best);
            seeded++;
        }
    }
    return seeded == e->covering.models;
}

static bool generate(struct exact *e)
{
    const int leaves = e->search->effort == GLET_EFFORT_FAST ? FAST_LEAVES : PRICE_LEAVES;
    bool coarse = true; /* first a rough search: ties between configurations are costly */
    for (int round = 0; round < ROUNDS; round++) {
        struct glet_lp *lp = covering_lp(&e->covering, &e->columns);
        double price[GLET_MENU_MODELS] = {0}, sum = 0, ratio;
        if (glet_lp_solve(lp)) {
            glet_lp_free(lp);
            return false;
        }
        for (int m = 0; m < e->covering.models; m++)
            price[m] = glet_lp_dual(lp, m);
        glet_lp_free(lp);
        glet_grid_prices_down(price, e->covering.models);
        int before = e->columns.count;
        double blur = coarse ? 1e-3 : 1e-6;
        if (!glet_columns_price(&e->covering, price, 0, 0, blur, leaves, e->search->halt,
                                &e->columns, &ratio))
            return e->bound > 0;
        for (int m = 0; m < e->covering.models; m++)
            price[m] = price[m] / ratio * (1 - 1e-12); /* more than both are rounded */
        glet_grid_prices_down(price, e->covering.models);
        for (int m = 0; m < e->covering.models; m++)
            sum += price[m];
        if (sum > e->bound) {
            e->bound = sum;
            memcpy(e->price, price, sizeof price);
        }
        if (e->columns.count == before && !coarse)
            return true;
        coarse &= e->columns.count > before;
    }
    return true;
}

static void offer_counts(struct exact *e, const struct glet_columns *columns, const double *copies)
{
    struct glet_boxes boxes = {0};
    struct glet_box box;
    for (int i = 0; i < columns->count; i++)
        for (int c = 0; c < (int)copies[i]; c++) {
            glet_column_box(&e->covering, &columns->list[i], &box);
            glet_boxes_add(&boxes, &box);
        }
    glet_search_offer(e->search, &boxes);
    glet_boxes_free(&boxes);
}

static void try_integer(struct exact *e, const struct glet_columns *columns, int nodes)
{
    struct glet_lp *lp = covering_lp(&e->covering, columns);
    const struct glet_problem *problem = e->search->problem;
    for (int g = 0; g < problem->type_count; g++) {
        if (problem->types[g].count < 0)
            continue;
        int row = glet_lp_add_rows(lp, 1);
        glet_lp_row_at_most(lp, row, problem->types[g].count);
        for (int i = 0; i < columns->count; i++)
            if (columns->list[i].type == g) {
                int rows[GLET_MENU_MODELS + 1], n = 0;
                double values[GLET_MENU_MODELS + 1];
                for (int m = 0; m < e->covering.models; m++)
                    if (columns->list[i].cover[m] > 0) {
                        rows[n] = m;
                        values[n++] = columns->list[i].cover[m];
                    }
                rows[n] = row;
                values[n++] = 1;
                glet_lp_set_col(lp, i, columns->list[i].cost, n, rows, values);
            }
    }
    double *x = glet_must_alloc(sizeof *x, (size_t)columns->count);
    struct glet_ilp_options options = {.cuts = true,
                                       .node_limit = nodes,
                                       .stop_at = e->search->bound * e->scale,
                                       .halt = e->search->halt};
    if (glet_lp_solve_integer(lp, &options, x) != GLET_ILP_NONE)
        offer_counts(e, columns, x);
    free(x);
    glet_lp_free(lp);
}

/* The highest cost, in whole numbers, that would be an improvement; 0 = none. */
static double next_target(const struct exact *e)
{
    const struct glet_search *search = e->search;
    const struct glet_problem *problem = search->problem;
    if (isfinite(search->best_cost))
        return e->same_costs ? round(search->best_cost * e->scale) - 1
                             : ceil(search->best_cost * (1 - BETTER) * e->scale);
    double all = 0;
    for (int g = 0; g < problem->type_count; g++) {
        if (problem->types[g].count < 0)
            return 0;
        all += problem->types[g].count * e->cost[g];
    }
    return all;
}

/* Offers what the search over a list of columns finds; a refused offer counts as undecided. */
static enum glet_cover_status search_list(struct exact *e, const struct glet_columns *list,
                                          double grain, long nodes)
{
    struct glet_cover_options options = {.budget = e->target,
                                         .grain = grain,
                                         .nodes = nodes,
                                         .survive = e->search->survive,
                                         .halt = e->search->halt};
    double *copies = glet_must_alloc(sizeof *copies, (size_t)list->count);
    double before = e->search->best_cost;
    enum glet_cover_status status = glet_cover_search(&e->covering, list, &options, copies);
    if (status == GLET_COVER_FOUND)
        offer_counts(e, list, copies);
    free(copies);
    if (e->search->best_cost < before)
        return GLET_COVER_FOUND;
    return status == GLET_COVER_FOUND ? GLET_COVER_COARSE : status;
}

/*
 * Searches the configurations within the slack; nodes 0 = as many as the list affords. NONE only
 * when the list is complete.
 */
static enum glet_cover_status try_slack(struct exact *e, double slack, double grain, long nodes)
{
    struct glet_columns list = {0};
    double ratio;
    enum glet_cover_status status = GLET_COVER_LIMIT;
    bool fast = e->search->effort == GLET_EFFORT_FAST;
    bool complete =
        glet_columns_price(&e->covering, e->price, slack, grain, 0,
                           fast ? FAST_LEAVES : LIST_LEAVES, e->search->halt, &list, &ratio) &&
        ratio <= 1;
    long work = fast ? FAST_WORK : SEARCH_WORK;
    if (list.count > 0 && list.count <= LIST_COLUMNS)
        status = search_list(e, &list, grain, nodes > 0 ? nodes : work / list.count);
    else if (list.count == 0 && complete)
        status = GLET_COVER_NONE;
    if (status == GLET_COVER_NONE && !complete)
        status = GLET_COVER_LIMIT;
    glet_columns_free(&list);
    return status;
}

/* First where plans usually are, then everywhere, finer as long as only the grain is to blame. */
static enum glet_cover_status look(struct exact *e, double gap)
{
    static const double grains[] = {0.01, 0.0025, 0};
    enum glet_cover_status status = GLET_COVER_COARSE;
    double most = fmin(gap, 0.05 * e->scale);
    for (double slack = 0.01 * e->scale; slack < most; slack *= 1.6)
        if (try_slack(e, slack, 0, PROBE_NODES) == GLET_COVER_FOUND)
            return GLET_COVER_FOUND;
    for (int i = 0; i < 3 && status == GLET_COVER_COARSE; i++)
        status = try_slack(e, gap, grains[i], 0);
    return status;
}

/*
 * What a plan of at most the target's cost costs at least; 20 bits after the point. To survive, its
 * N GPUs must serve N / (N - 1) times the demands: the largest part is no smaller than the average.
 */
static double bound_at_target(const struct exact *e)
{
    double cheapest = INFINITY;
    if (!e->search->survive)
        return e->bound;
    for (int g = 0; g < e->search->problem->type_count; g++)
        cheapest = fmin(cheapest, e->cost[g]);
    double gpus = floor(e->target / cheapest);
    return gpus < 2 ? INFINITY
                    : floor(e->bound * gpus / (gpus - 1) * (1 - 1e-15) * 0x1p20) * 0x1p-20;
}

static void close_gap(struct exact *e)
{
    while (!glet_search_closed(e->search) && !glet_halted(e->search->halt)) {
        e->target = next_target(e);
        if (e->target <= 0)
            return;
        double none = e->search->best_cost * (e->same_costs ? 1 : 1 - BETTER);
        double gap = e->target - bound_at_target(e); /* exact */
        if (gap < 0) {
            glet_search_raise(e->search, none);
            return;
        }
        enum glet_cover_status status = look(e, gap);
        if (status == GLET_COVER_NONE)
            glet_search_raise(e->search, none);
        if (status != GLET_COVER_FOUND)
            return;
    }
}

void glet_exact_run(struct glet_search *search)
{
    if (search->problem->type_count > GLET_MENU_LETS)
        return;
    bool fast = search->effort == GLET_EFFORT_FAST;
    struct glet_menu *menu =
        glet_menu_new(search->problem, fast ? FAST_ENTRIES : MENU_ENTRIES, search->halt);
    if (!menu)
        return;
    struct exact *e = glet_must_alloc(sizeof *e, 1);
    e->search = search;
    e->same_costs = glet_grid_costs(search->cost, search->problem->type_count, e->cost, &e->scale);
    bool priced = true;
    for (int g = 0; g < search->problem->type_count; g++)
        priced &= e->cost[g] >= 1;
    glet_covering_init(&e->covering, menu, e->cost);
    if (priced && e->covering.models > 0 && seed(e) && generate(e)) {
        glet_search_raise(search, e->bound / e->scale * (1 - 1e-15));
        if (!glet_search_closed(search) && !search->survive)
            try_integer(e, &e->columns, ILP_NODES);
        close_gap(e);
    }
    glet_columns_free(&e->columns);
    glet_covering_fini(&e->covering);
    free(e);
    glet_menu_free(menu);
}
