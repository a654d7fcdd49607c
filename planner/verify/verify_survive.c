/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Takes every GPU away once and adds up what the gpu-lets of the others can carry: batch / duty
 * cycle each, by the plan's own numbers, which glet_verify() has checked.
 */
#include "planner/verify/verify_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one GPU can serve of each workload model, added to rate_rps with a sign. */
static void add_gpu(const struct verify_run *run, size_t g, double sign, double *rate_rps)
{
    const struct glet_plan_gpu *gpu = &run->plan->gpus[g];
    for (size_t i = 0; i < gpu->let_count; i++)
        for (size_t k = 0; k < gpu->lets[i].model_count; k++) {
            int w = run->workload_model[gpu->lets[i].models[k].model];
            if (w >= 0)
                rate_rps[w] +=
                    sign * 1000.0 * gpu->lets[i].models[k].batch / gpu->lets[i].duty_cycle_ms;
        }
}

static void check_without(struct verify_run *run, size_t gone, const double *rate_rps, double scale)
{
    const struct glet_plan_gpu *gpu = &run->plan->gpus[gone];
    for (size_t w = 0; w < run->workload->model_count; w++) {
        double demand_rps = scale * glet_workload_demand_rps(run->workload, w);
        char where[64];
        if (glet_verify_at_most(demand_rps * (1 - 1e-8), rate_rps[w])) /* sums that cancel */
            continue;
        snprintf(where, sizeof where, "gpus[%zu]", gone);
        glet_verify_report(run, GLET_RULE_SURVIVE, gpu->mark, where,
                           "without %s the others can serve %.9g requests per second of %s, its "
                           "demand is %.9g",
                           gpu->id, rate_rps[w] > 0 ? rate_rps[w] : 0,
                           run->workload->models[w].name, demand_rps);
    }
}

int glet_verify_survive(const struct glet_workload *workload, const struct glet_plan *plan,
                        struct glet_verdict *out, struct glet_error *err)
{
    struct verify_run run = {.workload = workload, .plan = plan, .out = out};
    double scale = glet_plan_scale(plan);
    double *rate_rps = calloc(workload->model_count + 1, sizeof *rate_rps);
    run.workload_model = calloc(plan->model_count + 1, sizeof *run.workload_model);
    run.out_of_memory = !rate_rps || !run.workload_model;
    for (size_t m = 0; !run.out_of_memory && m < plan->model_count; m++)
        run.workload_model[m] = glet_workload_find_model(workload, plan->models[m].name);
    for (size_t g = 0; !run.out_of_memory && g < plan->gpu_count; g++)
        add_gpu(&run, g, 1, rate_rps);
    for (size_t g = 0; g < plan->gpu_count && !run.out_of_memory; g++) {
        add_gpu(&run, g, -1, rate_rps);
        check_without(&run, g, rate_rps, scale);
        add_gpu(&run, g, 1, rate_rps);
    }
    free(rate_rps);
    free(run.workload_model);
    return run.out_of_memory ? glet_error_set(err, GLET_ERR_NOMEM, "out of memory") : 0;
}
