/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The plan file as JSON: same keys, same order, same numbers. */
#include "common/json.h"
#include "planner/report/answer.h"
#include "planner/report/writing.h"

static void certificate(struct glet_json *json, const struct glet_plan *plan)
{
    const struct glet_plan_certificate *c = &plan->certificate;
    glet_json_object(json, "certificate");
    glet_json_int(json, "gpus", c->gpus);
    glet_json_int(json, "lower_bound", c->lower_bound);
    glet_json_double(json, "gap", c->gap_ratio);
    if (plan->objective == GLET_MIN_COST) {
        glet_json_double(json, "cost", c->cost_per_hour);
        glet_json_double(json, "cost_lower_bound", c->cost_lower_bound);
    }
    if (plan->objective == GLET_MAX_RATE) {
        glet_json_double(json, "scale", c->scale);
        glet_json_double(json, "scale_upper_bound", c->scale_upper_bound);
    }
    glet_json_end(json);
}

static void models(struct glet_json *json, const struct glet_plan *plan)
{
    glet_json_array(json, "models");
    for (size_t m = 0; m < plan->model_count; m++) {
        const struct glet_plan_model *model = &plan->models[m];
        glet_json_object(json, NULL);
        glet_json_string(json, "name", model->name);
        if (model->file)
            glet_json_string(json, "file", model->file);
        if (model->slo_ms > 0)
            glet_json_double(json, "slo_ms", model->slo_ms);
        if (model->deadline_ms > 0)
            glet_json_double(json, "deadline_ms", model->deadline_ms);
        glet_json_double(json, "percentile", model->percentile);
        glet_json_double(json, "rate_rps", model->rate_rps);
        glet_json_double(json, "planned_rps", model->planned_rps);
        glet_json_end(json);
    }
    glet_json_end(json);
}

static void gpulet(struct glet_json *json, const struct glet_plan *plan,
                   const struct glet_plan_let *let)
{
    glet_json_object(json, NULL);
    glet_json_int(json, "units", let->units);
    glet_json_double(json, "duty_cycle_ms", let->duty_cycle_ms);
    glet_json_array(json, "models");
    for (size_t k = 0; k < let->model_count; k++) {
        const struct glet_plan_let_model *slot = &let->models[k];
        glet_json_object(json, NULL);
        glet_json_string(json, "name", plan->models[slot->model].name);
        glet_json_int(json, "batch", slot->batch);
        glet_json_double(json, "rate_rps", slot->rate_rps);
        glet_json_double(json, "exec_ms", slot->exec_ms);
        glet_json_double(json, "factor", slot->factor);
        glet_json_double(json, "latency_bound_ms", slot->latency_bound_ms);
        glet_json_end(json);
    }
    glet_json_end(json);
    glet_json_end(json);
}

static void gpus(struct glet_json *json, const struct glet_plan *plan)
{
    glet_json_array(json, "gpus");
    for (size_t g = 0; g < plan->gpu_count; g++) {
        const struct glet_plan_gpu *gpu = &plan->gpus[g];
        glet_json_object(json, NULL);
        glet_json_string(json, "id", gpu->id);
        glet_json_string(json, "type", gpu->type);
        if (gpu->node)
            glet_json_string(json, "node", gpu->node);
        glet_json_int(json, "units", gpu->units);
        if (gpu->memory_mib > 0)
            glet_json_double(json, "memory_mib", gpu->memory_mib);
        glet_json_array(json, "gpulets");
        for (size_t i = 0; i < gpu->let_count; i++)
            gpulet(json, plan, &gpu->lets[i]);
        glet_json_end(json);
        glet_json_end(json);
    }
    glet_json_end(json);
}

int glet_report_plan_json(const struct glet_plan *plan, FILE *out, struct glet_error *err)
{
    struct glet_json json = glet_json_begin(out, GLET_JSON_INDENTED);
    glet_json_object(&json, NULL);
    glet_json_string(&json, "schema", "gpulet-plan/1");
    glet_json_string(&json, "objective", glet_objective_name(plan->objective));
    certificate(&json, plan);
    glet_json_object(&json, "inputs");
    if (plan->workload_sha256[0])
        glet_json_string(&json, "workload_sha256", plan->workload_sha256);
    if (plan->profile_sha256[0])
        glet_json_string(&json, "profile_sha256", plan->profile_sha256);
    glet_json_end(&json);
    models(&json, plan);
    gpus(&json, plan);
    glet_json_end(&json);
    return glet_report_finish(out, err);
}
