/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Replanning is repair with the old plan as the start: unserved demand first, then dissolving.
 * Dissolving changes gpu-lets, so it goes one GPU at a time and the last state within the budget of
 * moves is kept. Unchanged demand leaves nothing to serve; GPUs are then only emptied when the
 * fresh search found that fewer suffice.
 *
 * Surviving: a plan survives the loss of GPU i when the others serve every demand. Every round
 * finds the model and GPU with the largest hole and serves that model's demand plus the hole.
 */
#include "planner/solve/replan.h"

#include "planner/solve/repair.h"
#include "planner/solve/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS 8 /* interference levels (space.h) */

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

int glet_replan_moves(const struct glet_boxes *old, const struct glet_boxes *now)
{
    bool *taken = glet_must_alloc(sizeof *taken, (size_t)old->count * GLET_BOX_ATOMS);
    int moves = 0;
    for (int i = 0; i < now->count; i++)
        for (int a = 0; a < now->list[i].count; a++) {
            bool found = false;
            for (int j = 0; j < old->count && !found; j++)
                for (int b = 0; b < old->list[j].count && !found; b++) {
                    bool *used = &taken[j * GLET_BOX_ATOMS + b];
                    if (*used || old->list[j].type != now->list[i].type ||
                        !same_atom(&old->list[j].atoms[b], &now->list[i].atoms[a]))
                        continue;
                    found = *used = true;
                }
            moves += !found;
        }
    free(taken);
    return moves;
}

/* What is still possible of the old plan: no models without demand, no GPU that breaks a rule. */
static void keep_possible(const struct glet_problem *problem, const struct glet_boxes *old,
                          struct glet_boxes *out)
{
    for (int i = 0; i < old->count; i++) {
        struct glet_box box = {.type = old->list[i].type};
        for (int a = 0; a < old->list[i].count; a++) {
            struct glet_atom atom = old->list[i].atoms[a];
            for (int k = 0; k < atom.count; k++)
                if (problem->models[atom.model[k]].demand_rps <= 0) {
                    atom.count--;
                    atom.model[k] = atom.model[atom.count];
                    atom.batch[k] = atom.batch[atom.count];
                    k--;
                }
            if (atom.count)
                box.atoms[box.count++] = atom;
        }
        while (box.count && !glet_box_evaluate(problem, &box))
            box.count--;
        if (box.count)
            glet_boxes_add(out, &box);
    }
}

static bool serves_all(const struct glet_problem *problem, const struct glet_boxes *boxes)
{
    double *rate_rps = glet_must_alloc(sizeof *rate_rps, (size_t)problem->model_count);
    bool good = true;
    glet_boxes_rates(problem, boxes, rate_rps);
    for (int m = 0; m < problem->model_count; m++)
        good &= rate_rps[m] >= problem->models[m].demand_rps * (1 - GLET_TOLERANCE_RATIO / 4);
    free(rate_rps);
    return good;
}

static void dissolve_within(const struct glet_search *search, const struct glet_boxes *old,
                            int max_moves, struct glet_boxes *boxes)
{
    struct glet_boxes trial = {0};
    double floor_cost = search->best_cost; /* of the fresh plan: no more is worth trying */
    while (glet_boxes_cost(search->problem, boxes) > floor_cost * (1 + 1e-9) &&
           !glet_halted(search->halt)) {
        glet_boxes_copy(&trial, boxes);
        if (!glet_repair_dissolve(search->space, search->demand_rps, &trial, 40, search->halt) ||
            (max_moves >= 0 && glet_replan_moves(old, &trial) > max_moves))
            break;
        glet_boxes_copy(boxes, &trial);
    }
    glet_boxes_free(&trial);
}

void glet_replan(const struct glet_task *task, const struct glet_boxes *old, int max_moves,
                 struct glet_outcome *out)
{
    const struct glet_problem *problem = task->problem;
    struct glet_space space;
    struct glet_search search;
    struct glet_boxes boxes = {0};
    glet_space_init(&space, problem, LEVELS);
    glet_search_init(&search, problem, &space, task->effort, task->halt);
    search.best_cost = out->found ? out->cost : INFINITY;
    keep_possible(problem, old, &boxes);
    bool good = serves_all(problem, &boxes) || glet_repair_cover(&space, search.demand_rps, &boxes);
    if (good)
        dissolve_within(&search, old, max_moves, &boxes);
    bool fresh_fits =
        out->found && (max_moves < 0 || glet_replan_moves(old, &out->boxes) <= max_moves);
    double cost = glet_boxes_cost(problem, &boxes);
    search.best_cost = INFINITY;
    if (good && glet_search_offer(&search, &boxes) &&
        (!fresh_fits || cost <= out->cost * (1 + 1e-9))) {
        glet_boxes_copy(&out->boxes, &boxes);
        out->cost = cost;
        out->found = true;
    } else if (!fresh_fits) {
        out->found = false;
    }
    glet_boxes_free(&boxes);
    glet_search_fini(&search);
    glet_space_fini(&space);
}

/* The largest shortfall of any model when one GPU is gone, relative to its demand. */
static double worst_hole(const struct glet_problem *problem, const struct glet_boxes *boxes,
                         double *rate_rps, double *hole_rps)
{
    double worst = 0;
    struct glet_boxes one = {.count = 1};
    double *gone_rps = glet_must_alloc(sizeof *gone_rps, (size_t)problem->model_count);
    glet_boxes_rates(problem, boxes, rate_rps);
    memset(hole_rps, 0, sizeof *hole_rps * (size_t)problem->model_count);
    for (int i = 0; i < boxes->count; i++) {
        one.list = &boxes->list[i];
        glet_boxes_rates(problem, &one, gone_rps);
        for (int m = 0; m < problem->model_count; m++) {
            double demand_rps = problem->models[m].demand_rps;
            double missing = demand_rps - (rate_rps[m] - gone_rps[m]);
            if (demand_rps <= 0 || missing <= demand_rps * GLET_TOLERANCE_RATIO / 4)
                continue;
            hole_rps[m] = fmax(hole_rps[m], missing);
            worst = fmax(worst, missing / demand_rps);
        }
    }
    free(gone_rps);
    return worst;
}

bool glet_replan_survive(const struct glet_task *task, struct glet_boxes *boxes)
{
    const struct glet_problem *problem = task->problem;
    struct glet_space space;
    size_t models = (size_t)problem->model_count;
    double *rate_rps = glet_must_alloc(sizeof *rate_rps, models);
    double *hole_rps = glet_must_alloc(sizeof *hole_rps, models);
    glet_space_init(&space, problem, LEVELS);
    bool good = true;
    int before = boxes->count;
    /* Each round adds spare rate on GPUs of their own, so that it is never lost together. */
    while (good && worst_hole(problem, boxes, rate_rps, hole_rps) > 0) {
        struct glet_boxes spare = {0};
        int *left = glet_must_alloc(sizeof *left, (size_t)problem->type_count);
        good = glet_repair_cover(&space, hole_rps, &spare) && spare.count > 0;
        for (int g = 0; g < problem->type_count; g++)
            left[g] = problem->types[g].count < 0 ? 1 << 30 : problem->types[g].count;
        for (int i = 0; i < boxes->count; i++)
            left[boxes->list[i].type]--;
        for (int i = 0; i < spare.count && good; i++) {
            good = left[spare.list[i].type]-- > 0;
            if (good)
                glet_boxes_add(boxes, &spare.list[i]);
        }
        good = good && boxes->count < 4 * before + 64;
        glet_boxes_free(&spare);
        free(left);
    }
    glet_space_fini(&space);
    free(rate_rps);
    free(hole_rps);
    return good;
}
