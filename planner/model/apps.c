/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Apps of the problem: stages sorted so that a stage comes after all it waits for, and the loosest
 * latency bound that each of their models could ever be allowed.
 *
 * Which split of an app's SLO over its stages needs the fewest GPUs is the solver's decision. What
 * is fixed is a floor: a stage can never get more than the SLO minus the fastest possible rest of
 * the longest path through it.
 */
#include "planner/model/latency.h"
#include "planner/model/problem_tables.h"

#include <math.h>
#include <stdlib.h>

static int out_of_memory(struct glet_error *err)
{
    return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
}

/* Copies stage `from` of the workload to the end of app; position[] maps file to sorted order. */
static int append_stage(struct glet_problem_app *app, const struct glet_workload_stage *from,
                        const int *position, struct glet_error *err)
{
    struct glet_problem_stage *to = &app->stages[app->stage_count++];
    to->model = (int)from->model;
    to->after = malloc((from->after_count + 1) * sizeof *to->after);
    if (!to->after)
        return out_of_memory(err);
    for (size_t i = 0; i < from->after_count; i++)
        to->after[to->after_count++] = position[from->after[i]];
    return 0;
}

static bool ready(const struct glet_workload_stage *stage, const int *position)
{
    for (size_t i = 0; i < stage->after_count; i++)
        if (position[stage->after[i]] < 0)
            return false;
    return true;
}

static int sort_stages(struct glet_problem_app *app, const struct glet_workload_app *from,
                       struct glet_error *err)
{
    int *position = malloc((from->stage_count + 1) * sizeof *position);
    app->stages = calloc(from->stage_count + 1, sizeof *app->stages);
    int result = position && app->stages ? 0 : out_of_memory(err);
    for (size_t i = 0; result == 0 && i < from->stage_count; i++)
        position[i] = -1;
    bool progress = true;
    while (result == 0 && progress) {
        progress = false;
        for (size_t i = 0; result == 0 && i < from->stage_count; i++) {
            if (position[i] >= 0 || !ready(&from->stages[i], position))
                continue;
            int at = app->stage_count;
            result = append_stage(app, &from->stages[i], position, err);
            position[i] = at;
            progress = true;
        }
    }
    if (result == 0 && (size_t)app->stage_count < from->stage_count)
        result = glet_error_set(err, GLET_ERR_INPUT, "apps: the stages of '%s' wait in a circle",
                                from->name);
    free(position);
    return result;
}

/* Longest path through each stage, the stage itself excluded, with floor_ms[] per model. */
static void tighten(const struct glet_problem_app *app, const double *floor_ms, double *before_ms,
                    double *behind_ms, double *limit_ms)
{
    for (int s = 0; s < app->stage_count; s++) {
        const struct glet_problem_stage *stage = &app->stages[s];
        before_ms[s] = behind_ms[s] = 0;
        for (int i = 0; i < stage->after_count; i++) {
            int a = stage->after[i];
            before_ms[s] = fmax(before_ms[s], before_ms[a] + floor_ms[app->stages[a].model]);
        }
    }
    for (int s = app->stage_count - 1; s >= 0; s--) {
        const struct glet_problem_stage *stage = &app->stages[s];
        double here_ms = behind_ms[s] + floor_ms[stage->model];
        for (int i = 0; i < stage->after_count; i++)
            behind_ms[stage->after[i]] = fmax(behind_ms[stage->after[i]], here_ms);
        limit_ms[stage->model] =
            fmin(limit_ms[stage->model], app->slo_ms - before_ms[s] - behind_ms[s]);
    }
}

int glet_problem_tighten(const struct glet_problem *problem, const double *floor_ms,
                         double *limit_ms)
{
    size_t most = 1;
    for (int a = 0; a < problem->app_count; a++)
        if ((size_t)problem->apps[a].stage_count > most)
            most = (size_t)problem->apps[a].stage_count;
    double *path_ms = calloc(2 * most, sizeof *path_ms);
    if (!path_ms)
        return -1;
    for (int a = 0; a < problem->app_count; a++)
        tighten(&problem->apps[a], floor_ms, path_ms, path_ms + most, limit_ms);
    free(path_ms);
    return 0;
}

static int tighten_all(struct glet_problem *problem, struct glet_error *err)
{
    size_t models = (size_t)problem->model_count;
    double *fastest_ms = calloc(2 * models + 1, sizeof *fastest_ms);
    double *limit_ms = fastest_ms ? fastest_ms + models : NULL;
    int status = fastest_ms ? 0 : -1;
    for (size_t m = 0; status == 0 && m < models; m++) {
        struct glet_choice best = glet_latency_best(problem, (int)m);
        fastest_ms[m] = problem->models[m].demand_rps > 0 && best.type >= 0 ? best.bound_ms : 0;
        limit_ms[m] = problem->models[m].limit_ms;
    }
    for (int a = 0; a < problem->app_count; a++)
        for (int s = 0; s < problem->apps[a].stage_count; s++)
            problem->models[problem->apps[a].stages[s].model].in_app = true;
    if (status == 0)
        status = glet_problem_tighten(problem, fastest_ms, limit_ms);
    for (size_t m = 0; status == 0 && m < models; m++)
        problem->models[m].limit_ms = limit_ms[m];
    free(fastest_ms);
    return status < 0 ? out_of_memory(err) : 0;
}

int glet_problem_fill_apps(struct glet_problem *problem, struct glet_error *err)
{
    const struct glet_workload *workload = problem->workload;
    problem->apps = calloc(workload->app_count + 1, sizeof *problem->apps);
    if (!problem->apps)
        return out_of_memory(err);
    for (size_t a = 0; a < workload->app_count; a++) {
        struct glet_problem_app *app = &problem->apps[problem->app_count++];
        app->name = workload->apps[a].name;
        app->slo_ms = workload->apps[a].slo_ms;
        app->mark = workload->apps[a].slo_mark;
        if (sort_stages(app, &workload->apps[a], err) < 0)
            return -1;
    }
    return tighten_all(problem, err);
}
