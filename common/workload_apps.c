/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Apps: stages name models, and each other. A model that has no entry under `models` is appended to
 * the models, without a rate or an SLO of its own.
 */
#include "common/workload_internal.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Index of the model called name, which is appended when only apps use it; -1 on error. */
static int model_of_stage(struct glet_workload *workload, const char *name, struct glet_mark mark,
                          struct glet_error *err)
{
    int known = glet_workload_find_model(workload, name);
    if (known >= 0)
        return known;
    if (workload->model_count == GLET_WORKLOAD_MOST_ENTRIES)
        return glet_error_at(err, GLET_ERR_INPUT, workload->path, mark, "more than %d models",
                             GLET_WORKLOAD_MOST_ENTRIES);
    struct glet_workload_model *models =
        reallocarray(workload->models, workload->model_count + 1, sizeof *models);
    if (!models)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    workload->models = models;
    models[workload->model_count] = (struct glet_workload_model){
        .name = glet_strdup(name, err), .percentile = 99, .mark = mark};
    return models[workload->model_count].name ? (int)workload->model_count++ : -1;
}

static int read_stage(struct glet_workload *workload, struct glet_workload_app *app,
                      const struct glet_yaml *yaml, const struct glet_yaml_node *node,
                      struct glet_error *err)
{
    struct {
        char *model;
        double calls;
    } raw = {NULL, 1};
    const struct glet_yaml_field fields[] = {
        {.key = "model", .type = GLET_YAML_NAME, .rules = GLET_YAML_REQUIRED, .offset = 0},
        {.key = "after", .type = GLET_YAML_NODES},
        {.key = "calls",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_ABOVE,
         .high = 1e6,
         .offset = (size_t)((char *)&raw.calls - (char *)&raw)},
    };
    int index = -1;
    if (glet_yaml_fields(yaml, node, fields, COUNT_OF(fields), &raw, err) == 0)
        index = model_of_stage(workload, raw.model, node->mark, err);
    free(raw.model);
    if (index < 0)
        return -1;
    for (size_t i = 0; i < app->stage_count; i++)
        if (app->stages[i].model == (size_t)index)
            return glet_yaml_twice(yaml, glet_yaml_get(node, "model"), "stage",
                                   workload->models[index].name, app->stages[i].mark, err);
    app->stages[app->stage_count++] = (struct glet_workload_stage){
        .model = (size_t)index, .calls = raw.calls, .mark = node->mark};
    return 0;
}

static int ascending_sizes(const void *a, const void *b)
{
    const size_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Resolves the names in `after`, once all stages of the app are known. */
static int read_after(const struct glet_workload *workload, struct glet_workload_app *app,
                      size_t stage, const struct glet_yaml *yaml, const struct glet_yaml_node *list,
                      struct glet_error *err)
{
    static const struct glet_yaml_field name_field = {.type = GLET_YAML_NAME};
    struct glet_workload_stage *out = &app->stages[stage];
    if (!list || list->count == 0)
        return 0;
    if (glet_yaml_limit(yaml, list, GLET_WORKLOAD_MOST_STAGES, err) < 0 ||
        !(out->after = glet_alloc(list->count, sizeof *out->after, err)))
        return -1;
    for (const struct glet_yaml_node *node = list->first; node; node = node->next) {
        GLET_CLEANUP(glet_cleanup_free) char *name = NULL;
        if (glet_yaml_scalar(yaml, node, &name_field, &name, err) < 0)
            return -1;
        size_t found = 0;
        while (found < app->stage_count &&
               strcmp(workload->models[app->stages[found].model].name, name) != 0)
            found++;
        if (found == app->stage_count)
            return glet_yaml_error(yaml, node, GLET_ERR_INPUT, err,
                                   "%.100s is not a stage of app %.100s", name, app->name);
        for (size_t i = 0; i < out->after_count; i++)
            if (out->after[i] == found)
                return glet_yaml_error(yaml, node, GLET_ERR_INPUT, err, "%.100s is given twice",
                                       name);
        out->after[out->after_count++] = found;
    }
    qsort(out->after, out->after_count, sizeof *out->after, ascending_sizes);
    return 0;
}

/* Takes away stages whose predecessors are all gone until none is left; what stays is a cycle. */
static int check_cycles(const struct glet_workload *workload, const struct glet_workload_app *app,
                        const struct glet_yaml *yaml, const struct glet_yaml_node *list,
                        struct glet_error *err)
{
    bool gone[GLET_WORKLOAD_MOST_STAGES] = {false};
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < app->stage_count; i++) {
            bool free_now = !gone[i];
            for (size_t k = 0; k < app->stages[i].after_count; k++)
                free_now = free_now && gone[app->stages[i].after[k]];
            gone[i] = gone[i] || free_now;
            changed = changed || free_now;
        }
    }
    const struct glet_yaml_node *node = list->first;
    for (size_t i = 0; i < app->stage_count; i++, node = node->next)
        if (!gone[i])
            return glet_yaml_error(yaml, node, GLET_ERR_INPUT, err,
                                   "stage %.100s waits for itself, through the stages after it",
                                   workload->models[app->stages[i].model].name);
    return 0;
}

static int read_stages(struct glet_workload *workload, struct glet_workload_app *app,
                       const struct glet_yaml *yaml, const struct glet_yaml_node *list,
                       struct glet_error *err)
{
    if (list->count == 0)
        return glet_yaml_error(yaml, list, GLET_ERR_INPUT, err, "an app needs at least one stage");
    if (glet_yaml_limit(yaml, list, GLET_WORKLOAD_MOST_STAGES, err) < 0 ||
        !(app->stages = glet_alloc(list->count, sizeof *app->stages, err)))
        return -1;
    for (const struct glet_yaml_node *node = list->first; node; node = node->next)
        if (read_stage(workload, app, yaml, node, err) < 0)
            return -1;
    for (const struct glet_yaml_node *node = list->first; node; node = node->next)
        if (read_after(workload, app, node->index, yaml, glet_yaml_get(node, "after"), err) < 0)
            return -1;
    return check_cycles(workload, app, yaml, list, err);
}

static int read_app(struct glet_workload *workload, const struct glet_yaml *yaml,
                    const struct glet_yaml_node *node, struct glet_error *err)
{
    const struct glet_yaml_field fields[] = {
        {.key = "name",
         .type = GLET_YAML_NAME,
         .rules = GLET_YAML_REQUIRED,
         .offset = offsetof(struct glet_workload_app, name)},
        {.key = "rate_rps",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_REQUIRED,
         .high = glet_workload_most_rps,
         .offset = offsetof(struct glet_workload_app, rate_rps)},
        {.key = "slo_ms",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_REQUIRED | GLET_YAML_ABOVE,
         .high = glet_workload_most_ms,
         .offset = offsetof(struct glet_workload_app, slo_ms)},
        {.key = "percentile",
         .type = GLET_YAML_DOUBLE,
         .rules = GLET_YAML_ABOVE | GLET_YAML_BELOW,
         .high = 100,
         .offset = offsetof(struct glet_workload_app, percentile)},
        {.key = "stages", .type = GLET_YAML_NODES, .rules = GLET_YAML_REQUIRED},
    };
    struct glet_workload_app *app = &workload->apps[workload->app_count++];
    *app = (struct glet_workload_app){.percentile = 99, .mark = node->mark};
    if (glet_yaml_fields(yaml, node, fields, COUNT_OF(fields), app, err) < 0)
        return -1;
    for (const struct glet_workload_app *other = workload->apps; other < app; other++)
        if (strcmp(other->name, app->name) == 0)
            return glet_yaml_twice(yaml, glet_yaml_get(node, "name"), "app", app->name, other->mark,
                                   err);
    app->rate_mark = glet_yaml_get(node, "rate_rps")->mark;
    app->slo_mark = glet_yaml_get(node, "slo_ms")->mark;
    return read_stages(workload, app, yaml, glet_yaml_get(node, "stages"), err);
}

int glet_workload_read_apps(struct glet_workload *workload, const struct glet_yaml *yaml,
                            const struct glet_yaml_node *list, struct glet_error *err)
{
    if (!list)
        return 0;
    if (glet_yaml_limit(yaml, list, GLET_WORKLOAD_MOST_ENTRIES, err) < 0 ||
        !(workload->apps = glet_alloc(list->count, sizeof *workload->apps, err)))
        return -1;
    for (const struct glet_yaml_node *node = list->first; node; node = node->next)
        if (read_app(workload, yaml, node, err) < 0)
            return -1;
    return 0;
}
