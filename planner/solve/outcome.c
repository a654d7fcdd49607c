/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Max-rate is a search over the factor: every plan found raises the lower end to what the plan can
 * really serve, every proof lowers the upper end, and what stays undecided only narrows the search,
 * never the proven upper end.
 */
#include "planner/solve/outcome.h"

#include "planner/solve/app_search.h"
#include "planner/solve/scratch.h"
#include "planner/solve/survive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS        8 /* interference levels (space.h) */
#define POLISH_MODELS 4

double glet_stock_cost(const struct glet_problem *problem)
{
    double all = 0;
    for (int g = 0; g < problem->type_count; g++) {
        if (problem->types[g].count < 0)
            return INFINITY;
        all += problem->types[g].count * glet_type_cost(problem, g);
    }
    return all;
}

void glet_outcome_fini(struct glet_outcome *outcome)
{
    glet_boxes_free(&outcome->boxes);
}

static void take_plan(struct glet_outcome *out, const struct glet_search *search)
{
    if (!isfinite(search->best_cost) || (out->found && search->best_cost >= out->cost))
        return;
    out->found = true;
    out->cost = search->best_cost;
    glet_boxes_copy(&out->boxes, &search->best);
}

void glet_outcome_at_limits(const struct glet_task *task, struct glet_outcome *out)
{
    struct glet_space space;
    struct glet_search search;
    *out = (struct glet_outcome){.cost = INFINITY};
    glet_space_init(&space, task->problem, LEVELS);
    glet_search_init(&search, task->problem, &space, task->effort, task->halt);
    search.enough = task->enough;
    glet_search_run(&search);
    out->bound = search.bound;
    take_plan(out, &search);
    glet_search_fini(&search);
    glet_space_fini(&space);
    if (task->survive)
        glet_survive(task, out);
}

void glet_outcome_cheapest(const struct glet_task *task, struct glet_outcome *out)
{
    if (task->problem->app_count)
        glet_app_search(task, out);
    else
        glet_outcome_at_limits(task, out);
    out->impossible =
        !out->found && out->bound > glet_stock_cost(task->problem) * (1 + GLET_TOLERANCE_RATIO);
}

/* How far the plan's rates reach beyond the demands. */
static double reach(const struct glet_problem *problem, const struct glet_boxes *boxes)
{
    double *rate_rps = glet_must_alloc(sizeof *rate_rps, (size_t)problem->model_count);
    double scale = INFINITY;
    glet_boxes_rates(problem, boxes, rate_rps);
    for (int m = 0; m < problem->model_count; m++)
        if (problem->models[m].demand_rps > 0)
            scale = fmin(scale, rate_rps[m] / problem->models[m].demand_rps);
    free(rate_rps);
    return scale;
}

static void scale_demands(const struct glet_problem *problem, struct glet_problem *view,
                          double scale)
{
    for (int m = 0; m < problem->model_count; m++)
        view->models[m].demand_rps = problem->models[m].demand_rps * scale;
}

/* Whether the size-price bound alone proves that the scale is out of reach. */
static bool out_of_reach(const struct glet_space *space, struct glet_problem *view,
                         const struct glet_problem *problem, double scale, const double *cost,
                         double stock)
{
    struct glet_bound_options options = {.rounds = 60};
    scale_demands(problem, view, scale);
    return glet_bound_find(space, cost, &options, NULL) > stock * (1 + GLET_TOLERANCE_RATIO);
}

/* The smallest scale that the cheap bound excludes, within a part in 10^4. */
static double cheap_limit(const struct glet_problem *problem, struct glet_problem *view,
                          double stock)
{
    struct glet_space space;
    glet_space_init(&space, problem, LEVELS);
    space.problem = view;
    double *cost = glet_must_alloc(sizeof *cost, (size_t)problem->type_count);
    for (int g = 0; g < problem->type_count; g++)
        cost[g] = glet_type_cost(problem, g);
    double high = 1, low = 0;
    while (high < 1e12 && !out_of_reach(&space, view, problem, high, cost, stock)) {
        low = high;
        high *= 4;
    }
    while (low == 0 && high > 1e-12) { /* the demands themselves may be far out of reach */
        double quarter = high / 4;
        if (out_of_reach(&space, view, problem, quarter, cost, stock))
            high = quarter;
        else
            low = quarter;
    }
    while (high > low * 1.0001 && high > 1e-12) {
        double middle = sqrt(low * high);
        if (out_of_reach(&space, view, problem, middle, cost, stock))
            high = middle;
        else
            low = middle;
    }
    free(cost);
    glet_space_fini(&space);
    return high;
}

/* Plans for scale x the demands; raises *low to what the plan found can serve. */
static bool try_scale(const struct glet_task *task, struct glet_problem *view, double scale,
                      double *low, struct glet_outcome *out)
{
    struct glet_task at = {
        .problem = view, .effort = task->effort, .halt = task->halt, .enough = INFINITY};
    struct glet_outcome one;
    scale_demands(task->problem, view, scale);
    glet_outcome_cheapest(&at, &one);
    bool found = one.found;
    if (found) {
        *low = fmax(*low, reach(task->problem, &one.boxes));
        if (*low > out->scale) {
            out->scale = *low;
            out->found = true;
            out->cost = one.cost;
            glet_boxes_copy(&out->boxes, &one.boxes);
        }
    } else if (one.impossible) {
        out->scale_bound = fmin(out->scale_bound, scale);
    }
    glet_outcome_fini(&one);
    return found;
}

/* Where a try takes milliseconds: to the last part in 2 million. */
static void polish(const struct glet_task *task, struct glet_problem *view, double *low,
                   struct glet_outcome *out)
{
    int models = 0;
    for (int m = 0; m < task->problem->model_count; m++)
        models += task->problem->models[m].demand_rps > 0;
    for (int i = 0; i < 20 && *low > 0 && models <= POLISH_MODELS && !glet_halted(task->halt); i++)
        if (*low * (1 + 5e-7) >= out->scale_bound ||
            !try_scale(task, view, *low * (1 + 5e-7), low, out))
            break;
}

void glet_outcome_largest(const struct glet_task *task, struct glet_outcome *out)
{
    const struct glet_problem *problem = task->problem;
    double stock = glet_stock_cost(problem), demand = 0;
    *out = (struct glet_outcome){.cost = INFINITY, .scale_bound = INFINITY};
    for (int m = 0; m < problem->model_count; m++)
        demand += problem->models[m].demand_rps;
    if (demand <= 0) { /* nothing to serve: no GPU serves any multiple of it */
        out->found = true;
        out->scale = INFINITY;
        return;
    }
    struct glet_problem *view = glet_problem_view(problem);
    if (!view || !isfinite(stock)) {
        glet_problem_free(view);
        return;
    }
    double high = cheap_limit(problem, view, stock), low = 0;
    out->scale_bound = high;
    int tries = task->effort == GLET_EFFORT_FAST ? 8 : task->effort == GLET_EFFORT_MAX ? 24 : 14;
    /* What stayed undecided halfway need not be out of reach a little above the best plan. */
    static const double nudge[] = {1.0005, 1.002, 1.005};
    for (int i = 0; i < tries + 3; i++) {
        bool late = i >= tries || high <= low * 1.0002;
        /* The first tries look near the bound, where good planners end. */
        double scale = low > 0 ? (low + high) / 2 : high * (1 - 0.04 * (1 << (i < 4 ? i : 4)));
        if (low == 0 && i >= 4)
            scale = high / 2;
        if (late) {
            i = i < tries ? tries : i;
            scale = low * nudge[i - tries];
            if (scale >= out->scale_bound || low == 0)
                break;
        }
        if (!try_scale(task, view, scale, &low, out))
            high = scale;
        if (glet_halted(task->halt))
            break;
    }
    polish(task, view, &low, out);
    out->scale_bound = fmax(out->scale_bound, out->scale);
    glet_problem_free(view);
}
