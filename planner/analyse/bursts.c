/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/analyse/bursts.h"

#include <math.h>
#include <stdio.h>

/* Enough for the room to grow to its large step to this power; a stock or a profile ends it long
   before. */
enum { MOST_ROUNDS = 24 };

/* Room for one may be in another's way, who then gets more: so often in turn before a search for the
   largest rate gives up. */
enum { MOST_FRUITLESS = 6 };

static const double MOST_REQUESTS = 4e6; /* of a simulation */

/* Factors on the rates are told apart by this step, and looked for down to such a part of the
   plan's. */
static const double SCALE_STEP = 1.005, MOST_FALL = 64;

/* ... and by this one where each takes plans of its own. */
static const double RATE_STEP = 1.01;

/* A warning that nobody asked for may take a second: so many requests. */
static const double WARNING_REQUESTS = 2e6;

#define NOTES 5 /* models that are named; the others are only counted */

/* The bounds of the workload without room hold for every plan with it. scale: of max-rate; 0 = as
   it is. */
static void restate(struct glet_plan *plan, double scale, const struct glet_bound *bound)
{
    struct glet_plan_certificate *certificate = &plan->certificate;
    double value = certificate->gpus, limit = bound->gpus;
    certificate->lower_bound = bound->gpus;
    if (plan->objective == GLET_MIN_COST) {
        value = certificate->cost_per_hour;
        limit = certificate->cost_lower_bound = bound->cost_per_hour;
    } else if (plan->objective == GLET_MAX_RATE) {
        value = certificate->scale = scale > 0 ? scale : certificate->scale;
        limit = certificate->scale_upper_bound = isfinite(bound->scale) ? bound->scale : value;
    }
    certificate->gap_ratio = limit > 0 ? fabs(value - limit) / limit : 0;
}

/* Whether a plan meets every percentile at so many times the rates; room for who does not. */
static int try_scale(const struct glet_session *session, const struct glet_plan *plan, double scale,
                     struct glet_room *widened, bool *met, struct glet_error *err)
{
    const struct glet_simulate_options options =
        glet_room_simulation(session->workload, scale, MOST_REQUESTS);
    struct glet_simulation simulation;
    int result = glet_simulate(plan, session->problem, &options, &simulation, err);
    *met = result == 0 && glet_room_suffices(&simulation);
    if (result == 0 && !*met && widened)
        glet_room_widen(widened, session->problem, &simulation);
    glet_simulation_fini(&simulation);
    return result;
}

/* Fewest GPUs, or lowest cost: round after round with more room, until every percentile is met. */
static int solve_until_met(const struct glet_session *session, const struct glet_wishes *wishes,
                           struct glet_bursts *bursts, struct glet_answer *answer,
                           struct glet_error *err)
{
    struct glet_bound bound = {0};
    int result = 0;
    while (result == 0 && !bursts->settled && bursts->rounds < MOST_ROUNDS) {
        glet_answer_fini(answer);
        result = glet_room_solve(session, wishes, &bursts->room, answer, err);
        if (result < 0 || answer->outcome != GLET_PLAN_FOUND)
            break;
        if (bursts->rounds++ == 0)
            bound = answer->bound;
        result =
            try_scale(session, answer->plan, session->scale, &bursts->room, &bursts->settled, err);
        if (answer->limit_hit)
            break;
    }
    if (result == 0 && answer->outcome == GLET_PLAN_FOUND) {
        restate(answer->plan, 0, &bound);
        answer->bound = bound;
    }
    return result;
}

/* Raises *scale to the largest factor up to `most` at which a plan meets every percentile, to
   SCALE_STEP. *scale: one at which it does; 0 = none is known, and in the end none was found. */
static int raise_scale(const struct glet_session *session, const struct glet_plan *plan,
                       double most, double *scale, struct glet_error *err)
{
    double low = *scale, high = most;
    bool met = false;
    for (double fall = 1; !met && fall <= MOST_FALL && most / fall > low; fall *= 2) {
        if (try_scale(session, plan, most / fall, NULL, &met, err) < 0)
            return -1;
        *(met ? &low : &high) = most / fall;
    }
    while (low > 0 && high > low * SCALE_STEP) {
        double middle = sqrt(low * high);
        if (try_scale(session, plan, middle, NULL, &met, err) < 0)
            return -1;
        *(met ? &low : &high) = middle;
    }
    *scale = low;
    return 0;
}

/* The best plan so far of a search for the largest rate, and what the next one is to have. */
struct climb {
    const struct glet_session *session;
    struct glet_bursts *bursts; /* with the room of the best plan */
    struct glet_answer *best;
    double scale;          /* at which that meets every percentile; 0: at none */
    struct glet_room room; /* of the next plan */
    bool more;             /* whether that may be better */
    int fruitless;         /* plans in turn that were not */
};

/* room: that it was planned with, for planned_scale x the rates. scale: at which it meets every
   percentile; 0 = none was found. */
static void take(struct climb *climb, struct glet_answer *next, const struct glet_room *room,
                 double planned_scale, double scale)
{
    climb->scale = scale;
    climb->fruitless = 0;
    for (size_t m = 0; m < room->model_count; m++)
        climb->bursts->room.ratio[m] = room->ratio[m] * (scale > 0 ? planned_scale / scale : 1);
    glet_answer_fini(climb->best);
    *climb->best = *next;
    *next = (struct glet_answer){0};
}

/*
 * Takes the next plan as the best one when it meets every percentile at a larger factor, and gives
 * room to who keeps it from a step more.
 */
static int weigh(struct climb *climb, struct glet_answer *next, struct glet_error *err)
{
    const struct glet_plan *plan = next->plan;
    double most = plan->certificate.scale * glet_room_least(&climb->room, climb->session->problem);
    double found = climb->scale * SCALE_STEP;
    bool met = found == 0; /* anything is better */
    climb->more = most >= found && climb->fruitless++ < MOST_FRUITLESS;
    if (climb->more && !met && try_scale(climb->session, plan, found, &climb->room, &met, err) < 0)
        return -1;
    if (!met)
        return 0;
    if (raise_scale(climb->session, plan, most, &found, err) < 0)
        return -1;
    take(climb, next, &climb->room, plan->certificate.scale, found);
    double wanted = found > 0 ? found * SCALE_STEP : most;
    climb->more = wanted <= most;
    return climb->more ? try_scale(climb->session, plan, wanted, &climb->room, &met, err) : 0;
}

/*
 * Plans for the largest rates, with room: they serve less by their mean rates, and more within their
 * percentiles. Those of the next room are tried until none can be better. *planned_scale: of the
 * first, by mean rates; *bound: of all.
 */
static int climb_with_room(struct climb *climb, const struct glet_wishes *wishes,
                           double *planned_scale, struct glet_bound *bound, struct glet_error *err)
{
    struct glet_bursts *bursts = climb->bursts;
    struct glet_answer next = {0};
    bool halted = false;
    int result = 0;
    while (result == 0 && climb->more && !halted && bursts->rounds < MOST_ROUNDS) {
        result = glet_room_solve(climb->session, wishes, &climb->room, &next, err);
        if (result < 0 || next.outcome != GLET_PLAN_FOUND)
            break;
        halted = next.limit_hit;
        if (bursts->rounds++ == 0) {
            *bound = next.bound;
            *planned_scale = next.plan->certificate.scale;
        }
        result = weigh(climb, &next, err);
        if (next.plan)
            glet_answer_fini(&next);
    }
    if (!climb->best->plan)
        *climb->best = next;
    else
        glet_answer_fini(&next);
    climb->best->limit_hit |= halted;
    return result;
}

/* Whether a plan for fewest GPUs meets every percentile at so many times the rates; then it is the
   best one. */
static int climb_to(struct climb *climb, const struct glet_wishes *wishes, double scale, bool *met,
                    struct glet_error *err)
{
    struct glet_session inner = *climb->session;
    struct glet_bursts bursts = {0};
    struct glet_answer answer = {0};
    inner.problem = glet_problem_view(climb->session->problem);
    if (!inner.problem)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    inner.problem->objective = GLET_MIN_GPUS;
    inner.scale = scale;
    for (int m = 0; m < inner.problem->model_count; m++)
        inner.problem->models[m].demand_rps *= scale;
    int result = glet_room_init(&bursts.room, &inner, err);
    bursts.room.end_s = climb->room.end_s;
    if (result == 0)
        result = solve_until_met(&inner, wishes, &bursts, &answer, err);
    climb->bursts->rounds += bursts.rounds;
    *met = result == 0 && bursts.settled;
    if (*met) {
        answer.plan->objective = GLET_MAX_RATE;
        take(climb, &answer, &bursts.room, scale, scale);
    } else {
        climb->best->limit_hit |= answer.limit_hit;
    }
    glet_answer_fini(&answer);
    glet_bursts_fini(&bursts);
    glet_problem_free(inner.problem);
    return result;
}

/*
 * The largest rate: the best of plans that are for it by mean rates, and of plans with the fewest
 * GPUs for some rate, whose room takes what they leave of the stock.
 */
static int solve_largest(const struct glet_session *session, const struct glet_wishes *wishes,
                         struct glet_bursts *bursts, struct glet_answer *best,
                         struct glet_error *err)
{
    struct climb climb = {.session = session, .bursts = bursts, .best = best, .more = true};
    struct glet_bound bound = {0};
    double high = 0;
    int result = glet_room_init(&climb.room, session, err);
    if (result == 0)
        result = climb_with_room(&climb, wishes, &high, &bound, err);
    while (result == 0 && climb.scale > 0 && high > climb.scale * RATE_STEP && !best->limit_hit) {
        double middle = sqrt(climb.scale * high);
        bool met = false;
        result = climb_to(&climb, wishes, middle, &met, err);
        high = met ? high : middle;
    }
    glet_room_fini(&climb.room);
    bursts->settled = climb.scale > 0;
    if (result < 0 || !best->plan)
        return result;
    best->bound = bound;
    restate(best->plan, climb.scale, &bound);
    return glet_session_verify(session, best->plan, wishes ? wishes->survive : 0, err);
}

int glet_bursts_solve(const struct glet_session *session, const struct glet_wishes *wishes,
                      struct glet_bursts *bursts, struct glet_answer *answer,
                      struct glet_error *err)
{
    *bursts = (struct glet_bursts){0};
    *answer = (struct glet_answer){0};
    if (glet_room_init(&bursts->room, session, err) < 0)
        return -1;
    return session->problem->objective == GLET_MAX_RATE
               ? solve_largest(session, wishes, bursts, answer, err)
               : solve_until_met(session, wishes, bursts, answer, err);
}

void glet_bursts_fini(struct glet_bursts *bursts)
{
    glet_room_fini(&bursts->room);
    *bursts = (struct glet_bursts){0};
}

void glet_bursts_note(const struct glet_session *session, const struct glet_bursts *bursts)
{
    const char *before = " ";
    fprintf(stderr, "note: room for bursts, after %d simulated plan%s:", bursts->rounds,
            bursts->rounds == 1 ? "" : "s");
    for (size_t m = 0; m < bursts->room.model_count; m++)
        if (bursts->room.ratio[m] > 1) {
            fprintf(stderr, "%s%s x %.2f", before, session->workload->models[m].name,
                    bursts->room.ratio[m]);
            before = ", ";
        }
    fprintf(stderr, "%s%s\n", *before == ' ' ? " none is needed" : "",
            bursts->settled ? "" : "; not every percentile is met yet");
}

int glet_bursts_warn(const struct glet_session *session, const struct glet_plan *plan,
                     struct glet_error *err)
{
    const struct glet_workload *workload = session->workload;
    double scale = glet_plan_scale(plan), sum_rps = 0;
    const struct glet_simulate_options options =
        glet_room_simulation(workload, scale, WARNING_REQUESTS);
    for (size_t m = 0; m < workload->model_count; m++)
        sum_rps += scale * glet_workload_demand_rps(workload, m);
    if (workload->options.rate_quantile > 0 || workload->options.headroom_ratio > 0 ||
        sum_rps * options.duration_s > WARNING_REQUESTS)
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
