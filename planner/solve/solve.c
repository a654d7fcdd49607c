/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/solve.h"

#include "common/clock.h"
#include "planner/solve/apps/app_search.h"
#include "planner/solve/at_limits.h"
#include "planner/solve/largest.h"
#include "planner/solve/moves.h"
#include "planner/solve/replan.h"
#include "planner/solve/shortfall.h"
#include "planner/solve/space/lp_glpk.h"
#include "planner/solve/space/scratch.h"
#include "planner/solve/survive.h"

#include <math.h>
#include <stdlib.h>

struct job {
    const struct glet_problem *problem;
    const struct glet_solve_options *options;
    struct glet_halt halt;
    struct glet_solve_result *out;
    struct glet_error *err;
};

static void set_bound(const struct glet_problem *problem, double bound, struct glet_bound *out)
{
    double dearest = 0, cheapest = INFINITY;
    for (int g = 0; g < problem->type_count; g++) {
        dearest = fmax(dearest, problem->types[g].cost_per_hour);
        cheapest = fmin(cheapest, problem->types[g].cost_per_hour);
    }
    if (!isfinite(bound)) {
        out->gpus = INT32_MAX;
        out->cost_per_hour = INFINITY;
    } else if (problem->objective == GLET_MIN_COST) {
        out->cost_per_hour = bound;
        out->gpus = (int)ceil(bound / dearest * (1 - 1e-12));
    } else {
        out->gpus = (int)ceil(bound);
        out->cost_per_hour = out->gpus * cheapest;
    }
}

/* Adds to the plan that stays close to the older one what makes it survive, within max_moves. */
static void make_surviving(struct job *job, const struct glet_task *task,
                           const struct glet_boxes *old, struct glet_outcome *outcome)
{
    struct glet_task at = *task;
    int most = job->options->max_moves;
    at.keep = true;
    glet_survive(&at, outcome);
    if (outcome->found && most >= 0 && glet_moves_count(old, &outcome->boxes) > most)
        outcome->found = false;
}

static void replan_at(struct job *job, const struct glet_task *task, const struct glet_boxes *old,
                      struct glet_outcome *outcome)
{
    glet_replan(task, old, job->options->max_moves, outcome);
    if (outcome->found && job->options->survive)
        make_surviving(job, task, old, outcome);
}

/* Apps: once with the older plan's split of their SLOs and once with the fresh plan's. */
static void replan_apps(struct job *job, const struct glet_task *task, const struct glet_boxes *old,
                        struct glet_outcome *fresh)
{
    struct glet_outcome best = {.cost = INFINITY,
                                .bound = fresh->bound,
                                .impossible = fresh->impossible,
                                .beyond = fresh->beyond,
                                .beyond_cost = fresh->beyond_cost};
    fresh->beyond = (struct glet_boxes){0};
    int best_moves = 0;
    for (int fresh_split = 0; fresh_split < 2; fresh_split++) {
        struct glet_problem *view = glet_app_view(task->problem, fresh_split ? &fresh->boxes : old);
        struct glet_outcome one = {.found = fresh_split,
                                   .cost = fresh_split ? fresh->cost : INFINITY};
        struct glet_task at = *task;
        at.problem = view;
        if (!view || (fresh_split && !fresh->found)) {
            glet_problem_free(view);
            continue;
        }
        if (fresh_split)
            glet_boxes_copy(&one.boxes, &fresh->boxes);
        else
            glet_outcome_at_limits(&at, &one);
        replan_at(job, &at, old, &one);
        int moves = one.found ? glet_moves_count(old, &one.boxes) : 0;
        bool cheaper = one.cost<best.cost *(1 - 1e-9), dearer = one.cost> best.cost * (1 + 1e-9);
        if (one.found && (!best.found || cheaper || (!dearer && moves < best_moves))) {
            best.found = true;
            best.cost = one.cost;
            best_moves = moves;
            glet_boxes_copy(&best.boxes, &one.boxes);
        }
        glet_outcome_fini(&one);
        glet_problem_free(view);
    }
    glet_outcome_fini(fresh);
    *fresh = best;
}

/* Stays close to the older plan. */
static int stay_close(struct job *job, const struct glet_task *task, struct glet_outcome *outcome)
{
    struct glet_solution old;
    struct glet_boxes boxes = {0};
    glet_solution_init(&old);
    int status = glet_solution_from_older_plan(job->problem, job->options->from, &old, job->err);
    if (status == 0) {
        glet_boxes_from_solution(job->problem, &old, &boxes);
        if (job->problem->app_count)
            replan_apps(job, task, &boxes, outcome);
        else
            replan_at(job, task, &boxes, outcome);
    }
    glet_boxes_free(&boxes);
    glet_solution_fini(&old);
    return status;
}

static int check_options(const struct job *job)
{
    const struct glet_problem *problem = job->problem;
    bool largest = problem->objective == GLET_MAX_RATE;
    if (job->options->survive > 1)
        return glet_error_set(job->err, GLET_ERR_UNSUPPORTED,
                              "only the failure of one GPU can be planned for");
    if (job->options->survive && largest)
        return glet_error_set(job->err, GLET_ERR_UNSUPPORTED,
                              "surviving a failure cannot be combined with the max-rate objective");
    if (job->options->from && largest)
        return glet_error_set(job->err, GLET_ERR_UNSUPPORTED,
                              "an older plan cannot be kept with the max-rate objective");
    return 0;
}

/* Unless it is the moves that are too few, or may be. */
static void explain(struct job *job, const struct glet_task *task, struct glet_outcome *outcome)
{
    const struct glet_solve_options *options = job->options;
    struct glet_solve_result *out = job->out;
    struct glet_shortfall shortfall;
    struct glet_task at = *task;
    bool moves = options->from && options->max_moves >= 0 &&
                 !(outcome->bound > glet_stock_cost(task->problem) * (1 + GLET_TOLERANCE_RATIO));
    if (!options->explain || outcome->found || moves || task->problem->objective == GLET_MAX_RATE ||
        glet_halted(&job->halt))
        return;
    at.survive = options->survive;
    glet_shortfall_find(&at, outcome, &shortfall);
    out->explained = true;
    out->gpus_enough = shortfall.gpus_enough;
    set_bound(task->problem, shortfall.bound, &out->open);
    out->scale = shortfall.scale;
    out->scale_bound = shortfall.scale_bound;
}

static int run(void *context)
{
    struct job *job = context;
    struct glet_task task = {.problem = job->problem,
                             .effort = job->options->effort,
                             .halt = &job->halt,
                             .enough = job->options->fit_only ? INFINITY : 0,
                             .count = job->options->explain && !job->options->survive,
                             .survive = job->options->survive && !job->options->from};
    struct glet_solve_result *out = job->out;
    struct glet_outcome outcome;
    if (check_options(job) < 0)
        return -1;
    bool largest = job->problem->objective == GLET_MAX_RATE;
    if (largest)
        glet_outcome_largest(&task, &outcome);
    else
        glet_outcome_cheapest(&task, &outcome);
    int status = job->options->from ? stay_close(job, &task, &outcome) : 0;
    if (status == 0)
        explain(job, &task, &outcome);
    set_bound(job->problem, largest ? 0 : outcome.bound, &out->bound);
    out->bound.scale = largest ? outcome.scale_bound : INFINITY;
    out->infeasible = largest ? outcome.scale_bound <= 0 : outcome.impossible;
    out->limit_hit = glet_halted(&job->halt);
    if (status == 0 && outcome.found) {
        out->found = true;
        status = glet_boxes_to_solution(job->problem, &outcome.boxes, &out->solution);
        out->solution.scale = largest ? outcome.scale * (1 - GLET_TOLERANCE_RATIO / 2) : 1;
        if (status || !glet_solution_feasible(job->problem, &out->solution))
            status = glet_error_set(job->err, GLET_ERR_INTERNAL,
                                    "the solver's plan does not pass the check");
    }
    glet_outcome_fini(&outcome);
    return status;
}

int glet_solve(const struct glet_problem *problem, const struct glet_solve_options *options,
               struct glet_solve_result *out, struct glet_error *err)
{
    *out = (struct glet_solve_result){0};
    glet_solution_init(&out->solution);
    struct job job = {.problem = problem, .options = options, .out = out, .err = err};
    job.halt.flag = options->stop;
    if (options->time_limit_s > 0)
        job.halt.deadline_us = (int64_t)glet_clock_us() + (int64_t)(options->time_limit_s * 1e6);
    if (glet_lp_guard(run, &job, &job.halt, err) < 0) {
        glet_solve_result_fini(out);
        return -1;
    }
    return 0;
}

void glet_solve_result_fini(struct glet_solve_result *result)
{
    if (result)
        glet_solution_fini(&result->solution);
}
