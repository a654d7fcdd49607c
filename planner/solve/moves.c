/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every GPU of the new plan either takes the place of an old one or is new. A plan with at most d
 * moves in all uses only configurations with at most d new gpu-lets, so they are listed for d = 0,
 * 1, 2, ... : what stays of each old GPU (every subset of its gpu-lets), and up to d gpu-lets of
 * the menu beside it. An integer program picks at most one per old GPU. Among configurations of the
 * same place, one that covers no more with no fewer moves is left out.
 */
#include "planner/solve/moves.h"

#include "planner/solve/exact/columns.h"
#include "planner/solve/search/search_state.h"
#include "planner/solve/space/lp_glpk.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MENU_ENTRIES 2000   /* gpu-lets: more are no small menu */
#define OLD_LETS_MAX 8      /* of one GPU: 2^8 subsets */
#define OLD_GPUS_MAX 40     /* places */
#define LEAVES       200000 /* configurations evaluated for one d */
#define COLUMNS_MAX  6000
#define ILP_NODES    20000

static bool same_atom(const struct glet_atom *a, const struct glet_atom *b)
{
    if (a->size != b->size || a->count != b->count)
        return false;
    for (int k = 0; k < a->count; k++) {
        int at = 0;
        while (at < b->count && b->model[at] != a->model[k])
            at++;
        if (at == b->count || b->batch[at] != a->batch[k])
            return false;
    }
    return true;
}

/* Gpu-lets that two GPUs have in common. */
static int overlap(const struct glet_box *a, const struct glet_box *b)
{
    bool used[GLET_BOX_ATOMS] = {false};
    int common = 0;
    for (int i = 0; i < a->count && a->type == b->type; i++)
        for (int j = 0; j < b->count; j++)
            if (!used[j] && same_atom(&a->atoms[i], &b->atoms[j])) {
                used[j] = true;
                common++;
                break;
            }
    return common;
}

int glet_moves_count(const struct glet_boxes *old, const struct glet_boxes *now)
{
    bool *taken = glet_must_alloc(sizeof *taken, (size_t)old->count);
    bool *placed = glet_must_alloc(sizeof *placed, (size_t)now->count);
    int moves = 0, next = 0;
    for (int i = 0; i < now->count; i++) {
        int count = glet_boxes_at(now, i)->count;
        moves += count;
        next = count > next ? count : next;
    }
    for (int least = next; least > 0; least = next < least ? next : least - 1) {
        next = 0;
        for (int i = 0; i < now->count; i++)
            for (int j = 0; j < old->count && !placed[i]; j++) {
                int common = taken[j] ? 0 : overlap(glet_boxes_at(now, i), glet_boxes_at(old, j));
                if (common >= least) {
                    moves -= common;
                    taken[j] = placed[i] = true;
                } else if (common > next) {
                    next = common;
                }
            }
    }
    free(taken);
    free(placed);
    return moves;
}

struct option { /* what a GPU can become */
    double cover[GLET_MENU_MODELS];
    int place; /* of an old GPU, or -1 = a new one */
    int moves;
    struct glet_box box;
};

struct moves {
    const struct glet_task *task;
    const struct glet_problem *problem;
    const struct glet_boxes *old;
    struct glet_menu *menu;
    struct glet_covering covering;
    double *cost; /* [type] */
    struct option *options;
    int count, room;
    long left; /* configurations that may still be evaluated */
    int place, depth;
    const struct glet_entry **entries; /* of the type at hand, all sizes, shared and alone */
    int entry_count, listed_type;      /* -1 = none yet */
};

static bool beats(const struct option *a, const struct option *b)
{
    if (a->place != b->place || a->box.type != b->box.type || a->moves > b->moves)
        return false;
    for (int m = 0; m < GLET_MENU_MODELS; m++)
        if (a->cover[m] < b->cover[m])
            return false;
    return true;
}

static void keep(struct moves *s, const struct glet_box *box, int moves)
{
    struct glet_column column;
    struct option *option = glet_must_alloc(sizeof *option, 1);
    glet_column_of_box(&s->covering, box, &column);
    memcpy(option->cover, column.cover, sizeof option->cover);
    option->place = s->place;
    option->moves = moves;
    glet_box_copy(&option->box, box);
    int kept = 0;
    bool beaten = false;
    for (int i = 0; i < s->count && !beaten; i++)
        beaten = beats(&s->options[i], option);
    for (int i = 0; i < s->count && !beaten; i++)
        if (!beats(option, &s->options[i])) {
            if (kept != i)
                s->options[kept] = s->options[i];
            kept++;
        }
    if (!beaten) {
        s->count = kept;
        if (s->count == s->room) {
            s->room = s->room ? 2 * s->room : 64;
            s->options = glet_must_resize(s->options, sizeof *s->options, (size_t)s->room);
        }
        s->options[s->count++] = *option;
    }
    free(option);
}

/* Adds gpu-lets of the menu from entry `from` on: more neighbours never make a gpu-let feasible. */
static void extend(struct moves *s, const struct glet_box *box, int moves, int from)
{
    const struct glet_problem_type *t = &s->problem->types[box->type];
    struct glet_box trial;
    for (int i = from; i < s->entry_count && moves < s->depth && s->left > 0; i++) {
        int units[GLET_BOX_ATOMS];
        if (box->count >= t->max_gpulets || box->count >= GLET_BOX_ATOMS)
            return;
        glet_box_copy(&trial, box);
        trial.atoms[trial.count++] = s->entries[i]->atom;
        for (int a = 0; a < trial.count; a++)
            units[a] = t->sizes_units[trial.atoms[a].size];
        if (!glet_problem_sizes_fit(t, units, trial.count))
            continue;
        s->left--;
        if (!glet_box_evaluate(s->problem, &trial))
            continue;
        keep(s, &trial, moves + 1);
        extend(s, &trial, moves + 1, i);
    }
}

static void list_entries(struct moves *s, int type)
{
    if (s->listed_type == type)
        return;
    s->listed_type = type;
    s->entry_count = 0;
    for (int z = 0; z < s->problem->types[type].size_count; z++) {
        const struct glet_entries *lists[2] = {&s->menu->shared[type][z], &s->menu->alone[type][z]};
        for (int l = 0; l < 2; l++)
            for (int i = 0; i < lists[l]->count; i++) {
                bool twin = false;
                for (int j = 0; l == 1 && j < lists[0]->count && !twin; j++)
                    twin = same_atom(&lists[0]->list[j].atom, &lists[1]->list[i].atom);
                if (!twin)
                    s->entries[s->entry_count++] = &lists[l]->list[i];
            }
    }
}

static bool is_wanted(const struct glet_problem *problem, const struct glet_atom *atom)
{
    for (int k = 0; k < atom->count; k++)
        if (problem->models[atom->model[k]].demand_rps <= 0)
            return false;
    return true;
}

/* What an old GPU, or a new one of the type, can become with at most depth new gpu-lets. */
static void list_place(struct moves *s, int type, const struct glet_box *was)
{
    struct glet_atom stay[OLD_LETS_MAX];
    int count = 0;
    for (int a = 0; was && a < was->count; a++)
        if (is_wanted(s->problem, &was->atoms[a]))
            stay[count++] = was->atoms[a];
    list_entries(s, type);
    for (int set = 0; set < 1 << count && s->left > 0; set++) {
        struct glet_box box = {.type = type};
        for (int a = 0; a < count; a++)
            if (set >> a & 1)
                box.atoms[box.count++] = stay[a];
        s->left--;
        if (box.count && !glet_box_evaluate(s->problem, &box))
            continue;
        if (box.count)
            keep(s, &box, 0);
        extend(s, &box, 0, 0);
    }
}

/* Everything with at most depth new gpu-lets per GPU; false when that is too much. */
static bool list_options(struct moves *s, int depth)
{
    s->count = 0;
    s->left = LEAVES;
    s->depth = depth;
    for (s->place = 0; s->place < s->old->count; s->place++)
        list_place(s, glet_boxes_at(s->old, s->place)->type, glet_boxes_at(s->old, s->place));
    s->place = -1;
    for (int g = 0; g < s->problem->type_count && depth > 0; g++)
        list_place(s, g, NULL);
    return s->left > 0 && s->count <= COLUMNS_MAX && !glet_halted(s->task->halt);
}

/* Rows: models, places, types, and the limit on cost or on moves. */
static struct glet_lp *build(const struct moves *s, bool by_cost, double limit)
{
    struct glet_lp *lp = glet_lp_new();
    int models = s->covering.models, places = models, types = places + s->old->count;
    int last = types + s->problem->type_count;
    glet_lp_add_rows(lp, last + 1);
    for (int m = 0; m < models; m++)
        glet_lp_row_at_least(lp, m, 1);
    for (int i = 0; i < s->old->count; i++)
        glet_lp_row_at_most(lp, places + i, 1);
    for (int g = 0; g < s->problem->type_count; g++)
        if (s->problem->types[g].count >= 0)
            glet_lp_row_at_most(lp, types + g, s->problem->types[g].count);
    glet_lp_row_at_most(lp, last, limit);
    for (int i = 0; i < s->count; i++) {
        const struct option *option = &s->options[i];
        int rows[GLET_MENU_MODELS + 3], n = 0;
        double values[GLET_MENU_MODELS + 3], cost = s->cost[option->box.type];
        for (int m = 0; m < models; m++)
            if (option->cover[m] > 0) {
                rows[n] = m;
                values[n++] = option->cover[m];
            }
        if (option->place >= 0) {
            rows[n] = places + option->place;
            values[n++] = 1;
        }
        rows[n] = types + option->box.type;
        values[n++] = 1;
        rows[n] = last;
        values[n++] = by_cost ? option->moves : cost;
        glet_lp_add_col(lp, by_cost ? cost : option->moves, n, rows, values);
    }
    return lp;
}

static void take(struct moves *s, const double *x, struct glet_moves_answer *out)
{
    struct glet_search search;
    struct glet_space space;
    struct glet_boxes boxes = {0};
    int moves = 0;
    for (int i = 0; i < s->count; i++)
        for (int copies = (int)x[i]; copies > 0; copies--) {
            glet_boxes_add(&boxes, &s->options[i].box);
            moves += s->options[i].moves;
        }
    glet_space_init(&space, s->problem, 1);
    glet_search_init(&search, s->problem, &space, s->task->effort, s->task->halt);
    if (glet_search_offer(&search, &boxes)) {
        out->found = true;
        out->moves = moves;
        out->cost = glet_boxes_cost(s->problem, &boxes);
        glet_boxes_copy(&out->boxes, &boxes);
    }
    glet_search_fini(&search);
    glet_space_fini(&space);
    glet_boxes_free(&boxes);
}

static void pick(struct moves *s, bool by_cost, double limit, struct glet_moves_answer *out)
{
    struct glet_lp *lp = build(s, by_cost, limit * (1 + GLET_TOLERANCE_RATIO));
    double *x = glet_must_alloc(sizeof *x, (size_t)s->count);
    struct glet_ilp_options options = {
        .cuts = true, .node_limit = ILP_NODES, .stop_at = 0, .halt = s->task->halt};
    if (s->count > 0 && glet_lp_solve_integer(lp, &options, x) != GLET_ILP_NONE)
        take(s, x, out);
    free(x);
    glet_lp_free(lp);
}

static bool start(struct moves *s, const struct glet_task *task, const struct glet_boxes *old)
{
    *s = (struct moves){.task = task, .problem = task->problem, .old = old, .listed_type = -1};
    size_t types = (size_t)task->problem->type_count;
    if (old->count > OLD_GPUS_MAX || types > GLET_MENU_LETS)
        return false;
    for (int i = 0; i < old->count; i++)
        if (glet_boxes_at(old, i)->count > OLD_LETS_MAX)
            return false;
    s->menu = glet_menu_new(task->problem, MENU_ENTRIES, task->halt);
    if (!s->menu)
        return false;
    s->cost = glet_type_costs(task->problem);
    s->entries = glet_must_alloc(sizeof(struct glet_entry *), MENU_ENTRIES);
    glet_covering_init(&s->covering, s->menu, s->cost);
    return s->covering.models > 0;
}

static void end(struct moves *s)
{
    glet_covering_fini(&s->covering);
    glet_menu_free(s->menu);
    free(s->cost);
    free(s->entries);
    free(s->options);
}

void glet_moves_fewest(const struct glet_task *task, const struct glet_boxes *old, double cost,
                       int most_moves, struct glet_moves_answer *out)
{
    struct moves s;
    *out = (struct glet_moves_answer){0};
    if (start(&s, task, old)) {
        out->complete = true;
        for (int depth = 0; depth < most_moves && out->complete; depth++) {
            out->complete = list_options(&s, depth);
            if (out->complete)
                pick(&s, false, cost, out);
            if (out->found && out->moves <= depth)
                break;
        }
    }
    end(&s);
}

void glet_moves_cheapest(const struct glet_task *task, const struct glet_boxes *old, int most_moves,
                         struct glet_moves_answer *out)
{
    struct moves s;
    *out = (struct glet_moves_answer){0};
    if (start(&s, task, old)) {
        out->complete = list_options(&s, most_moves);
        if (out->complete)
            pick(&s, true, most_moves, out);
    }
    end(&s);
}

void glet_moves_answer_fini(struct glet_moves_answer *answer)
{
    glet_boxes_free(&answer->boxes);
}
