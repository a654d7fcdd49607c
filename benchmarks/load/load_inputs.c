/* SPDX-License-Identifier: Apache-2.0 */
/* What else shapes a load than the workload (load_setup.h): a recorded trace, a plan's shares. */
#include "benchmarks/load/load_setup.h"

#include "common/arrivals.h"
#include "common/csv.h"
#include "common/memory.h"
#include "common/plan_file.h"

#include <stdlib.h>
#include <string.h>

static int append_time(struct glet_workload_model *model, size_t *capacity, double at_s,
                       struct glet_error *err)
{
    if (glet_reserve(&model->trace_s, capacity, model->trace_count + 1, sizeof *model->trace_s,
                     err) < 0)
        return -1;
    model->trace_s[model->trace_count++] = at_s;
    return 0;
}

/* The models that one row of the trace is for: the named one, or all that had a rate. */
static int append_row(struct glet_workload *workload, size_t *capacities,
                      const struct glet_csv *csv, size_t name, double at_s, struct glet_error *err)
{
    if (name != GLET_CSV_NONE) {
        int k = glet_workload_find_model(workload, glet_csv_text(csv, name));
        if (k < 0)
            return glet_csv_error(csv, name, err, GLET_ERR_INPUT, "%.100s is not in the workload",
                                  glet_csv_text(csv, name));
        return append_time(&workload->models[k], &capacities[k], at_s, err);
    }
    for (size_t k = 0; k < workload->model_count; k++)
        if (workload->models[k].arrival == GLET_ARRIVAL_TRACE &&
            append_time(&workload->models[k], &capacities[k], at_s, err) < 0)
            return -1;
    return 0;
}

int glet_load_replay(struct glet_workload *workload, const char *csv_path, double *begin_s_out,
                     double *period_s_out, struct glet_error *err)
{
    GLET_CLEANUP(glet_csv_close) struct glet_csv *csv = NULL;
    GLET_CLEANUP(glet_cleanup_free) size_t *capacities = NULL;
    size_t time, rows = 0;
    double at_s = 0, last_s = 0;
    int row;
    if (glet_csv_open(csv_path, &csv, err) < 0 || glet_csv_column(csv, "t_s", &time, err) < 0)
        return -1;
    size_t name = glet_csv_find_column(csv, "model");
    capacities = glet_alloc(workload->model_count, sizeof *capacities, err);
    if (!capacities)
        return -1;
    for (size_t k = 0; k < workload->model_count; k++) {
        struct glet_workload_model *model = &workload->models[k];
        bool plays = model->rate_rps > 0 || model->trace_count > 0 || name != GLET_CSV_NONE;
        free(GLET_STEAL(model->trace_s));
        model->trace_count = 0;
        model->rate_rps = 0;
        model->arrival = plays ? GLET_ARRIVAL_TRACE : GLET_ARRIVAL_POISSON;
    }
    while ((row = glet_csv_next(csv, err)) > 0) {
        if (glet_csv_double(csv, time, 0, 1e9, &at_s, err) < 0)
            return -1;
        if (rows++ == 0)
            *begin_s_out = at_s;
        else if (at_s < last_s)
            return glet_csv_error(csv, time, err, GLET_ERR_INPUT, "times must ascend");
        last_s = at_s;
        if (append_row(workload, capacities, csv, name, at_s, err) < 0)
            return -1;
    }
    *period_s_out = rows ? glet_trace_period_s(*begin_s_out, last_s, rows) : 0;
    return row;
}

/* Planned requests per second of a model on a node; *known says whether the plan has the node. */
static double planned_rps(const struct glet_plan *plan, const char *model, const char *node,
                          bool *known)
{
    double rate_rps = 0;
    *known = false;
    for (size_t g = 0; g < plan->gpu_count; g++) {
        const struct glet_plan_gpu *gpu = &plan->gpus[g];
        if (!gpu->node || strcmp(gpu->node, node) != 0)
            continue;
        *known = true;
        for (size_t l = 0; l < gpu->let_count; l++)
            for (size_t m = 0; m < gpu->lets[l].model_count; m++)
                if (strcmp(plan->models[gpu->lets[l].models[m].model].name, model) == 0)
                    rate_rps += gpu->lets[l].models[m].rate_rps;
    }
    return rate_rps;
}

static int weigh_model(struct glet_load_model *model, const struct glet_plan *plan,
                       char *const *nodes, struct glet_error *err)
{
    double total = 0;
    for (size_t t = 0; t < model->target_count; t++) {
        bool known;
        model->targets[t].weight = planned_rps(plan, model->name, nodes[t], &known);
        total += model->targets[t].weight;
        if (!known)
            return glet_error_set(err, GLET_ERR_INPUT, "%s has no node %s", plan->path, nodes[t]);
    }
    if (model->target_count > 0 && total <= 0)
        return glet_error_set(err, GLET_ERR_INPUT, "%s plans no rate for %s on these targets",
                              plan->path, model->name);
    return 0;
}

int glet_load_weigh(struct glet_load_model *models, size_t model_count, const char *plan_path,
                    char *const *nodes, size_t target_count, struct glet_error *err)
{
    GLET_CLEANUP(glet_plan_cleanup) struct glet_plan *plan = NULL;
    if (glet_plan_load(plan_path, &plan, err) < 0)
        return -1;
    for (size_t t = 0; t < target_count; t++)
        if (!nodes[t])
            return glet_error_set(err, GLET_ERR_USAGE,
                                  "--plan needs every target as NODE=URL, with the plan's nodes");
    for (size_t k = 0; k < model_count; k++)
        if (weigh_model(&models[k], plan, nodes, err) < 0)
            return -1;
    return 0;
}
