/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How much can be served within the SLOs, by whose plan? The paper's figure 12 (ATC'22) in
 * simulation: for each workload the largest factor on all rates at which every model's percentile
 * is met under Poisson arrivals, with the plan of `plan --bursts`, that of the same with whole GPUs
 * only (plan-whole), and those of the planners of the literature, all served by the same runtime's
 * code on the same profile.
 *
 *   goodput PROFILE_DIR WORKLOAD.yaml...
 *
 * A baseline may plan for more than the rate, as its authors do: of several paddings the one that
 * serves best counts. Fixed stock; apps are not split by the baselines, so give models with SLOs.
 */
#include "planner/analyse/bursts.h"
#include "planner/baseline/baseline.h"
#include "planner/simulate/simulate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { WHOLE = GLET_BASELINE_COUNT, OURS, PLANNERS, STEPS = 7, MISSES = 6 };

static const double FIRST = 0.5, LAST = 1e6, STEP = 1.3, LOWER = 1.002;

static const double paddings[] = {1, 1.06, 1.12, 1.2, 1.3, 1.45, 1.7, 2, 2.5, 3.2};
static const double SIMULATED_S = 120;

static bool all_met(const struct glet_plan *plan, const struct glet_problem *problem, double scale,
                    struct glet_error *err, int *failed)
{
    const struct glet_simulate_options simulation = {
        .duration_s = SIMULATED_S, .warmup_s = 10, .rate_scale = scale, .seed = 2};
    struct glet_simulation served;
    bool met = true;
    if (glet_simulate(plan, problem, &simulation, &served, err) < 0)
        *failed = -1;
    for (size_t i = 0; i < served.stream_count; i++)
        met &= glet_simulate_meets_slo(&served.streams[i]);
    glet_simulation_fini(&served);
    return met && *failed == 0;
}

static bool baseline_serves(const struct glet_session *session, enum glet_baseline which,
                            double padding, struct glet_error *err, int *failed)
{
    struct glet_problem *view = glet_problem_view(session->problem);
    struct glet_boxes boxes = {0};
    struct glet_solution solution;
    struct glet_plan *plan = NULL;
    bool serves = false;
    glet_solution_init(&solution);
    if (!view) {
        *failed = glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        return false;
    }
    for (int m = 0; m < view->model_count; m++)
        view->models[m].demand_rps *= padding;
    if (glet_baseline_run(view, which, 0, NULL, &boxes)) {
        if (glet_boxes_to_solution(view, &boxes, &solution) < 0 ||
            glet_solution_to_plan_unchecked(view, &solution, &(struct glet_bound){0}, &plan, err) <
                0)
            *failed = -1;
        else
            serves = all_met(plan, session->problem, 1, err, failed);
    }
    glet_plan_free(plan);
    glet_solution_fini(&solution);
    glet_boxes_free(&boxes);
    glet_problem_free(view);
    return serves;
}

static bool serves(struct glet_session *session, const double *rates_rps, int planner, double scale,
                   struct glet_error *err, int *failed)
{
    for (size_t m = 0; m < session->workload->model_count; m++)
        session->workload->models[m].rate_rps = rates_rps[m] * scale;
    *failed = glet_session_rebuild(session, err);
    if (*failed < 0)
        return false;
    for (size_t i = 0; i < sizeof paddings / sizeof *paddings; i++)
        if (baseline_serves(session, (enum glet_baseline)planner, paddings[i], err, failed))
            return true;
    return false;
}

/*
 * Up from one of the smallest rates until nothing has been served for MISSES steps, then bisection to
 * a 500th: nobody's answers need be monotone (a session too slow for a full batch is refused where a
 * faster one is not), so this is the result of a search and no maximum.
 */
static int largest(struct glet_session *session, const double *rates_rps, int planner, double *out,
                   struct glet_error *err)
{
    int failed = 0, misses = 0;
    double low = 0, high = FIRST;
    for (double scale = FIRST; scale < LAST && (low == 0 || misses < MISSES) && failed == 0;
         scale *= STEP) {
        bool met = serves(session, rates_rps, planner, scale, err, &failed);
        misses = met ? 0 : misses + 1;
        low = met ? scale : low;
        high = met ? scale * STEP : high;
    }
    for (int step = 0; step < STEPS && low > 0 && failed == 0; step++) {
        double middle = (low + high) / 2;
        if (serves(session, rates_rps, planner, middle, err, &failed))
            low = middle;
        else
            high = middle;
    }
    *out = low;
    return failed;
}

/* The largest factor of a baseline. */
static int measure_theirs(const char *profiles, const char *workload, int planner, double *out,
                          struct glet_error *err)
{
    struct glet_inputs inputs = {.slo = workload, .profiles = profiles, .headroom_ratio = -1};
    struct glet_session session = {0};
    double *rates_rps = NULL;
    int result = glet_session_open(&inputs, &session, err);
    if (result == 0) {
        rates_rps = calloc(session.workload->model_count, sizeof *rates_rps);
        result = rates_rps ? 0 : glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    }
    for (size_t m = 0; result == 0 && m < session.workload->model_count; m++)
        rates_rps[m] = session.workload->models[m].rate_rps;
    if (result == 0)
        result = largest(&session, rates_rps, planner, out, err);
    free(rates_rps);
    glet_session_close(&session);
    return result;
}

/* That of `plan --objective max-rate --bursts`, lowered until it holds for other arrivals as well. */
static int measure_ours(const char *profiles, const char *workload, bool whole, double *out,
                        struct glet_error *err)
{
    struct glet_inputs inputs = {.slo = workload,
                                 .profiles = profiles,
                                 .headroom_ratio = -1,
                                 .objective = GLET_MAX_RATE,
                                 .effort = GLET_EFFORT_DEFAULT};
    struct glet_session session = {0};
    struct glet_bursts bursts = {0};
    struct glet_answer answer = {0};
    int result = glet_session_open(&inputs, &session, err), failed = 0;
    if (result == 0 && whole) {
        session.workload->options.max_gpulets_per_gpu = 1;
        result = glet_session_rebuild(&session, err);
    }
    if (result == 0)
        result = glet_bursts_solve(&session, NULL, &bursts, &answer, err);
    double scale = result == 0 && answer.plan ? answer.plan->certificate.scale : 0;
    while (scale > FIRST && failed == 0 &&
           !all_met(answer.plan, session.problem, scale, err, &failed))
        scale /= LOWER;
    *out = scale > FIRST ? scale : 0;
    glet_answer_fini(&answer);
    glet_bursts_fini(&bursts);
    glet_session_close(&session);
    return result < 0 ? result : failed;
}

struct sum { /* of the workloads of which a planner serves anything */
    double log;
    int count;
};

static int measure(const char *profiles, const char *workload, struct sum *sums, int *worse,
                   struct glet_error *err)
{
    double found[PLANNERS] = {0};
    for (int p = 0; p < PLANNERS; p++)
        if ((p < WHOLE ? measure_theirs(profiles, workload, p, &found[p], err)
                       : measure_ours(profiles, workload, p == WHOLE, &found[p], err)) < 0)
            return -1;
    const char *name = workload;
    for (const char *c = workload; *c; c++)
        if (*c == '/')
            name = c + 1;
    printf("%-22s", name);
    for (int p = 0; p < PLANNERS; p++) {
        printf(" %10.1f", found[p]);
        sums[p].log += found[p] > 0 ? log(found[OURS] / found[p]) : 0;
        sums[p].count += found[p] > 0;
        *worse += found[OURS] < found[p];
    }
    printf("\n");
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    struct sum sums[PLANNERS] = {0};
    int worse = 0;
    struct glet_error err = {0};
    if (argc < 3) {
        fprintf(stderr, "usage: goodput PROFILE_DIR WORKLOAD.yaml...\n");
        return 2;
    }
    printf(
        "largest factor on all rates with every percentile met, %.0f s of Poisson arrivals\n%-22s",
        SIMULATED_S, "workload");
    for (int p = 0; p < WHOLE; p++)
        printf(" %10s", glet_baseline_name((enum glet_baseline)p));
    printf(" %10s %10s\n", "plan-whole", "plan");
    for (int i = 2; i < argc; i++)
        if (measure(argv[1], argv[i], sums, &worse, &err) < 0) {
            glet_error_print(&err, stderr);
            return glet_error_exit_status(err.code);
        }
    printf("%-22s", "plan / theirs (geom.)");
    for (int p = 0; p < OURS; p++)
        printf(" %10.3f", sums[p].count ? exp(sums[p].log / sums[p].count) : INFINITY);
    printf("\n%d times below a baseline\n", worse);
    return worse > 0;
}
