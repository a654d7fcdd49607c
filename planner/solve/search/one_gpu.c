/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Depth first over the multisets of sizes, fewest gpu-lets first, and over the gpu-lets that a model
 * can be in, the most demanding model first. A partial gpu-let beside the mildest neighbours tells
 * whether its models fit at all; the real neighbours are looked at when all have a place. Two
 * gpu-lets need no more than one model in both: each gets as much of it as the others there leave.
 */
#include "planner/solve/search/one_gpu.h"

#include "planner/solve/space/fit.h"

#include <math.h>
#include <stdlib.h>

#define SERVED_SLACK (GLET_TOLERANCE_RATIO / 8)

struct one_gpu {
    struct glet_search *search;
    const struct glet_problem_type *type;
    int models[GLET_ATOM_PARTS], count; /* the most demanding first */
    double need[GLET_ATOM_PARTS];       /* share of a whole GPU, of each of them */
    struct glet_box box;                /* under construction */
    bool may_spread;                    /* one model over several gpu-lets */
    int spread;                         /* which; -1 = none */
    long fits;                          /* gpu-lets that may still be tried */
};

/*
 * Batches for the atom's models, and one model more unless m < 0: all of its rate, or with rest_rps
 * as much of that as there is time for, which is then taken from it.
 */
static bool fit(struct one_gpu *o, const struct glet_atom *atom, int m, double *rest_rps,
                double aggressor, struct glet_atom *out)
{
    const struct glet_problem *problem = o->search->problem;
    struct glet_surroundings around = {o->box.count == 1, o->type->linear ? aggressor : 0};
    uint16_t models[GLET_ATOM_PARTS + 1];
    double rate_rps[GLET_ATOM_PARTS + 1];
    int count = atom->count;
    for (int k = 0; k < count; k++)
        models[k] = atom->model[k];
    if (m >= 0)
        models[count++] = (uint16_t)m;
    for (int k = 0; k < count; k++)
        rate_rps[k] = o->search->demand_rps[models[k]];
    o->fits--;
    if (!rest_rps)
        return glet_fit_rates(problem, o->box.type, atom->size, around, count, models, rate_rps,
                              out);
    rate_rps[count - 1] = *rest_rps;
    if (*rest_rps <= 0 ||
        !glet_fit_most(problem, o->box.type, atom->size, around, count, models, rate_rps, out))
        return atom->count && fit(o, atom, -1, NULL, aggressor, out);
    *rest_rps -= glet_atom_rate_rps(out, count - 1);
    return true;
}

/* Batches beside such neighbours; false when something is left to serve. */
static bool fit_all(struct one_gpu *o, const double *aggressor, struct glet_box *box)
{
    double rest_rps = o->spread < 0 ? 0 : o->search->demand_rps[o->spread];
    for (int a = 0; a < box->count; a++) {
        double worst = o->type->aggressor_min_ratio;
        for (int j = 0; j < box->count; j++)
            worst = j == a ? worst : fmax(worst, aggressor[j]);
        if (!fit(o, &o->box.atoms[a], o->spread, o->spread < 0 ? NULL : &rest_rps, worst,
                 &box->atoms[a]))
            return false;
    }
    return o->spread < 0 || rest_rps <= o->search->demand_rps[o->spread] * SERVED_SLACK;
}

/* Batches beside the neighbours that are really there: only ever harsher ones, so that it ends. */
static bool settle(struct one_gpu *o)
{
    const struct glet_problem *problem = o->search->problem;
    struct glet_boxes boxes = {0};
    struct glet_box box;
    double aggressor[GLET_BOX_ATOMS];
    glet_box_copy(&box, &o->box);
    for (int a = 0; a < box.count; a++) {
        aggressor[a] = -INFINITY;
        if (box.atoms[a].count == 0 && o->spread < 0)
            return false; /* fewer gpu-lets were tried before */
    }
    for (bool changed = true; changed;) {
        if (!fit_all(o, aggressor, &box))
            return false;
        changed = false;
        for (int a = 0; a < box.count; a++) {
            double now = glet_atom_aggressor(problem, box.type, &box.atoms[a]);
            changed |= now > aggressor[a] && box.count > 1;
            aggressor[a] = fmax(aggressor[a], now);
        }
    }
    glet_boxes_add(&boxes, &box);
    bool found = glet_boxes_evaluate(problem, &boxes, 0) && glet_search_offer(o->search, &boxes);
    glet_boxes_free(&boxes);
    return found;
}

/* Places the models from number `next` on. */
static bool place(struct one_gpu *o, int next)
{
    if (next == o->count)
        return settle(o);
    for (int a = 0; a < o->box.count && o->fits > 0; a++) {
        struct glet_atom *atom = &o->box.atoms[a], before = *atom;
        bool twin = a > 0 && atom->count == 0 && o->box.atoms[a - 1].count == 0 &&
                    atom->size == o->box.atoms[a - 1].size;
        if (twin || before.count >= GLET_ATOM_PARTS)
            continue;
        if (fit(o, &before, o->models[next], NULL, o->type->aggressor_min_ratio, atom) &&
            place(o, next + 1))
            return true;
        *atom = before;
    }
    if (!o->may_spread || o->spread >= 0)
        return false;
    o->spread = o->models[next];
    bool found = place(o, next + 1);
    o->spread = -1;
    return found;
}

/* Adds gpu-lets of sizes up to `most` until there are so many. */
static bool cut(struct one_gpu *o, int lets, int most, int units)
{
    if (o->box.count == lets)
        return place(o, 0);
    for (int s = most; s >= 0 && o->fits > 0; s--) {
        int sizes[GLET_BOX_ATOMS];
        if (o->type->sizes_units[s] > units)
            continue;
        o->box.atoms[o->box.count++] = (struct glet_atom){.size = (int16_t)s};
        for (int a = 0; a < o->box.count; a++)
            sizes[a] = o->type->sizes_units[o->box.atoms[a].size];
        bool found = glet_problem_sizes_fit(o->type, sizes, o->box.count) &&
                     cut(o, lets, s, units - o->type->sizes_units[s]);
        if (found)
            return true;
        o->box.count--;
        for (int a = 0; a < o->box.count; a++)
            o->box.atoms[a].count = 0;
    }
    return false;
}

/* The models with demand, by the share of a GPU that they need at least. */
static bool list_models(struct one_gpu *o, int type)
{
    const struct glet_problem *problem = o->search->problem;
    for (int m = 0; m < problem->model_count; m++) {
        double need = INFINITY;
        if (problem->models[m].demand_rps <= 0)
            continue;
        for (int s = 0; s < o->type->size_count; s++) {
            double rate_rps = glet_space_best(o->search->space, type, 0, m, s)->rate_rps;
            if (rate_rps > 0)
                need = fmin(need, problem->models[m].demand_rps / rate_rps *
                                      o->type->sizes_units[s] / o->type->units);
        }
        if (o->count == GLET_ATOM_PARTS || !isfinite(need))
            return false;
        int at = o->count++;
        for (; at > 0 && o->need[at - 1] < need; at--) {
            o->need[at] = o->need[at - 1];
            o->models[at] = o->models[at - 1];
        }
        o->need[at] = need;
        o->models[at] = m;
    }
    return o->count > 0;
}

static void run_type(struct glet_search *search, int g)
{
    static const long fits[] = {20000, 200000, 2000000}; /* a million take a second */
    struct one_gpu o = {.search = search, .type = &search->problem->types[g], .spread = -1};
    if (o.type->count == 0 || search->bound > search->cost[g] ||
        search->best_cost <= search->cost[g] || !list_models(&o, g))
        return;
    int most = o.type->max_gpulets <= o.count ? o.type->max_gpulets : o.count + 1;
    for (int spread = 0; spread < 2; spread++) {
        o.may_spread = spread > 0;
        o.fits = fits[search->effort];
        for (int lets = 1 + spread; lets <= most && lets <= GLET_BOX_ATOMS && o.fits > 0; lets++) {
            if (glet_halted(search->halt))
                return;
            o.box = (struct glet_box){.type = g};
            if (cut(&o, lets, o.type->size_count - 1, o.type->units))
                return;
        }
    }
}

void glet_one_gpu_run(struct glet_search *search)
{
    for (int g = 0; g < search->problem->type_count && !search->survive; g++)
        if (!glet_search_closed(search))
            run_type(search, g);
}
