/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Entries are enumerated model by model. A gpu-let is left out only when another one is at least as
 * good in every surrounding: when some batch can shrink by one and still serve its model's whole
 * demand next to the harshest neighbour, without slowing anything or disturbing neighbours more, as
 * far as the linear model alone tells.
 */
#include "planner/solve/exact/menu.h"

#include "planner/model/interference.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Pairs compared per gpu-let of the limit; a hundred million take a second. */
#define COMPARED_PER_LET 100

/* Combinations of sizes; more means that the device is no small menu. */
#define COMBINATIONS_MAX 400

struct builder {
    struct glet_menu *menu;
    const struct glet_problem *problem;
    const struct glet_halt *halt;
    int type, size;
    bool alone;
    bool counting;  /* adds nothing */
    int most, left; /* gpu-lets: in all; that may still be added */
    long compared;  /* pairs of them that may still be compared */
    struct glet_entries *out;
    struct glet_entry entry;          /* under construction */
    double mild_ms[GLET_MENU_MODELS]; /* of its batches next to the mildest neighbours */
    int *position;                    /* [model] among those with demand */
};

/* Next to the mildest and the harshest neighbours that there can be. */
static double mildest_factor(const struct builder *b, int m, int batch)
{
    const struct glet_point point = {m, b->size, batch};
    return b->alone ? 1 : glet_interference_mildest(b->problem, b->type, point);
}

static double harshest_factor(const struct builder *b, int m, int batch)
{
    const struct glet_point point = {m, b->size, batch};
    return b->alone ? 1 : glet_interference_harshest(b->problem, b->type, point);
}

static const struct glet_cell *cell_at(const struct builder *b, int m, int batch)
{
    return glet_problem_cell(b->problem, b->type, m, b->size, batch);
}

/* Whether the linear model alone says how a smaller batch fares beside others and they beside it. */
static bool is_linear(const struct builder *b, int m, int batch)
{
    const struct glet_problem_type *t = &b->problem->types[b->type];
    const struct glet_cell_row *row = &t->rows[m * t->size_count + b->size];
    int i = batch - row->first_batch;
    return b->alone || !row->victims || (!row->victims[i].paired && !row->victims[i - 1].paired);
}

static void note_pairs(const struct builder *b, struct glet_entry *entry)
{
    const struct glet_problem_type *t = &b->problem->types[b->type];
    for (int k = 0; k < entry->atom.count; k++) {
        const struct glet_cell_row *row = &t->rows[entry->atom.model[k] * t->size_count + b->size];
        int i = entry->atom.batch[k] - row->first_batch;
        bool paired = row->victims && row->victims[i].pair_count > 0;
        entry->mildest_ratio[k] = paired ? row->victims[i].mildest_ratio : 0;
        entry->paired |= paired;
    }
}

/* Whether some batch is larger than any demand can use. */
static bool is_wasteful(const struct builder *b)
{
    const struct glet_atom *atom = &b->entry.atom;
    double harsh_ms = 0;
    for (int k = 0; k < atom->count; k++) {
        const struct glet_cell *cell = cell_at(b, atom->model[k], atom->batch[k]);
        harsh_ms += cell->latency_ms * harshest_factor(b, atom->model[k], atom->batch[k]);
    }
    for (int k = 0; k < atom->count; k++) {
        int m = atom->model[k], batch = atom->batch[k];
        const struct glet_cell *now = cell_at(b, m, batch), *less = cell_at(b, m, batch - 1);
        if (!less || less->latency_ms > now->latency_ms || less->victim_ratio > now->victim_ratio ||
            less->aggressor_ratio > now->aggressor_ratio ||
            less->activation_mib > now->activation_mib || !is_linear(b, m, batch))
            continue;
        double less_ms = harsh_ms - now->latency_ms * harshest_factor(b, m, batch) +
                         less->latency_ms * harshest_factor(b, m, batch - 1);
        if (1000.0 * (batch - 1) / less_ms >= b->problem->models[m].demand_rps)
            return true;
    }
    return false;
}

static int level_of(const struct glet_problem_type *type, double aggressor)
{
    double range = type->aggressor_max_ratio - type->aggressor_min_ratio;
    double at = range > 0 ? (aggressor - type->aggressor_min_ratio) / range * GLET_MENU_LEVELS : 0;
    return (int)fmin(GLET_MENU_LEVELS - 1, fmax(0, floor(at)));
}

static void keep(struct builder *b)
{
    if (is_wasteful(b))
        return;
    if (--b->left < 0 || b->counting)
        return;
    if (b->out->count == b->out->room) {
        b->out->room = b->out->room ? 2 * b->out->room : 64;
        b->out->list = glet_must_resize(b->out->list, sizeof *b->out->list, (size_t)b->out->room);
    }
    struct glet_entry *entry = &b->out->list[b->out->count++];
    *entry = b->entry;
    entry->aggressor = glet_atom_aggressor(b->problem, b->type, &entry->atom);
    entry->memory_mib = glet_atom_memory_mib(b->problem, b->type, &entry->atom);
    note_pairs(b, entry);
    entry->level = level_of(&b->problem->types[b->type], entry->aggressor);
}

/* mild_ms: duty cycle next to the mildest neighbours; longest exec decides what still fits. */
static void extend(struct builder *b, int m, double mild_ms)
{
    struct glet_entry *entry = &b->entry;
    struct glet_atom *atom = &entry->atom;
    for (; m < b->problem->model_count && b->left >= 0; m++) {
        const struct glet_problem_model *model = &b->problem->models[m];
        const struct glet_problem_type *t = &b->problem->types[b->type];
        const struct glet_cell_row *row = &t->rows[m * t->size_count + b->size];
        if (model->demand_rps <= 0 || !row->cells || atom->count >= GLET_MENU_MODELS)
            continue;
        int k = atom->count++;
        for (int batch = row->first_batch; batch <= row->last_batch && b->left >= 0; batch++) {
            const struct glet_cell *cell = &row->cells[batch - row->first_batch];
            double exec_ms = cell->latency_ms * mildest_factor(b, m, batch);
            double duty_ms = mild_ms + exec_ms;
            b->mild_ms[k] = exec_ms;
            atom->model[k] = (uint16_t)m;
            atom->batch[k] = (uint16_t)batch;
            entry->latency_ms[k] = cell->latency_ms;
            entry->victim[k] = cell->victim_ratio;
            entry->limit_ms[k] = model->limit_ms;
            bool fits = true;
            for (int j = 0; j <= k && fits; j++)
                fits = glet_within(duty_ms + b->mild_ms[j], entry->limit_ms[j]);
            if (!fits)
                continue;
            atom->duty_ms = duty_ms;
            keep(b);
            extend(b, m + 1, duty_ms);
        }
        atom->count--;
    }
}

struct rated {         /* an entry that nothing slows down */
    int entry, models; /* place in the list; bit set */
    int count;
    double memory_mib, rate_rps[GLET_MENU_MODELS], sum;
};

static struct rated rate(const struct builder *b, int place)
{
    const struct glet_atom *atom = &b->out->list[place].atom;
    struct rated rated = {
        .entry = place, .count = atom->count, .memory_mib = b->out->list[place].memory_mib};
    for (int k = 0; k < atom->count; k++) {
        double demand_rps = b->problem->models[atom->model[k]].demand_rps;
        rated.rate_rps[k] = fmin(1000.0 * atom->batch[k] / atom->duty_ms, demand_rps);
        rated.sum += rated.rate_rps[k] / demand_rps;
        rated.models |= 1 << b->position[atom->model[k]];
    }
    return rated;
}

/* Entries of the same models side by side, the best first. */
static int by_models(const void *a, const void *b)
{
    const struct rated *x = a, *y = b;
    if (x->models != y->models)
        return x->models - y->models;
    if (x->sum != y->sum)
        return x->sum < y->sum ? 1 : -1;
    return x->entry - y->entry;
}

/* Both of the same models. */
static bool outdoes(const struct rated *x, const struct rated *y)
{
    if (x->memory_mib > y->memory_mib)
        return false;
    for (int k = 0; k < x->count; k++)
        if (x->rate_rps[k] < y->rate_rps[k])
            return false;
    return true;
}

/* Where nothing interferes only rates and memory matter: leaves out what another entry of the same
   models outdoes in all of them, as long as that takes. */
static void thin(struct builder *b)
{
    struct glet_entries *out = b->out;
    struct rated *rated = glet_must_alloc(sizeof *rated, (size_t)out->count + 1);
    struct glet_entry *kept = glet_must_alloc(sizeof *kept, (size_t)out->count + 1);
    int count = 0;
    for (int i = 0; i < out->count; i++)
        rated[i] = rate(b, i);
    qsort(rated, (size_t)out->count, sizeof *rated, by_models);
    for (int i = 0; i < out->count; i++) {
        bool outdone = false;
        for (int j = count - 1; j >= 0 && rated[j].models == rated[i].models && !outdone; j--) {
            outdone = outdoes(&rated[j], &rated[i]);
            if (--b->compared < 0)
                break;
        }
        if (!outdone)
            rated[count++] = rated[i];
    }
    for (int i = 0; i < count; i++)
        kept[i] = out->list[rated[i].entry];
    free(out->list);
    free(rated);
    *out = (struct glet_entries){kept, count, count};
}

static void combine(struct glet_menu *menu, int type, struct glet_combination *c, int from)
{
    const struct glet_problem_type *t = &menu->problem->types[type];
    for (int s = from; s < t->size_count && c->count < t->max_gpulets; s++) {
        int units[GLET_BOX_ATOMS];
        c->sizes[c->count++] = (int8_t)s;
        for (int i = 0; i < c->count; i++)
            units[i] = t->sizes_units[c->sizes[i]];
        if (menu->combination_count <= COMBINATIONS_MAX &&
            glet_problem_sizes_fit(t, units, c->count)) {
            menu->combinations = glet_must_resize(menu->combinations, sizeof *menu->combinations,
                                                  (size_t)menu->combination_count + 1);
            menu->combinations[menu->combination_count++] = *c;
            if (c->count > GLET_MENU_LETS)
                menu->combination_count = COMBINATIONS_MAX + 1;
            combine(menu, type, c, s);
        }
        c->count--;
    }
}

/* How many models have demand; their positions among those. */
static int open_models(const struct glet_problem *problem, int *position)
{
    int count = 0;
    for (int m = 0; m < problem->model_count; m++) {
        position[m] = count;
        count += problem->models[m].demand_rps > 0;
    }
    return count;
}

static bool make_easier(struct glet_menu *menu, const struct glet_problem *problem)
{
    size_t types = (size_t)problem->type_count;
    menu->own = glet_problem_view(problem);
    if (!menu->own)
        return false;
    menu->own_types = glet_must_alloc(sizeof *menu->own_types, types);
    memcpy(menu->own_types, problem->types, types * sizeof *menu->own_types);
    menu->own->types = menu->own_types;
    menu->problem = menu->own;
    for (size_t g = 0; g < types; g++)
        menu->own_types[g].memory_mib *= 1 + GLET_EASIER_RATIO;
    for (int m = 0; m < problem->model_count; m++) {
        menu->own->models[m].limit_ms *= 1 + GLET_EASIER_RATIO;
        menu->own->models[m].demand_rps *= 1 - GLET_EASIER_RATIO;
    }
    return true;
}

/* Whether another gpu-let can be beside one of that size. */
static bool is_shared(const struct glet_menu *menu, int type, int size)
{
    for (int i = 0; i < menu->combination_count; i++) {
        const struct glet_combination *c = &menu->combinations[i];
        for (int k = 0; c->type == type && c->count > 1 && k < c->count; k++)
            if (c->sizes[k] == size)
                return true;
    }
    return false;
}

/* The gpu-lets of one size, counted before any is made. False when there are too many: where they
   are thinned, before or after that. */
static bool list(struct builder *b, int type, int size, bool alone)
{
    bool thinned = alone || !b->problem->types[type].interferes;
    int left = b->left, room = thinned ? b->most : left;
    b->type = type;
    b->size = size;
    b->alone = alone;
    b->out = alone ? &b->menu->alone[type][size] : &b->menu->shared[type][size];
    b->entry = (struct glet_entry){.atom = {.size = (int16_t)size}};
    for (int pass = 0; pass < 2 && b->left >= 0; pass++) {
        b->counting = pass == 0;
        b->left = room;
        extend(b, 0, 0);
    }
    if (thinned && b->left >= 0) {
        thin(b);
        b->left = left - b->out->count;
    }
    return b->left >= 0 && !glet_halted(b->halt);
}

/* The gpu-lets that have neighbours first: they tell early when there are too many. */
static bool list_all(struct builder *b)
{
    const struct glet_problem *problem = b->problem;
    for (int alone = 0; alone < 2; alone++)
        for (int g = 0; g < problem->type_count; g++)
            for (int s = 0; s < problem->types[g].size_count; s++)
                if ((alone || is_shared(b->menu, g, s)) && !list(b, g, s, alone))
                    return false;
    return true;
}

struct glet_menu *glet_menu_new(const struct glet_problem *problem, int most,
                                const struct glet_halt *halt)
{
    int *position = glet_must_alloc(sizeof *position, (size_t)problem->model_count + 1);
    if (open_models(problem, position) > GLET_MENU_MODELS) {
        free(position);
        return NULL;
    }
    struct glet_menu *menu = glet_must_alloc(sizeof *menu, 1);
    if (!make_easier(menu, problem)) {
        free(position);
        free(menu);
        return NULL;
    }
    problem = menu->problem;
    menu->shared = glet_must_alloc(sizeof *menu->shared, (size_t)problem->type_count);
    menu->alone = glet_must_alloc(sizeof *menu->alone, (size_t)problem->type_count);
    struct builder b = {.menu = menu,
                        .problem = problem,
                        .most = most,
                        .left = most,
                        .compared = (long)most * COMPARED_PER_LET,
                        .halt = halt,
                        .position = position};
    for (int g = 0; g < problem->type_count; g++) {
        size_t sizes = (size_t)problem->types[g].size_count;
        menu->shared[g] = glet_must_alloc(sizeof **menu->shared, sizes);
        menu->alone[g] = glet_must_alloc(sizeof **menu->alone, sizes);
        struct glet_combination c = {.type = g};
        combine(menu, g, &c, 0);
    }
    bool complete = menu->combination_count <= COMBINATIONS_MAX && list_all(&b);
    free(position);
    if (!complete) {
        glet_menu_free(menu);
        return NULL;
    }
    return menu;
}

void glet_menu_free(struct glet_menu *menu)
{
    if (!menu)
        return;
    for (int g = 0; g < menu->problem->type_count; g++) {
        for (int s = 0; menu->shared[g] && menu->alone[g] && s < menu->problem->types[g].size_count;
             s++) {
            free(menu->shared[g][s].list);
            free(menu->alone[g][s].list);
        }
        free(menu->shared[g]);
        free(menu->alone[g]);
    }
    free(menu->shared);
    free(menu->alone);
    free(menu->combinations);
    glet_problem_free(menu->own);
    free(menu->own_types);
    free(menu);
}
