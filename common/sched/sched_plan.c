/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sched/sched_plan.h"

#include <math.h>

enum { LEAST_REQUESTS = 64, MOST_REQUESTS = 65536 };

uint64_t glet_sched_slo_us(const struct glet_plan *plan, size_t model)
{
    const struct glet_plan_model *planned = &plan->models[model];
    double slo_ms = planned->slo_ms > 0 ? planned->slo_ms : planned->deadline_ms;
    bool has_none = slo_ms <= 0;
    for (size_t g = 0; has_none && g < plan->gpu_count; g++)
        for (size_t l = 0; l < plan->gpus[g].let_count; l++)
            for (size_t i = 0; i < plan->gpus[g].lets[l].model_count; i++) {
                const struct glet_plan_let_model *part = &plan->gpus[g].lets[l].models[i];
                if (part->model == model)
                    slo_ms = fmax(slo_ms, part->latency_bound_ms);
            }
    return (uint64_t)(slo_ms * 1000);
}

double glet_sched_capacity_rps(const struct glet_plan_let *let, size_t i)
{
    double carried_rps = let->models[i].batch * 1000.0 / let->duty_cycle_ms;
    return fmax(carried_rps, let->models[i].rate_rps);
}

size_t glet_sched_queue_capacity(double rate_rps, uint64_t slo_us, int batch)
{
    double wanted = 4 * rate_rps * (double)slo_us * 1e-6 + 8 * batch;
    return (size_t)fmin(fmax(wanted, LEAST_REQUESTS), MOST_REQUESTS);
}
