/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pricing over all configurations without listing them: every gpu-let has an optimistic worth (its
 * neighbours at their mildest), a configuration can only be worth the sum of its gpu-lets', so
 * slots are filled in descending order and cut as soon as the best completion is not enough. Only
 * the leaves are evaluated exactly.
 *
 * Covers are raised by the contract's slack, far more than their few roundings, and then rounded up
 * to the grid, as are those of the optimistic worths: all worths are then exact (grid.h).
 */
#include "planner/solve/exact/columns.h"

#include "planner/solve/exact/frontier.h"
#include "planner/solve/exact/grid.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pricing {
    const struct glet_covering *covering;
    const struct glet_problem *problem;
    const double *price;
    double per_rps[GLET_MENU_MODELS]; /* cover per request per second, and a little more */
    double slack;
    bool levels; /* the entries' worth[] is known */
    bool best_only;
    double blur; /* best_only: relative worth that is not looked for */
    long left;
    const struct glet_halt *halt;
    struct glet_columns *out; /* best_only: of columns; else their front */
    struct glet_front front;
    double ratio;
    /* of one combination */
    const struct glet_combination *combination;
    double need; /* least worth that is of use */
    struct glet_column best;
    double best_worth;
    const struct glet_entry *chosen[GLET_MENU_LETS];
    double rest[GLET_MENU_LETS + 1]; /* best optimistic worth of the slots from here on */
    const struct glet_entry **sorted[GLET_MENU_LETS];
    int sorted_count[GLET_MENU_LETS];
};

void glet_covering_init(struct glet_covering *covering, const struct glet_menu *menu,
                        const double *cost)
{
    const struct glet_problem *problem = menu->problem;
    *covering = (struct glet_covering){.menu = menu, .cost = cost};
    covering->position = glet_must_alloc(sizeof(int), (size_t)problem->model_count);
    for (int m = 0; m < problem->model_count; m++) {
        covering->position[m] = -1;
        if (problem->models[m].demand_rps <= 0)
            continue;
        covering->position[m] = covering->models;
        covering->index[covering->models] = m;
        covering->demand_rps[covering->models++] = problem->models[m].demand_rps;
    }
}

void glet_covering_fini(struct glet_covering *covering)
{
    free(covering->position);
}

void glet_columns_add(struct glet_columns *columns, const struct glet_column *column)
{
    if (columns->count == columns->room) {
        columns->room = columns->room ? 2 * columns->room : 64;
        columns->list =
            glet_must_resize(columns->list, sizeof *columns->list, (size_t)columns->room);
    }
    columns->list[columns->count++] = *column;
}

void glet_columns_free(struct glet_columns *columns)
{
    free(columns->list);
    *columns = (struct glet_columns){0};
}

void glet_column_box(const struct glet_covering *covering, const struct glet_column *column,
                     struct glet_box *out)
{
    *out = (struct glet_box){.type = column->type, .count = column->count};
    for (int i = 0; i < column->count; i++)
        out->atoms[i] = column->entries[i]->atom;
    glet_box_evaluate(covering->menu->problem, out);
}

void glet_column_of_box(const struct glet_covering *covering, const struct glet_box *box,
                        struct glet_column *out)
{
    *out = (struct glet_column){.type = box->type, .cost = covering->cost[box->type]};
    for (int a = 0; a < box->count; a++)
        for (int k = 0; k < box->atoms[a].count; k++) {
            int p = covering->position[box->atoms[a].model[k]];
            if (p >= 0)
                out->cover[p] += glet_atom_rate_rps(&box->atoms[a], k) / covering->demand_rps[p];
        }
    for (int m = 0; m < GLET_MENU_MODELS; m++)
        out->cover[m] = fmin(1, out->cover[m] * (1 + GLET_TOLERANCE_RATIO));
}

/* Worth of the entry for a duty cycle, each model capped at its demand. */
static double worth_at(const struct pricing *p, const struct glet_atom *atom, double duty_ms)
{
    double worth = 0;
    for (int k = 0; k < atom->count; k++) {
        int m = p->covering->position[atom->model[k]];
        double cover = fmin(1, 1000.0 * atom->batch[k] / duty_ms * p->per_rps[m]);
        worth += p->price[m] * glet_grid_cover_up(cover);
    }
    return worth;
}

/* Rates of the linear model next to an aggressor; false when a limit is missed. */
static bool rate_entry(const struct pricing *p, const struct glet_entry *entry, bool alone,
                       double aggressor, double *cover)
{
    double exec_ms[GLET_MENU_MODELS], duty_ms = 0;
    for (int k = 0; k < entry->atom.count; k++) {
        double factor = alone ? 1 : fmax(1, entry->victim[k] + aggressor);
        exec_ms[k] = entry->latency_ms[k] * factor;
        duty_ms += exec_ms[k];
    }
    for (int k = 0; k < entry->atom.count; k++) {
        if (!glet_within(duty_ms + exec_ms[k], entry->limit_ms[k]))
            return false;
        int m = p->covering->position[entry->atom.model[k]];
        cover[m] += 1000.0 * entry->atom.batch[k] / duty_ms / p->covering->demand_rps[m];
    }
    return true;
}

static bool evaluate(const struct pricing *p, struct glet_column *column)
{
    const struct glet_combination *c = p->combination;
    const struct glet_problem_type *t = &p->problem->types[c->type];
    *column = (struct glet_column){
        .type = c->type, .count = c->count, .cost = p->covering->cost[c->type]};
    for (int i = 0; i < c->count; i++)
        column->entries[i] = p->chosen[i];
    struct glet_box box;
    double memory_mib = 0;
    bool paired = false;
    for (int i = 0; i < c->count; i++) {
        memory_mib += p->chosen[i]->memory_mib;
        paired |= p->chosen[i]->paired && c->count > 1;
    }
    /* Weights may be shared: what seems too much may fit. */
    if (paired || memory_mib > t->memory_mib * (1 - GLET_TOLERANCE_RATIO)) {
        box = (struct glet_box){.type = c->type, .count = c->count};
        for (int i = 0; i < c->count; i++)
            box.atoms[i] = p->chosen[i]->atom;
        if (!glet_box_evaluate(p->problem, &box))
            return false;
    }
    if (paired) {
        struct glet_column filled;
        glet_column_of_box(p->covering, &box, &filled);
        for (int m = 0; m < p->covering->models; m++)
            column->cover[m] = glet_grid_cover_up(filled.cover[m]);
        return true;
    }
    for (int i = 0; i < c->count; i++) {
        double worst = -INFINITY;
        for (int j = 0; j < c->count; j++)
            if (j != i)
                worst = fmax(worst, p->chosen[j]->aggressor);
        if (!rate_entry(p, p->chosen[i], c->count == 1, t->linear ? worst : 0, column->cover))
            return false;
    }
    for (int m = 0; m < p->covering->models; m++)
        column->cover[m] =
            glet_grid_cover_up(fmin(1, column->cover[m] * (1 + GLET_TOLERANCE_RATIO)));
    return true;
}

/* An upper bound of the worth of what is chosen, next to the neighbours it really has. */
static double quick_worth(const struct pricing *p)
{
    double sum = 0;
    for (int i = 0; i < p->combination->count; i++) {
        int level = 0;
        for (int j = 0; j < p->combination->count; j++)
            if (j != i && p->chosen[j]->level > level)
                level = p->chosen[j]->level;
        sum += p->chosen[i]->worth[level];
    }
    return sum;
}

static void leaf(struct pricing *p)
{
    struct glet_column column;
    p->left--;
    if (p->levels && p->combination->count > 1 && quick_worth(p) < p->need)
        return;
    if (!evaluate(p, &column))
        return;
    double worth = 0;
    for (int m = 0; m < p->covering->models; m++)
        worth += p->price[m] * column.cover[m];
    if (worth > column.cost)
        p->ratio = fmax(p->ratio, worth / column.cost * (1 + 1e-12));
    if (worth < p->need)
        return;
    if (!p->best_only) {
        glet_front_add(&p->front, &column);
        return;
    }
    if (worth > p->best_worth) {
        p->best_worth = worth;
        p->best = column;
        p->need = worth * (1 + p->blur);
    }
}

static void fill(struct pricing *p, int slot, int from, double worth)
{
    const struct glet_combination *c = p->combination;
    if (slot == c->count) {
        leaf(p);
        return;
    }
    bool twin = slot > 0 && c->sizes[slot] == c->sizes[slot - 1];
    for (int i = twin ? from : 0; i < p->sorted_count[slot] && p->left > 0; i++) {
        double sum = worth + p->sorted[slot][i]->optimistic;
        if (sum + p->rest[slot + 1] < p->need)
            break;
        p->chosen[slot] = p->sorted[slot][i];
        fill(p, slot + 1, i, sum);
    }
}

static int by_optimism(const void *a, const void *b)
{
    const struct glet_entry *x = *(const struct glet_entry *const *)a;
    const struct glet_entry *y = *(const struct glet_entry *const *)b;
    if (x->optimistic != y->optimistic)
        return x->optimistic < y->optimistic ? 1 : -1;
    return x < y ? -1 : x > y;
}

static struct glet_entries *entries_of(const struct glet_covering *covering,
                                       const struct glet_combination *c, int slot)
{
    struct glet_entries **table = c->count == 1 ? covering->menu->alone : covering->menu->shared;
    return &table[c->type][c->sizes[slot]];
}

/* Worth beside the mildest aggressor of a level; 0 when a limit is missed there. */
static double worth_beside(const struct pricing *p, const struct glet_entry *entry,
                           const struct glet_problem_type *type, int level)
{
    double range = type->aggressor_max_ratio - type->aggressor_min_ratio;
    double aggressor = type->aggressor_min_ratio + range * level / GLET_MENU_LEVELS - 1e-9;
    double exec_ms[GLET_MENU_MODELS], duty_ms = 0;
    for (int k = 0; k < entry->atom.count; k++) {
        double factor = entry->victim[k] + aggressor;
        if (entry->mildest_ratio[k] > 0)
            factor = entry->mildest_ratio[k];
        exec_ms[k] = entry->latency_ms[k] * fmax(1, factor);
        duty_ms += exec_ms[k];
    }
    for (int k = 0; k < entry->atom.count; k++)
        if (!glet_within(duty_ms + exec_ms[k], entry->limit_ms[k]))
            return 0;
    return worth_at(p, &entry->atom, duty_ms);
}

/* Optimistic worth of every entry of a list; returns the highest. */
static double rate_list(const struct pricing *p, struct glet_entries *entries,
                        const struct glet_problem_type *type)
{
    double best = 0;
    for (int i = 0; i < entries->count; i++) {
        struct glet_entry *entry = &entries->list[i];
        entry->optimistic = worth_at(p, &entry->atom, entry->atom.duty_ms);
        best = fmax(best, entry->optimistic);
        for (int level = 0; p->levels && level < GLET_MENU_LEVELS; level++)
            entry->worth[level] = worth_beside(p, entry, type, level);
    }
    return best;
}

static void price_combination(struct pricing *p, double *const *list_best)
{
    const struct glet_combination *c = p->combination;
    double cost = p->covering->cost[c->type], sum = 0, slot_best[GLET_MENU_LETS];
    for (int i = 0; i < c->count; i++) {
        slot_best[i] = list_best[c->type][2 * c->sizes[i] + (c->count == 1)];
        sum += slot_best[i];
    }
    p->need = p->best_only ? cost * (1 + p->blur) : cost - p->slack;
    p->best_worth = 0;
    if (sum < p->need)
        return;
    p->rest[c->count] = 0;
    for (int i = c->count - 1; i >= 0; i--)
        p->rest[i] = p->rest[i + 1] + slot_best[i];
    for (int i = 0; i < c->count; i++) {
        struct glet_entries *entries = entries_of(p->covering, c, i);
        p->sorted[i] = glet_must_alloc(sizeof *p->sorted[i], (size_t)entries->count);
        p->sorted_count[i] = 0;
        for (int e = 0; e < entries->count; e++)
            if (entries->list[e].optimistic + sum - slot_best[i] >= p->need)
                p->sorted[i][p->sorted_count[i]++] = &entries->list[e];
        qsort(p->sorted[i], (size_t)p->sorted_count[i], sizeof *p->sorted[i], by_optimism);
    }
    fill(p, 0, 0, 0);
    for (int i = 0; i < c->count; i++)
        free(p->sorted[i]);
    if (p->best_only) {
        p->ratio = fmax(p->ratio, p->need / cost);
        if (p->best_worth > 0)
            glet_columns_add(p->out, &p->best);
    }
}

bool glet_columns_price(const struct glet_covering *covering, const double *price, double slack,
                        double grain, double blur, long most, const struct glet_halt *halt,
                        struct glet_columns *out, double *ratio_out)
{
    const struct glet_problem *problem = covering->menu->problem;
    struct pricing p = {.covering = covering,
                        .problem = problem,
                        .price = price,
                        .slack = slack,
                        .best_only = blur > 0,
                        .blur = blur,
                        .left = most,
                        .halt = halt,
                        .out = out,
                        .ratio = 1 + blur};
    for (int m = 0; m < covering->models; m++)
        p.per_rps[m] = (1 + 2 * GLET_TOLERANCE_RATIO) / covering->demand_rps[m];
    if (!p.best_only)
        glet_front_init(&p.front, out, covering->models, grain);
    double **list_best = glet_must_alloc(sizeof *list_best, (size_t)problem->type_count);
    for (int g = 0; g < problem->type_count; g++) {
        list_best[g] =
            glet_must_alloc(sizeof **list_best, 2 * (size_t)problem->types[g].size_count);
        const struct glet_problem_type *t = &problem->types[g];
        p.levels = t->linear;
        for (int s = 0; s < t->size_count; s++) {
            list_best[g][2 * s] = rate_list(&p, &covering->menu->shared[g][s], t);
            list_best[g][2 * s + 1] = rate_list(&p, &covering->menu->alone[g][s], t);
        }
    }
    for (int i = 0; i < covering->menu->combination_count && p.left > 0; i++) {
        if (glet_halted(halt))
            p.left = 0;
        p.combination = &covering->menu->combinations[i];
        const struct glet_problem_type *t = &problem->types[p.combination->type];
        p.levels = t->linear;
        price_combination(&p, list_best);
    }
    for (int g = 0; g < problem->type_count; g++)
        free(list_best[g]);
    free(list_best);
    if (!p.best_only)
        glet_front_fini(&p.front);
    *ratio_out = p.ratio;
    return p.left > 0;
}
