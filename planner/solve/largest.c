/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Max-rate is a search over the factor: every plan found raises the lower end to what the plan can
 * really serve, every proof lowers the upper end, and what stays undecided only narrows the search,
 * never the proven upper end.
 */
#include "planner/solve/largest.h"

#include "planner/solve/apps/app_bound.h"
#include "planner/solve/apps/app_search.h"
#include "planner/solve/bound/bound.h"
#include "planner/solve/exact/menu.h"
#include "planner/solve/search/anneal.h"
#include "planner/solve/search/repair.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>

#define POLISH_MODELS   4
#define LIMIT_MAX       1e12
#define LIMIT_TRIES     60
#define STEP            5e-5 /* relative, of the limit */
#define ROUGH_TRIES     5
#define APP_STEP        1e-3 /* a smaller one is not worth a search for prices */
#define TRIES           24
#define COUNTED_TRIES   3
#define COUNTED_STEP    0.99 /* whole GPUs are a little harder to fill with less */
#define PROOFS          3
#define PROOF_RATIO     1.002
#define FIRST_STEP      0.01 /* upwards from the plan of a rough climb */
#define ROUGH_UNDECIDED 8    /* tries that take milliseconds: to a hundredth of the gap */
#define GROW_STEP       0.2  /* upwards by changes to the plan at hand: first, */
#define GROW_LEAST      5e-4 /* and least */
#define GROW_TRIES      60
#define GROW_GPUS       200 /* so many are changed in less than a second */
#define ANNEAL_LEAST    1.0002
#define LEVELS          8 /* interference levels (space.h) */
#define FALLS           8 /* of the scale until a plan is found; the last by a factor of 2^8 */

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

/* What bounds say of the stock at a scale. */
struct limit {
    const struct glet_task *task;
    struct glet_problem *view;  /* the demands at the scale that is looked at */
    struct glet_problem *split; /* with apps: the same at one split of their SLOs; else NULL */
    struct glet_space space;    /* without apps */
    double *cost, stock;
};

static double bound_at(struct limit *l, double scale)
{
    struct glet_bound_options options = {.rounds = 60, .halt = l->task->halt};
    double bound = 0;
    scale_demands(l->task->problem, l->view, scale);
    if (!l->split)
        return glet_bound_find(&l->space, l->cost, &options, NULL);
    scale_demands(l->task->problem, l->split, scale);
    struct glet_app_bound_options apps = {.room_ratio = 1, .halt = l->task->halt};
    glet_app_bound(l->view, l->split, l->cost, &apps, &bound);
    return bound;
}

/*
 * The smallest scale that is proven to be too much, within 2 x step; LIMIT_MAX when there is none.
 * A bound grows as the demands do, faster where several stocks are limited, slower where models need
 * less than a gpu-let: one sees about where it meets the stock, and looks ever farther beyond that.
 * rough: a bound that exceeds the stock by no more than that will do, and so will a few tries.
 */
static double meet(struct limit *l, double guess, double step, bool rough)
{
    double low = 0, high = LIMIT_MAX, reach = step, trial = guess > 0 ? guess * (1 + step) : 1;
    for (int i = 0; i < LIMIT_TRIES && !glet_halted(l->task->halt); i++) {
        double bound = bound_at(l, trial);
        double next = trial * fmin(1e3, fmax(1e-3, l->stock / bound));
        bool out = bound > l->stock * (1 + GLET_TOLERANCE_RATIO);
        if (out)
            high = trial;
        else
            low = trial;
        if (high <= low * (1 + 2 * step))
            break;
        if (rough && high < LIMIT_MAX && (bound <= l->stock * (1 + 2 * step) || i >= ROUGH_TRIES))
            break;
        trial = out ? fmin(next * (1 + step), trial / (1 + reach)) : next * (1 + reach);
        if (low > 0 && !(trial > low && trial < high))
            trial = sqrt(low * high);
        reach *= 2;
    }
    return high;
}

double glet_largest_limit(const struct glet_task *task, double guess)
{
    struct glet_problem problem = *task->problem;
    struct glet_problem_type *types = glet_problem_types_unlimited(&problem);
    struct limit l = {.task = task, .stock = glet_stock_cost(&problem)};
    double high = LIMIT_MAX;
    if (types && problem.type_count == 1)
        problem.types = types; /* near its limit the program's prices lose their meaning */
    l.cost = glet_type_costs(&problem);
    l.view = glet_problem_view(&problem);
    l.split = problem.app_count ? glet_problem_view(&problem) : NULL;
    if (l.view) {
        glet_space_init(&l.space, &problem, 1); /* prices do not depend on levels */
        l.space.problem = l.view;
        high = meet(&l, guess, l.split ? APP_STEP : STEP, l.split != NULL);
        glet_space_fini(&l.space);
    }
    glet_problem_free(l.split);
    glet_problem_free(l.view);
    free(l.cost);
    free(types);
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
    struct glet_task at = {.problem = c->view,
                           .effort = c->effort,
                           .halt = c->task->halt,
                           .enough = INFINITY,
                           .is_try = true};
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
    static const double proven[] = {1.005, 1.001, 1.0002}, unproven[] = {1.01, 1.002, 1.0005};
    bool sure = c->high >= c->out->scale_bound;
    return c->high <= c->low * (sure ? proven : unproven)[c->effort];
}

/*
 * A first plan: near the bound, where good planners end, then ever farther below it. Where SLOs
 * differ much, models that share a gpu-let serve a fraction of what the bound promises them.
 */
static void descend(struct climb *c, enum glet_effort effort)
{
    c->effort = effort;
    c->high = c->out->scale_bound;
    for (int i = 0; c->low <= 0 && i < 4 + FALLS && !glet_halted(c->task->halt); i++)
        try_scale(c,
                  i < 4 ? c->out->scale_bound * (1 - 0.04 * (1 << i)) : c->high / (2 << (i - 4)));
    c->undecided = 0;
}

/* Halves what is open until the ends are near, or so many tries were left undecided. */
static void halve(struct climb *c, int undecided)
{
    for (int i = 0; i < TRIES && c->low > 0 && c->undecided < undecided && !is_near(c); i++) {
        if (glet_halted(c->task->halt))
            return;
        try_scale(c, c->high > 4 * c->low ? sqrt(c->low * c->high) : (c->low + c->high) / 2);
    }
}

/* Whether small changes to the plan at hand make it serve the scale. */
static bool grow_to(struct climb *c, const struct glet_space *space, struct glet_problem *at,
                    double scale)
{
    double *demand_rps = glet_must_alloc(sizeof *demand_rps, (size_t)at->model_count);
    struct glet_outcome one = {.found = true};
    double before = c->low;
    for (int m = 0; m < at->model_count; m++)
        demand_rps[m] = at->models[m].demand_rps = c->task->problem->models[m].demand_rps * scale;
    glet_boxes_copy(&one.boxes, &c->out->boxes);
    if (glet_repair_cover(space, demand_rps, c->task->halt, &one.boxes) &&
        glet_boxes_within_stock(at, &one.boxes)) {
        one.cost = glet_boxes_cost(at, &one.boxes);
        take_found(c, &one);
    }
    glet_outcome_fini(&one);
    free(demand_rps);
    return c->low > before * (1 + GLET_TOLERANCE_RATIO);
}

/* The problem at the limits that the plan at hand keeps, where its apps are no concern; or NULL. */
static struct glet_problem *view_at_plan(const struct climb *c)
{
    const struct glet_problem *problem = c->task->problem;
    struct glet_problem *at =
        problem->app_count ? glet_app_view(problem, &c->out->boxes) : glet_problem_view(problem);
    if (at)
        at->app_count = 0; /* the limits keep its paths */
    return at;
}

/* Raises what the plan at hand serves by small changes to it, in a fraction of a search's time. */
static void grow(struct climb *c)
{
    struct glet_space space;
    if (c->low <= 0 || c->out->boxes.count > GROW_GPUS)
        return;
    struct glet_problem *at = view_at_plan(c);
    if (!at)
        return;
    glet_space_init(&space, at, LEVELS);
    double step = GROW_STEP;
    for (int i = 0; i < GROW_TRIES && step >= GROW_LEAST && !glet_halted(c->task->halt); i++)
        if (!grow_to(c, &space, at, c->low * (1 + step)))
            step /= 2;
    glet_space_fini(&space);
    glet_problem_free(at);
}

/* The plan at hand on all GPUs of the stock, those that it leaves out empty. */
static void fill_stock(const struct glet_problem *problem, struct glet_boxes *boxes)
{
    for (int g = 0; g < problem->type_count; g++) {
        int missing = problem->types[g].count;
        struct glet_box empty = {.type = g};
        for (int i = 0; i < boxes->count; i++)
            missing -= glet_boxes_at(boxes, i)->type == g;
        for (; missing > 0; missing--)
            glet_boxes_add(boxes, &empty);
    }
}

/* Looks for a larger scale on few GPUs, away from the plan at hand. */
static void anneal(struct climb *c)
{
    static const int runs[] = {1, 8, 30};
    static const long steps[] = {100000, 300000, 1000000};
    const struct glet_problem *problem = c->task->problem;
    double gpus = 0;
    for (int g = 0; g < problem->type_count; g++)
        gpus += problem->types[g].count;
    if (c->low <= 0 || c->out->scale_bound <= c->low * ANNEAL_LEAST || gpus > INT16_MAX ||
        !glet_anneal_suits(problem, (int)gpus))
        return;
    struct glet_problem *at = view_at_plan(c);
    if (!at)
        return;
    struct glet_outcome one = {.found = true};
    struct glet_anneal_options options = {.runs = runs[c->task->effort],
                                          .steps = steps[c->task->effort],
                                          .guess = c->low,
                                          .enough = INFINITY,
                                          .halt = c->task->halt};
    glet_boxes_copy(&one.boxes, &c->out->boxes);
    fill_stock(problem, &one.boxes);
    glet_anneal(at, &options, &one.boxes);
    glet_boxes_sweep(&one.boxes);
    one.cost = glet_boxes_cost(at, &one.boxes);
    take_found(c, &one);
    glet_outcome_fini(&one);
    glet_problem_free(at);
}

/* Halves what lies between the least undecided scale and the proven end. */
static void close_bound(struct climb *c)
{
    double open = c->high;
    for (int i = 0; i < PROOFS && c->out->scale_bound > open * PROOF_RATIO; i++) {
        double scale = (open + c->out->scale_bound) / 2;
        if (glet_halted(c->task->halt))
            return;
        if (try_scale(c, scale) || c->out->scale_bound > scale)
            open = scale;
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
    struct glet_task at = {.problem = c->view,
                           .effort = GLET_EFFORT_FAST,
                           .halt = c->task->halt,
                           .enough = stock,
                           .count = true,
                           .is_try = true,
                           .most = stock};
    for (int i = 0; !glet_halted(c->task->halt); i++) {
        struct glet_outcome one;
        scale_demands(c->task->problem, c->view, scale);
        glet_outcome_count(&at, &one);
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
}

/*
 * What cannot be served costs far more than what can: first a rough climb, then thorough tries. With
 * small menus those mostly decide; elsewhere they go in growing steps from there, and once more
 * between.
 */
static void climb(struct climb *c, bool menu)
{
    static const int undecided[] = {2, 3, 12};
    const int rough = menu ? ROUGH_UNDECIDED : 2;
    enum glet_effort effort = c->task->effort;
    c->effort = GLET_EFFORT_FAST;
    if (!menu && c->task->problem->type_count == 1)
        climb_by_count(c);
    if (c->low <= 0)
        descend(c, GLET_EFFORT_FAST);
    if (c->low <= 0 && effort > GLET_EFFORT_FAST &&
        glet_demanded(c->task->problem) <= GLET_MENU_MODELS)
        descend(c, effort);
    c->effort = GLET_EFFORT_FAST;
    grow(c);
    halve(c, rough);
    grow(c);
    anneal(c);
    if (effort == GLET_EFFORT_FAST || c->low <= 0)
        return;
    c->effort = effort;
    c->high = c->out->scale_bound;
    c->undecided = 0;
    for (double step = FIRST_STEP; !is_near(c) && !glet_halted(c->task->halt); step *= 2)
        if (!try_scale(c, fmin(c->low * (1 + step), (c->low + c->high) / 2)))
            break;
    halve(c, undecided[effort] - !menu);
    if (menu)
        close_bound(c);
}

/* Where a try takes milliseconds: to the last part in 2 million. */
static void polish(struct climb *c)
{
    for (int i = 0; i < 20 && c->low > 0 && !glet_halted(c->task->halt); i++)
        if (c->low * (1 + 5e-7) >= c->out->scale_bound || !try_scale(c, c->low * (1 + 5e-7)))
            break;
}

void glet_outcome_largest(const struct glet_task *task, struct glet_outcome *out)
{
    const struct glet_problem *problem = task->problem;
    double stock = glet_stock_cost(problem);
    int models = glet_demanded(problem);
    *out =
        (struct glet_outcome){.cost = INFINITY, .beyond_cost = INFINITY, .scale_bound = INFINITY};
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
    struct climb c = {.task = task, .view = view, .out = out, .high = task->scale_limit};
    if (c.high <= 0)
        c.high = glet_largest_limit(task, task->scale_guess);
    out->scale_bound = c.high;
    climb(&c, models <= GLET_MENU_MODELS && problem->app_count == 0);
    if (models <= POLISH_MODELS)
        polish(&c);
    out->scale_bound = fmax(out->scale_bound, out->scale);
    glet_problem_free(view);
}
