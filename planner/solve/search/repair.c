/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every move replaces one box by a changed copy, and is allowed when the exact evaluation accepts
 * the copy and no model's total rate falls below its demand. Emptying a GPU is a sequence of such
 * moves with a journal, undone when one model finds no place.
 *
 * Looking at every box for every model is quadratic; LOOK bounds it for large fleets, starting at a
 * different place each time.
 */
#include "planner/solve/search/repair.h"

#include "planner/solve/space/fit.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Boxes looked at per move: at least these, and half of a larger fleet. */
#define LOOK 600

/* A demand counts as served within the contract's slack, with room to spare. */
#define SERVED (1 - GLET_TOLERANCE_RATIO / 8)

/* Moves per model of an emptied GPU. */
#define MOVES 6

struct repair {
    const struct glet_space *space;
    const struct glet_problem *problem;
    const double *demand_rps;
    struct glet_boxes *boxes;
    double *rate_rps; /* what the boxes serve now */
    double *change;   /* scratch, all zero between uses */
    int start;        /* where the next look begins */
};

static void count_rates(double *rate_rps, const struct glet_box *box, double sign)
{
    for (int a = 0; a < box->count; a++)
        for (int k = 0; k < box->atoms[a].count; k++)
            rate_rps[box->atoms[a].model[k]] += sign * glet_atom_rate_rps(&box->atoms[a], k);
}

static void forget_rates(double *rate_rps, const struct glet_box *box)
{
    for (int a = 0; a < box->count; a++)
        for (int k = 0; k < box->atoms[a].count; k++)
            rate_rps[box->atoms[a].model[k]] = 0;
}

/*
 * Whether trial may replace old; gain of model m in *gain. Other models may lose only what they
 * have to spare.
 */
static bool may_replace(struct repair *r, const struct glet_box *old, struct glet_box *trial, int m,
                        double *gain)
{
    if (!glet_box_evaluate(r->problem, trial))
        return false;
    count_rates(r->change, old, -1);
    count_rates(r->change, trial, 1);
    bool good = true;
    for (int a = 0; a < old->count && good; a++)
        for (int k = 0; k < old->atoms[a].count && good; k++) {
            int other = old->atoms[a].model[k];
            double after = r->rate_rps[other] + r->change[other];
            good = other == m || r->change[other] >= 0 || after >= r->demand_rps[other] * SERVED;
        }
    *gain = r->change[m];
    forget_rates(r->change, old);
    forget_rates(r->change, trial);
    return good;
}

struct move {
    int box; /* -1 = none */
    double gain;
    struct glet_box after;
};

static void offer(struct repair *r, int i, struct glet_box *trial, int m, double missing,
                  struct move *best)
{
    double gain;
    if (!may_replace(r, glet_boxes_at(r->boxes, i), trial, m, &gain))
        return;
    gain = fmin(gain, missing);
    if (gain > best->gain * (1 + 1e-9) && gain > missing * 1e-3) {
        best->box = i;
        best->gain = gain;
        glet_box_copy(&best->after, trial);
    }
}

/* A new gpu-let of the model in the free units, as large as they allow. */
static void try_new_let(struct repair *r, int i, int m, double missing, struct move *best)
{
    const struct glet_box *box = glet_boxes_at(r->boxes, i);
    const struct glet_problem_type *type = &r->problem->types[box->type];
    int free_units = type->layouts ? type->units : glet_box_free_units(r->problem, box);
    if (box->count >= type->max_gpulets)
        return;
    int level = box->count ? r->space->types[box->type].even_count : 0;
    for (int s = type->size_count - 1; s >= 0; s--) {
        if (type->sizes_units[s] > free_units)
            continue;
        const struct glet_single *one = glet_space_best(r->space, box->type, level, m, s);
        if (one->rate_rps <= 0)
            continue;
        struct glet_box trial;
        glet_box_copy(&trial, box);
        struct glet_atom *atom = &trial.atoms[trial.count++];
        *atom = glet_atom_single(s, m, one->batch);
        double before = best->gain;
        offer(r, i, &trial, m, missing, best);
        if (best->gain > before || !type->layouts)
            return;
    }
}

static double neighbours(const struct repair *r, const struct glet_box *box, int skip)
{
    double worst = -INFINITY;
    for (int j = 0; j < box->count; j++)
        if (j != skip)
            worst = fmax(worst, glet_atom_aggressor(r->problem, box->type, &box->atoms[j]));
    return worst;
}

/* Rates that the atom must keep, its spare rate left out. */
static void needed_rates(const struct repair *r, const struct glet_atom *atom, int m, double *need)
{
    for (int k = 0; k < atom->count; k++) {
        int other = atom->model[k];
        double rate_rps = glet_atom_rate_rps(atom, k);
        double spare_rps = r->rate_rps[other] - r->demand_rps[other];
        need[k] = other == m ? rate_rps : fmax(0, rate_rps - fmax(0, spare_rps));
    }
}

/* The model joins gpu-let a, or gets more of it, with new batches for all. */
static void try_share(struct repair *r, int i, int a, int m, double missing, struct move *best)
{
    const struct glet_box *box = glet_boxes_at(r->boxes, i);
    const struct glet_problem_type *type = &r->problem->types[box->type];
    const struct glet_atom *atom = &box->atoms[a];
    double need[GLET_ATOM_PARTS + 1];
    uint16_t models[GLET_ATOM_PARTS + 1];
    int count = atom->count, at = -1;
    needed_rates(r, atom, m, need);
    for (int k = 0; k < count; k++) {
        models[k] = atom->model[k];
        if (models[k] == m)
            at = k;
    }
    if (at < 0) {
        if (count >= GLET_ATOM_PARTS)
            return;
        at = count++;
        models[at] = (uint16_t)m;
        need[at] = 0;
    }
    need[at] += missing;
    struct glet_surroundings around = {box->count == 1, type->linear ? neighbours(r, box, a) : 0};
    struct glet_atom changed;
    int grow = type->layouts ? 0 : glet_box_free_units(r->problem, box);
    for (int s = atom->size; s < type->size_count; s++) {
        if (type->sizes_units[s] - type->sizes_units[atom->size] > grow)
            break;
        if (!glet_fit_rates(r->problem, box->type, s, around, count, models, need, &changed))
            continue;
        struct glet_box trial;
        glet_box_copy(&trial, box);
        trial.atoms[a] = changed;
        offer(r, i, &trial, m, missing, best);
        return;
    }
}

/* The best single move that serves more of model m; box -1 when there is none. */
static void find_move(struct repair *r, int m, double missing, int skip, struct move *best)
{
    best->box = -1;
    best->gain = 0;
    int count = r->boxes->count, most = count / 2 > LOOK ? count / 2 : LOOK;
    int looks = count < most ? count : most;
    for (int look = 0; look < looks; look++) {
        int i = (r->start + look) % count;
        if (i == skip || glet_boxes_at(r->boxes, i)->count == 0)
            continue;
        try_new_let(r, i, m, missing, best);
        for (int a = 0; a < glet_boxes_at(r->boxes, i)->count && best->gain < missing * 0.999; a++)
            try_share(r, i, a, m, missing, best);
        if (best->gain >= missing * 0.999)
            break;
    }
    if (count > most)
        r->start = (r->start + 37) % count;
}

struct undo {
    int box;
    struct glet_box before;
};

/* Serves what model m lacks by moves; appends what they replaced to the journal. */
static bool serve(struct repair *r, int m, int skip, struct undo *journal, int *journal_count,
                  int journal_room)
{
    struct move move;
    for (int moves = 0; moves < MOVES; moves++) {
        double missing = r->demand_rps[m] - r->rate_rps[m];
        if (r->rate_rps[m] >= r->demand_rps[m] * SERVED)
            return true;
        if (*journal_count >= journal_room)
            return false;
        find_move(r, m, missing * (1 + 1e-12), skip, &move);
        if (move.box < 0)
            return false;
        const struct glet_box *box = glet_boxes_at(r->boxes, move.box);
        journal[*journal_count].box = move.box;
        glet_box_copy(&journal[(*journal_count)++].before, box);
        count_rates(r->rate_rps, box, -1);
        count_rates(r->rate_rps, &move.after, 1);
        glet_boxes_set(r->boxes, move.box, &move.after);
    }
    return r->rate_rps[m] >= r->demand_rps[m] * SERVED;
}

struct victim {
    int box;
    double use; /* units that the demands really need, times the GPU's cost */
};

static int least_used(const void *a, const void *b)
{
    const struct victim *x = a, *y = b;
    if (x->use != y->use)
        return x->use > y->use ? 1 : -1;
    return x->box - y->box;
}

static double needed_units(const struct repair *r, const struct glet_box *box)
{
    double sum = 0;
    for (int a = 0; a < box->count; a++) {
        const struct glet_atom *atom = &box->atoms[a];
        double part = 0;
        for (int k = 0; k < atom->count; k++) {
            double rate_rps = glet_atom_rate_rps(atom, k);
            double spare_rps = r->rate_rps[atom->model[k]] - r->demand_rps[atom->model[k]];
            part += fmax(0, rate_rps - spare_rps) / rate_rps;
        }
        if (atom->count)
            sum += r->problem->types[box->type].sizes_units[atom->size] * part / atom->count;
    }
    return sum;
}

static bool dissolve_one(struct repair *r, int victim, struct undo *journal, int room)
{
    struct glet_box gone;
    int journal_count = 0;
    glet_box_copy(&gone, glet_boxes_at(r->boxes, victim));
    glet_boxes_clear(r->boxes, victim);
    count_rates(r->rate_rps, &gone, -1);
    bool good = true;
    for (int a = 0; a < gone.count && good; a++)
        for (int k = 0; k < gone.atoms[a].count && good; k++)
            good = serve(r, gone.atoms[a].model[k], victim, journal, &journal_count, room);
    if (good)
        return true;
    while (journal_count > 0) {
        struct undo *undo = &journal[--journal_count];
        glet_boxes_set(r->boxes, undo->box, &undo->before);
    }
    glet_boxes_set(r->boxes, victim, &gone);
    glet_boxes_rates(r->problem, r->boxes, r->rate_rps);
    return false;
}

static void repair_init(struct repair *r, const struct glet_space *space, const double *demand_rps,
                        struct glet_boxes *boxes)
{
    size_t models = (size_t)space->problem->model_count;
    *r = (struct repair){
        .space = space, .problem = space->problem, .demand_rps = demand_rps, .boxes = boxes};
    r->rate_rps = glet_must_alloc(sizeof *r->rate_rps, models);
    r->change = glet_must_alloc(sizeof *r->change, models);
    glet_boxes_rates(r->problem, boxes, r->rate_rps);
}

static void repair_fini(struct repair *r)
{
    free(r->rate_rps);
    free(r->change);
}

int glet_repair_dissolve(const struct glet_space *space, const double *demand_rps,
                         struct glet_boxes *boxes, int tries, const struct glet_halt *halt)
{
    enum { JOURNAL = 64 };
    struct repair r;
    repair_init(&r, space, demand_rps, boxes);
    struct victim *order = glet_must_alloc(sizeof *order, (size_t)boxes->count);
    struct undo *journal = glet_must_alloc(sizeof *journal, JOURNAL);
    for (int i = 0; i < boxes->count; i++)
        order[i] = (struct victim){i, needed_units(&r, glet_boxes_at(boxes, i))};
    qsort(order, (size_t)boxes->count, sizeof *order, least_used);
    int removed = 0;
    for (int t = 0; t < tries && t < boxes->count && !glet_halted(halt); t++)
        removed += dissolve_one(&r, order[t].box, journal, JOURNAL);
    glet_boxes_sweep(boxes);
    free(order);
    free(journal);
    repair_fini(&r);
    return removed;
}

/* A GPU of the cheapest type with stock left, to serve model m alone; false when there is none. */
static bool open_gpu(struct repair *r, int m)
{
    int best_type = -1, best_size = -1;
    double best = 0;
    for (int g = 0; g < r->problem->type_count; g++) {
        const struct glet_problem_type *type = &r->problem->types[g];
        int used = 0;
        for (int i = 0; i < r->boxes->count && type->count >= 0; i++) {
            const struct glet_box *box = glet_boxes_at(r->boxes, i);
            used += box->count > 0 && box->type == g;
        }
        for (int s = 0; s < type->size_count && (type->count < 0 || used < type->count); s++) {
            const struct glet_single *one = glet_space_best(r->space, g, 0, m, s);
            double missing = r->demand_rps[m] - r->rate_rps[m];
            double worth = fmin(one->rate_rps, missing) / glet_type_cost(r->problem, g) /
                           (one->rate_rps >= missing ? type->sizes_units[s] : type->units);
            if (worth > best) {
                best = worth;
                best_type = g;
                best_size = s;
            }
        }
    }
    if (best_type < 0)
        return false;
    struct glet_box box = {.type = best_type, .count = 1};
    box.atoms[0] = glet_atom_single(best_size, m,
                                    glet_space_best(r->space, best_type, 0, m, best_size)->batch);
    if (!glet_box_evaluate(r->problem, &box))
        return false;
    glet_boxes_add(r->boxes, &box);
    count_rates(r->rate_rps, &box, 1);
    return true;
}

/* Gives up the least used GPUs beyond the stock of their type. */
static void drop_excess(struct repair *r)
{
    struct glet_boxes *boxes = r->boxes;
    struct victim *order = glet_must_alloc(sizeof *order, (size_t)boxes->count);
    for (int g = 0; g < r->problem->type_count; g++) {
        int used = 0, stock = r->problem->types[g].count;
        for (int i = 0; i < boxes->count; i++)
            if (glet_boxes_at(boxes, i)->type == g)
                order[used++] = (struct victim){i, needed_units(r, glet_boxes_at(boxes, i))};
        if (stock < 0 || used <= stock)
            continue;
        qsort(order, (size_t)used, sizeof *order, least_used);
        for (int i = 0; i < used - stock; i++) {
            count_rates(r->rate_rps, glet_boxes_at(boxes, order[i].box), -1);
            glet_boxes_clear(boxes, order[i].box);
        }
    }
    free(order);
    glet_boxes_sweep(boxes);
}

#define PATIENCE 20000 /* GPUs, which are opened in less than a second */

bool glet_repair_cover(const struct glet_space *space, const double *demand_rps,
                       const struct glet_halt *halt, struct glet_boxes *boxes)
{
    enum { JOURNAL = 64 };
    struct repair r;
    repair_init(&r, space, demand_rps, boxes);
    drop_excess(&r);
    struct undo *journal = glet_must_alloc(sizeof *journal, JOURNAL);
    bool good = true;
    for (int m = 0; m < r.problem->model_count && good; m++)
        for (double gained_rps = INFINITY; good && r.rate_rps[m] < demand_rps[m] * SERVED;) {
            double before_rps = r.rate_rps[m];
            int journal_count = 0;
            /* What takes another whole GPU has no room elsewhere. */
            if (boxes->count && demand_rps[m] - before_rps < gained_rps &&
                serve(&r, m, -1, journal, &journal_count, JOURNAL))
                break;
            good = (boxes->count < PATIENCE || !glet_halted(halt)) && open_gpu(&r, m);
            gained_rps = r.rate_rps[m] - before_rps;
        }
    free(journal);
    repair_fini(&r);
    return good;
}
