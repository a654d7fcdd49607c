/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Replanning is repair with the old plan as the start: unserved demand first, then dissolving, one
 * GPU at a time, as long as the fresh search found that fewer suffice. Every state on the way is a
 * candidate, the fresh plan is another one, and on small problems the exact method (moves.h) has
 * the last word: cheaper first, then fewer moves.
 */
#include "planner/solve/replan.h"

#include "planner/solve/moves.h"
#include "planner/solve/search/repair.h"
#include "planner/solve/search/search_state.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS    8  /* interference levels (space.h) */
#define MOVES_MAX 16 /* that the exact method looks for */

/* What is still possible of the old plan: no models without demand, no GPU that breaks a rule. */
static void keep_possible(const struct glet_problem *problem, const struct glet_boxes *old,
                          struct glet_boxes *out)
{
    for (int i = 0; i < old->count; i++) {
        const struct glet_box *was = glet_boxes_at(old, i);
        struct glet_box box = {.type = was->type};
        for (int a = 0; a < was->count; a++) {
            struct glet_atom atom = was->atoms[a];
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

struct replan {
    const struct glet_task *task;
    const struct glet_boxes *old;
    int max_moves; /* -1 = any */
    struct glet_space space;
    struct glet_search search;
    bool found;
    struct glet_boxes best;
    double cost;
    int moves;
};

/* Cheaper first, then fewer moves. moves < 0: not counted yet. */
static void consider(struct replan *r, const struct glet_boxes *boxes, int moves)
{
    double cost = glet_boxes_cost(r->task->problem, boxes);
    if (moves < 0)
        moves = glet_moves_count(r->old, boxes);
    if (!glet_search_offer(&r->search, boxes) || (r->max_moves >= 0 && moves > r->max_moves))
        return;
    bool cheaper = cost<r->cost *(1 - 1e-9), dearer = cost> r->cost * (1 + 1e-9);
    if (r->found && !cheaper && (dearer || moves >= r->moves))
        return;
    r->found = true;
    r->cost = cost;
    r->moves = moves;
    glet_boxes_copy(&r->best, boxes);
}

/* Serves what is missing, then empties GPUs one at a time down to the cost of the fresh plan. */
static void repair_old(struct replan *r, double floor_cost)
{
    const struct glet_problem *problem = r->task->problem;
    struct glet_boxes boxes = {0};
    keep_possible(problem, r->old, &boxes);
    bool good = serves_all(problem, &boxes) ||
                glet_repair_cover(&r->space, r->search.demand_rps, r->task->halt, &boxes);
    if (good)
        consider(r, &boxes, -1);
    while (good && glet_boxes_cost(problem, &boxes) > floor_cost * (1 + 1e-9) &&
           !glet_halted(r->task->halt)) {
        good = glet_repair_dissolve(&r->space, r->search.demand_rps, &boxes, 40, r->task->halt) > 0;
        if (good)
            consider(r, &boxes, -1);
    }
    glet_boxes_free(&boxes);
}

static void take_exact(struct replan *r, struct glet_moves_answer *answer)
{
    if (answer->found)
        consider(r, &answer->boxes, answer->moves);
    glet_moves_answer_fini(answer);
}

/* Small problems: whether fewer moves do at the lowest cost, and which cost the moves allow. */
static void improve_exactly(struct replan *r, double lowest_cost, bool *complete)
{
    struct glet_moves_answer answer;
    bool cheapest = r->found && r->cost <= lowest_cost * (1 + 1e-9);
    int most = cheapest ? r->moves : r->max_moves < 0 ? MOVES_MAX : r->max_moves + 1;
    *complete = cheapest && r->moves == 0;
    if (*complete)
        return;
    glet_moves_fewest(r->task, r->old, lowest_cost, most, &answer);
    *complete = answer.complete;
    take_exact(r, &answer);
    if ((r->found && r->cost <= lowest_cost * (1 + 1e-9)) || r->max_moves < 0 || !*complete)
        return;
    glet_moves_cheapest(r->task, r->old, r->max_moves, &answer);
    *complete = answer.complete;
    take_exact(r, &answer);
    if (!r->found || r->moves == 0)
        return;
    glet_moves_fewest(r->task, r->old, r->cost, r->moves, &answer);
    take_exact(r, &answer);
}

void glet_replan(const struct glet_task *task, const struct glet_boxes *old, int max_moves,
                 struct glet_outcome *out)
{
    struct replan r = {.task = task, .old = old, .max_moves = max_moves, .cost = INFINITY};
    bool complete = false;
    glet_space_init(&r.space, task->problem, LEVELS);
    glet_search_init(&r.search, task->problem, &r.space, task->effort, task->halt);
    repair_old(&r, out->found ? out->cost : INFINITY);
    if (out->found) {
        consider(&r, &out->boxes, -1);
        improve_exactly(&r, out->cost, &complete);
    }
    out->found = r.found;
    out->cost = r.cost;
    out->impossible |= !r.found && complete;
    glet_boxes_copy(&out->boxes, &r.best);
    glet_boxes_free(&r.best);
    glet_search_fini(&r.search);
    glet_space_fini(&r.space);
}
