/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Price, enumerate, search.
 *
 * 1. Column generation over whole GPU configurations with exact pricing: the prices at its end
 *    prove the configuration bound, and its columns usually contain a plan (integer program).
 * 2. A plan of cost at most T uses only configurations whose worth at those prices is at least
 *    their cost minus the gap between T and the bound: list them all, without the dominated ones.
 * 3. Depth-first search over the list: always cover the open model that the fewest columns cover,
 *    and cut where several price vectors show that the rest costs too much. Every comparison
 *    errs towards searching on, so "not found" is a proof.
 */
#include "planner/solve/exact.h"

#include "planner/solve/columns.h"
#include "planner/solve/lp_glpk.h"
#include "planner/solve/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MENU_ENTRIES 120000  /* gpu-lets: 40 MB */
#define ROUNDS       80      /* of column generation */
#define PRICE_LEAVES 2000000 /* configurations evaluated per round */
#define LIST_LEAVES  1000000 /* configurations evaluated for the list */
#define LIST_COLUMNS 20000
#define ILP_COLUMNS  3000
#define ILP_SMALL    600 /* columns: a longer search is affordable */
#define SEARCH_NODES 1000000
#define ILP_NODES    500
#define VECTORS_MAX  96   /* price vectors kept for cutting */
#define SAFE         1e-7 /* relative; errs towards searching on */

struct vector {
    double price[GLET_MENU_MODELS];
};

struct exact {
    struct glet_search *search;
    struct glet_covering covering;
    struct glet_columns columns; /* of column generation */
    struct vector best;          /* proves the bound */
    double bound;
    struct vector vectors[VECTORS_MAX];
    int vector_count;
    double target; /* looking for a plan of at most this cost */
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

static void keep_vector(struct exact *e, const double *price)
{
    if (e->vector_count == VECTORS_MAX)
        return;
    memcpy(e->vectors[e->vector_count++].price, price, sizeof e->vectors[0].price);
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
    bool coarse = true; /* first a rough search: ties between configurations are costly */
    for (int round = 0; round < ROUNDS; round++) {
        struct glet_lp *lp = covering_lp(&e->covering, &e->columns);
        double price[GLET_MENU_MODELS] = {0}, sum = 0, ratio;
        if (glet_lp_solve(lp)) {
            glet_lp_free(lp);
            return false;
        }
        for (int m = 0; m < e->covering.models; m++)
            price[m] = fmax(0, glet_lp_dual(lp, m));
        glet_lp_free(lp);
        int before = e->columns.count;
        double blur = coarse ? 1e-3 : 1e-6;
        if (!glet_columns_price(&e->covering, price, 0, blur, PRICE_LEAVES, e->search->halt,
                                &e->columns, &ratio))
            return e->bound > 0;
        for (int m = 0; m < e->covering.models; m++) {
            price[m] /= ratio;
            sum += price[m];
        }
        keep_vector(e, price);
        sum *= 1 - 1e-9;
        if (sum > e->bound) {
            e->bound = sum;
            memcpy(e->best.price, price, sizeof price);
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
    struct glet_ilp_options options = {
        .cuts = true, .node_limit = nodes, .stop_at = e->search->bound, .halt = e->search->halt};
    if (glet_lp_solve_integer(lp, &options, x) != GLET_ILP_NONE)
        offer_counts(e, columns, x);
    free(x);
    glet_lp_free(lp);
}

struct descent {
    struct exact *exact;
    const struct glet_columns *columns;
    int covering_count[GLET_MENU_MODELS]; /* columns that cover each model */
    int *by_model[GLET_MENU_MODELS];      /* their indices */
    int stock_left[GLET_MENU_LETS];       /* [type]; few types in a menu */
    double cheapest;
    long nodes;
    int chosen[256], depth;
};

/* What the rest costs at least, by the price vectors; vectors are valid for every column. */
static bool too_dear(const struct descent *d, const double *rest, double budget)
{
    const struct exact *e = d->exact;
    double limit = budget * (1 + SAFE);
    for (int v = 0; v < e->vector_count; v++) {
        double sum = 0;
        for (int m = 0; m < e->covering.models; m++)
            sum += e->vectors[v].price[m] * rest[m];
        if (sum > limit)
            return true;
    }
    return false;
}

static bool descend(struct descent *d, const double *rest, double budget, int model, int from)
{
    const int models = d->exact->covering.models;
    if (--d->nodes < 0 || d->depth >= 255)
        return false;
    int hardest = -1;
    for (int m = 0; m < models; m++)
        if (rest[m] > SAFE && (hardest < 0 || d->covering_count[m] < d->covering_count[hardest]))
            hardest = m;
    if (hardest < 0)
        return true;
    if (budget < d->cheapest * (1 - SAFE) || too_dear(d, rest, budget))
        return false;
    bool last = budget < 2 * d->cheapest * (1 - SAFE);
    for (int i = hardest == model ? from : 0; i < d->covering_count[hardest]; i++) {
        const struct glet_column *column = &d->columns->list[d->by_model[hardest][i]];
        if (column->cost > budget * (1 + SAFE) || d->stock_left[column->type] == 0)
            continue;
        double after[GLET_MENU_MODELS];
        bool done = true;
        for (int m = 0; m < models; m++) {
            after[m] = fmax(0, rest[m] - column->cover[m]);
            done &= after[m] <= SAFE;
        }
        if (last && !done)
            continue;
        d->chosen[d->depth++] = d->by_model[hardest][i];
        d->stock_left[column->type]--;
        if (done || descend(d, after, budget - column->cost, hardest, i))
            return true;
        d->stock_left[column->type]++;
        d->depth--;
        if (d->nodes < 0)
            return false;
    }
    return false;
}

/* Returns 1 = found, 0 = proven that there is none, -1 = gave up. */
static int search_list(struct exact *e, const struct glet_columns *columns)
{
    const struct glet_problem *problem = e->search->problem;
    struct descent d = {
        .exact = e, .columns = columns, .cheapest = INFINITY, .nodes = SEARCH_NODES};
    double rest[GLET_MENU_MODELS] = {0};
    for (int g = 0; g < problem->type_count; g++)
        d.stock_left[g] = problem->types[g].count < 0 ? 1 << 30 : problem->types[g].count;
    for (int m = 0; m < e->covering.models; m++) {
        rest[m] = 1;
        d.by_model[m] = glet_must_alloc(sizeof(int), (size_t)columns->count);
        for (int i = 0; i < columns->count; i++)
            if (columns->list[i].cover[m] > 0)
                d.by_model[m][d.covering_count[m]++] = i;
    }
    for (int i = 0; i < columns->count; i++)
        d.cheapest = fmin(d.cheapest, columns->list[i].cost);
    int result = 0;
    if (columns->count > 0 && descend(&d, rest, e->target, -1, 0)) {
        double *copies = glet_must_alloc(sizeof *copies, (size_t)columns->count);
        for (int i = 0; i < d.depth; i++)
            copies[d.chosen[i]]++;
        double before = e->search->best_cost;
        offer_counts(e, columns, copies);
        result = e->search->best_cost < before ? 1 : -1;
        free(copies);
    } else if (d.nodes < 0) {
        result = -1;
    }
    for (int m = 0; m < e->covering.models; m++)
        free(d.by_model[m]);
    return result;
}

/* The highest cost that would be an improvement; 0 = none. */
static double next_target(const struct exact *e)
{
    const struct glet_search *search = e->search;
    const struct glet_problem *problem = search->problem;
    if (isfinite(search->best_cost))
        return search->whole_costs ? search->best_cost - 1 : search->best_cost * (1 - 1e-6);
    double all = 0;
    for (int g = 0; g < problem->type_count; g++) {
        if (problem->types[g].count < 0)
            return 0;
        all += problem->types[g].count * search->cost[g];
    }
    return all;
}

/*
 * Prices of covering only some of the models cut well deep in the tree, where the others are
 * served: one linear program per subset. Duals are scaled so that no listed column is worth more
 * than its cost.
 */
static void add_subset_vectors(struct exact *e, const struct glet_columns *columns)
{
    struct glet_lp *lp = covering_lp(&e->covering, columns);
    int models = e->covering.models;
    for (int set = 1; set < 1 << models && e->vector_count < VECTORS_MAX; set++) {
        for (int m = 0; m < models; m++) {
            if (set >> m & 1)
                glet_lp_row_at_least(lp, m, 1);
            else
                glet_lp_row_free(lp, m);
        }
        if (glet_lp_solve(lp))
            continue;
        double price[GLET_MENU_MODELS] = {0}, ratio = 1e-12;
        for (int m = 0; m < models; m++)
            price[m] = set >> m & 1 ? fmax(0, glet_lp_dual(lp, m)) : 0;
        for (int i = 0; i < columns->count; i++) {
            double worth = 0;
            for (int m = 0; m < models; m++)
                worth += price[m] * columns->list[i].cover[m];
            ratio = fmax(ratio, worth / columns->list[i].cost);
        }
        for (int m = 0; m < models; m++)
            price[m] /= ratio;
        keep_vector(e, price);
    }
    glet_lp_free(lp);
}

/*
 * Lists the configurations within the slack and looks for a plan among them. Returns 1 = found a
 * better one, 0 = there is none in the list and the list is complete for the slack, -1 = unknown.
 */
static int try_slack(struct exact *e, double slack, bool search)
{
    struct glet_columns list = {0};
    double ratio, before = e->search->best_cost;
    int result = -1;
    bool complete = glet_columns_price(&e->covering, e->best.price, slack, 0, LIST_LEAVES,
                                       e->search->halt, &list, &ratio);
    if (list.count <= LIST_COLUMNS) {
        if (list.count <= ILP_COLUMNS)
            try_integer(e, &list, list.count < ILP_SMALL ? 8 * ILP_NODES : ILP_NODES);
        if (e->search->best_cost < before)
            result = 1;
        else if (search && complete) {
            add_subset_vectors(e, &list);
            result = search_list(e, &list);
        }
    }
    glet_columns_free(&list);
    return result;
}

static void close_gap(struct exact *e)
{
    while (!glet_search_closed(e->search) && !glet_halted(e->search->halt)) {
        e->target = next_target(e);
        if (e->target <= 0)
            return;
        double none = isfinite(e->search->best_cost) ? e->search->best_cost : INFINITY;
        double gap = (e->target - e->bound) * (1 + SAFE) + SAFE;
        if (gap < 0) {
            glet_search_raise(e->search, none);
            return;
        }
        int result = -1;
        for (double slack = 0.01; slack < gap && result <= 0 && slack < 0.15; slack *= 1.6)
            result = try_slack(e, slack, false);
        if (result <= 0)
            result = try_slack(e, gap, true);
        if (result == 0)
            glet_search_raise(e->search, none);
        if (result <= 0)
            return;
    }
}

void glet_exact_run(struct glet_search *search)
{
    if (search->problem->type_count > GLET_MENU_LETS)
        return;
    struct glet_menu *menu = glet_menu_new(search->problem, MENU_ENTRIES, search->halt);
    if (!menu)
        return;
    struct exact *e = glet_must_alloc(sizeof *e, 1);
    e->search = search;
    glet_covering_init(&e->covering, menu, search->cost);
    if (e->covering.models > 0 && seed(e) && generate(e)) {
        glet_search_raise(search, e->bound);
        if (!glet_search_closed(search))
            try_integer(e, &e->columns, ILP_NODES);
        close_gap(e);
    }
    glet_columns_free(&e->columns);
    glet_covering_fini(&e->covering);
    free(e);
    glet_menu_free(menu);
}
