/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/search/pack.h"

#include "planner/solve/search/open_slots.h"
#include "planner/solve/search/spread.h"
#include "planner/solve/space/lp_glpk.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Subproblems of the packing program; it nearly always ends at its root. */
#define PACK_NODES 300

/* GPUs that are looked at for what memory keeps out, all together: a second or two. Beyond that only
   the few that changed last of those with as many free units. */
#define LOOKS     3000000
#define LOOKS_FEW 8

static void trim_parts(const double *demand_rps, struct glet_atom *atom, double *rate_rps)
{
    for (int k = 0; k < atom->count; k++) {
        int m = atom->model[k];
        double rest_rps = rate_rps[m] - glet_atom_rate_rps(atom, k);
        if (rest_rps < demand_rps[m])
            continue;
        /* The duty cycle stays as it was: the others' rates are not counted higher. */
        rate_rps[m] = rest_rps;
        atom->count--;
        atom->model[k] = atom->model[atom->count];
        atom->batch[k] = atom->batch[atom->count];
        k--;
    }
}

static void shrink_single(const struct glet_space *space, const double *demand_rps,
                          struct glet_placed *placed, double *rate_rps)
{
    struct glet_atom *atom = &placed->atom;
    int m = atom->model[0];
    for (int s = 0; s < atom->size; s++) {
        const struct glet_single *one = glet_space_best(space, placed->type, placed->level, m, s);
        double rest_rps = rate_rps[m] - glet_atom_rate_rps(atom, 0) + one->rate_rps;
        if (one->rate_rps <= 0 || rest_rps < demand_rps[m])
            continue;
        struct glet_atom smaller = glet_atom_single(s, m, one->batch);
        if (!glet_space_rate_atom(space, placed->type, placed->level, &smaller))
            continue;
        rate_rps[m] += glet_atom_rate_rps(&smaller, 0) - glet_atom_rate_rps(atom, 0);
        *atom = smaller;
        return;
    }
}

void glet_pack_trim(const struct glet_space *space, const double *demand_rps,
                    struct glet_placed_list *atoms)
{
    double *rate_rps = glet_must_alloc(sizeof *rate_rps, (size_t)space->problem->model_count);
    for (int i = 0; i < atoms->count; i++)
        for (int k = 0; k < atoms->list[i].atom.count; k++)
            rate_rps[atoms->list[i].atom.model[k]] += glet_atom_rate_rps(&atoms->list[i].atom, k);
    for (int pass = 0; pass < 2; pass++)
        for (int i = atoms->count - 1; i >= 0; i--) {
            struct glet_placed *placed = &atoms->list[i];
            trim_parts(demand_rps, &placed->atom, rate_rps);
            if (placed->atom.count == 0)
                *placed = atoms->list[--atoms->count];
            else if (placed->atom.count == 1 && placed->level > 0)
                shrink_single(space, demand_rps, placed, rate_rps);
        }
    free(rate_rps);
}

/* Numbers of each pattern that hold counts[size] gpu-lets; smaller ones may use larger slots. */
static void choose_patterns(const struct glet_patterns *patterns, const int *counts, int *copies)
{
    int sizes = patterns->size_count;
    struct glet_lp *lp = glet_lp_new();
    int *rows = glet_must_alloc(sizeof *rows, (size_t)sizes);
    double *values = glet_must_alloc(sizeof *values, (size_t)sizes);
    double *x = glet_must_alloc(sizeof *x, (size_t)patterns->count);
    glet_lp_add_rows(lp, sizes);
    for (int s = sizes - 1, sum = 0; s >= 0; s--) {
        sum += counts[s];
        glet_lp_row_at_least(lp, s, sum);
    }
    for (int p = 0; p < patterns->count; p++) {
        const int16_t *uses = patterns->uses + (size_t)p * (size_t)sizes;
        int n = 0, sum = 0;
        for (int s = sizes - 1; s >= 0; s--) {
            sum += uses[s];
            if (sum) {
                rows[n] = s;
                values[n++] = sum;
            }
        }
        glet_lp_add_col(lp, 1, n, rows, values);
    }
    if (glet_lp_solve(lp) == 0) {
        for (int p = 0; p < patterns->count; p++)
            x[p] = ceil(glet_lp_value(lp, p) - 1e-9);
        struct glet_ilp_options options = {.node_limit = PACK_NODES,
                                           .incumbent = NULL,
                                           .stop_at = ceil(glet_lp_objective(lp) - 1e-7)};
        glet_lp_solve_integer(lp, &options, x);
    }
    for (int p = 0; p < patterns->count; p++)
        copies[p] = (int)x[p];
    free(rows);
    free(values);
    free(x);
    glet_lp_free(lp);
}

struct order { /* an atom and what it is sorted by */
    int index, size;
    bool guest; /* of another level: only into slots that are left */
    double memory_mib;
};

static int largest_first(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    if (x->guest != y->guest)
        return x->guest ? 1 : -1;
    if (x->size != y->size)
        return y->size - x->size;
    if (x->memory_mib != y->memory_mib)
        return x->memory_mib < y->memory_mib ? 1 : -1;
    return x->index - y->index;
}

static void fill_slots(const struct glet_space *space, int g, const struct glet_patterns *patterns,
                       const int *copies, int level, struct glet_placed_list *atoms,
                       const struct order *order, int count, bool *packed, struct glet_boxes *out)
{
    struct glet_open_slots slots;
    int first = out->count;
    glet_open_slots_init(&slots, patterns, copies);
    for (int i = 0; i < slots.gpu_count; i++)
        glet_boxes_add(out, &(struct glet_box){.type = g});
    for (int i = 0; i < count; i++) {
        double memory_mib = space->types[g].memory_binds ? order[i].memory_mib : 0;
        int gpu = glet_open_slots_take(&slots, order[i].size, memory_mib);
        if (gpu < 0 && order[i].guest)
            continue;
        packed[order[i].index] = true;
        struct glet_placed *placed = &atoms->list[order[i].index];
        if (order[i].guest)
            glet_spread_move(space, placed, level);
        if (gpu < 0) {
            glet_boxes_add(out, &(struct glet_box){.type = g});
            gpu = out->count - 1 - first;
        }
        glet_boxes_put(out, first + gpu, &placed->atom);
    }
    glet_open_slots_fini(&slots);
}

/* Packs what is left of a level, and fills its slots with what may come from other levels. */
static void pack_level(const struct glet_space *space, int g, int l, const struct glet_span *spans,
                       struct glet_placed_list *atoms, bool *packed, struct glet_boxes *out)
{
    const struct glet_patterns *patterns = &space->types[g].patterns;
    int *counts = glet_must_alloc(sizeof *counts, (size_t)patterns->size_count);
    int *copies = glet_must_alloc(sizeof *copies, (size_t)patterns->count);
    struct order *order = glet_must_alloc(sizeof *order, (size_t)atoms->count);
    int count = 0;
    bool own = false;
    for (int i = 0; i < atoms->count; i++) {
        const struct glet_placed *placed = &atoms->list[i];
        if (packed[i] || placed->type != g || placed->level == 0 || spans[i].low > l ||
            spans[i].high < l)
            continue;
        bool guest = placed->level != l;
        own |= !guest;
        counts[placed->atom.size] += !guest;
        order[count++] = (struct order){i, placed->atom.size, guest,
                                        glet_atom_memory_mib(space->problem, g, &placed->atom)};
    }
    if (own) {
        qsort(order, (size_t)count, sizeof *order, largest_first);
        choose_patterns(patterns, counts, copies);
        fill_slots(space, g, patterns, copies, l, atoms, order, count, packed, out);
    }
    free(counts);
    free(copies);
    free(order);
}

/* Levels with few gpu-lets first: what they leave open is filled from the others. */
static void pack_type(const struct glet_space *space, int g, const struct glet_span *spans,
                      struct glet_placed_list *atoms, bool *packed, struct glet_boxes *out)
{
    int units[GLET_LEVELS_MAX + 1] = {0};
    bool done[GLET_LEVELS_MAX + 1] = {false};
    glet_spread(space, g, spans, atoms);
    for (int i = 0; i < atoms->count; i++)
        if (atoms->list[i].type == g)
            units[atoms->list[i].level] +=
                space->problem->types[g].sizes_units[atoms->list[i].atom.size];
    for (int n = 0; n < space->types[g].level_count; n++) {
        int next = 0;
        for (int l = 1; l <= space->types[g].level_count; l++)
            if (!done[l] && (!next || units[l] < units[next]))
                next = l;
        done[next] = true;
        pack_level(space, g, next, spans, atoms, packed, out);
    }
}

/* GPUs that may take another gpu-let, in a list per type and free units. */
struct room {
    const struct glet_problem *problem;
    struct glet_boxes *boxes;
    int most_units;
    int *head, *next; /* [type, free units], [GPU]; -1 = the end */
    long looks;       /* at GPUs, without thinking of the time it takes */
};

static int *list_of(struct room *room, int type, int units)
{
    return &room->head[type * (room->most_units + 1) + units];
}

static void link_gpu(struct room *room, int i)
{
    const struct glet_box *box = glet_boxes_at(room->boxes, i);
    int units = glet_box_free_units(room->problem, box);
    if (units < 0 || box->count == 0 || box->count >= room->problem->types[box->type].max_gpulets)
        return;
    int *head = list_of(room, box->type, units);
    room->next[i] = *head;
    *head = i;
}

static void room_init(struct room *room, const struct glet_problem *problem,
                      struct glet_boxes *boxes, int more_gpus)
{
    *room = (struct room){.problem = problem, .boxes = boxes, .looks = LOOKS};
    for (int g = 0; g < problem->type_count; g++)
        if (problem->types[g].units > room->most_units)
            room->most_units = problem->types[g].units;
    size_t lists = (size_t)problem->type_count * ((size_t)room->most_units + 1);
    room->head = glet_must_alloc(sizeof *room->head, lists);
    room->next = glet_must_alloc(sizeof *room->next, (size_t)boxes->count + (size_t)more_gpus);
    for (size_t i = 0; i < lists; i++)
        room->head[i] = -1;
    for (int i = boxes->count - 1; i >= 0; i--)
        link_gpu(room, i);
}

static void room_fini(struct room *room)
{
    free(room->head);
    free(room->next);
}

/* Whether all promised rates hold with the atom on the GPU. */
static bool may_join(const struct glet_problem *problem, const struct glet_box *box,
                     const struct glet_atom *atom)
{
    struct glet_box trial;
    double promised_ms[GLET_BOX_ATOMS];
    glet_box_copy(&trial, box);
    trial.atoms[trial.count++] = *atom;
    for (int a = 0; a < trial.count; a++)
        promised_ms[a] = trial.atoms[a].duty_ms;
    bool good = glet_box_evaluate(problem, &trial);
    for (int a = 0; good && a < trial.count; a++)
        good = trial.atoms[a].duty_ms <= promised_ms[a];
    return good;
}

/* The fullest GPU where the atom may join, out of its list; -1 = none of those looked at. */
static int take_gpu(struct room *room, int g, const struct glet_atom *atom)
{
    const struct glet_problem_type *type = &room->problem->types[g];
    for (int units = type->sizes_units[atom->size]; units <= type->units; units++) {
        int few = LOOKS_FEW;
        for (int *at = list_of(room, g, units); *at >= 0; at = &room->next[*at]) {
            int i = *at;
            if (room->looks-- <= 0 && few-- <= 0)
                break;
            if (!may_join(room->problem, glet_boxes_at(room->boxes, i), atom))
                continue;
            *at = room->next[i];
            return i;
        }
    }
    return -1;
}

/* Puts an atom on a GPU of its type where all promised rates hold; else on one of its own. */
static void insert_atom(struct room *room, int g, const struct glet_atom *atom)
{
    int i = take_gpu(room, g, atom);
    if (i < 0) {
        i = room->boxes->count;
        glet_boxes_add(room->boxes, &(struct glet_box){.type = g});
    }
    glet_boxes_put(room->boxes, i, atom);
    link_gpu(room, i);
}

/* Evicts the heaviest gpu-lets of GPUs whose memory is exceeded, and finds them another place. */
static void settle_memory(const struct glet_space *space, struct glet_boxes *out, int first)
{
    struct glet_placed_list evicted = {0};
    for (int i = first; i < out->count; i++) {
        struct glet_box box, trial;
        glet_box_copy(&box, glet_boxes_at(out, i));
        for (;;) {
            glet_box_copy(&trial, &box);
            if (box.count <= 1 || glet_box_evaluate(space->problem, &trial))
                break;
            int heaviest = 0;
            double most_mib = -1;
            for (int a = 0; a < box.count; a++) {
                double mib = glet_atom_memory_mib(space->problem, box.type, &box.atoms[a]);
                if (mib > most_mib) {
                    most_mib = mib;
                    heaviest = a;
                }
            }
            glet_placed_add(&evicted, &(struct glet_placed){.type = (int16_t)box.type,
                                                            .atom = box.atoms[heaviest]});
            box.atoms[heaviest] = box.atoms[--box.count];
        }
        glet_boxes_set(out, i, &box);
    }
    struct room room;
    room_init(&room, space->problem, out, evicted.count);
    for (int i = 0; i < evicted.count; i++)
        insert_atom(&room, evicted.list[i].type, &evicted.list[i].atom);
    room_fini(&room);
    glet_placed_free(&evicted);
}

void glet_pack(const struct glet_space *space, const double *demand_rps,
               struct glet_placed_list *atoms, struct glet_boxes *out)
{
    int first = out->count;
    struct glet_span *spans = glet_must_alloc(sizeof *spans, (size_t)atoms->count);
    bool *packed = glet_must_alloc(sizeof *packed, (size_t)atoms->count);
    glet_spread_spans(space, demand_rps, atoms, spans);
    for (int g = 0; g < space->problem->type_count; g++)
        pack_type(space, g, spans, atoms, packed, out);
    free(spans);
    free(packed);
    for (int i = 0; i < atoms->count; i++)
        if (atoms->list[i].level == 0) {
            struct glet_box box = {.type = atoms->list[i].type, .count = 1};
            box.atoms[0] = atoms->list[i].atom;
            glet_boxes_add(out, &box);
        }
    settle_memory(space, out, first);
    for (int i = first; i < out->count; i++)
        glet_boxes_evaluate(space->problem, out, i);
    glet_boxes_sweep(out);
}
