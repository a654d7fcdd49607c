/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From two files to a checked plan.
 *
 * Every plan passes the verifier, which reads the same files by other code, before it leaves this
 * module: a plan that fails there is our bug and is never shown.
 */
#include "planner/session.h"

#include "planner/places.h"
#include "planner/verify/verify.h"
#include "profiles/load.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Up to so many models a search at default effort takes less than a second. */
#define SMALL_MODELS     50
#define SMALL_APP_MODELS 12

const char *const glet_objective_names[] = {"min-gpus", "min-cost", "max-rate", NULL};
const char *const glet_effort_names[] = {"fast", "default", "max", NULL};

static volatile sig_atomic_t stop_requested;

static void on_signal(int number)
{
    (void)number;
    stop_requested = 1;
}

static void catch_signals(void)
{
    /* A second signal ends the process as usual: nobody waits for a search that does not listen. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* max-rate needs an end: every stock that can serve must be limited. */
static int check_stock(const struct glet_session *session, struct glet_error *err)
{
    const struct glet_workload *workload = session->workload;
    for (size_t i = 0; session->inputs->objective == GLET_MAX_RATE && i < workload->gpu_count;
         i++) {
        if (workload->gpus[i].count >= 0)
            continue;
        glet_error_at(err, GLET_ERR_INPUT, workload->path, workload->gpus[i].mark,
                      "gpus[%zu].count: objective max-rate needs the number of GPUs", i);
        return glet_error_hint(err, "add a count to every type, or choose another objective");
    }
    return 0;
}

int glet_session_open(const struct glet_inputs *inputs, struct glet_session *session,
                      struct glet_error *err)
{
    *session = (struct glet_session){.inputs = inputs, .scale = 1};
    if (!inputs->slo) {
        glet_error_set(err, GLET_ERR_USAGE, "--slo is missing");
        return glet_error_hint(err, "name the workload: plan --slo workload.yaml");
    }
    catch_signals();
    if (glet_workload_load(inputs->slo, &session->workload, err) < 0)
        return -1;
    if (inputs->headroom_ratio >= 0)
        session->workload->options.headroom_ratio = inputs->headroom_ratio;
    if (inputs->latency_factor > 0)
        session->workload->options.latency_factor = inputs->latency_factor;
    if (check_stock(session, err) < 0 ||
        glet_profile_load(inputs->profiles, &session->profile, err) < 0)
        return -1;
    return glet_session_rebuild(session, err);
}

int glet_session_rebuild(struct glet_session *session, struct glet_error *err)
{
    glet_problem_free(session->problem);
    session->problem = NULL;
    return glet_problem_new(session->workload, session->profile,
                            (enum glet_objective)session->inputs->objective, &session->problem,
                            err);
}

void glet_session_close(struct glet_session *session)
{
    if (!session)
        return;
    glet_problem_free(session->problem);
    glet_profile_free(session->profile);
    glet_workload_free(session->workload);
    *session = (struct glet_session){0};
}

void glet_session_note_stop(const struct glet_session *session)
{
    if (stop_requested && !session->inputs->quiet)
        fputs("note: stopped early: what was searched from then on may be short of the best\n",
              stderr);
}

/* Whether one GPU type could host the rest; fills the list of models that none can. */
static int find_unserveable(const struct glet_problem *problem, struct glet_answer *answer,
                            struct glet_error *err)
{
    answer->unserveable = calloc((size_t)problem->model_count + 1, sizeof *answer->unserveable);
    if (!answer->unserveable)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    for (int m = 0; m < problem->model_count; m++)
        if (glet_unserveable(problem, m, &answer->unserveable[answer->unserveable_count]))
            answer->unserveable_count++;
    return 0;
}

int glet_session_verify(const struct glet_session *session, const struct glet_plan *plan,
                        int survive, struct glet_error *err)
{
    struct glet_verdict verdict;
    struct glet_plan scaled = *plan;
    if (session->scale != 1) {
        scaled.objective = GLET_MAX_RATE;
        scaled.certificate.scale = session->scale;
    }
    int result = glet_verify(session->workload, session->profile, &scaled, &verdict, err);
    if (result == 0 && survive > 0)
        result = glet_verify_survive(session->workload, &scaled, &verdict, err);
    if (result == 0 && verdict.count > 0) {
        const struct glet_violation *bad = &verdict.violations[0];
        result = glet_error_set(err, GLET_ERR_INTERNAL,
                                "the planner's own check refuses its plan: %s: %s: %s",
                                glet_rule_name(bad->rule), bad->where, bad->what);
    }
    glet_verdict_fini(&verdict);
    return result;
}

static struct glet_solve_options options_of(const struct glet_session *session,
                                            const struct glet_wishes *wishes)
{
    struct glet_solve_options options = {
        .effort = (enum glet_effort)session->inputs->effort,
        .time_limit_s = (double)session->inputs->time_limit_us / 1e6,
        .stop = &stop_requested,
        .max_moves = -1,
    };
    if (wishes) {
        options.from = wishes->from;
        options.max_moves = wishes->from ? wishes->max_moves : -1;
        options.survive = wishes->survive;
    }
    return options;
}

int glet_session_scale(const struct glet_session *session, double *scale, struct glet_error *err)
{
    const struct glet_problem *problem = session->problem;
    *scale = 0;
    for (int t = 0; t < problem->type_count; t++)
        if (problem->types[t].count < 0)
            return 0;
    struct glet_problem *view = glet_problem_view(problem);
    if (!view)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    view->objective = GLET_MAX_RATE;
    struct glet_solve_options options = options_of(session, NULL);
    struct glet_solve_result result;
    int status = glet_solve(view, &options, &result, err);
    if (status == 0) {
        *scale = result.found ? result.solution.scale : 0;
        glet_solve_result_fini(&result);
    }
    glet_problem_free(view);
    return status;
}

/* GPUs that the workload has, of types that can be used; -1 = no limit. */
static long stock_of(const struct glet_problem *problem)
{
    long sum = 0;
    for (int t = 0; t < problem->type_count; t++) {
        if (problem->types[t].count < 0)
            return -1;
        sum += problem->types[t].count;
    }
    return sum;
}

/* Why there is no plan: the stock, the moves, or that none was found. */
static void explain(const struct glet_problem *problem, const struct glet_wishes *wishes,
                    const struct glet_solve_result *result, struct glet_answer *answer)
{
    long stock = stock_of(problem);
    bool kept = wishes && wishes->from && wishes->max_moves >= 0;
    bool too_small = stock >= 0 && result->bound.gpus > stock;
    answer->stock = stock;
    answer->bound.gpus = 0;
    if (kept && !too_small) {
        answer->max_moves = wishes->max_moves;
        answer->outcome = result->infeasible ? GLET_PLAN_TOO_FEW_MOVES : GLET_PLAN_NONE_FOUND;
        return;
    }
    answer->outcome = too_small || result->infeasible ? GLET_PLAN_TOO_SMALL : GLET_PLAN_NONE_FOUND;
    if (!result->explained)
        return;
    answer->bound.gpus = result->open.gpus < INT32_MAX ? result->open.gpus : 0;
    answer->gpus_enough = result->gpus_enough;
    answer->scale = result->scale;
    answer->scale_bound = result->scale_bound;
}

static int solve(const struct glet_session *session, const struct glet_wishes *wishes,
                 struct glet_answer *answer, struct glet_error *err)
{
    const struct glet_problem *problem = session->problem;
    struct glet_solve_options options = options_of(session, wishes);
    struct glet_solve_result result;
    int status = 0;
    options.explain = true;
    if (glet_solve(problem, &options, &result, err) < 0)
        return -1;
    answer->max_moves = -1;
    answer->bound = result.bound;
    answer->limit_hit = result.limit_hit;
    if (result.found) {
        answer->outcome = GLET_PLAN_FOUND;
        status =
            glet_solution_to_plan(problem, &result.solution, &result.bound, &answer->plan, err);
        if (status == 0 && wishes && wishes->from)
            status = glet_places_keep(wishes->from, session->workload, answer->plan, err);
        if (status == 0)
            status = glet_session_verify(session, answer->plan, wishes ? wishes->survive : 0, err);
    } else {
        explain(problem, wishes, &result, answer);
    }
    glet_solve_result_fini(&result);
    return status;
}

int glet_session_solve(const struct glet_session *session, const struct glet_wishes *wishes,
                       struct glet_answer *answer, struct glet_error *err)
{
    *answer = (struct glet_answer){0};
    if (find_unserveable(session->problem, answer, err) < 0)
        return -1;
    if (answer->unserveable_count > 0) {
        answer->outcome = GLET_PLAN_UNSERVEABLE;
        return 0;
    }
    return solve(session, wishes, answer, err);
}

bool glet_session_is_small(const struct glet_session *session)
{
    const struct glet_problem *problem = session->problem;
    return problem->model_count <= (problem->app_count ? SMALL_APP_MODELS : SMALL_MODELS);
}

int glet_session_fits(const struct glet_session *session, bool fast, bool *fits,
                      struct glet_error *err)
{
    struct glet_unserveable why;
    struct glet_solve_options options = options_of(session, NULL);
    struct glet_solve_result result;
    *fits = false;
    for (int m = 0; m < session->problem->model_count; m++)
        if (glet_unserveable(session->problem, m, &why))
            return 0;
    options.fit_only = true;
    if (fast)
        options.effort = GLET_EFFORT_FAST;
    if (glet_solve(session->problem, &options, &result, err) < 0)
        return -1;
    *fits = result.found;
    glet_solve_result_fini(&result);
    return 0;
}

void glet_answer_fini(struct glet_answer *answer)
{
    if (!answer)
        return;
    glet_plan_free(answer->plan);
    free(answer->unserveable);
    *answer = (struct glet_answer){0};
}
