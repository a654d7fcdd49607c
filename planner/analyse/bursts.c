/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/analyse/bursts.h"

#include "common/memory.h"
#include "planner/analyse/spare.h"
#include "planner/places.h"
#include "planner/simulate/simulate.h"

#include <math.h>
#include <stdlib.h>

/* Enough for the room to grow to STEP_LARGE^ROUNDS; a stock or a profile ends it long before. */
enum { MOST_ROUNDS = 24 };

/* More room for a model that misses: a little when it is close, more when a tenth is late. */
static const double STEP_SMALL = 1.06, STEP_LARGE = 1.25, FAR_RATIO = 0.03;

/* Long enough for this many requests of the rarest stream, within these limits. */
static const double WANTED_REQUESTS = 20000, LEAST_S = 60, MOST_S = 3600, MOST_REQUESTS = 4e6;

/* A warning that nobody asked for may take a second: so many requests. */
static const double WARNING_REQUESTS = 2e6;

#define NOTES 5 /* models that are named; the others are only counted */

static struct glet_simulate_options simulation_of(const struct glet_workload *workload,
                                                  double most_requests)
{
    double least_rps = INFINITY, sum_rps = 0;
    for (size_t m = 0; m < workload->model_count; m++)
        if (workload->models[m].rate_rps > 0) {
            least_rps = fmin(least_rps, workload->models[m].rate_rps);
            sum_rps += workload->models[m].rate_rps;
        }
    for (size_t a = 0; a < workload->app_count; a++)
        if (workload->apps[a].rate_rps > 0) {
            least_rps = fmin(least_rps, workload->apps[a].rate_rps);
            sum_rps += workload->apps[a].rate_rps * (double)workload->apps[a].stage_count;
        }
    double wanted_s = fmin(WANTED_REQUESTS / least_rps, most_requests / sum_rps);
    return (struct glet_simulate_options){.duration_s = fmax(LEAST_S, fmin(wanted_s, MOST_S)),
                                          .warmup_s = 10,
                                          .rate_scale = 1,
                                          .seed = 1};
}

/* Room for one model; true when that changes anything. */
static bool widen(struct glet_bursts *bursts, const struct glet_problem *problem, size_t model,
                  double factor)
{
    bool demanded = problem->models[model].demand_rps > 0;
    if (demanded)
        bursts->room_ratio[model] *= factor;
    return demanded;
}

/* Gives room to whoever misses, clearly or perhaps. True when there is nothing more to give. */
static bool settle(struct glet_bursts *bursts, const struct glet_problem *problem,
                   const struct glet_simulation *simulation)
{
    const struct glet_workload *workload = problem->workload;
    bool settled = true;
    for (size_t i = 0; i < simulation->stream_count; i++) {
        const struct glet_simulate_stream *stream = &simulation->streams[i];
        double sure = glet_simulate_attainment(stream) - glet_simulate_error(stream);
        double missing = stream->percentile / 100 - sure;
        if (stream->slo_ms <= 0 || missing <= 0)
            continue;
        double factor = missing > FAR_RATIO ? STEP_LARGE : STEP_SMALL;
        if (!stream->is_app) {
            size_t model = (size_t)glet_workload_find_model(workload, stream->name);
            settled &= !widen(bursts, problem, model, factor);
            continue;
        }
        for (size_t a = 0; a < workload->app_count; a++)
            for (size_t s = 0;
                 workload->apps[a].name == stream->name && s < workload->apps[a].stage_count; s++)
                settled &= !widen(bursts, problem, workload->apps[a].stages[s].model, factor);
    }
    return settled;
}

/* The same GPUs, with what they have left put to use. */
static int use_spare(const struct glet_problem *problem, struct glet_answer *answer,
                     struct glet_error *err)
{
    struct glet_solution solution;
    struct glet_plan *plan = NULL;
    if (glet_solution_from_plan(problem, answer->plan, &solution, err) < 0)
        return -1;
    int result = glet_spare_use(problem, &solution, err);
    if (result == 0)
        result = glet_solution_to_plan(problem, &solution, &answer->bound, &plan, err);
    glet_solution_fini(&solution);
    if (result == 0) {
        glet_plan_free(answer->plan);
        answer->plan = plan;
    }
    return result;
}

static int solve_with_room(const struct glet_session *session, const struct glet_wishes *wishes,
                           const struct glet_bursts *bursts, struct glet_answer *answer,
                           struct glet_error *err)
{
    struct glet_session inner = *session;
    inner.problem = glet_problem_view(session->problem);
    if (!inner.problem)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    for (size_t m = 0; m < bursts->model_count; m++)
        inner.problem->models[m].demand_rps *= bursts->room_ratio[m];
    int result = glet_session_solve(&inner, wishes, answer, err);
    if (result == 0 && answer->outcome == GLET_PLAN_FOUND)
        result = use_spare(inner.problem, answer, err);
    if (result == 0 && answer->outcome == GLET_PLAN_FOUND && wishes && wishes->from)
        result = glet_places_keep(wishes->from, session->workload, answer->plan, err);
    if (result == 0 && answer->outcome == GLET_PLAN_FOUND)
        result = glet_session_verify(session, answer->plan, wishes ? wishes->survive : 0, err);
    glet_problem_free(inner.problem);
    return result;
}

/* The bounds of the workload without room hold for every plan with it. */
static void restate(struct glet_plan_certificate *certificate, enum glet_objective objective,
                    const struct glet_bound *bound)
{
    bool cost = objective == GLET_MIN_COST;
    double value = cost ? certificate->cost_per_hour : certificate->gpus;
    double low = cost ? bound->cost_per_hour : bound->gpus;
    certificate->lower_bound = bound->gpus;
    certificate->cost_lower_bound = cost ? bound->cost_per_hour : 0;
    certificate->gap_ratio = low > 0 ? (value - low) / low : 0;
}

int glet_bursts_solve(const struct glet_session *session, const struct glet_wishes *wishes,
                      struct glet_bursts *bursts, struct glet_answer *answer,
                      struct glet_error *err)
{
    const struct glet_problem *problem = session->problem;
    *bursts = (struct glet_bursts){.model_count = session->workload->model_count};
    *answer = (struct glet_answer){0};
    if (problem->objective == GLET_MAX_RATE)
        return glet_error_set(err, GLET_ERR_USAGE, "--bursts cannot go with --objective max-rate");
    bursts->room_ratio = glet_alloc(bursts->model_count, sizeof *bursts->room_ratio, err);
    if (!bursts->room_ratio)
        return -1;
    for (size_t m = 0; m < bursts->model_count; m++)
        bursts->room_ratio[m] = 1;
    const struct glet_simulate_options options = simulation_of(session->workload, MOST_REQUESTS);
    struct glet_bound bound = {0};
    int result = 0;
    while (result == 0 && !bursts->settled && bursts->rounds < MOST_ROUNDS) {
        glet_answer_fini(answer);
        result = solve_with_room(session, wishes, bursts, answer, err);
        if (result < 0 || answer->outcome != GLET_PLAN_FOUND)
            break;
        if (bursts->rounds++ == 0)
            bound = answer->bound;
        struct glet_simulation simulation;
        result = glet_simulate(answer->plan, problem, &options, &simulation, err);
        if (result == 0)
            bursts->settled = settle(bursts, problem, &simulation);
        glet_simulation_fini(&simulation);
        if (answer->limit_hit)
            break;
    }
    if (result == 0 && answer->outcome == GLET_PLAN_FOUND) {
        restate(&answer->plan->certificate, problem->objective, &bound);
        answer->bound = bound;
    }
    return result;
}

void glet_bursts_fini(struct glet_bursts *bursts)
{
    free(bursts->room_ratio);
    *bursts = (struct glet_bursts){0};
}

void glet_bursts_note(const struct glet_session *session, const struct glet_bursts *bursts)
{
    const char *before = " ";
    fprintf(stderr, "note: room for bursts, after %d simulated plan%s:", bursts->rounds,
            bursts->rounds == 1 ? "" : "s");
    for (size_t m = 0; m < bursts->model_count; m++)
        if (bursts->room_ratio[m] > 1) {
            fprintf(stderr, "%s%s x %.2f", before, session->workload->models[m].name,
                    bursts->room_ratio[m]);
            before = ", ";
        }
    fprintf(stderr, "%s%s\n", *before == ' ' ? " none is needed" : "",
            bursts->settled ? "" : "; not every percentile is met yet");
}

int glet_bursts_warn(const struct glet_session *session, const struct glet_plan *plan,
                     struct glet_error *err)
{
    const struct glet_workload *workload = session->workload;
    const struct glet_simulate_options options = simulation_of(workload, WARNING_REQUESTS);
    double sum_rps = 0;
    for (size_t m = 0; m < workload->model_count; m++)
        sum_rps += glet_workload_demand_rps(workload, m);
    if (plan->objective == GLET_MAX_RATE || workload->options.rate_quantile > 0 ||
        workload->options.headroom_ratio > 0 || sum_rps * options.duration_s > WARNING_REQUESTS)
        return 0;
    struct glet_simulation simulation;
    int result = glet_simulate(plan, session->problem, &options, &simulation, err);
    size_t missed = 0;
    for (size_t i = 0; result == 0 && i < simulation.stream_count; i++) {
        const struct glet_simulate_stream *stream = &simulation.streams[i];
        if (glet_simulate_meets_slo(stream))
            continue;
        if (++missed > NOTES)
            continue;
        fprintf(stderr, "note: by simulation %.4g %% of %s meet the SLO, not %.4g %%\n",
                100 * glet_simulate_attainment(stream), stream->name, stream->percentile);
    }
    glet_simulation_fini(&simulation);
    if (missed > NOTES)
        fprintf(stderr, "note: %zu more miss their percentiles\n", missed - NOTES);
    if (missed > 0)
        fprintf(stderr, "note: the plan is for mean rates; --bursts gives room for arrivals\n");
    return result;
}
