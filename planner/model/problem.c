/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The problem: models, types and stock, and access to the tables that problem_tables.c fills.
 * Stock entries of one device at one cost are one type: for the solver they are the same GPU.
 */
#include "planner/model/problem.h"

#include "planner/model/problem_tables.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int out_of_memory(struct glet_error *err)
{
    return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
}

static double known(double value)
{
    return isnan(value) ? 0 : value;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static int fill_layouts(struct glet_problem_type *type, const struct glet_profile_device *device,
                        struct glet_error *err)
{
    if (device->layout_count == 0)
        return 0;
    type->layouts = calloc(device->layout_count, sizeof *type->layouts);
    if (!type->layouts)
        return out_of_memory(err);
    for (size_t i = 0; i < device->layout_count; i++, type->layout_count++) {
        const struct glet_profile_layout *from = &device->layouts[i];
        struct glet_problem_layout *to = &type->layouts[i];
        to->sizes_units = malloc((from->size_count + 1) * sizeof(int));
        if (!to->sizes_units)
            return out_of_memory(err);
        memcpy(to->sizes_units, from->sizes_units, from->size_count * sizeof(int));
        to->size_count = (int)from->size_count;
    }
    return 0;
}

static struct glet_problem_type *find_type(struct glet_problem *problem, int device, double cost)
{
    for (int i = 0; i < problem->type_count; i++)
        if (problem->types[i].device == device && problem->types[i].cost_per_hour == cost)
            return &problem->types[i];
    return NULL;
}

static struct glet_problem_type *start_type(struct glet_problem *problem, int device,
                                            const struct glet_workload_gpu *entry,
                                            struct glet_error *err)
{
    const struct glet_profile_device *from = &problem->profile->devices[device];
    struct glet_problem_type *type = &problem->types[problem->type_count++];
    int wanted = problem->workload->options.max_gpulets_per_gpu;
    int most = smaller(smaller(from->max_gpulets, from->units), GLET_GPULETS_MAX);
    *type = (struct glet_problem_type){
        .name = entry->type,
        .device = device,
        .mechanism = from->mechanism,
        .units = from->units,
        .max_gpulets = wanted > 0 ? smaller(wanted, most) : most,
        .memory_mib = from->memory_mib,
        .context_mib = known(from->context_mib),
        .cost_per_hour = entry->cost_per_hour,
    };
    type->stock = calloc(problem->workload->gpu_count, sizeof *type->stock);
    if (!type->stock) {
        out_of_memory(err);
        return NULL;
    }
    return fill_layouts(type, from, err) < 0 ? NULL : type;
}

static int make_types(struct glet_problem *problem, struct glet_error *err)
{
    const struct glet_workload *workload = problem->workload;
    problem->types = calloc(workload->gpu_count + 1, sizeof *problem->types);
    if (!problem->types)
        return out_of_memory(err);
    for (size_t i = 0; i < workload->gpu_count; i++) {
        const struct glet_workload_gpu *entry = &workload->gpus[i];
        int device = glet_profile_find_device(problem->profile, entry->type);
        if (device < 0)
            continue;
        struct glet_problem_type *type = find_type(problem, device, entry->cost_per_hour);
        if (!type && !(type = start_type(problem, device, entry, err)))
            return -1;
        type->stock[type->stock_count++] =
            (struct glet_problem_stock){entry->node, entry->count, i};
        if (entry->count < 0 || type->count < 0)
            type->count = GLET_COUNT_UNLIMITED;
        else
            type->count += entry->count;
    }
    if (problem->type_count == 0) {
        const struct glet_workload_gpu *first = &workload->gpus[0];
        return glet_error_at(err, GLET_ERR_UNDECIDED, workload->path, first->mark,
                             "gpus[0].type: the profile knows nothing about '%s'", first->type);
    }
    for (int i = 0; i < problem->type_count; i++)
        if (glet_problem_fill_type(problem, &problem->types[i], err) < 0)
            return -1;
    return 0;
}

static int make_models(struct glet_problem *problem, struct glet_error *err)
{
    const struct glet_workload *workload = problem->workload;
    problem->model_count = (int)workload->model_count;
    problem->models = calloc(workload->model_count + 1, sizeof *problem->models);
    if (!problem->models)
        return out_of_memory(err);
    for (size_t m = 0; m < workload->model_count; m++) {
        const struct glet_workload_model *from = &workload->models[m];
        int at = glet_profile_find_model(problem->profile, from->name);
        problem->models[m] = (struct glet_problem_model){
            .name = from->name,
            .demand_rps = glet_workload_demand_rps(workload, m),
            .slo_ms = from->slo_ms,
            .limit_ms = from->slo_ms > 0 ? from->slo_ms : INFINITY,
            .percentile = from->percentile,
            .memory_mib = at < 0 ? 0 : known(problem->profile->models[at].memory_mib),
            .mark = from->mark,
        };
    }
    return 0;
}

/* Every model with demand must be known somewhere; "no profile" is never "takes no time". */
static int check_profiled(const struct glet_problem *problem, struct glet_error *err)
{
    for (int m = 0; m < problem->model_count; m++) {
        bool found = problem->models[m].demand_rps <= 0;
        for (int t = 0; t < problem->type_count && !found; t++)
            for (int s = 0; s < problem->types[t].size_count && !found; s++)
                found = problem->types[t].rows[m * problem->types[t].size_count + s].cells;
        if (found)
            continue;
        glet_error_at(err, GLET_ERR_UNDECIDED, problem->workload->path, problem->models[m].mark,
                      "models[%d].name: model '%s' has no profile at an allowed size on any of the "
                      "GPU types",
                      m, problem->models[m].name);
        return glet_error_hint(err, "measure it with profile-models, or import a profile of it");
    }
    return 0;
}

int glet_problem_new(const struct glet_workload *workload, const struct glet_profile *profile,
                     enum glet_objective objective, struct glet_problem **out,
                     struct glet_error *err)
{
    struct glet_problem *problem = calloc(1, sizeof *problem);
    if (!problem)
        return out_of_memory(err);
    problem->workload = workload;
    problem->profile = profile;
    problem->objective = objective;
    problem->interference = workload->options.interference;
    if (make_models(problem, err) < 0 || make_types(problem, err) < 0 ||
        check_profiled(problem, err) < 0 || glet_problem_fill_apps(problem, err) < 0) {
        glet_problem_free(problem);
        return -1;
    }
    *out = problem;
    return 0;
}

struct glet_problem *glet_problem_view(const struct glet_problem *base)
{
    struct glet_problem *view = malloc(sizeof *view);
    if (!view)
        return NULL;
    *view = *base;
    view->shared = true;
    view->models = malloc(((size_t)base->model_count + 1) * sizeof *view->models);
    if (!view->models) {
        free(view);
        return NULL;
    }
    memcpy(view->models, base->models, (size_t)base->model_count * sizeof *view->models);
    return view;
}

struct glet_problem_type *glet_problem_types_unlimited(const struct glet_problem *base)
{
    struct glet_problem_type *types = malloc(((size_t)base->type_count + 1) * sizeof *types);
    for (int t = 0; types && t < base->type_count; t++) {
        types[t] = base->types[t];
        if (types[t].count != 0)
            types[t].count = GLET_COUNT_UNLIMITED;
    }
    return types;
}

static void free_type(struct glet_problem_type *type, int model_count)
{
    for (int i = 0; type->rows && i < model_count * type->size_count; i++) {
        free(type->rows[i].cells);
        free(type->rows[i].victims);
    }
    for (int i = 0; i < type->layout_count; i++)
        free(type->layouts[i].sizes_units);
    free(type->rows);
    free(type->layouts);
    free(type->stock);
    free(type->sizes_units);
    free(type->pairs);
}

void glet_problem_free(struct glet_problem *problem)
{
    if (!problem)
        return;
    for (int i = 0; !problem->shared && i < problem->type_count; i++)
        free_type(&problem->types[i], problem->model_count);
    for (int a = 0; !problem->shared && a < problem->app_count; a++) {
        for (int s = 0; s < problem->apps[a].stage_count; s++)
            free(problem->apps[a].stages[s].after);
        free(problem->apps[a].stages);
    }
    if (!problem->shared) {
        free(problem->types);
        free(problem->apps);
    }
    free(problem->models);
    free(problem);
}

const struct glet_cell *glet_problem_cell(const struct glet_problem *problem, int type, int model,
                                          int size, int batch)
{
    const struct glet_problem_type *t = &problem->types[type];
    const struct glet_cell_row *row = &t->rows[model * t->size_count + size];
    if (!row->cells || batch < row->first_batch || batch > row->last_batch)
        return NULL;
    return &row->cells[batch - row->first_batch];
}

int glet_problem_find_size(const struct glet_problem_type *type, int units)
{
    for (int s = 0; s < type->size_count; s++)
        if (type->sizes_units[s] == units)
            return s;
    return -1;
}

/* Sizes descending on both sides: greedy one-to-one matching of equal numbers decides. */
static bool in_layout(const struct glet_problem_layout *layout, const int *descending, int count)
{
    int at = 0;
    for (int i = 0; i < count; i++, at++) {
        while (at < layout->size_count && layout->sizes_units[at] > descending[i])
            at++;
        if (at == layout->size_count || layout->sizes_units[at] != descending[i])
            return false;
    }
    return true;
}

bool glet_problem_sizes_fit(const struct glet_problem_type *type, const int *units, int count)
{
    int sorted[GLET_GPULETS_MAX];
    long sum = 0;
    if (count > type->max_gpulets || count > GLET_GPULETS_MAX)
        return false;
    for (int i = 0; i < count; i++) {
        int at = i;
        for (; at > 0 && sorted[at - 1] < units[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = units[i];
        sum += units[i];
    }
    if (sum > type->units)
        return false;
    bool fits = type->layout_count == 0;
    for (int i = 0; i < type->layout_count && !fits; i++)
        fits = in_layout(&type->layouts[i], sorted, count);
    return fits;
}
