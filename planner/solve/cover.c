/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Depth first, one GPU after the other. At every node the columns are capped at what is still to
 * be covered, and prices for that residual problem (a linear program over the few columns that
 * matter, priced against all) either prove that the budget is too small or leave only the columns
 * that are worth nearly their cost. Branching takes the open model that the fewest of those cover;
 * a column tried before is not tried again beside its siblings. The last GPU is a plain scan, so
 * four GPUs are three levels.
 *
 * Capping again at every level is what makes the bounds tight: half a configuration is worth a
 * whole one where only half of it is needed.
 *
 * Prices that ruled out one branch usually rule out the next: they are tried before anything is
 * priced anew, on a copy of the columns that the processor reads in a row.
 */
#include "planner/solve/cover.h"

#include "planner/solve/lp_glpk.h"
#include "planner/solve/packed.h"
#include "planner/solve/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAFE       1e-7  /* relative; errs towards searching on */
#define TIGHT      1.001 /* prices are good enough: no column is worth more of its cost */
#define ROUNDS     25    /* of pricing per node */
#define POOL       32    /* columns that mattered last */
#define DEPTH_MAX  64
#define LAST_NODES 300 /* once the grain has spoilt the proof */
#define SHRINKS    0.8 /* of the columns: worth pricing again */
#define PROOFS     16  /* prices that are tried again, per level */

struct cover {
    const struct glet_covering *covering;
    const struct glet_cover_options *options;
    const struct glet_columns *columns;
    int models, stock_left[GLET_MENU_LETS]; /* [type]; few types in a menu */
    struct glet_item *items;                /* [columns->count]; the grain included */
    double cheapest;
    long nodes_left;
    bool coarse; /* only the grain made a plan of some columns */
    int pool[POOL], pool_count;
    int chosen[DEPTH_MAX], depth;
    struct proofs { /* the latest first */
        double price[PROOFS][GLET_MENU_MODELS];
        int count;
    } proofs[DEPTH_MAX];
};

struct node {
    double rest[GLET_MENU_MODELS];
    double budget;
    int *list; /* columns that may still be used */
    int count;
};

struct ranked {
    double worth;
    int column;
};

/* fmin() without its care for NaN, which costs half of the search's time. */
static inline double least(double a, double b)
{
    return a < b ? a : b;
}

static double worth_of(const struct cover *c, int column, const double *price, const double *rest)
{
    double sum = 0;
    for (int m = 0; m < c->models; m++)
        sum += price[m] * least(c->items[column].cover[m], rest[m]);
    return sum;
}

static double cost_of(const struct cover *c, int column)
{
    return c->items[column].cost;
}

static bool usable(const struct cover *c, int column, double budget)
{
    return c->items[column].cost <= budget * (1 + SAFE) &&
           c->stock_left[c->items[column].type] != 0;
}

static void add_capped(const struct cover *c, struct glet_lp *lp, int column, const double *rest)
{
    int rows[GLET_MENU_MODELS], n = 0;
    double values[GLET_MENU_MODELS];
    for (int m = 0; m < c->models; m++)
        if (rest[m] > SAFE && c->items[column].cover[m] > 0) {
            rows[n] = m;
            values[n++] = fmin(1, c->items[column].cover[m] / rest[m]);
        }
    glet_lp_add_col(lp, cost_of(c, column), n, rows, values);
}

static struct glet_lp *residual_lp(const struct cover *c, const struct node *node)
{
    struct glet_lp *lp = glet_lp_new();
    glet_lp_add_rows(lp, c->models);
    for (int m = 0; m < c->models; m++)
        if (node->rest[m] > SAFE)
            glet_lp_row_at_least(lp, m, 1);
    for (int i = 0; i < c->pool_count; i++)
        add_capped(c, lp, c->pool[i], node->rest);
    return lp;
}

/* The first columns stay: with them every model can be covered. */
static void remember(struct cover *c, int column)
{
    for (int i = 0; i < c->pool_count; i++)
        if (c->pool[i] == column)
            return;
    if (c->pool_count < POOL) {
        c->pool[c->pool_count++] = column;
    } else {
        memmove(c->pool + c->models, c->pool + c->models + 1,
                sizeof c->pool[0] * (size_t)(POOL - 1 - c->models));
        c->pool[POOL - 1] = column;
    }
}

/*
 * Makes the prices such that no column, capped at the rest, is worth more than its cost. Returns
 * the column that was worth most of its cost, or -1; *ratio is how much.
 */
static int scale_prices(const struct cover *c, const struct node *node, double *price,
                        double *ratio)
{
    int best = -1;
    *ratio = 1e-12;
    for (int i = 0; i < node->count; i++) {
        int column = node->list[i];
        double here = worth_of(c, column, price, node->rest) / cost_of(c, column);
        if (here > *ratio) {
            *ratio = here;
            best = column;
        }
    }
    for (int m = 0; m < c->models; m++)
        price[m] /= *ratio;
    return best;
}

/* Prices as above, starting from the parent's. Returns what the rest costs at least. */
static double price_rest(struct cover *c, const struct node *node, double *price)
{
    double bound = 0, limit = node->budget * (1 + SAFE), ratio;
    if (scale_prices(c, node, price, &ratio) < 0)
        return INFINITY;
    for (int m = 0; m < c->models; m++)
        bound += price[m] * node->rest[m];
    if (bound > limit)
        return bound;
    struct glet_lp *lp = residual_lp(c, node);
    for (int round = 0; round < ROUNDS && glet_lp_solve(lp) == 0; round++) {
        double trial[GLET_MENU_MODELS] = {0}, sum = 0;
        for (int m = 0; m < c->models; m++)
            if (node->rest[m] > SAFE)
                trial[m] = fmax(0, glet_lp_dual(lp, m)) / node->rest[m];
        int best = scale_prices(c, node, trial, &ratio);
        for (int m = 0; m < c->models; m++)
            sum += trial[m] * node->rest[m];
        if (sum > bound) {
            bound = sum;
            memcpy(price, trial, sizeof trial);
        }
        if (bound > limit || ratio <= TIGHT || best < 0)
            break;
        remember(c, best);
        add_capped(c, lp, best, node->rest);
    }
    glet_lp_free(lp);
    return bound;
}

/* Whether the chosen columns cover everything without the grain. */
static bool holds(const struct cover *c)
{
    for (int m = 0; m < c->models; m++) {
        double sum = 0;
        for (int i = 0; i < c->depth; i++)
            sum += c->columns->list[c->chosen[i]].cover[m];
        if (sum < 1 - SAFE)
            return false;
    }
    return true;
}

/* No proof will come of this search any more; a plan still may. */
static void blame_grain(struct cover *c)
{
    if (!c->coarse && c->nodes_left > LAST_NODES)
        c->nodes_left = LAST_NODES;
    c->coarse = true;
}

static int by_worth(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->worth != y->worth)
        return x->worth < y->worth ? 1 : -1;
    return x->column < y->column ? -1 : x->column > y->column;
}

/* GPUs that the budget allows. */
static int gpus_left(const struct cover *c, double budget)
{
    return (int)fmin(INT16_MAX, budget * (1 + SAFE) / c->cheapest);
}

/* Drops the columns that no plan within the budget can use, by their worth. */
static void drop_cheap(const struct cover *c, struct node *node, const double *price, double bound)
{
    int count = 0;
    for (int i = 0; i < node->count; i++) {
        int column = node->list[i];
        double worth = worth_of(c, column, price, node->rest);
        double others = (node->budget - cost_of(c, column)) * (1 + SAFE);
        if (usable(c, column, node->budget) && worth + others >= bound * (1 - SAFE))
            node->list[count++] = column;
    }
    node->count = count;
}

/* Drops those beside which the best of the others could not cover every model. */
static void drop_short(const struct cover *c, struct node *node)
{
    double others = gpus_left(c, node->budget) - 1;
    for (int before = -1; before != node->count;) {
        double most[GLET_MENU_MODELS] = {0};
        int count = 0;
        before = node->count;
        for (int i = 0; i < before; i++)
            for (int m = 0; m < c->models; m++)
                most[m] = fmax(most[m], least(c->items[node->list[i]].cover[m], node->rest[m]));
        for (int i = 0; i < before; i++) {
            bool enough = true;
            for (int m = 0; m < c->models && enough; m++)
                enough =
                    c->items[node->list[i]].cover[m] + others * most[m] >= node->rest[m] - SAFE;
            if (enough)
                node->list[count++] = node->list[i];
        }
        node->count = count;
    }
}

/*
 * One of the GPUs must cover its share of every model. Takes the model for which the fewest
 * columns do, and moves those to the front, the most valuable first. Returns how many.
 */
static int branch(const struct cover *c, struct node *node, const double *price)
{
    double gpus = gpus_left(c, node->budget);
    int able[GLET_MENU_MODELS] = {0}, hardest = -1, front = 0;
    for (int m = 0; m < c->models; m++) {
        if (node->rest[m] <= SAFE)
            continue;
        for (int i = 0; i < node->count; i++)
            able[m] += c->items[node->list[i]].cover[m] * gpus >= node->rest[m] - SAFE;
        if (hardest < 0 || able[m] < able[hardest])
            hardest = m;
    }
    struct ranked *order = glet_must_alloc(sizeof *order, (size_t)able[hardest] + 1);
    for (int i = 0; i < node->count; i++) {
        int column = node->list[i];
        if (c->items[column].cover[hardest] * gpus < node->rest[hardest] - SAFE)
            continue;
        double worth = worth_of(c, column, price, node->rest);
        order[front] = (struct ranked){worth / cost_of(c, column), column};
        node->list[i] = node->list[front];
        node->list[front++] = column;
    }
    qsort(order, (size_t)front, sizeof *order, by_worth);
    for (int i = 0; i < front; i++)
        node->list[i] = order[i].column;
    free(order);
    return front;
}

static bool is_open(const struct cover *c, const struct node *node)
{
    for (int m = 0; m < c->models; m++)
        if (node->rest[m] > SAFE)
            return true;
    return false;
}

/* Tries every column as the last one; `from`: where the node's first is packed. */
static bool finish(struct cover *c, const struct glet_packed *packed, int from,
                   const struct node *node)
{
    int end = from + node->count;
    for (int at = from; (at = glet_packed_fit(packed, at, end, node->rest, SAFE)) < end; at++) {
        int column = node->list[at - from];
        if (!usable(c, column, node->budget))
            continue;
        c->chosen[c->depth++] = column;
        if (holds(c))
            return true;
        c->depth--;
        blame_grain(c);
    }
    return false;
}

/* Whether prices that proved a budget too small do so again. */
static bool proven_before(struct cover *c, const struct glet_packed *packed, int from,
                          const struct node *node)
{
    struct proofs *old = &c->proofs[c->depth];
    for (int i = 0; i < old->count; i++) {
        double price[GLET_MENU_MODELS];
        if (!glet_packed_exceeds(packed, from, from + node->count, node->rest,
                                 node->budget * (1 + SAFE), old->price[i]))
            continue;
        memcpy(price, old->price[i], sizeof price);
        memmove(old->price[1], old->price[0], sizeof price * (size_t)i);
        memcpy(old->price[0], price, sizeof price);
        return true;
    }
    return false;
}

static void keep_proof(struct cover *c, const double *price)
{
    struct proofs *old = &c->proofs[c->depth];
    if (old->count < PROOFS)
        old->count++;
    memmove(old->price[1], old->price[0], sizeof old->price[0] * (size_t)(old->count - 1));
    memcpy(old->price[0], price, sizeof old->price[0]);
}

static enum glet_cover_status descend(struct cover *c, const struct node *node,
                                      const double *parent_price);

static enum glet_cover_status try_branches(struct cover *c, const struct node *node,
                                           const double *price, int branches)
{
    enum glet_cover_status status = GLET_COVER_NONE;
    struct glet_packed packed;
    glet_packed_init(&packed, c->items, node->list, node->count, c->models);
    for (int i = 0; i < branches && status == GLET_COVER_NONE; i++) {
        int column = node->list[i], type = c->items[column].type;
        struct node child = {.budget = node->budget - cost_of(c, column),
                             .list = node->list + i,
                             .count = node->count - i};
        for (int m = 0; m < c->models; m++)
            child.rest[m] = fmax(0, node->rest[m] - c->items[column].cover[m]);
        c->chosen[c->depth++] = column;
        c->stock_left[type]--;
        if (gpus_left(c, child.budget) == 1 && is_open(c, &child))
            status = finish(c, &packed, i, &child) ? GLET_COVER_FOUND : GLET_COVER_NONE;
        else if (!proven_before(c, &packed, i, &child))
            status = descend(c, &child, price);
        c->stock_left[type]++;
        if (status == GLET_COVER_NONE)
            c->depth--;
    }
    glet_packed_fini(&packed);
    return status;
}

/* Fewer columns give better prices, and better prices leave fewer columns. */
static bool narrow(struct cover *c, struct node *node, double *price)
{
    for (int before = -1; before < 0 || node->count < before * SHRINKS;) {
        before = node->count;
        double bound = price_rest(c, node, price);
        if (bound > node->budget * (1 + SAFE))
            return false;
        drop_cheap(c, node, price, bound);
        drop_short(c, node);
    }
    return node->count > 0;
}

static enum glet_cover_status descend(struct cover *c, const struct node *node,
                                      const double *parent_price)
{
    if (!is_open(c, node) && holds(c))
        return GLET_COVER_FOUND;
    if (!is_open(c, node)) {
        blame_grain(c);
        return GLET_COVER_NONE;
    }
    if (gpus_left(c, node->budget) < 1)
        return GLET_COVER_NONE;
    if (--c->nodes_left < 0 || c->depth >= DEPTH_MAX - 1 || glet_halted(c->options->halt))
        return GLET_COVER_LIMIT;
    double price[GLET_MENU_MODELS];
    struct node mine = *node;
    mine.list = glet_must_alloc(sizeof *mine.list, (size_t)node->count + 1);
    memcpy(mine.list, node->list, sizeof *mine.list * (size_t)node->count);
    memcpy(price, parent_price, sizeof price);
    enum glet_cover_status status = GLET_COVER_NONE;
    if (narrow(c, &mine, price))
        status = try_branches(c, &mine, price, branch(c, &mine, price));
    else
        keep_proof(c, price);
    free(mine.list);
    return status;
}

static void relax(struct cover *c)
{
    c->items = glet_must_alloc(sizeof *c->items, (size_t)c->columns->count + 1);
    for (int i = 0; i < c->columns->count; i++) {
        const struct glet_column *column = &c->columns->list[i];
        c->items[i].cost = column->cost;
        c->items[i].type = column->type;
        for (int m = 0; m < c->models; m++)
            if (column->cover[m] > 0)
                c->items[i].cover[m] = fmin(1, column->cover[m] + c->options->grain);
    }
}

/* For every model the column that covers most of it for its cost; false when one has none. */
static bool seed_pool(struct cover *c)
{
    for (int m = 0; m < c->models; m++) {
        double most = 0;
        for (int i = 0; i < c->columns->count; i++)
            if (c->items[i].cover[m] / cost_of(c, i) > most) {
                most = c->items[i].cover[m] / cost_of(c, i);
                c->pool[m] = i;
            }
        if (most <= 0)
            return false;
    }
    c->pool_count = c->models;
    return true;
}

enum glet_cover_status glet_cover_search(const struct glet_covering *covering,
                                         const struct glet_columns *columns,
                                         const struct glet_cover_options *options, double *copies)
{
    const struct glet_problem *problem = covering->menu->problem;
    struct cover c = {.covering = covering,
                      .options = options,
                      .columns = columns,
                      .models = covering->models,
                      .cheapest = INFINITY,
                      .nodes_left = options->nodes};
    struct node root = {.budget = options->budget, .count = columns->count};
    for (int g = 0; g < problem->type_count; g++)
        c.stock_left[g] = problem->types[g].count < 0 ? 1 << 30 : problem->types[g].count;
    for (int m = 0; m < c.models; m++)
        root.rest[m] = 1;
    root.list = glet_must_alloc(sizeof *root.list, (size_t)columns->count + 1);
    for (int i = 0; i < columns->count; i++) {
        root.list[i] = i;
        c.cheapest = fmin(c.cheapest, columns->list[i].cost);
    }
    relax(&c);
    if (!seed_pool(&c)) {
        free(root.list);
        free(c.items);
        return GLET_COVER_NONE;
    }
    double price[GLET_MENU_MODELS];
    for (int m = 0; m < GLET_MENU_MODELS; m++)
        price[m] = 1;
    enum glet_cover_status status = descend(&c, &root, price);
    for (int i = 0; status == GLET_COVER_FOUND && i < c.depth; i++)
        copies[c.chosen[i]]++;
    if (status != GLET_COVER_FOUND && c.coarse)
        status = GLET_COVER_COARSE;
    free(root.list);
    free(c.items);
    return status;
}
