/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/shortfall.h"

#include "planner/solve/apps/app_search.h"
#include "planner/solve/largest.h"

#include <math.h>
#include <stdlib.h>

#define GUESS_RATIO 0.99 /* whole GPUs are a little harder to fill with less */
#define SLACK       (2 * GLET_TOLERANCE_RATIO)

/* The plan beyond the stock that is at hand, or one that a fast search finds. */
static void count(const struct glet_task *task, struct glet_outcome *outcome,
                  struct glet_shortfall *out)
{
    out->bound = outcome->bound;
    if (!isfinite(outcome->beyond_cost)) {
        struct glet_problem open = *task->problem;
        struct glet_task at = *task;
        struct glet_outcome any = {.bound = 0};
        open.types = glet_problem_types_unlimited(task->problem);
        at.problem = &open;
        at.effort = GLET_EFFORT_FAST;
        if (open.types)
            glet_outcome_cheapest(&at, &any);
        free(open.types);
        out->bound = any.bound;
        outcome->linear = any.linear;
        if (any.found) {
            outcome->beyond = any.boxes;
            outcome->beyond_cost = any.cost;
            any.boxes = (struct glet_boxes){0};
        }
        glet_outcome_fini(&any);
    }
    if (isfinite(outcome->beyond_cost))
        out->gpus_enough = outcome->beyond.count;
}

static int stock_gpus(const struct glet_problem *problem)
{
    int sum = 0;
    for (int g = 0; g < problem->type_count; g++)
        sum += problem->types[g].count;
    return sum;
}

/*
 * The part of the rates that fits. With apps it is looked for at the latencies of the plan that is
 * at hand, which keep all paths: a search over the splits for every try would take most of the time.
 */
static void scale(const struct glet_task *task, const struct glet_outcome *outcome,
                  struct glet_shortfall *out)
{
    struct glet_problem rate = *task->problem;
    struct glet_task at = *task;
    struct glet_outcome largest;
    double stock = glet_stock_cost(&rate), linear = outcome->linear;
    double guess = out->gpus_enough ? (double)stock_gpus(&rate) / out->gpus_enough : 0;
    rate.objective = GLET_MAX_RATE;
    at.problem = &rate;
    at.effort = GLET_EFFORT_FAST;
    at.enough = 0;
    at.scale_guess = guess * GUESS_RATIO;
    at.scale_limit = linear > stock * (1 + SLACK) ? stock / linear * (1 + SLACK)
                     : linear > 0                 ? glet_largest_limit(&at, stock / linear)
                                                  : glet_largest_limit(&at, guess);
    struct glet_problem *flat =
        rate.app_count && out->gpus_enough ? glet_app_view(&rate, &outcome->beyond) : NULL;
    if (flat) {
        flat->app_count = 0;
        at.problem = flat;
    }
    glet_outcome_largest(&at, &largest);
    out->scale = largest.found ? largest.scale : 0;
    out->scale_bound = largest.scale_bound;
    glet_outcome_fini(&largest);
    glet_problem_free(flat);
}

void glet_shortfall_find(const struct glet_task *task, struct glet_outcome *outcome,
                         struct glet_shortfall *out)
{
    const struct glet_problem *problem = task->problem;
    double stock = glet_stock_cost(problem);
    *out = (struct glet_shortfall){0};
    count(task, outcome, out);
    if (!task->survive && isfinite(stock))
        scale(task, outcome, out);
    outcome->impossible |=
        out->scale_bound > 0 && out->scale_bound < 1 && !glet_within(1, out->scale_bound);
    /* With one type, what does not fit the stock needs at least one GPU more. */
    if (outcome->impossible && problem->type_count == 1 && out->bound <= stock)
        out->bound = stock + glet_type_cost(problem, 0);
}
