/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/baseline/place.h"

#include "planner/solve/space/fit.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void glet_place_init(struct glet_place *place, const struct glet_problem *problem,
                     bool interference, struct glet_boxes *boxes)
{
    *place = (struct glet_place){.problem = problem, .interference = interference, .boxes = boxes};
    for (int g = 1; g < problem->type_count; g++)
        if (glet_type_cost(problem, g) < glet_type_cost(problem, place->type))
            place->type = g;
    place->max_gpulets = problem->types[place->type].max_gpulets;
    place->rate_rps = glet_must_alloc(sizeof(double), (size_t)problem->model_count);
}

void glet_place_fini(struct glet_place *place)
{
    free(place->rate_rps);
}

double glet_place_missing(const struct glet_place *place, int m)
{
    double demand_rps = place->problem->models[m].demand_rps;
    double missing = demand_rps - place->rate_rps[m];
    return missing > demand_rps * GLET_TOLERANCE_RATIO / 4 ? missing : 0;
}

double glet_place_solo(const struct glet_place *place, int m, int size, int *batch_out)
{
    const struct glet_problem_type *t = &place->problem->types[place->type];
    const struct glet_cell_row *row = &t->rows[m * t->size_count + size];
    double best = 0;
    *batch_out = 0;
    for (int i = 0; row->cells && i <= row->last_batch - row->first_batch; i++) {
        double ms = row->cells[i].latency_ms;
        int batch = row->first_batch + i;
        double mib =
            t->context_mib + place->problem->models[m].memory_mib + row->cells[i].activation_mib;
        if (2 * ms > place->problem->models[m].limit_ms || mib > t->memory_mib ||
            batch > UINT16_MAX || 1000.0 * batch / ms <= best)
            continue;
        best = 1000.0 * batch / ms;
        *batch_out = batch;
    }
    return best;
}

int glet_place_knee(const struct glet_place *place, int m)
{
    const struct glet_problem_type *t = &place->problem->types[place->type];
    int batch, knee = -1;
    double whole = glet_place_solo(place, m, t->size_count - 1, &batch), best = -INFINITY;
    for (int s = 0; s < t->size_count; s++) {
        double rate = glet_place_solo(place, m, s, &batch);
        double above = rate / fmax(whole, 1e-12) - (double)t->sizes_units[s] / t->units;
        if (batch && above > best + 1e-9) {
            best = above;
            knee = s;
        }
    }
    return knee;
}

int glet_place_required(const struct glet_place *place, int m, double rate_rps)
{
    int batch;
    for (int s = 0; s < place->problem->types[place->type].size_count; s++)
        if (glet_place_solo(place, m, s, &batch) >= rate_rps)
            return s;
    return -1;
}

bool glet_place_full(const struct glet_place *place)
{
    int count = place->problem->types[place->type].count;
    if (place->most_gpus > 0 && place->boxes->count >= place->most_gpus)
        return true;
    if (glet_halted(place->halt))
        return true;
    return count >= 0 && place->boxes->count >= count;
}

/* Duty cycles without neighbours, for a planner that does not know of them. */
static void forget_interference(const struct glet_problem *problem, struct glet_box *box)
{
    for (int a = 0; a < box->count; a++) {
        struct glet_atom *atom = &box->atoms[a];
        atom->duty_ms = 0;
        for (int k = 0; k < atom->count; k++)
            atom->duty_ms +=
                glet_problem_cell(problem, box->type, atom->model[k], atom->size, atom->batch[k])
                    ->latency_ms;
    }
}

/* Whether a blind planner takes the box for feasible: each gpu-let alone. */
static bool fits_blindly(const struct glet_problem *problem, struct glet_box *box)
{
    glet_box_evaluate(problem, box);
    if (glet_box_free_units(problem, box) < 0 || box->count > problem->types[box->type].max_gpulets)
        return false;
    for (int a = 0; a < box->count; a++) {
        struct glet_box alone = {.type = box->type, .count = 1};
        alone.atoms[0] = box->atoms[a];
        if (!glet_box_evaluate(problem, &alone))
            return false;
    }
    forget_interference(problem, box);
    return true;
}

static bool fits(const struct glet_place *place, struct glet_box *box)
{
    if (box->count > place->max_gpulets)
        return false;
    return place->interference ? glet_box_evaluate(place->problem, box)
                               : fits_blindly(place->problem, box);
}

static void count_box(struct glet_place *place, const struct glet_box *box, double sign)
{
    for (int a = 0; a < box->count; a++)
        for (int k = 0; k < box->atoms[a].count; k++)
            place->rate_rps[box->atoms[a].model[k]] += sign * glet_atom_rate_rps(&box->atoms[a], k);
}

void glet_place_set(struct glet_place *place, int i, const struct glet_box *box)
{
    if (i < 0) {
        glet_boxes_add(place->boxes, box);
    } else {
        count_box(place, glet_boxes_at(place->boxes, i), -1);
        glet_boxes_set(place->boxes, i, box);
    }
    count_box(place, box, 1);
}

bool glet_place_put(struct glet_place *place, int i, const struct glet_box *box)
{
    struct glet_box trial;
    glet_box_copy(&trial, box);
    if (!fits(place, &trial))
        return false;
    glet_place_set(place, i, &trial);
    return true;
}

double glet_place_add(struct glet_place *place, int i, int m, int size)
{
    const struct glet_problem_type *t = &place->problem->types[place->type];
    const struct glet_cell_row *row = &t->rows[m * t->size_count + size];
    struct glet_box before = {.type = place->type}, best, trial;
    double best_rate = 0;
    if (i >= 0)
        glet_box_copy(&before, glet_boxes_at(place->boxes, i));
    if (before.count >= place->max_gpulets || (i < 0 && glet_place_full(place)) || !row->cells)
        return 0;
    for (int batch = row->last_batch; batch >= row->first_batch; batch--) {
        if (2 * row->cells[batch - row->first_batch].latency_ms >
                place->problem->models[m].limit_ms ||
            batch > UINT16_MAX)
            continue;
        glet_box_copy(&trial, &before);
        struct glet_atom *atom = &trial.atoms[trial.count++];
        *atom = glet_atom_single(size, m, batch);
        if (!fits(place, &trial))
            continue;
        best_rate = glet_atom_rate_rps(&trial.atoms[trial.count - 1], 0);
        glet_box_copy(&best, &trial);
        break; /* "the largest batch whose latency meets the SLO" */
    }
    if (best_rate > 0)
        glet_place_set(place, i, &best);
    return best_rate;
}

bool glet_place_join(struct glet_place *place, int i, int a, int m)
{
    struct glet_box trial;
    glet_box_copy(&trial, glet_boxes_at(place->boxes, i));
    const struct glet_atom *atom = &trial.atoms[a];
    if (atom->count >= GLET_ATOM_PARTS)
        return false;
    uint16_t models[GLET_ATOM_PARTS];
    double rate_rps[GLET_ATOM_PARTS], worst = -INFINITY;
    int count = atom->count;
    for (int k = 0; k < count; k++) {
        models[k] = atom->model[k];
        if (models[k] == m)
            return false;
        double demand_rps = place->problem->models[models[k]].demand_rps;
        double spare = fmax(0, place->rate_rps[models[k]] - demand_rps);
        rate_rps[k] = fmax(0, glet_atom_rate_rps(atom, k) - spare);
    }
    models[count] = (uint16_t)m;
    rate_rps[count++] = glet_place_missing(place, m);
    for (int j = 0; j < trial.count; j++)
        if (j != a)
            worst = fmax(worst, glet_atom_aggressor(place->problem, place->type, &trial.atoms[j]));
    bool linear = place->problem->types[place->type].linear;
    struct glet_surroundings around = {trial.count == 1 || !place->interference,
                                       linear ? worst : 0};
    struct glet_atom changed;
    if (!glet_fit_rates(place->problem, place->type, atom->size, around, count, models, rate_rps,
                        &changed))
        return false;
    trial.atoms[a] = changed;
    if (!fits(place, &trial))
        return false;
    glet_place_set(place, i, &trial);
    return true;
}
