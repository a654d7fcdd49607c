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
 *
 * To survive the loss of any one GPU, a model needs its demand plus what the largest of its GPUs
 * covers. Beside chosen ones that cover T together and L at most, k others must cover 1 + L - T, and
 * (1 - T) k / (k - 1) as well, because the largest of them is no smaller than their average. With
 * these as the rest, the search is the same.
 *
 * Whatever ends a branch is a comparison of integers (grid.h): of prices that no column beats, of
 * how much columns cover, or of costs. The linear program only proposes prices. Plans are found by
 * the same integers, so that the caller has to check them.
 */
#include "planner/solve/exact/cover.h"

#include "planner/solve/exact/grid.h"
#include "planner/solve/exact/packed.h"
#include "planner/solve/exact/rest.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAFE       1e-7 /* of a demand: plans that lack so little are offered */
#define DEPTH_MAX  64
#define LAST_NODES 300 /* once the grain has spoilt the proof */
#define SHRINKS    0.8 /* of the columns: worth pricing again */
#define PROOFS     16  /* prices that are tried again, per level */

struct cover {
    const struct glet_covering *covering;
    const struct glet_cover_options *options;
    const struct glet_columns *columns;
    struct glet_relaxed relaxed;
    int models, stock_left[GLET_MENU_LETS]; /* [type]; few types in a menu */
    double cheapest;
    long nodes_left;
    bool coarse; /* only the grain made a plan of some columns */
    int chosen[DEPTH_MAX], depth;
    struct proofs { /* the latest first */
        double price[PROOFS][GLET_MENU_MODELS];
        int count;
    } proofs[DEPTH_MAX];
};

struct ranked {
    double worth;
    int column;
};

static bool usable(const struct cover *c, int column, double budget)
{
    return c->relaxed.items[column].cost <= budget &&
           c->stock_left[c->relaxed.items[column].type] != 0;
}

/* Whether the chosen columns cover everything without the grain. */
static bool holds(const struct cover *c)
{
    for (int m = 0; m < c->models; m++) {
        double sum = 0, lost = 0;
        for (int i = 0; i < c->depth; i++) {
            double cover = c->columns->list[c->chosen[i]].cover[m];
            sum += cover;
            lost = c->options->survive ? fmax(lost, cover) : 0;
        }
        if (sum - lost < 1 - SAFE)
            return false;
    }
    return true;
}

/* What so many GPUs must cover beside the total. */
static void set_rest(const struct cover *c, struct glet_rest *node, int gpus)
{
    for (int m = 0; m < c->models; m++) {
        double rest = 1 - node->total[m];
        if (c->options->survive) {
            double spread = gpus > 1 ? rest / GLET_GRID_COVER * gpus / (gpus - 1) : 0;
            if (gpus == 1 && rest > 0) /* lacks that without the last */
                rest = 2;
            else
                rest = fmax(rest + node->largest[m], floor(spread * (1 - 1e-15)) * GLET_GRID_COVER);
        }
        node->rest[m] = fmax(0, rest);
    }
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
    return (int)fmin(INT16_MAX, budget / c->cheapest);
}

/* Drops the columns that no plan within the budget can use, by their worth. */
static void drop_cheap(const struct cover *c, struct glet_rest *node, const double *price,
                       double bound)
{
    int count = 0;
    for (int i = 0; i < node->count; i++) {
        int column = node->list[i];
        double worth = glet_rest_worth(&c->relaxed, column, price, node->rest);
        double others = node->budget - c->relaxed.items[column].cost;
        if (usable(c, column, node->budget) && worth + others >= bound)
            node->list[count++] = column;
    }
    node->count = count;
}

/* Drops those beside which the best of the others could not cover every model. */
static void drop_short(const struct cover *c, struct glet_rest *node)
{
    double others = gpus_left(c, node->budget) - 1;
    for (int before = -1; before != node->count;) {
        double most[GLET_MENU_MODELS] = {0};
        int count = 0;
        before = node->count;
        for (int i = 0; i < before; i++)
            for (int m = 0; m < c->models; m++)
                most[m] = fmax(most[m], glet_rest_least(c->relaxed.items[node->list[i]].cover[m],
                                                        node->rest[m]));
        for (int i = 0; i < before; i++) {
            bool enough = true;
            for (int m = 0; m < c->models && enough; m++)
                enough =
                    c->relaxed.items[node->list[i]].cover[m] + others * most[m] >= node->rest[m];
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
static int branch(const struct cover *c, struct glet_rest *node, const double *price)
{
    double gpus = gpus_left(c, node->budget);
    int able[GLET_MENU_MODELS] = {0}, hardest = -1, front = 0;
    for (int m = 0; m < c->models; m++) {
        if (node->rest[m] <= 0)
            continue;
        for (int i = 0; i < node->count; i++)
            able[m] += c->relaxed.items[node->list[i]].cover[m] * gpus >= node->rest[m];
        if (hardest < 0 || able[m] < able[hardest])
            hardest = m;
    }
    struct ranked *order = glet_must_alloc(sizeof *order, (size_t)able[hardest] + 1);
    for (int i = 0; i < node->count; i++) {
        int column = node->list[i];
        if (c->relaxed.items[column].cover[hardest] * gpus < node->rest[hardest])
            continue;
        double worth = glet_rest_worth(&c->relaxed, column, price, node->rest);
        order[front] = (struct ranked){worth / c->relaxed.items[column].cost, column};
        node->list[i] = node->list[front];
        node->list[front++] = column;
    }
    qsort(order, (size_t)front, sizeof *order, by_worth);
    for (int i = 0; i < front; i++)
        node->list[i] = order[i].column;
    free(order);
    return front;
}

static bool is_open(const struct cover *c, const struct glet_rest *node)
{
    for (int m = 0; m < c->models; m++)
        if (node->rest[m] > 0)
            return true;
    return false;
}

/* Tries every column as the last one; `from`: where the node's first is packed. */
static bool finish(struct cover *c, const struct glet_packed *packed, int from,
                   const struct glet_rest *node)
{
    int end = from + node->count;
    for (int at = from; (at = glet_packed_fit(packed, at, end, node->rest)) < end; at++) {
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
                          const struct glet_rest *node)
{
    struct proofs *old = &c->proofs[c->depth];
    for (int i = 0; i < old->count; i++) {
        double price[GLET_MENU_MODELS];
        if (!glet_packed_exceeds(packed, from, from + node->count, node->rest, node->budget,
                                 old->price[i]))
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

static enum glet_cover_status descend(struct cover *c, const struct glet_rest *node,
                                      const double *parent_price);

static enum glet_cover_status try_branches(struct cover *c, const struct glet_rest *node,
                                           const double *price, int branches)
{
    enum glet_cover_status status = GLET_COVER_NONE;
    struct glet_packed packed;
    glet_packed_init(&packed, c->relaxed.items, node->list, node->count, c->models);
    for (int i = 0; i < branches && status == GLET_COVER_NONE; i++) {
        int column = node->list[i], type = c->relaxed.items[column].type;
        struct glet_rest child = {.budget = node->budget - c->relaxed.items[column].cost,
                                  .list = node->list + i,
                                  .count = node->count - i};
        for (int m = 0; m < c->models; m++) {
            child.total[m] = node->total[m] + c->relaxed.items[column].cover[m];
            child.largest[m] = fmax(node->largest[m], c->relaxed.items[column].cover[m]);
        }
        set_rest(c, &child, gpus_left(c, child.budget));
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
static bool narrow(struct cover *c, struct glet_rest *node, double *price)
{
    for (int before = -1; before < 0 || node->count < before * SHRINKS;) {
        before = node->count;
        glet_rest_price(&c->relaxed, node, price);
        double bound = glet_rest_prove(&c->relaxed, node, price);
        if (bound > node->budget)
            return false;
        drop_cheap(c, node, price, bound);
        drop_short(c, node);
    }
    return node->count > 0;
}

static enum glet_cover_status descend(struct cover *c, const struct glet_rest *node,
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
    struct glet_rest mine = *node;
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
    struct glet_rest root = {.budget = options->budget, .count = columns->count};
    for (int g = 0; g < problem->type_count; g++)
        c.stock_left[g] = problem->types[g].count < 0 ? 1 << 30 : problem->types[g].count;
    root.list = glet_must_alloc(sizeof *root.list, (size_t)columns->count + 1);
    for (int i = 0; i < columns->count; i++) {
        root.list[i] = i;
        c.cheapest = fmin(c.cheapest, columns->list[i].cost);
    }
    if (!glet_relaxed_init(&c.relaxed, columns, c.models, options->grain)) {
        free(root.list);
        glet_relaxed_fini(&c.relaxed);
        return GLET_COVER_NONE;
    }
    set_rest(&c, &root, gpus_left(&c, root.budget));
    double price[GLET_MENU_MODELS];
    for (int m = 0; m < GLET_MENU_MODELS; m++)
        price[m] = 1;
    enum glet_cover_status status = descend(&c, &root, price);
    for (int i = 0; status == GLET_COVER_FOUND && i < c.depth; i++)
        copies[c.chosen[i]]++;
    if (status != GLET_COVER_FOUND && c.coarse)
        status = GLET_COVER_COARSE;
    free(root.list);
    glet_relaxed_fini(&c.relaxed);
    return status;
}
