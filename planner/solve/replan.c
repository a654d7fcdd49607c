/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Replanning is repair with the old plan as the start: unserved demand first, then dissolving.
 * Dissolving changes gpu-lets, so it goes one GPU at a time and the last state within the budget of
 * moves is kept. Unchanged demand leaves nothing to serve; GPUs are then only emptied when the
 * fresh search found that fewer suffice.
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
