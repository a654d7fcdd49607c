/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each mapping of the file is one table of fields; what a table cannot say (names that must be
 * unique, stages that must exist and not wait for each other in a circle) follows it in code.
 *
 * Sizes are small (tens of models), so names are searched linearly.
 */
#include "common/workload.h"

#include "common/csv.h"
#include "common/file.h"
#include "common/memory.h"
#include "common/workload_internal.h"

#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* 11 days: beyond any meaning. */
const double glet_workload_most_rps = 1e9, glet_workload_most_ms = 1e9;

static const char *const arrivals[] = {"poisson", "uniform", "trace", NULL};
static const char *const schemas[] = {"gpulet-workload/1", NULL};

static int read_arrival(struct glet_workload_model *model, const struct glet_yaml *yaml,
                        const struct glet_yaml_node *node, struct glet_error *err)
{
    const struct glet_yaml_node *trace = glet_yaml_get(node, "trace");
    if (model->arrival == GLET_ARRIVAL_TRACE && !trace) {
        glet_yaml_error(yaml, glet_yaml_get(node, "arrival"), GLET_ERR_INPUT, err,
                        "trace needs a file");
        return glet_error_hint(err, "add trace: FILE.csv");
    }
    if (model->arrival != GLET_ARRIVAL_TRACE && trace) {
        glet_yaml_error(yaml, trace, GLET_ERR_INPUT, err, "has no meaning without arrival: trace");
        return glet_error_hint(err, "add arrival: trace");
    }
    if (!trace)
        return 0;
    char *beside = glet_path_beside(yaml->name, model->trace_path, err);
    if (!beside)
        return -1;
    free(model->trace_path);
    model->trace_path = beside;
    return 0;
}

static int read_model(struct glet_workload *workload, const struct glet_yaml *yaml,
                      const struct glet_yaml_node *node, struct glet_error *err)
{
    const struct glet_yaml_field fields[] = {
        {.key = "name",
         .type = GLET_YAML_NAME,
         .rules = GLET_YAML_REQUIRED,
         .offset = offsetof(struct glet_workload_model, name)},
        {.key = "rate_rps",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_REQUIRED,
         .high = glet_workload_most_rps,
         .offset = offsetof(struct glet_workload_model, rate_rps)},
        {.key = "slo_ms",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_REQUIRED | GLET_YAML_ABOVE,
         .high = glet_workload_most_ms,
         .offset = offsetof(struct glet_workload_model, slo_ms)},
        {.key = "percentile",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_ABOVE | GLET_YAML_BELOW,
         .high = 100,
         .offset = offsetof(struct glet_workload_model, percentile)},
        {.key = "arrival",
         .type = GLET_YAML_CHOICE,
         .choices = arrivals,
         .offset = offsetof(struct glet_workload_model, arrival)},
        {.key = "trace",
         .type = GLET_YAML_TEXT,
         .offset = offsetof(struct glet_workload_model, trace_path)},
    };
    struct glet_workload_model *model = &workload->models[workload->model_count];
    *model = (struct glet_workload_model){.percentile = 99, .mark = node->mark};
    workload->model_count++; /* from here on glet_workload_free() releases it */
    if (glet_yaml_fields(yaml, node, fields, COUNT_OF(fields), model, err) < 0)
        return -1;
    int same = glet_workload_find_model(workload, model->name);
    if (same != (int)workload->model_count - 1)
        return glet_yaml_twice(yaml, glet_yaml_get(node, "name"), "model", model->name,
                               workload->models[same].mark, err);
    model->rate_mark = glet_yaml_get(node, "rate_rps")->mark;
    model->slo_mark = glet_yaml_get(node, "slo_ms")->mark;
    return read_arrival(model, yaml, node, err);
}

static int read_models(struct glet_workload *workload, const struct glet_yaml *yaml,
                       const struct glet_yaml_node *list, struct glet_error *err)
{
    if (!list)
        return 0;
    if (glet_yaml_limit(yaml, list, GLET_WORKLOAD_MOST_ENTRIES, err) < 0 ||
        !(workload->models = glet_alloc(list->count, sizeof *workload->models, err)))
        return -1;
    for (const struct glet_yaml_node *node = list->first; node; node = node->next)
        if (read_model(workload, yaml, node, err) < 0)
            return -1;
    return 0;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static int read_gpu(struct glet_workload *workload, const struct glet_yaml *yaml,
                    const struct glet_yaml_node *node, struct glet_error *err)
{
    static const struct glet_yaml_field fields[] = {
        {.key = "type",
         .type = GLET_YAML_NAME,
         .rules = GLET_YAML_REQUIRED,
         .offset = offsetof(struct glet_workload_gpu, type)},
        {.key = "count",
         .type = GLET_YAML_INT,
         .high = 1000000,
         .offset = offsetof(struct glet_workload_gpu, count)},
        {.key = "cost_per_hour",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_ABOVE,
         .high = 1e9,
         .offset = offsetof(struct glet_workload_gpu, cost_per_hour)},
        {.key = "node", .type = GLET_YAML_NAME, .offset = offsetof(struct glet_workload_gpu, node)},
    };
    struct glet_workload_gpu *gpu = &workload->gpus[workload->gpu_count++];
    *gpu = (struct glet_workload_gpu){
        .count = GLET_COUNT_UNLIMITED, .cost_per_hour = 1, .mark = node->mark};
    if (glet_yaml_fields(yaml, node, fields, COUNT_OF(fields), gpu, err) < 0)
        return -1;
    for (const struct glet_workload_gpu *other = workload->gpus; other < gpu; other++)
        if (same_text(other->type, gpu->type) && same_text(other->node, gpu->node))
            return glet_yaml_twice(yaml, glet_yaml_get(node, "type"),
                                   gpu->node ? "with this node, type" : "without a node, type",
                                   gpu->type, other->mark, err);
    return 0;
}

static int read_gpus(struct glet_workload *workload, const struct glet_yaml *yaml,
                     const struct glet_yaml_node *list, struct glet_error *err)
{
    if (list->count == 0)
        return glet_yaml_error(yaml, list, GLET_ERR_INPUT, err, "at least one GPU type is needed");
    if (glet_yaml_limit(yaml, list, GLET_WORKLOAD_MOST_ENTRIES, err) < 0 ||
        !(workload->gpus = glet_alloc(list->count, sizeof *workload->gpus, err)))
        return -1;
    for (const struct glet_yaml_node *node = list->first; node; node = node->next)
        if (read_gpu(workload, yaml, node, err) < 0)
            return -1;
    return 0;
}

static int ascending_ints(const void *a, const void *b)
{
    const int *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static int read_sizes(struct glet_workload_options *options, const struct glet_yaml *yaml,
                      const struct glet_yaml_node *list, struct glet_error *err)
{
    static const struct glet_yaml_field size_field = {
        .type = GLET_YAML_INT, .low = 1, .high = 1000000};
    if (!list)
        return 0;
    if (list->count == 0)
        return glet_yaml_error(yaml, list, GLET_ERR_INPUT, err, "at least one size is needed");
    if (glet_yaml_limit(yaml, list, GLET_WORKLOAD_MOST_ENTRIES, err) < 0 ||
        !(options->sizes_units = glet_alloc(list->count, sizeof *options->sizes_units, err)))
        return -1;
    for (const struct glet_yaml_node *node = list->first; node; node = node->next) {
        int *size_units = &options->sizes_units[options->size_count];
        if (glet_yaml_scalar(yaml, node, &size_field, size_units, err) < 0)
            return -1;
        for (size_t i = 0; i < options->size_count; i++)
            if (options->sizes_units[i] == *size_units)
                return glet_yaml_error(yaml, node, GLET_ERR_INPUT, err, "%d is given twice",
                                       *size_units);
        options->size_count++;
    }
    qsort(options->sizes_units, options->size_count, sizeof *options->sizes_units, ascending_ints);
    return 0;
}

/* none, or a number within (0, 1). */
static int read_quantile(struct glet_workload_options *options, const struct glet_yaml *yaml,
                         const struct glet_yaml_node *node, struct glet_error *err)
{
    static const struct glet_yaml_field quantile_field = {
        .type = GLET_YAML_DOUBLE, .rules = GLET_YAML_ABOVE | GLET_YAML_BELOW, .high = 1};
    if (!node || (node->kind == GLET_YAML_SCALAR && strcmp(node->text, "none") == 0))
        return 0;
    if (glet_yaml_scalar(yaml, node, &quantile_field, &options->rate_quantile, err) == 0)
        return 0;
    return glet_error_hint(err, "give none, or a probability such as 0.99");
}

static int read_options(struct glet_workload_options *options, const struct glet_yaml *yaml,
                        const struct glet_yaml_node *node, struct glet_error *err)
{
    static const struct glet_yaml_field fields[] = {
        {.key = "interference",
         .type = GLET_YAML_BOOL,
         .offset = offsetof(struct glet_workload_options, interference)},
        {.key = "headroom",
         .type = GLET_YAML_DOUBLE,
         .high = 1000,
         .offset = offsetof(struct glet_workload_options, headroom_ratio)},
        {.key = "rate_quantile", .type = GLET_YAML_NODE},
        {.key = "latency_factor",
         .type = GLET_YAML_DOUBLE,
         .low = 0.001,
         .high = 1000,
         .offset = offsetof(struct glet_workload_options, latency_factor)},
        {.key = "max_gpulets_per_gpu",
         .type = GLET_YAML_INT,
         .low = 1,
         .high = 1000000,
         .offset = offsetof(struct glet_workload_options, max_gpulets_per_gpu)},
        {.key = "sizes", .type = GLET_YAML_NODES},
    };
    *options = (struct glet_workload_options){.interference = true, .latency_factor = 1};
    if (!node)
        return 0;
    if (glet_yaml_fields(yaml, node, fields, COUNT_OF(fields), options, err) < 0 ||
        read_quantile(options, yaml, glet_yaml_get(node, "rate_quantile"), err) < 0)
        return -1;
    return read_sizes(options, yaml, glet_yaml_get(node, "sizes"), err);
}

static int read_document(struct glet_workload *workload, const struct glet_yaml *yaml,
                         struct glet_error *err)
{
    static const struct glet_yaml_field fields[] = {
        {.key = "schema",
         .type = GLET_YAML_CHOICE,
         .rules = GLET_YAML_REQUIRED,
         .choices = schemas},
        {.key = "models", .type = GLET_YAML_NODES},
        {.key = "apps", .type = GLET_YAML_NODES},
        {.key = "gpus", .type = GLET_YAML_NODES, .rules = GLET_YAML_REQUIRED},
        {.key = "options", .type = GLET_YAML_NODE},
    };
    const struct glet_yaml_node *root = yaml->root;
    int schema;
    if (glet_yaml_check_schema(yaml, schemas, err) < 0 ||
        glet_yaml_fields(yaml, root, fields, COUNT_OF(fields), &schema, err) < 0 ||
        read_models(workload, yaml, glet_yaml_get(root, "models"), err) < 0 ||
        glet_workload_read_apps(workload, yaml, glet_yaml_get(root, "apps"), err) < 0 ||
        read_gpus(workload, yaml, glet_yaml_get(root, "gpus"), err) < 0 ||
        read_options(&workload->options, yaml, glet_yaml_get(root, "options"), err) < 0)
        return -1;
    if (workload->model_count == 0 && workload->app_count == 0)
        return glet_yaml_error(yaml, root, GLET_ERR_INPUT, err, "there are no models and no apps");
    return 0;
}

static int from_yaml(const struct glet_yaml *yaml, const char *path, struct glet_workload **out,
                     struct glet_error *err)
{
    GLET_CLEANUP(glet_workload_cleanup)
    struct glet_workload *workload = glet_alloc(1, sizeof *workload, err);
    if (!workload || !(workload->path = glet_strdup(path, err)) ||
        read_document(workload, yaml, err) < 0)
        return -1;
    memcpy(workload->sha256, yaml->sha256, sizeof workload->sha256);
    *out = GLET_STEAL(workload);
    return 0;
}

int glet_workload_parse(const char *text, size_t length, const char *name,
                        struct glet_workload **out, struct glet_error *err)
{
    GLET_CLEANUP(glet_yaml_cleanup) struct glet_yaml *yaml = NULL;
    if (glet_yaml_parse(text, length, name, &yaml, err) < 0)
        return -1;
    return from_yaml(yaml, name, out, err);
}

/* What is wrong within the trace has its place there; a trace that cannot be read, here. */
static int load_trace(const char *path, struct glet_workload_model *model, struct glet_error *err)
{
    if (glet_workload_read_trace(model->trace_path, &model->trace_s, &model->trace_count, err) == 0)
        return 0;
    if (err->file[0])
        return -1;
    struct glet_error cause = *err;
    return glet_error_at(err, cause.code, path, model->mark, "%s: trace: %s", model->name,
                         cause.message);
}

int glet_workload_load(const char *path, struct glet_workload **out, struct glet_error *err)
{
    GLET_CLEANUP(glet_yaml_cleanup) struct glet_yaml *yaml = NULL;
    GLET_CLEANUP(glet_workload_cleanup) struct glet_workload *workload = NULL;
    if (glet_yaml_load(path, &yaml, err) < 0 || from_yaml(yaml, path, &workload, err) < 0)
        return -1;
    for (size_t i = 0; i < workload->model_count; i++)
        if (workload->models[i].trace_path && load_trace(path, &workload->models[i], err) < 0)
            return -1;
    *out = GLET_STEAL(workload);
    return 0;
}

int glet_workload_read_trace(const char *path, double **times_out, size_t *count_out,
                             struct glet_error *err)
{
    GLET_CLEANUP(glet_csv_close) struct glet_csv *csv = NULL;
    GLET_CLEANUP(glet_cleanup_free) double *times_s = NULL;
    size_t column, count = 0, capacity = 0;
    int row;
    if (glet_csv_open(path, &csv, err) < 0 || glet_csv_column(csv, "t_s", &column, err) < 0)
        return -1;
    while ((row = glet_csv_next(csv, err)) > 0) {
        if (glet_reserve(&times_s, &capacity, count + 1, sizeof *times_s, err) < 0 ||
            glet_csv_double(csv, column, 0, 1e9, &times_s[count], err) < 0)
            return -1;
        if (count > 0 && times_s[count] < times_s[count - 1])
            return glet_csv_error(csv, column, err, GLET_ERR_INPUT,
                                  "%.40s comes after %g: times must ascend",
                                  glet_csv_text(csv, column), times_s[count - 1]);
        count++;
    }
    if (row < 0)
        return -1;
    if (count == 0)
        return glet_error_at(err, GLET_ERR_INPUT, path, (struct glet_mark){1, 1},
                             "the trace has no arrivals");
    *times_out = GLET_STEAL(times_s);
    *count_out = count;
    return 0;
}
