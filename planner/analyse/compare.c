/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compares plans as they are: a baseline that ignores interference is judged by the verifier like
 * everybody else, with the true interference. Its largest factor is the largest it accepts itself,
 * by bisection; greedy planners need not be monotone, so it is the answer of a search and no bound.
 */
#include "planner/analyse/compare.h"

#include "planner/baseline/baseline.h"
#include "planner/solve/apps/split.h"
#include "planner/verify/verify.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#define SCALE_STEPS   20 /* bisection: a relative 1e-6 of the first interval */
#define SCALE_LARGEST 1048576.0

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int violations_of(const struct glet_session *session, const struct glet_boxes *boxes,
                         struct glet_comparison *row, struct glet_error *err)
{
    struct glet_solution solution;
    struct glet_plan *plan = NULL;
    struct glet_bound bound = {0};
    glet_solution_init(&solution);
    if (glet_boxes_to_solution(session->problem, boxes, &solution) < 0)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    row->gpus = solution.gpu_count;
    row->cost_per_hour = glet_solution_cost(session->problem, &solution);
    int result = glet_solution_to_plan_unchecked(session->problem, &solution, &bound, &plan, err);
    if (result == 0) {
        struct glet_verdict verdict;
        plan->objective = GLET_MIN_GPUS; /* the demand as it is, not a scaled one */
        result = glet_verify(session->workload, session->profile, plan, &verdict, err);
        row->violations = (int)verdict.count;
        glet_verdict_fini(&verdict);
    }
    glet_plan_free(plan);
    glet_solution_fini(&solution);
    return result;
}

/* Whether the baseline accepts the demands of `view`. */
static bool accepts(const struct glet_problem *view, enum glet_baseline which)
{
    struct glet_boxes boxes = {0};
    bool accepted = glet_baseline_run(view, which, 0, NULL, &boxes);
    glet_boxes_free(&boxes);
    return accepted;
}

static bool accepts_scaled(const struct glet_problem *problem, struct glet_problem *view,
                           enum glet_baseline which, double scale)
{
    for (int m = 0; m < problem->model_count; m++)
        view->models[m].demand_rps = problem->models[m].demand_rps * scale;
    return accepts(view, which);
}

static int largest_scale(const struct glet_problem *problem, enum glet_baseline which, double *out,
                         struct glet_error *err)
{
    struct glet_problem *view = glet_problem_view(problem);
    if (!view)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    double low = 0, high = 1;
    while (high < SCALE_LARGEST && accepts_scaled(problem, view, which, high)) {
        low = high;
        high *= 2;
    }
    for (int step = 0; step < SCALE_STEPS; step++) {
        double middle = (low + high) / 2;
        if (accepts_scaled(problem, view, which, middle))
            low = middle;
        else
            high = middle;
    }
    glet_problem_free(view);
    *out = low;
    return 0;
}

static bool stock_is_limited(const struct glet_problem *problem)
{
    for (int t = 0; t < problem->type_count; t++)
        if (problem->types[t].count < 0)
            return false;
    return true;
}

static int run_baseline(const struct glet_session *session, const struct glet_problem *problem,
                        enum glet_baseline which, bool with_scale, struct glet_comparison *row,
                        struct glet_error *err)
{
    struct glet_boxes boxes = {0};
    *row = (struct glet_comparison){.name = glet_baseline_name(which), .scale = NAN};
    double start = cpu_seconds();
    row->accepted = glet_baseline_run(problem, which, 0, NULL, &boxes);
    row->cpu_seconds = cpu_seconds() - start;
    int result = violations_of(session, &boxes, row, err);
    glet_boxes_free(&boxes);
    if (result == 0 && with_scale && stock_is_limited(session->problem))
        result = largest_scale(problem, which, &row->scale, err);
    return result;
}

/* Ours has the same columns; the verifier has accepted its plan already, so violations stay 0. */
static int run_ours(const struct glet_session *session, bool with_scale,
                    struct glet_comparison *row, struct glet_error *err)
{
    struct glet_answer answer = {0};
    *row = (struct glet_comparison){.name = "plan", .scale = NAN};
    double start = cpu_seconds();
    int result = glet_session_solve(session, NULL, &answer, err);
    row->cpu_seconds = cpu_seconds() - start;
    row->accepted = answer.plan != NULL;
    if (result == 0 && answer.plan) {
        struct glet_solution solution;
        result = glet_solution_from_plan(session->problem, answer.plan, &solution, err);
        if (result == 0) {
            row->gpus = solution.gpu_count;
            row->cost_per_hour = glet_solution_cost(session->problem, &solution);
            glet_solution_fini(&solution);
        }
    }
    glet_answer_fini(&answer);
    if (result < 0 || !with_scale || !stock_is_limited(session->problem))
        return result;
    return glet_session_scale(session, &row->scale, err);
}

int glet_compare(const struct glet_session *session, bool with_scale, bool timed,
                 struct glet_comparisons *out, struct glet_error *err)
{
    *out = (struct glet_comparisons){calloc(GLET_BASELINE_COUNT + 1, sizeof *out->rows), 0};
    if (!out->rows)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    if (run_ours(session, with_scale, &out->rows[out->count++], err) < 0)
        return -1;
    /* They know one SLO per model: apps get Nexus' latency split, found for our estimate. */
    struct glet_problem *view = glet_problem_view(session->problem);
    int result = view ? 0 : glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    if (view && view->app_count)
        glet_apps_split(session->problem, view);
    for (int which = 0; which < GLET_BASELINE_COUNT && result == 0; which++)
        result = run_baseline(session, view, (enum glet_baseline)which, with_scale,
                              &out->rows[out->count++], err);
    glet_problem_free(view);
    if (result < 0)
        return -1;
    for (size_t i = 0; !timed && i < out->count; i++)
        out->rows[i].cpu_seconds = 0;
    return 0;
}

void glet_comparisons_fini(struct glet_comparisons *comparisons)
{
    free(comparisons->rows);
    *comparisons = (struct glet_comparisons){0};
}
