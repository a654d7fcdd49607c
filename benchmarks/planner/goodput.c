/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How much can be served within the SLOs, by whose plan? The paper's figure 12 (ATC'22) in
 * simulation: for each workload the largest factor on all rates at which every model's percentile
 * is met under Poisson arrivals, with the plans of `plan --bursts` and of the planners of the
 * literature, all served by the same runtime's code on the same profile.
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

enum { OURS = GLET_BASELINE_COUNT, PLANNERS, STEPS = 9 };

static const double paddings[] = {1, 1.06, 1.12, 1.2, 1.3, 1.45, 1.7, 2, 2.5, 3.2};
static const struct glet_simulate_options simulation = {
    .duration_s = 120, .warmup_s = 10, .rate_scale = 1, .seed = 2};

static bool all_met(const struct glet_plan *plan, const struct glet_problem *problem,
                    struct glet_error *err, int *failed)
{
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
            serves = all_met(plan, session->problem, err, failed);
    }
    glet_plan_free(plan);
    glet_solution_fini(&solution);
    glet_boxes_free(&boxes);
    glet_problem_free(view);
    return serves;
}

static bool we_serve(const struct glet_session *session, struct glet_error *err, int *failed)
{
    struct glet_bursts bursts = {0};
    struct glet_answer answer;
    bool serves = false;
    *failed = glet_bursts_solve(session, NULL, &bursts, &answer, err);
    if (*failed == 0 && answer.plan)
        serves = all_met(answer.plan, session->problem, err, failed);
    glet_answer_fini(&answer);
    glet_bursts_fini(&bursts);
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
    if (planner == OURS)
        return we_serve(session, err, failed);
    for (size_t i = 0; i < sizeof paddings / sizeof *paddings; i++)
        if (baseline_serves(session, (enum glet_baseline)planner, paddings[i], err, failed))
            return true;
    return false;
}

/* By doubling, then bisection to a 500th: nobody's answers need be monotone, so this is the result
   of a search and no maximum. */
static int largest(struct glet_session *session, const double *rates_rps, int planner, double *out,
                   struct glet_error *err)
{
    int failed = 0;
    double low = 0, high = 4;
    while (high < 1e6 && serves(session, rates_rps, planner, high, err, &failed) && failed == 0) {
        low = high;
        high *= 2;
    }
    for (int step = 0; step < STEPS && failed == 0; step++) {
        double middle = (low + high) / 2;
        if (serves(session, rates_rps, planner, middle, err, &failed))
            low = middle;
        else
            high = middle;
    }
    *out = low;
    return failed;
}

static int measure(const char *profiles, const char *workload, double *logs, int *worse,
                   struct glet_error *err)
{
    struct glet_inputs inputs = {.slo = workload, .profiles = profiles, .headroom_ratio = -1};
    struct glet_session session = {0};
    double *rates_rps = NULL, found[PLANNERS] = {0};
    int result = glet_session_open(&inputs, &session, err);
    if (result == 0) {
        rates_rps = calloc(session.workload->model_count, sizeof *rates_rps);
        result = rates_rps ? 0 : glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    }
    for (size_t m = 0; result == 0 && m < session.workload->model_count; m++)
        rates_rps[m] = session.workload->models[m].rate_rps;
    for (int p = 0; p < PLANNERS && result == 0; p++)
        result = largest(&session, rates_rps, p, &found[p], err);
    free(rates_rps);
    glet_session_close(&session);
    if (result < 0)
        return -1;
    const char *name = workload;
    for (const char *c = workload; *c; c++)
        if (*c == '/')
            name = c + 1;
    printf("%-22s", name);
    for (int p = 0; p < PLANNERS; p++) {
        printf(" %10.1f", found[p]);
        logs[p] += log(found[OURS] / found[p]);
        *worse += found[OURS] < found[p];
    }
    printf("\n");
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    double logs[PLANNERS] = {0};
    int worse = 0;
    struct glet_error err = {0};
    if (argc < 3) {
        fprintf(stderr, "usage: goodput PROFILE_DIR WORKLOAD.yaml...\n");
        return 2;
    }
    printf(
        "largest factor on all rates with every percentile met, %.0f s of Poisson arrivals\n%-22s",
        simulation.duration_s, "workload");
    for (int p = 0; p < OURS; p++)
        printf(" %10s", glet_baseline_name((enum glet_baseline)p));
    printf(" %10s\n", "plan");
    for (int i = 2; i < argc; i++)
        if (measure(argv[1], argv[i], logs, &worse, &err) < 0) {
            glet_error_print(&err, stderr);
            return glet_error_exit_status(err.code);
        }
    printf("%-22s", "plan / theirs (geom.)");
    for (int p = 0; p < OURS; p++)
        printf(" %10.3f", exp(logs[p] / (argc - 2)));
    printf("\n%d times below a baseline\n", worse);
    return worse > 0;
}
