/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A plan survives the loss of any one GPU when, for every model, the GPUs together serve the demand
 * plus the most that one of them serves.
 *
 * Heuristic: serve that much, in free room of the plan and on GPUs of their own, until no hole is
 * left; then drop GPUs that turned out not to be needed. The better of three starts wins.
 *
 * Bound: N GPUs that survive serve at least N / (N - 1) times the demand, because the largest part
 * is at least the average; and without its dearest GPU the plan is still a plan.
 *
 * Exact, for small menus: exact.h. For few GPUs beyond those: anneal.h.
 */
#include "planner/solve/survive.h"

#include "planner/solve/bound/bound.h"
#include "planner/solve/exact/exact.h"
#include "planner/solve/search/fewer.h"
#include "planner/solve/search/repair.h"
#include "planner/solve/search/search.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS 8  /* interference levels (space.h) */
#define ROUNDS 40 /* of covering holes */

struct survive {
    const struct glet_task *task;
    const struct glet_problem *problem;
    struct glet_space space;
    struct glet_outcome *out;
    double *rate_rps, *gone_rps, *largest_rps, *wanted_rps; /* [model] scratch */
    struct glet_boxes best;
    double best_cost;
};

/* ---- what a plan lacks ---- */

/* Fills wanted_rps with the demand plus the largest part of one GPU; whether all of it is served.
 */
static bool survives(struct survive *s, const struct glet_boxes *boxes)
{
    const struct glet_problem *problem = s->problem;
    size_t models = (size_t)problem->model_count;
    bool good = true;
    memset(s->largest_rps, 0, models * sizeof *s->largest_rps);
    for (int i = 0; i < boxes->count; i++) {
        struct glet_boxes one = glet_boxes_part(boxes, i, 1);
        glet_boxes_rates(problem, &one, s->gone_rps);
        for (size_t m = 0; m < models; m++)
            s->largest_rps[m] =
                fmax(s->largest_rps[m], fmin(s->gone_rps[m], problem->models[m].demand_rps));
    }
    /* More than the whole demand on one GPU is worth no more than the demand. */
    memset(s->rate_rps, 0, models * sizeof *s->rate_rps);
    for (int i = 0; i < boxes->count; i++) {
        struct glet_boxes one = glet_boxes_part(boxes, i, 1);
        glet_boxes_rates(problem, &one, s->gone_rps);
        for (size_t m = 0; m < models; m++)
            s->rate_rps[m] += fmin(s->gone_rps[m], problem->models[m].demand_rps);
    }
    for (size_t m = 0; m < models; m++) {
        s->wanted_rps[m] = problem->models[m].demand_rps + s->largest_rps[m];
        good &= glet_within(s->wanted_rps[m] * (1 - GLET_TOLERANCE_RATIO / 2), s->rate_rps[m]);
    }
    return good;
}

/* Drops every GPU that is not needed. */
static void drop_spare(struct survive *s, struct glet_boxes *boxes)
{
    for (int i = boxes->count - 1; i >= 0 && !glet_halted(s->task->halt); i--) {
        int last = --boxes->count;
        glet_boxes_swap(boxes, i, last);
        if (survives(s, boxes))
            continue;
        boxes->count++;
        glet_boxes_swap(boxes, i, last);
    }
}

static void offer(struct survive *s, struct glet_boxes *boxes)
{
    if (!survives(s, boxes))
        return;
    drop_spare(s, boxes);
    double cost = glet_boxes_cost(s->problem, boxes);
    if (!glet_boxes_within_stock(s->problem, boxes) || cost >= s->best_cost * (1 - 1e-12))
        return;
    s->best_cost = cost;
    glet_boxes_copy(&s->best, boxes);
}

/* ---- heuristic ---- */

/* Spare rate on GPUs of its own: what is missing is never lost together with what it replaces. */
static bool add_spare_gpus(struct survive *s, struct glet_boxes *boxes)
{
    struct glet_boxes spare = {0};
    size_t models = (size_t)s->problem->model_count;
    for (size_t m = 0; m < models; m++)
        s->wanted_rps[m] = fmax(0, s->wanted_rps[m] - s->rate_rps[m]);
    bool good =
        glet_repair_cover(&s->space, s->wanted_rps, s->task->halt, &spare) && spare.count > 0;
    for (int i = 0; i < spare.count && good; i++)
        glet_boxes_add(boxes, glet_boxes_at(&spare, i));
    glet_boxes_free(&spare);
    return good && glet_boxes_within_stock(s->problem, boxes);
}

static void fill_holes(struct survive *s, const struct glet_boxes *start, bool apart)
{
    struct glet_boxes boxes = {0};
    glet_boxes_copy(&boxes, start);
    bool good = true;
    for (int i = 0; i < ROUNDS && good && !glet_halted(s->task->halt) && !survives(s, &boxes); i++)
        good = apart ? add_spare_gpus(s, &boxes)
                     : glet_repair_cover(&s->space, s->wanted_rps, s->task->halt, &boxes);
    offer(s, &boxes);
    glet_boxes_free(&boxes);
}

/* A plan for the demand that the survivors of as many GPUs would serve together. */
static void plan_for_more(struct survive *s, int gpus)
{
    struct glet_problem *view = glet_problem_view(s->problem);
    if (!view || gpus < 2) {
        glet_problem_free(view);
        return;
    }
    for (int m = 0; m < view->model_count; m++)
        view->models[m].demand_rps *= gpus / (gpus - 1.0);
    struct glet_space space;
    struct glet_search search;
    glet_space_init(&space, view, LEVELS);
    glet_search_init(&search, view, &space, GLET_EFFORT_FAST, s->task->halt);
    glet_search_run(&search);
    if (isfinite(search.best_cost)) {
        fill_holes(s, &search.best, false);
        fill_holes(s, &search.best, true);
    }
    glet_search_fini(&search);
    glet_space_fini(&space);
    glet_problem_free(view);
}

/* ---- bound ---- */

static double prove(struct survive *s)
{
    const struct glet_problem *problem = s->problem;
    double bound = s->out->bound;
    bool whole = glet_whole_costs(problem);
    if (!isfinite(bound) || bound <= 0)
        return bound;
    bound += glet_cheapest_cost(problem);

    struct glet_problem *view = glet_problem_view(problem);
    double *cost = glet_must_alloc(sizeof *cost, (size_t)problem->type_count);
    for (int g = 0; g < problem->type_count; g++)
        cost[g] = 1;
    for (bool raised = whole && view; raised && !glet_halted(s->task->halt);) {
        int gpus = (int)ceil(bound * (1 - 1e-12));
        for (int m = 0; m < problem->model_count; m++)
            view->models[m].demand_rps = problem->models[m].demand_rps * gpus / (gpus - 1.0);
        s->space.problem = view;
        struct glet_bound_options options = {.rounds = 60, .halt = s->task->halt};
        double least = glet_bound_find(&s->space, cost, &options, NULL);
        raised = least > gpus * (1 + 1e-12);
        if (raised)
            bound = isfinite(least) ? gpus + 1.0 : INFINITY;
        raised = raised && isfinite(bound);
    }
    s->space.problem = problem;
    free(cost);
    glet_problem_free(view);
    return bound;
}

/* ---- exact ---- */

/* For small menus: looks for better plans until there is provably none. */
static void run_exact(struct survive *s)
{
    struct glet_search search;
    glet_search_init(&search, s->problem, &s->space, s->task->effort, s->task->halt);
    search.survive = true;
    search.enough = s->task->enough;
    glet_search_raise(&search, s->out->bound);
    if (s->best.count)
        glet_search_offer(&search, &s->best);
    glet_exact_run(&search);
    glet_fewer_run(&search);
    if (search.best_cost < s->best_cost)
        offer(s, &search.best);
    s->out->bound = fmax(s->out->bound, search.bound);
    glet_search_fini(&search);
}

/* Proven, good enough, or an older plan is to be kept. */
static bool is_done(const struct survive *s)
{
    return s->task->keep || s->best_cost <= fmax(s->out->bound * (1 + 1e-12), s->task->enough);
}

void glet_survive(const struct glet_task *task, struct glet_outcome *out)
{
    struct survive s = {.task = task, .problem = task->problem, .out = out, .best_cost = INFINITY};
    size_t models = (size_t)task->problem->model_count;
    double stock = glet_stock_cost(task->problem);
    if (out->found && out->boxes.count == 0) /* nothing to serve, nothing to lose */
        return;
    s.rate_rps = glet_must_alloc(sizeof(double), models);
    s.gone_rps = glet_must_alloc(sizeof(double), models);
    s.largest_rps = glet_must_alloc(sizeof(double), models);
    s.wanted_rps = glet_must_alloc(sizeof(double), models);
    glet_space_init(&s.space, task->problem, LEVELS);
    out->bound = prove(&s);
    if (out->found && out->bound <= stock * (1 + GLET_TOLERANCE_RATIO)) {
        fill_holes(&s, &out->boxes, true);
        fill_holes(&s, &out->boxes, false);
        if (!is_done(&s))
            plan_for_more(&s, out->boxes.count + 1);
        if (!is_done(&s) && !glet_halted(task->halt))
            run_exact(&s);
    }
    out->found = isfinite(s.best_cost);
    out->cost = s.best_cost;
    glet_boxes_copy(&out->boxes, &s.best);
    out->impossible = !out->found && out->bound > stock * (1 + GLET_TOLERANCE_RATIO);
    glet_boxes_free(&s.best);
    glet_space_fini(&s.space);
    free(s.rate_rps);
    free(s.gone_rps);
    free(s.largest_rps);
    free(s.wanted_rps);
}
