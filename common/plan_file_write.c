/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing plan.yaml. Block style down to the gpu-lets, whose models get a line each: a diff of two
 * plans then shows one line per changed share.
 */
#include "common/plan_file.h"
#include "common/yaml_write.h"

#include <errno.h>

/* A plan written by hand need not claim anything; then neither do we. */
static bool has_certificate(const struct glet_plan *plan)
{
    bool used = false;
    for (size_t g = 0; g < plan->gpu_count; g++)
        used = used || plan->gpus[g].let_count > 0;
    return plan->certificate.gpus > 0 || !used;
}

static void write_certificate(const struct glet_plan *plan, FILE *out)
{
    const struct glet_plan_certificate *certificate = &plan->certificate;
    if (!has_certificate(plan))
        return;
    fprintf(out, "certificate:\n  gpus: %d\n  lower_bound: %d\n", certificate->gpus,
            certificate->lower_bound);
    glet_yaml_put_double(out, "  gap: ", certificate->gap_ratio, "\n");
    if (plan->objective == GLET_MIN_COST) {
        glet_yaml_put_double(out, "  cost: ", certificate->cost_per_hour, "\n");
        glet_yaml_put_double(out, "  cost_lower_bound: ", certificate->cost_lower_bound, "\n");
    } else if (plan->objective == GLET_MAX_RATE) {
        glet_yaml_put_double(out, "  scale: ", certificate->scale, "\n");
        glet_yaml_put_double(out, "  scale_upper_bound: ", certificate->scale_upper_bound, "\n");
    }
}

static void write_inputs(const struct glet_plan *plan, FILE *out)
{
    if (!plan->workload_sha256[0] && !plan->profile_sha256[0])
        return;
    fputs("inputs:\n", out);
    if (plan->workload_sha256[0])
        fprintf(out, "  workload_sha256: \"%s\"\n", plan->workload_sha256);
    if (plan->profile_sha256[0])
        fprintf(out, "  profile_sha256: \"%s\"\n", plan->profile_sha256);
}

static void write_models(const struct glet_plan *plan, FILE *out)
{
    fputs(plan->model_count ? "models:\n" : "models: []\n", out);
    for (size_t i = 0; i < plan->model_count; i++) {
        const struct glet_plan_model *model = &plan->models[i];
        glet_yaml_put_text(out, "  - {name: ", model->name, "");
        if (model->file)
            glet_yaml_put_text(out, ", file: ", model->file, "");
        if (model->slo_ms > 0)
            glet_yaml_put_double(out, ", slo_ms: ", model->slo_ms, "");
        if (model->deadline_ms > 0)
            glet_yaml_put_double(out, ", deadline_ms: ", model->deadline_ms, "");
        glet_yaml_put_double(out, ", percentile: ", model->percentile, "");
        glet_yaml_put_double(out, ", rate_rps: ", model->rate_rps, "");
        glet_yaml_put_double(out, ", planned_rps: ", model->planned_rps, "}\n");
    }
}

static void write_let(const struct glet_plan *plan, const struct glet_plan_let *let, FILE *out)
{
    fprintf(out, "      - units: %d\n", let->units);
    glet_yaml_put_double(out, "        duty_cycle_ms: ", let->duty_cycle_ms, "\n");
    fputs("        models:\n", out);
    for (size_t i = 0; i < let->model_count; i++) {
        const struct glet_plan_let_model *entry = &let->models[i];
        glet_yaml_put_text(out, "          - {name: ", plan->models[entry->model].name, "");
        fprintf(out, ", batch: %d", entry->batch);
        glet_yaml_put_double(out, ", rate_rps: ", entry->rate_rps, "");
        glet_yaml_put_double(out, ", exec_ms: ", entry->exec_ms, "");
        glet_yaml_put_double(out, ", factor: ", entry->factor, "");
        glet_yaml_put_double(out, ", latency_bound_ms: ", entry->latency_bound_ms, "}\n");
    }
}

static void write_gpus(const struct glet_plan *plan, FILE *out)
{
    fputs(plan->gpu_count ? "gpus:\n" : "gpus: []\n", out);
    for (size_t g = 0; g < plan->gpu_count; g++) {
        const struct glet_plan_gpu *gpu = &plan->gpus[g];
        glet_yaml_put_text(out, "  - id: ", gpu->id, "\n");
        glet_yaml_put_text(out, "    type: ", gpu->type, "\n");
        if (gpu->node)
            glet_yaml_put_text(out, "    node: ", gpu->node, "\n");
        fprintf(out, "    units: %d\n", gpu->units);
        if (gpu->memory_mib > 0)
            glet_yaml_put_double(out, "    memory_mib: ", gpu->memory_mib, "\n");
        fprintf(out, "    gpulets:%s\n", gpu->let_count ? "" : " []");
        for (size_t i = 0; i < gpu->let_count; i++)
            write_let(plan, &gpu->lets[i], out);
    }
}

int glet_plan_write(const struct glet_plan *plan, FILE *out, struct glet_error *err)
{
    if (plan->gpu_count > GLET_PLAN_MOST_GPUS)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED,
                              "the plan has %zu GPUs; a plan file holds at most %d",
                              plan->gpu_count, GLET_PLAN_MOST_GPUS);
    fprintf(out, "schema: gpulet-plan/1\nobjective: %s\n", glet_objective_name(plan->objective));
    write_certificate(plan, out);
    write_inputs(plan, out);
    write_models(plan, out);
    write_gpus(plan, out);
    if (fflush(out) != 0 || ferror(out))
        return glet_error_errno(err, errno, "writing the plan");
    return 0;
}
