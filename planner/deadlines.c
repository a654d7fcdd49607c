/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/deadlines.h"

#include "common/memory.h"

#include <math.h>

static void worst_bounds(const struct glet_plan *plan, double *bound_ms)
{
    for (size_t g = 0; g < plan->gpu_count; g++)
        for (size_t l = 0; l < plan->gpus[g].let_count; l++) {
            const struct glet_plan_let *let = &plan->gpus[g].lets[l];
            for (size_t i = 0; i < let->model_count; i++) {
                double *worst_ms = &bound_ms[let->models[i].model];
                *worst_ms = fmax(*worst_ms, let->models[i].latency_bound_ms);
            }
        }
}

/* Longest paths that end with a stage, and that begin with it; stages are in topological order. */
static void measure_paths(const struct glet_problem_app *app, const double *bound_ms, double *to_ms,
                          double *from_ms)
{
    for (int s = 0; s < app->stage_count; s++) {
        const struct glet_problem_stage *stage = &app->stages[s];
        double before_ms = 0;
        for (int i = 0; i < stage->after_count; i++)
            before_ms = fmax(before_ms, to_ms[stage->after[i]]);
        to_ms[s] = before_ms + bound_ms[stage->model];
        from_ms[s] = bound_ms[stage->model];
    }
    for (int s = app->stage_count - 1; s >= 0; s--)
        for (int i = 0; i < app->stages[s].after_count; i++) {
            int before = app->stages[s].after[i];
            from_ms[before] =
                fmax(from_ms[before], bound_ms[app->stages[before].model] + from_ms[s]);
        }
}

static int stretch_stages(const struct glet_problem_app *app, const double *bound_ms,
                          double *factors, struct glet_error *err)
{
    size_t count = (size_t)app->stage_count;
    GLET_CLEANUP(glet_cleanup_free) double *to_ms = glet_alloc(2 * count + 1, sizeof *to_ms, err);
    if (!to_ms)
        return -1;
    double *from_ms = to_ms + count;
    measure_paths(app, bound_ms, to_ms, from_ms);
    for (size_t s = 0; s < count; s++) {
        int model = app->stages[s].model;
        double path_ms = to_ms[s] + from_ms[s] - bound_ms[model];
        if (path_ms > 0)
            factors[model] = fmin(factors[model], app->slo_ms / path_ms);
    }
    return 0;
}

int glet_plan_set_deadlines(const struct glet_problem *problem, struct glet_plan *plan,
                            struct glet_error *err)
{
    size_t count = plan->model_count;
    GLET_CLEANUP(glet_cleanup_free)
    double *bound_ms = glet_alloc(2 * count + 1, sizeof *bound_ms, err);
    if (!bound_ms)
        return -1;
    double *factors = bound_ms + count;
    worst_bounds(plan, bound_ms);
    for (size_t m = 0; m < count; m++)
        factors[m] = INFINITY;
    for (int a = 0; a < problem->app_count; a++)
        if (stretch_stages(&problem->apps[a], bound_ms, factors, err) < 0)
            return -1;
    for (size_t m = 0; m < count; m++)
        if (plan->models[m].slo_ms <= 0 && isfinite(factors[m]) && bound_ms[m] > 0)
            plan->models[m].deadline_ms = bound_ms[m] * fmax(1, factors[m]);
    return 0;
}
