/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Max-rate is a search over the factor: every plan found raises the lower end to what the plan can
 * really serve, every proof lowers the upper end, and what stays undecided only narrows the search,
 * never the proven upper end.
 */
#include "planner/solve/outcome.h"

#include "planner/solve/app_bound.h"
#include "planner/solve/app_search.h"
#include "planner/solve/menu.h"
#include "planner/solve/scratch.h"
#include "planner/solve/split.h"
#include "planner/solve/survive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS        8 /* interference levels (space.h) */
#define POLISH_MODELS 4
#define APP_STEPS     6     /* towards the scale that prices over all splits exclude */
#define APP_STEP      0.001 /* relative; a smaller step is not worth a search for prices */
#define TRIES         24
#define COUNTED_TRIES 3
#define COUNTED_STEP  0.99 /* whole GPUs are a little harder to fill with less */
#define FIRST_STEP    0.01 /* upwards from the plan of a rough climb */

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

/* Where the cheap bound without limits meets the stock: it grows about as the demands do. */
static double guess_limit(const struct glet_space *space, const struct glet_problem *problem,
                          const double *cost, double stock)
{
    struct glet_bound_options options = {.rounds = 60};
    struct glet_problem open = *problem;
    struct glet_space at = *space;
    double bound = 0;
    open.types = glet_problem_types_unlimited(problem);
    at.problem = &open;
    if (open.types)
        bound = glet_bound_find(&at, cost, &options, NULL);
    free(open.types);
    return bound > 1e-12 && isfinite(bound) ? stock / bound : 1;
}

/* The smallest scale that the cheap bound excludes, within a part in 10^4. */
static double cheap_limit(const struct glet_problem *problem, struct glet_problem *view,
                          double stock)
{
    struct glet_space space;
    glet_space_init(&space, problem, LEVELS);
    space.problem = view;
    double *cost = glet_type_costs(problem);
    double high = fmax(1e-12, guess_limit(&space, problem, cost, stock)), low = 0;
    double step = 1.0005;
    for (; high < 1e12 && !out_of_reach(&space, view, problem, high, cost, stock); step *= step) {
        low = high;
        high *= step;
    }
    for (; low == 0 && high > 1e-12; step *= step) {
        double less = high / step;
        if (out_of_reach(&space, view, problem, less, cost, stock))
            high = less;
        else
            low = less;
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

/*
 * The smallest scale that prices over all splits of the apps' SLOs exclude; `high` if none. Their
 * bound grows about as the demands do, so that each step lands just above what the stock allows.
 */
static double app_limit(const struct glet_task *task, struct glet_problem *view, double stock,
                        double high)
{
    const struct glet_problem *problem = task->problem;
    struct glet_problem *split = glet_problem_view(problem);
    double *cost = glet_type_costs(problem);
    bool good = split && glet_apps_split(problem, split, 0);
    double trial = high;
    for (int i = 0; i < APP_STEPS && good && !glet_halted(task->halt); i++) {
        double bound = 0;
        scale_demands(problem, view, trial);
        scale_demands(problem, split, trial);
        good = glet_app_bound(view, split, cost, 1, task->halt, &bound) &&
               bound > stock * (1 + GLET_TOLERANCE_RATIO);
        if (bound <= stock * (1 + GLET_TOLERANCE_RATIO))
            break;
        high = trial;
        trial *= fmax(0.5, stock / bound * (1 + APP_STEP));
        if (trial > high * (1 - APP_STEP))
            break;
    }
    free(cost);
    glet_problem_free(split);
    return high;
}

struct climb {
    const struct glet_task *task;
    struct glet_problem *view;
    struct glet_outcome *out;
    enum glet_effort effort;
    double low, high; /* a plan serves low; high is out of reach, or was left undecided */
    int undecided;    /* tries that neither found nor excluded a plan */
};

/* A plan for scale x the demands within the stock. */
static void take_found(struct climb *c, const struct glet_outcome *one)
{
    c->low = fmax(c->low, reach(c->task->problem, &one->boxes));
    if (c->low > c->out->scale) {
        c->out->scale = c->low;
        c->out->found = true;
        c->out->cost = one->cost;
        glet_boxes_copy(&c->out->boxes, &one->boxes);
    }
}

/* Plans for scale x the demands and narrows the climb by the answer. Returns whether it found. */
static bool try_scale(struct climb *c, double scale)
{
    struct glet_task at = {
        .problem = c->view, .effort = c->effort, .halt = c->task->halt, .enough = INFINITY};
    struct glet_outcome one;
    scale_demands(c->task->problem, c->view, scale);
    glet_outcome_cheapest(&at, &one);
    bool found = one.found;
    if (found) {
        take_found(c, &one);
    } else {
        c->high = scale;
        if (one.impossible)
            c->out->scale_bound = fmin(c->out->scale_bound, scale);
        else
            c->undecided++;
    }
    glet_outcome_fini(&one);
    return found;
}

/* Whether the ends meet: an undecided upper end is not worth as much as a proven one. */
static bool is_near(const struct climb *c)
{
    static const double proven[] = {1.005, 1.001, 1.0002}, unproven[] = {1.01, 1.005, 1.0005};
    bool sure = c->high >= c->out->scale_bound;
    return c->high <= c->low * (sure ? proven : unproven)[c->effort];
}

/* Halves what is open until the ends are near, or so many tries were left undecided. */
static void halve(struct climb *c, int undecided)
{
    for (int i = 0; i < TRIES && c->undecided < undecided && !is_near(c); i++) {
        /* The first tries look near the bound, where good planners end. */
        double below = i < 4 ? c->out->scale_bound * (1 - 0.04 * (1 << i)) : c->high / 2;
        if (glet_halted(c->task->halt))
            return;
        try_scale(c, c->low > 0 ? (c->low + c->high) / 2 : below);
    }
}

/*
 * With one type a plan without limits tells by how many GPUs a scale is missed, in a fraction of the
 * time that it takes to find no plan within the limits.
 */
static void climb_by_count(struct climb *c)
{
    double stock = glet_stock_cost(c->task->problem), beyond = c->high;
    double guess = c->task->scale_guess, scale = guess > 0 ? fmin(guess, beyond) : beyond;
    struct glet_problem open = *c->view; /* shares models[] */
    open.types = glet_problem_types_unlimited(c->view);
    struct glet_task at = {
        .problem = &open, .effort = GLET_EFFORT_FAST, .halt = c->task->halt, .enough = stock};
    for (int i = 0; open.types && !glet_halted(c->task->halt); i++) {
        struct glet_outcome one;
        scale_demands(c->task->problem, c->view, scale);
        glet_outcome_cheapest(&at, &one);
        if (one.found && one.cost <= stock * (1 + GLET_TOLERANCE_RATIO)) {
            take_found(c, &one);
            scale = (c->low + beyond) / 2;
        } else if (one.found) {
            beyond = scale;
            scale = c->low > 0 ? (c->low + beyond) / 2 : scale * stock / one.cost * COUNTED_STEP;
        }
        bool found = one.found;
        glet_outcome_fini(&one);
        bool good = c->low > 0 && (i + 1 >= COUNTED_TRIES || c->task->effort == GLET_EFFORT_FAST);
        if (!found || good || i + 1 >= 3 * COUNTED_TRIES)
            break;
    }
    free(open.types);
}

/*
 * Small menus decide most tries. Elsewhere what cannot be served costs far more than what can: first
 * a rough climb, then thorough tries in growing steps from there, and once more between.
 */
static void climb(struct climb *c, bool menu)
{
    static const int undecided[] = {2, 3, 12};
    enum glet_effort effort = c->task->effort;
    c->effort = menu ? effort : GLET_EFFORT_FAST;
    if (!menu && c->task->problem->type_count == 1)
        climb_by_count(c);
    if (c->low <= 0)
        halve(c, undecided[effort]);
    if (menu || effort == GLET_EFFORT_FAST || c->low <= 0)
        return;
    c->effort = effort;
    c->high = c->out->scale_bound;
    c->undecided = 0;
    for (double step = FIRST_STEP; !is_near(c) && !glet_halted(c->task->halt); step *= 2)
        if (!try_scale(c, fmin(c->low * (1 + step), (c->low + c->high) / 2)))
            break;
    halve(c, undecided[effort] - 1);
}

/* Where a try takes milliseconds: to the last part in 2 million. */
static void polish(struct climb *c)
{
    for (int i = 0; i < 20 && c->low > 0 && !glet_halted(c->task->halt); i++)
        if (c->low * (1 + 5e-7) >= c->out->scale_bound || !try_scale(c, c->low * (1 + 5e-7)))
            break;
}

static int demanded(const struct glet_problem *problem)
{
    int count = 0;
    for (int m = 0; m < problem->model_count; m++)
        count += problem->models[m].demand_rps > 0;
    return count;
}

void glet_outcome_largest(const struct glet_task *task, struct glet_outcome *out)
{
    const struct glet_problem *problem = task->problem;
    double stock = glet_stock_cost(problem);
    int models = demanded(problem);
    *out = (struct glet_outcome){.cost = INFINITY, .scale_bound = INFINITY};
    if (models == 0) { /* nothing to serve: no GPU serves any multiple of it */
        out->found = true;
        out->scale = INFINITY;
        return;
    }
    struct glet_problem *view = glet_problem_view(problem);
    if (!view || !isfinite(stock)) {
        glet_problem_free(view);
        return;
    }
    struct climb c = {
        .task = task, .view = view, .out = out, .high = cheap_limit(problem, view, stock)};
    if (problem->app_count)
        c.high = app_limit(task, view, stock, c.high);
    out->scale_bound = c.high;
    climb(&c, models <= GLET_MENU_MODELS && problem->app_count == 0);
    if (models <= POLISH_MODELS)
        polish(&c);
    out->scale_bound = fmax(out->scale_bound, out->scale);
    glet_problem_free(view);
}
