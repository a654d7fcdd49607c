/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading plan.yaml: tables of fields, then what has to hold between them (formats.md, "A plan is
 * correct when"), as far as the plan alone tells.
 *
 * Comparisons allow a relative 1e-9, as the planner and its verifier do: the numbers were computed
 * in doubles, in another order than here.
 */
#include "common/plan_file.h"

#include "common/memory.h"
#include "common/yaml_read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Searches by name are linear, and a plan's author may be hostile. */
enum { MOST_MODELS = 1024, MOST_GPUS = GLET_PLAN_MOST_GPUS, MOST_LETS = 1024 };

static const double tolerance_ratio = 1e-9, most = 1e9;

static const char *const objectives[] = {"min-gpus", "min-cost", "max-rate", NULL};
static const char *const schemas[] = {"gpulet-plan/1", NULL};

static bool exceeds(double value, double limit)
{
    return value > limit + tolerance_ratio * fabs(limit);
}

static bool differs(double a, double b)
{
    return exceeds(a, b) || exceeds(b, a);
}

static int read_certificate(struct glet_plan *plan, const struct glet_yaml *yaml,
                            const struct glet_yaml_node *node, struct glet_error *err)
{
#define FIELD(name, member, needed)                                                                \
    {                                                                                              \
        .key = name, .type = GLET_YAML_DOUBLE, .rules = (needed) ? GLET_YAML_REQUIRED : 0,         \
        .high = 1e18, .offset = offsetof(struct glet_plan_certificate, member)                     \
    }
    bool cost = plan->objective == GLET_MIN_COST, rate = plan->objective == GLET_MAX_RATE;
    const struct glet_yaml_field fields[] = {
        {.key = "gpus",
         .type = GLET_YAML_INT,
         .rules = GLET_YAML_REQUIRED,
         .high = MOST_GPUS,
         .offset = offsetof(struct glet_plan_certificate, gpus)},
        {.key = "lower_bound",
         .type = GLET_YAML_INT,
         .rules = GLET_YAML_REQUIRED,
         .high = MOST_GPUS,
         .offset = offsetof(struct glet_plan_certificate, lower_bound)},
        FIELD("gap", gap_ratio, true),
        FIELD("cost", cost_per_hour, cost),
        FIELD("cost_lower_bound", cost_lower_bound, cost),
        FIELD("scale", scale, rate),
        FIELD("scale_upper_bound", scale_upper_bound, rate),
    };
#undef FIELD
    struct glet_plan_certificate *certificate = &plan->certificate;
    if (!node)
        return 0;
    if (glet_yaml_fields(yaml, node, fields, COUNT_OF(fields), certificate, err) < 0)
        return -1;
    if (certificate->lower_bound > certificate->gpus)
        return glet_yaml_error(yaml, glet_yaml_get(node, "lower_bound"), GLET_ERR_INPUT, err,
                               "%d is above the %d GPU%s used", certificate->lower_bound,
                               certificate->gpus, certificate->gpus == 1 ? "" : "s");
    return 0;
}

static int read_digest(const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                       char hex[65], struct glet_error *err)
{
    if (!node)
        return 0;
    bool fits = node->kind == GLET_YAML_SCALAR && strlen(node->text) == 64 &&
                strspn(node->text, "0123456789abcdef") == 64;
    if (!fits)
        return glet_yaml_error(yaml, node, GLET_ERR_INPUT, err,
                               "is not 64 lower-case hexadecimal digits");
    memcpy(hex, node->text, 65);
    return 0;
}

static int read_inputs(struct glet_plan *plan, const struct glet_yaml *yaml,
                       const struct glet_yaml_node *node, struct glet_error *err)
{
    static const struct glet_yaml_field fields[] = {
        {.key = "workload_sha256", .type = GLET_YAML_NODE},
        {.key = "profile_sha256", .type = GLET_YAML_NODE},
    };
    if (!node)
        return 0;
    if (glet_yaml_fields(yaml, node, fields, COUNT_OF(fields), plan, err) < 0 ||
        read_digest(yaml, glet_yaml_get(node, "workload_sha256"), plan->workload_sha256, err) < 0)
        return -1;
    return read_digest(yaml, glet_yaml_get(node, "profile_sha256"), plan->profile_sha256, err);
}

static size_t find_model(const struct glet_plan *plan, const char *name)
{
    size_t i = 0;
    while (i < plan->model_count && strcmp(plan->models[i].name, name) != 0)
        i++;
    return i;
}

static int read_model(struct glet_plan *plan, const struct glet_yaml *yaml,
                      const struct glet_yaml_node *node, struct glet_error *err)
{
    const struct glet_yaml_field fields[] = {
        {.key = "name",
         .type = GLET_YAML_NAME,
         .rules = GLET_YAML_REQUIRED,
         .offset = offsetof(struct glet_plan_model, name)},
        {.key = "file", .type = GLET_YAML_TEXT, .offset = offsetof(struct glet_plan_model, file)},
        {.key = "slo_ms",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_ABOVE,
         .high = most,
         .offset = offsetof(struct glet_plan_model, slo_ms)},
        {.key = "deadline_ms",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_ABOVE,
         .high = most,
         .offset = offsetof(struct glet_plan_model, deadline_ms)},
        {.key = "percentile",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_ABOVE | GLET_YAML_BELOW,
         .high = 100,
         .offset = offsetof(struct glet_plan_model, percentile)},
        {.key = "rate_rps",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_REQUIRED,
         .high = 1e18,
         .offset = offsetof(struct glet_plan_model, rate_rps)},
        {.key = "planned_rps",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_REQUIRED,
         .high = 1e18,
         .offset = offsetof(struct glet_plan_model, planned_rps)},
    };
    struct glet_plan_model *model = &plan->models[plan->model_count];
    *model = (struct glet_plan_model){.percentile = 99, .mark = node->mark};
    plan->model_count++; /* from here on glet_plan_free() releases it */
    if (glet_yaml_fields(yaml, node, fields, COUNT_OF(fields), model, err) < 0)
        return -1;
    size_t same = find_model(plan, model->name);
    if (same != plan->model_count - 1)
        return glet_yaml_twice(yaml, glet_yaml_get(node, "name"), "model", model->name,
                               plan->models[same].mark, err);
    return 0;
}

static int read_models(struct glet_plan *plan, const struct glet_yaml *yaml,
                       const struct glet_yaml_node *list, struct glet_error *err)
{
    if (glet_yaml_limit(yaml, list, MOST_MODELS, err) < 0 ||
        !(plan->models = glet_alloc(list->count, sizeof *plan->models, err)))
        return -1;
    for (const struct glet_yaml_node *node = list->first; node; node = node->next)
        if (read_model(plan, yaml, node, err) < 0)
            return -1;
    return 0;
}

/* What must hold for one model of a gpu-let, the round's fit aside. */
static int check_let_model(const struct glet_plan *plan, const struct glet_plan_let *let,
                           const struct glet_plan_let_model *entry, const struct glet_yaml *yaml,
                           const struct glet_yaml_node *node, struct glet_error *err)
{
    double slo_ms = plan->models[entry->model].slo_ms;
    double arriving = entry->rate_rps * let->duty_cycle_ms / 1000;
    double bound_ms = let->duty_cycle_ms + entry->exec_ms;
    if (exceeds(arriving, entry->batch))
        return glet_yaml_error(yaml, glet_yaml_get(node, "batch"), GLET_ERR_INPUT, err,
                               "%d requests per round, but %.6g arrive during one", entry->batch,
                               arriving);
    if (differs(entry->latency_bound_ms, bound_ms))
        return glet_yaml_error(yaml, glet_yaml_get(node, "latency_bound_ms"), GLET_ERR_INPUT, err,
                               "%.6g is not duty_cycle_ms + exec_ms = %.6g",
                               entry->latency_bound_ms, bound_ms);
    if (slo_ms > 0 && exceeds(bound_ms, slo_ms))
        return glet_yaml_error(yaml, glet_yaml_get(node, "latency_bound_ms"), GLET_ERR_INPUT, err,
                               "duty_cycle_ms + exec_ms = %.6g is above the SLO of %.6g ms",
                               bound_ms, slo_ms);
    return 0;
}

static int read_let_model(const struct glet_plan *plan, struct glet_plan_let *let,
                          const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                          struct glet_error *err)
{
    static const struct glet_yaml_field name_field = {.type = GLET_YAML_NAME};
    static const struct glet_yaml_field fields[] = {
        {.key = "name", .type = GLET_YAML_NODE, .rules = GLET_YAML_REQUIRED},
        {.key = "batch",
         .type = GLET_YAML_INT,
         .rules = GLET_YAML_REQUIRED,
         .low = 1,
         .high = 1000000,
         .offset = offsetof(struct glet_plan_let_model, batch)},
        {.key = "rate_rps",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_REQUIRED,
         .high = 1e9,
         .offset = offsetof(struct glet_plan_let_model, rate_rps)},
        {.key = "exec_ms",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_REQUIRED | GLET_YAML_ABOVE,
         .high = 1e9,
         .offset = offsetof(struct glet_plan_let_model, exec_ms)},
        {.key = "factor",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_REQUIRED,
         .low = 1,
         .high = 1e6,
         .offset = offsetof(struct glet_plan_let_model, factor)},
        {.key = "latency_bound_ms",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_REQUIRED | GLET_YAML_ABOVE,
         .high = 1e10,
         .offset = offsetof(struct glet_plan_let_model, latency_bound_ms)},
    };
    GLET_CLEANUP(glet_cleanup_free) char *name = NULL;
    struct glet_plan_let_model *entry = &let->models[let->model_count];
    entry->mark = node->mark;
    if (glet_yaml_fields(yaml, node, fields, COUNT_OF(fields), entry, err) < 0 ||
        glet_yaml_scalar(yaml, glet_yaml_get(node, "name"), &name_field, &name, err) < 0)
        return -1;
    entry->model = find_model(plan, name);
    if (entry->model == plan->model_count)
        return glet_yaml_error(yaml, glet_yaml_get(node, "name"), GLET_ERR_INPUT, err,
                               "%.100s is not one of the plan's models", name);
    for (size_t i = 0; i < let->model_count; i++)
        if (let->models[i].model == entry->model)
            return glet_yaml_twice(yaml, glet_yaml_get(node, "name"), "model", name,
                                   let->models[i].mark, err);
    let->model_count++;
    return check_let_model(plan, let, entry, yaml, node, err);
}

static int check_round(const struct glet_plan_let *let, const struct glet_yaml *yaml,
                       const struct glet_yaml_node *node, struct glet_error *err)
{
    double total_ms = 0;
    for (size_t i = 0; i < let->model_count; i++)
        total_ms += let->models[i].exec_ms;
    if (!exceeds(total_ms, let->duty_cycle_ms))
        return 0;
    return glet_yaml_error(yaml, glet_yaml_get(node, "duty_cycle_ms"), GLET_ERR_INPUT, err,
                           "%.6g is below the models' exec_ms together, %.6g", let->duty_cycle_ms,
                           total_ms);
}

static int read_let(const struct glet_plan *plan, struct glet_plan_gpu *gpu,
                    const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                    struct glet_error *err)
{
    static const struct glet_yaml_field fields[] = {
        {.key = "units",
         .type = GLET_YAML_INT,
         .rules = GLET_YAML_REQUIRED,
         .low = 1,
         .high = 1000000,
         .offset = offsetof(struct glet_plan_let, units)},
        {.key = "duty_cycle_ms",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_REQUIRED | GLET_YAML_ABOVE,
         .high = 1e9,
         .offset = offsetof(struct glet_plan_let, duty_cycle_ms)},
        {.key = "models", .type = GLET_YAML_NODES, .rules = GLET_YAML_REQUIRED},
    };
    struct glet_plan_let *let = &gpu->lets[gpu->let_count++];
    let->mark = node->mark;
    if (glet_yaml_fields(yaml, node, fields, COUNT_OF(fields), let, err) < 0)
        return -1;
    const struct glet_yaml_node *list = glet_yaml_get(node, "models");
    if (list->count == 0)
        return glet_yaml_error(yaml, list, GLET_ERR_INPUT, err,
                               "a gpu-let needs at least one model");
    if (glet_yaml_limit(yaml, list, MOST_MODELS, err) < 0 ||
        !(let->models = glet_alloc(list->count, sizeof *let->models, err)))
        return -1;
    for (const struct glet_yaml_node *entry = list->first; entry; entry = entry->next)
        if (read_let_model(plan, let, yaml, entry, err) < 0)
            return -1;
    return check_round(let, yaml, node, err);
}

static int read_lets(const struct glet_plan *plan, struct glet_plan_gpu *gpu,
                     const struct glet_yaml *yaml, const struct glet_yaml_node *list,
                     struct glet_error *err)
{
    long used_units = 0;
    if (glet_yaml_limit(yaml, list, MOST_LETS, err) < 0 ||
        !(gpu->lets = glet_alloc(list->count, sizeof *gpu->lets, err)))
        return -1;
    for (const struct glet_yaml_node *node = list->first; node; node = node->next) {
        if (read_let(plan, gpu, yaml, node, err) < 0)
            return -1;
        used_units += gpu->lets[node->index].units;
    }
    if (used_units > gpu->units)
        return glet_yaml_error(yaml, list, GLET_ERR_INPUT, err,
                               "%ld units together, but the GPU has %d", used_units, gpu->units);
    return 0;
}

static int read_gpu(struct glet_plan *plan, const struct glet_yaml *yaml,
                    const struct glet_yaml_node *node, struct glet_error *err)
{
    static const struct glet_yaml_field fields[] = {
        {.key = "id",
         .type = GLET_YAML_NAME,
         .rules = GLET_YAML_REQUIRED,
         .offset = offsetof(struct glet_plan_gpu, id)},
        {.key = "type",
         .type = GLET_YAML_NAME,
         .rules = GLET_YAML_REQUIRED,
         .offset = offsetof(struct glet_plan_gpu, type)},
        {.key = "node", .type = GLET_YAML_NAME, .offset = offsetof(struct glet_plan_gpu, node)},
        {.key = "units",
         .type = GLET_YAML_INT,
         .rules = GLET_YAML_REQUIRED,
         .low = 1,
         .high = 1000000,
         .offset = offsetof(struct glet_plan_gpu, units)},
        {.key = "memory_mib",
         .type = GLET_YAML_DOUBLE,
         .high = 1e9,
         .offset = offsetof(struct glet_plan_gpu, memory_mib)},
        {.key = "gpulets", .type = GLET_YAML_NODES, .rules = GLET_YAML_REQUIRED},
    };
    struct glet_plan_gpu *gpu = &plan->gpus[plan->gpu_count++];
    gpu->mark = node->mark;
    if (glet_yaml_fields(yaml, node, fields, COUNT_OF(fields), gpu, err) < 0)
        return -1;
    for (const struct glet_plan_gpu *other = plan->gpus; other < gpu; other++)
        if (strcmp(other->id, gpu->id) == 0)
            return glet_yaml_twice(yaml, glet_yaml_get(node, "id"), "GPU", gpu->id, other->mark,
                                   err);
    return read_lets(plan, gpu, yaml, glet_yaml_get(node, "gpulets"), err);
}

static int read_gpus(struct glet_plan *plan, const struct glet_yaml *yaml,
                     const struct glet_yaml_node *list, struct glet_error *err)
{
    if (glet_yaml_limit(yaml, list, MOST_GPUS, err) < 0 ||
        !(plan->gpus = glet_alloc(list->count, sizeof *plan->gpus, err)))
        return -1;
    for (const struct glet_yaml_node *node = list->first; node; node = node->next)
        if (read_gpu(plan, yaml, node, err) < 0)
            return -1;
    return 0;
}

/* planned_rps of each model, and the number of GPUs used, against what the gpu-lets say. */
static int check_totals(const struct glet_plan *plan, const struct glet_yaml *yaml,
                        struct glet_error *err)
{
    GLET_CLEANUP(glet_cleanup_free)
    double *total_rps = glet_alloc(plan->model_count, sizeof *total_rps, err);
    const struct glet_yaml_node *certificate = glet_yaml_get(yaml->root, "certificate");
    int used = 0;
    if (!total_rps)
        return -1;
    for (size_t g = 0; g < plan->gpu_count; g++) {
        const struct glet_plan_gpu *gpu = &plan->gpus[g];
        used += gpu->let_count > 0;
        for (size_t i = 0; i < gpu->let_count; i++)
            for (size_t k = 0; k < gpu->lets[i].model_count; k++)
                total_rps[gpu->lets[i].models[k].model] += gpu->lets[i].models[k].rate_rps;
    }
    for (const struct glet_yaml_node *node = glet_yaml_get(yaml->root, "models")->first; node;
         node = node->next)
        if (differs(plan->models[node->index].planned_rps, total_rps[node->index]))
            return glet_yaml_error(yaml, glet_yaml_get(node, "planned_rps"), GLET_ERR_INPUT, err,
                                   "%.6g is not the sum over its gpu-lets, %.6g",
                                   plan->models[node->index].planned_rps, total_rps[node->index]);
    if (certificate && plan->certificate.gpus != used)
        return glet_yaml_error(yaml, glet_yaml_get(certificate, "gpus"), GLET_ERR_INPUT, err,
                               "%d, but %d GPU%s gpu-lets", plan->certificate.gpus, used,
                               used == 1 ? " has" : "s have");
    return 0;
}

static int read_document(struct glet_plan *plan, const struct glet_yaml *yaml,
                         struct glet_error *err)
{
    static const struct glet_yaml_field schema_field[] = {
        {.key = "schema",
         .type = GLET_YAML_CHOICE,
         .rules = GLET_YAML_REQUIRED,
         .choices = schemas},
        {.key = "objective",
         .type = GLET_YAML_CHOICE,
         .rules = GLET_YAML_REQUIRED,
         .choices = objectives,
         .offset = sizeof(int)},
        {.key = "certificate", .type = GLET_YAML_NODE},
        {.key = "inputs", .type = GLET_YAML_NODE},
        {.key = "models", .type = GLET_YAML_NODES, .rules = GLET_YAML_REQUIRED},
        {.key = "gpus", .type = GLET_YAML_NODES, .rules = GLET_YAML_REQUIRED},
    };
    const struct glet_yaml_node *root = yaml->root;
    int schema_and_objective[2];
    if (glet_yaml_check_schema(yaml, schemas, err) < 0 ||
        glet_yaml_fields(yaml, root, schema_field, COUNT_OF(schema_field), schema_and_objective,
                         err) < 0)
        return -1;
    plan->objective = (enum glet_objective)schema_and_objective[1];
    if (read_certificate(plan, yaml, glet_yaml_get(root, "certificate"), err) < 0 ||
        read_inputs(plan, yaml, glet_yaml_get(root, "inputs"), err) < 0 ||
        read_models(plan, yaml, glet_yaml_get(root, "models"), err) < 0 ||
        read_gpus(plan, yaml, glet_yaml_get(root, "gpus"), err) < 0)
        return -1;
    return check_totals(plan, yaml, err);
}

static int from_yaml(const struct glet_yaml *yaml, const char *path, struct glet_plan **out,
                     struct glet_error *err)
{
    GLET_CLEANUP(glet_plan_cleanup) struct glet_plan *plan = glet_alloc(1, sizeof *plan, err);
    if (!plan || !(plan->path = glet_strdup(path, err)) || read_document(plan, yaml, err) < 0)
        return -1;
    memcpy(plan->sha256, yaml->sha256, sizeof plan->sha256);
    *out = GLET_STEAL(plan);
    return 0;
}

int glet_plan_load(const char *path, struct glet_plan **out, struct glet_error *err)
{
    GLET_CLEANUP(glet_yaml_cleanup) struct glet_yaml *yaml = NULL;
    if (glet_yaml_load(path, &yaml, err) < 0)
        return -1;
    return from_yaml(yaml, path, out, err);
}

int glet_plan_parse(const char *text, size_t length, const char *name, struct glet_plan **out,
                    struct glet_error *err)
{
    GLET_CLEANUP(glet_yaml_cleanup) struct glet_yaml *yaml = NULL;
    if (glet_yaml_parse(text, length, name, &yaml, err) < 0)
        return -1;
    return from_yaml(yaml, name, out, err);
}

const char *glet_objective_name(enum glet_objective objective)
{
    return objectives[objective];
}

void glet_plan_free(struct glet_plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; i < plan->model_count; i++) {
        free(plan->models[i].name);
        free(plan->models[i].file);
    }
    for (size_t g = 0; g < plan->gpu_count; g++) {
        struct glet_plan_gpu *gpu = &plan->gpus[g];
        for (size_t i = 0; i < gpu->let_count; i++)
            free(gpu->lets[i].models);
        free(gpu->lets);
        free(gpu->id);
        free(gpu->type);
        free(gpu->node);
    }
    free(plan->models);
    free(plan->gpus);
    free(plan->path);
    free(plan);
}

void glet_plan_cleanup(struct glet_plan **plan)
{
    glet_plan_free(*plan);
}
