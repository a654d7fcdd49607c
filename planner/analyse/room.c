/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/analyse/room.h"

#include "common/clock.h"
#include "common/memory.h"
#include "planner/analyse/spare.h"
#include "planner/places.h"

#include <math.h>
#include <stdlib.h>

/* More room for a model that misses: a little when it is close, more when a tenth is late. */
static const double STEP_SMALL = 1.06, STEP_LARGE = 1.25, FAR_RATIO = 0.03;

/* Long enough for this many requests of the rarest stream, within these limits. */
static const double WANTED_REQUESTS = 20000, LEAST_S = 60, MOST_S = 3600;

static double now_s(void)
{
    return (double)glet_clock_ns() / 1e9;
}

int glet_room_init(struct glet_room *room, const struct glet_session *session,
                   struct glet_error *err)
{
    double limit_s = (double)session->inputs->time_limit_us / 1e6;
    *room = (struct glet_room){.model_count = session->workload->model_count,
                               .end_s = limit_s > 0 ? now_s() + limit_s : INFINITY};
    room->ratio = glet_alloc(room->model_count, sizeof *room->ratio, err);
    if (!room->ratio)
        return -1;
    for (size_t m = 0; m < room->model_count; m++)
        room->ratio[m] = 1;
    return 0;
}

void glet_room_fini(struct glet_room *room)
{
    free(room->ratio);
    *room = (struct glet_room){0};
}

double glet_room_least(const struct glet_room *room, const struct glet_problem *problem)
{
    double least = INFINITY;
    for (size_t m = 0; m < room->model_count; m++)
        if (problem->models[m].demand_rps > 0)
            least = fmin(least, room->ratio[m]);
    return isfinite(least) ? least : 1;
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

int glet_room_solve(const struct glet_session *session, const struct glet_wishes *wishes,
                    const struct glet_room *room, struct glet_answer *answer,
                    struct glet_error *err)
{
    struct glet_inputs inputs = *session->inputs;
    struct glet_session inner = *session;
    inner.inputs = &inputs;
    inner.problem = glet_problem_view(session->problem);
    if (!inner.problem)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    if (isfinite(room->end_s)) /* 0 would be no limit */
        inputs.time_limit_us = (uint64_t)(1e6 * fmax(room->end_s - now_s(), 1e-6));
    for (size_t m = 0; m < room->model_count; m++)
        inner.problem->models[m].demand_rps *= room->ratio[m];
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

struct glet_simulate_options glet_room_simulation(const struct glet_workload *workload,
                                                  double scale, double most_requests)
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
    double wanted_s = fmin(WANTED_REQUESTS / least_rps, most_requests / sum_rps) / scale;
    return (struct glet_simulate_options){.duration_s = fmax(LEAST_S, fmin(wanted_s, MOST_S)),
                                          .warmup_s = 10,
                                          .rate_scale = scale,
                                          .seed = 1};
}

/* Room for one model; true when that changes anything. */
static bool widen(struct glet_room *room, const struct glet_problem *problem, size_t model,
                  double factor)
{
    bool demanded = problem->models[model].demand_rps > 0;
    if (demanded)
        room->ratio[model] *= factor;
    return demanded;
}

/* By how much of all requests it misses its percentile, surely or perhaps; <= 0: it does not. */
static double missing_ratio(const struct glet_simulate_stream *stream)
{
    if (stream->slo_ms <= 0)
        return 0;
    return stream->percentile / 100 - glet_simulate_attainment(stream) +
           glet_simulate_error(stream);
}

bool glet_room_suffices(const struct glet_simulation *simulation)
{
    for (size_t i = 0; i < simulation->stream_count; i++)
        if (missing_ratio(&simulation->streams[i]) > 0)
            return false;
    return true;
}

bool glet_room_widen(struct glet_room *room, const struct glet_problem *problem,
                     const struct glet_simulation *simulation)
{
    const struct glet_workload *workload = problem->workload;
    bool widened = false;
    for (size_t i = 0; i < simulation->stream_count; i++) {
        const struct glet_simulate_stream *stream = &simulation->streams[i];
        double missing = missing_ratio(stream);
        if (missing <= 0)
            continue;
        double factor = missing > FAR_RATIO ? STEP_LARGE : STEP_SMALL;
        if (!stream->is_app) {
            size_t model = (size_t)glet_workload_find_model(workload, stream->name);
            widened |= widen(room, problem, model, factor);
            continue;
        }
        for (size_t a = 0; a < workload->app_count; a++)
            for (size_t s = 0;
                 workload->apps[a].name == stream->name && s < workload->apps[a].stage_count; s++)
                widened |= widen(room, problem, workload->apps[a].stages[s].model, factor);
    }
    return widened;
}
