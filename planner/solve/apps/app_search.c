/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Branch and bound over the split of the apps' SLOs.
 *
 * A region gives every model a range for its largest latency bound in the plan. With each model
 * limited by the upper end alone, the apps' paths forgotten, it is a problem without apps: its
 * bound holds for every split in the region, and its plan may already keep the paths. Otherwise
 * some path of that plan is too long, and one model on it is cut in two at a time so that the plan
 * is in neither half: either the model is faster, or what it takes is missing to the others on its
 * paths (glet_problem_tighten()). The cheapest region goes first, so that the number of searches is
 * what the proof needs.
 *
 * Large problems take too many regions for a proof. Their plans come from splits that are cheapest
 * at prices, and from estimates, and the prices prove a bound for all splits at once (app_bound.h).
 *
 * Source of the problem: Nexus (SOSP'19) splits one tree by a dynamic program with one rate per
 * stage; here any DAG is allowed, models may serve several apps, and stages may share gpu-lets.
 */
#include "planner/solve/apps/app_search.h"
#include "planner/solve/at_limits.h"

#include "planner/solve/apps/app_bound.h"
#include "planner/solve/apps/split.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_MODELS 4   /* with demand: a search takes about a millisecond */
#define MENU_MODELS  8   /* a search takes up to a second */
#define GRID         512 /* of whole pieces */

struct region {
    double bound;                /* no plan in here is cheaper */
    double *floor_ms, *limit_ms; /* [model] the range of its largest latency bound */
};

struct app_search {
    const struct glet_task *task;
    const struct glet_problem *problem;
    struct glet_problem *view; /* the problem at one region's limits */
    struct glet_outcome *out;
    enum glet_effort effort; /* of the next search: at most the task's */
    struct region *open;
    int open_count, open_room;
    double least;     /* no plan at all is cheaper */
    double undecided; /* lowest bound of the regions that were given up */
    double *worst_ms; /* [model] scratch: largest latency bound of a plan */
    int *on_path;     /* [model] scratch: stages of the path that is too long */
};

static void region_free(struct region *region)
{
    free(region->floor_ms);
}

static struct region region_copy(const struct app_search *s, const struct region *from)
{
    size_t models = (size_t)s->problem->model_count;
    struct region out = {.bound = from ? from->bound : 0};
    out.floor_ms = glet_must_alloc(sizeof *out.floor_ms, 2 * models);
    out.limit_ms = out.floor_ms + models;
    if (from)
        memcpy(out.floor_ms, from->floor_ms, 2 * models * sizeof *out.floor_ms);
    return out;
}

/* Adds the region, unless it is empty; owns it from here on. */
static void push(struct app_search *s, struct region *region)
{
    bool empty = false,
         tight = glet_problem_tighten(s->problem, region->floor_ms, region->limit_ms) == 0;
    for (int m = 0; m < s->problem->model_count && tight && !empty; m++)
        empty = s->problem->models[m].demand_rps > 0 &&
                !glet_within(region->floor_ms[m], region->limit_ms[m]);
    if (empty) {
        region_free(region);
        return;
    }
    if (s->open_count == s->open_room) {
        s->open_room = s->open_room ? 2 * s->open_room : 16;
        s->open = glet_must_resize(s->open, sizeof *s->open, (size_t)s->open_room);
    }
    s->open[s->open_count++] = *region;
}

/* The cheapest open region, of equals the youngest. */
static struct region pop(struct app_search *s)
{
    int best = s->open_count - 1;
    for (int i = best - 1; i >= 0; i--)
        if (s->open[i].bound < s->open[best].bound)
            best = i;
    struct region out = s->open[best];
    memmove(&s->open[best], &s->open[best + 1],
            sizeof *s->open * (size_t)(s->open_count - 1 - best));
    s->open_count--;
    return out;
}

/* Largest latency bound of every model in the plan; whether the apps' paths keep their SLOs. */
static bool rate_plan(const struct glet_problem *problem, const struct glet_boxes *boxes,
                      double *worst_ms)
{
    struct glet_solution solution;
    glet_solution_init(&solution);
    bool good = glet_boxes_to_solution(problem, boxes, &solution) == 0;
    for (int m = 0; m < problem->model_count; m++)
        worst_ms[m] = 0;
    for (int g = 0; good && g < solution.gpu_count; g++)
        for (int i = 0; i < solution.gpus[g].let_count; i++) {
            const struct glet_let *let = &solution.gpus[g].lets[i];
            for (int k = 0; k < let->slot_count; k++) {
                double *worst = &worst_ms[let->slots[k].model];
                *worst = fmax(*worst, let->duty_cycle_ms + let->slots[k].exec_ms);
            }
        }
    good = good && glet_solution_apps_ok(problem, &solution);
    glet_solution_fini(&solution);
    return good;
}

/* Marks the longest path of the app in on_path; returns its length at value_ms[model]. */
static double longest_path(struct app_search *s, const struct glet_problem_app *app,
                           const double *value_ms)
{
    double *end_ms = glet_must_alloc(sizeof *end_ms, (size_t)app->stage_count);
    int *before = glet_must_alloc(sizeof *before, (size_t)app->stage_count), last = 0;
    for (int i = 0; i < app->stage_count; i++) {
        before[i] = -1;
        for (int j = 0; j < app->stages[i].after_count; j++) {
            int a = app->stages[i].after[j];
            if (before[i] < 0 || end_ms[a] > end_ms[before[i]])
                before[i] = a;
        }
        end_ms[i] = value_ms[app->stages[i].model] + (before[i] >= 0 ? end_ms[before[i]] : 0);
        if (end_ms[i] > end_ms[last])
            last = i;
    }
    double length_ms = end_ms[last];
    memset(s->on_path, 0, sizeof *s->on_path * (size_t)s->problem->model_count);
    for (int i = last; i >= 0; i = before[i])
        s->on_path[app->stages[i].model]++;
    free(end_ms);
    free(before);
    return length_ms;
}

/* Marks the path that exceeds its SLO most; returns by how much, at most 0 if none does. */
static double worst_excess_ms(struct app_search *s, const double *value_ms)
{
    const struct glet_problem_app *worst = NULL;
    double most = 0;
    for (int a = 0; a < s->problem->app_count; a++) {
        const struct glet_problem_app *app = &s->problem->apps[a];
        double ratio = longest_path(s, app, value_ms) / app->slo_ms;
        if (!worst || ratio > most) {
            worst = app;
            most = ratio;
        }
    }
    if (!worst || glet_within(most, 1))
        return 0;
    return longest_path(s, worst, value_ms) - worst->slo_ms;
}

/* Cuts the region so that a plan with these latency bounds is in neither half. */
static void cut(struct app_search *s, const struct region *region, double *value_ms)
{
    int models = s->problem->model_count, at = -1;
    for (int m = 0; m < models; m++)
        value_ms[m] = fmax(value_ms[m], region->floor_ms[m]);
    double excess_ms = worst_excess_ms(s, value_ms), widest_ms = 0;
    for (int m = 0; m < models; m++) {
        double width_ms = s->on_path[m] * (value_ms[m] - region->floor_ms[m]);
        if (width_ms > widest_ms) {
            widest_ms = width_ms;
            at = m;
        }
    }
    if (excess_ms <= 0 || at < 0) {
        s->undecided = fmin(s->undecided, region->bound);
        return;
    }
    double low_ms = fmax(region->floor_ms[at], value_ms[at] - excess_ms / s->on_path[at]);
    double middle_ms = (low_ms + value_ms[at]) / 2;
    struct region slow = region_copy(s, region), fast = region_copy(s, region);
    slow.floor_ms[at] = middle_ms;
    fast.limit_ms[at] = middle_ms;
    push(s, &slow);
    push(s, &fast);
}

static void take_plan(struct app_search *s, const struct glet_outcome *at)
{
    if (s->out->found && at->cost >= s->out->cost)
        return;
    s->out->found = true;
    s->out->cost = at->cost;
    glet_boxes_copy(&s->out->boxes, &at->boxes);
}

static bool is_beaten(const struct app_search *s, double bound)
{
    bool excluded = bound > glet_task_most(s->task) * (1 + GLET_TOLERANCE_RATIO);
    return !isfinite(bound) || (excluded && (s->out->found || !s->task->count)) ||
           (s->out->found && bound >= s->out->cost * (1 - 1e-12));
}

static bool has_enough(const struct app_search *s)
{
    return s->out->found && s->out->cost <= s->task->enough;
}

static bool is_done(const struct app_search *s)
{
    return has_enough(s) || glet_halted(s->task->halt) || is_beaten(s, s->least);
}

/* A bound for every split: with GPUs of cost 1 it rounds up. */
static void raise_least(struct app_search *s, double bound)
{
    bool whole = glet_whole_costs(s->problem);
    s->out->linear = fmax(s->out->linear, bound);
    s->least = fmax(s->least, whole ? ceil(bound * (1 - 1e-9)) : bound * (1 - 1e-9));
    for (int i = 0; i < s->open_count; i++)
        s->open[i].bound = fmax(s->open[i].bound, s->least);
}

/* What a plan may cost to be cheaper than the best. */
static double cheaper(const struct app_search *s)
{
    return glet_whole_costs(s->problem) ? s->out->cost - 1 : s->out->cost * (1 - 1e-9);
}

/* Searches at the view's limits; region is NULL for limits that keep every path themselves. */
static void search_view(struct app_search *s, struct region *region)
{
    struct glet_task task = *s->task;
    struct glet_outcome at;
    task.problem = s->view;
    task.effort = s->effort;
    if (s->out->found) {
        task.most = fmin(glet_task_most(s->task), cheaper(s));
        task.enough = fmax(task.enough, s->least);
        task.count = false;
    }
    glet_outcome_at_limits(&task, &at);
    bool good = at.found && rate_plan(s->problem, &at.boxes, s->worst_ms);
    if (good)
        take_plan(s, &at);
    if (region) {
        region->bound = fmax(fmax(region->bound, s->least), at.bound);
        if (!at.found)
            memcpy(s->worst_ms, region->limit_ms,
                   sizeof *s->worst_ms * (size_t)s->problem->model_count);
        if (!is_beaten(s, region->bound)) {
            if (good)
                s->undecided = fmin(s->undecided, region->bound);
            else
                cut(s, region, s->worst_ms);
        }
    }
    glet_outcome_fini(&at);
}

static void search_region(struct app_search *s, struct region *region)
{
    for (int m = 0; m < s->problem->model_count; m++)
        s->view->models[m].limit_ms = region->limit_ms[m];
    search_view(s, region);
}

/* The models' limits around a plan that keeps the paths. */
static void set_limits(const struct glet_problem *problem, const double *worst_ms,
                       struct glet_problem *view)
{
    for (int m = 0; m < problem->model_count; m++)
        view->models[m].limit_ms =
            problem->models[m].in_app ? worst_ms[m] : problem->models[m].limit_ms;
    glet_apps_grow(problem, view);
}

/* A global bound, and the splits that are cheapest at prices: first at those of no split at all. */
static void search_prices(struct app_search *s)
{
    static const double rooms[] = {1.05, 1.02};
    double *cost = glet_type_costs(s->problem);
    for (int m = 0; m < s->problem->model_count; m++)
        s->view->models[m].limit_ms = s->problem->models[m].limit_ms;
    bool fast = s->effort == GLET_EFFORT_FAST;
    size_t count = fast ? 1 : sizeof rooms / sizeof rooms[0];
    for (size_t i = 0; i < count && !is_done(s); i++) {
        double bound;
        struct glet_app_bound_options options = {
            .room_ratio = rooms[i], .grid = fast ? 0 : GRID, .halt = s->task->halt};
        bool found = glet_app_bound(s->problem, s->view, cost, &options, &bound);
        raise_least(s, bound);
        if (!found)
            break;
        search_view(s, NULL);
    }
    free(cost);
}

/* An estimate of the cheapest split, and more room where the best plan did not need its own. */
static void search_estimates(struct app_search *s)
{
    if (!is_done(s) && glet_apps_split(s->problem, s->view))
        search_view(s, NULL);
    double before = s->effort == GLET_EFFORT_FAST ? 0 : INFINITY;
    while (s->out->found && s->out->cost < before && !is_done(s) &&
           rate_plan(s->problem, &s->out->boxes, s->worst_ms)) {
        before = s->out->cost;
        set_limits(s->problem, s->worst_ms, s->view);
        search_view(s, NULL);
    }
}

/* Begins as a fast search does: whatever that finds is then found with more effort, too. */
static void search_splits(struct app_search *s)
{
    s->effort = GLET_EFFORT_FAST;
    search_prices(s);
    search_estimates(s);
    s->effort = s->task->effort;
    if (s->effort != GLET_EFFORT_FAST) {
        search_prices(s);
        search_estimates(s);
    }
}

static void branch(struct app_search *s)
{
    struct region root = region_copy(s, NULL);
    for (int m = 0; m < s->problem->model_count; m++)
        root.limit_ms[m] = s->problem->models[m].limit_ms;
    push(s, &root);
    bool fast = s->task->effort == GLET_EFFORT_FAST;
    int models = glet_demanded(s->problem), by_effort = s->task->effort == GLET_EFFORT_MAX ? 4 : 1;
    bool quick = models > (fast ? SMALL_MODELS : MENU_MODELS);
    int most = models <= SMALL_MODELS ? (isfinite(s->task->enough) ? 2000 : 200) : quick ? 1 : 16;
    for (int i = 0; i < most * by_effort && s->open_count > 0 && !has_enough(s); i++) {
        if (i > 0 && glet_halted(s->task->halt))
            break;
        struct region region = pop(s);
        if (!quick && !is_beaten(s, region.bound))
            search_region(s, &region);
        region_free(&region);
        if (i == 0 && (s->open_count > 0 || quick) && !is_done(s)) /* a plan to beat, a bound */
            search_splits(s);
    }
    s->out->bound = quick ? s->least : s->undecided;
    for (int i = 0; i < s->open_count; i++) {
        if (!is_beaten(s, s->open[i].bound))
            s->out->bound = fmin(s->out->bound, s->open[i].bound);
        region_free(&s->open[i]);
    }
    if (s->out->found)
        s->out->bound = fmin(s->out->bound, s->out->cost);
}

void glet_app_search(const struct glet_task *task, struct glet_outcome *out)
{
    *out = (struct glet_outcome){.cost = INFINITY, .beyond_cost = INFINITY};
    struct app_search s = {.task = task,
                           .problem = task->problem,
                           .out = out,
                           .effort = task->effort,
                           .undecided = INFINITY};
    size_t models = (size_t)task->problem->model_count;
    s.view = glet_problem_view(task->problem);
    if (!s.view)
        return;
    s.worst_ms = glet_must_alloc(sizeof *s.worst_ms, models);
    s.on_path = glet_must_alloc(sizeof *s.on_path, models);
    branch(&s);
    free(s.open);
    free(s.worst_ms);
    free(s.on_path);
    glet_problem_free(s.view);
}

struct glet_problem *glet_app_view(const struct glet_problem *problem,
                                   const struct glet_boxes *boxes)
{
    struct glet_problem *view = glet_problem_view(problem);
    double *worst_ms = glet_must_alloc(sizeof *worst_ms, (size_t)problem->model_count);
    if (view && rate_plan(problem, boxes, worst_ms)) {
        set_limits(problem, worst_ms, view);
    } else {
        glet_problem_free(view);
        view = NULL;
    }
    free(worst_ms);
    return view;
}
