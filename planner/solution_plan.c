/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a solution to the plan that is written, and back.
 *
 * The rates of a model's gpu-lets are router shares. They are split in proportion to what each
 * gpu-let can serve, so that all run equally full and the slack is where the load is. A canonical
 * order makes equal solutions equal bytes.
 */
#include "planner/deadlines.h"
#include "planner/model/gpu_memory.h"
#include "planner/solution.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void drop_idle(const struct glet_problem *problem, struct glet_solution *solution)
{
    for (int g = solution->gpu_count - 1; g >= 0; g--) {
        struct glet_gpu *gpu = &solution->gpus[g];
        for (int i = gpu->let_count - 1; i >= 0; i--) {
            for (int k = gpu->lets[i].slot_count - 1; k >= 0; k--)
                if (problem->models[gpu->lets[i].slots[k].model].demand_rps <= 0)
                    glet_let_remove_slot(&gpu->lets[i], k);
            if (gpu->lets[i].slot_count == 0)
                glet_gpu_remove_let(gpu, i);
        }
        if (gpu->let_count == 0)
            glet_solution_remove_gpu(solution, g);
    }
}

/* The planned rates of every model, added in plan order. */
static void sum_rates(const struct glet_problem *problem, const struct glet_solution *solution,
                      double *sum_rps)
{
    memset(sum_rps, 0, sizeof *sum_rps * (size_t)problem->model_count);
    for (int g = 0; g < solution->gpu_count; g++)
        for (int i = 0; i < solution->gpus[g].let_count; i++) {
            const struct glet_let *let = &solution->gpus[g].lets[i];
            for (int k = 0; k < let->slot_count; k++)
                sum_rps[let->slots[k].model] += let->slots[k].rate_rps;
        }
}

/*
 * Rounding may leave a sum a few ulps short of the demand: lifts every share of such a model by one
 * ulp. Returns whether there was one.
 */
static bool lift(const struct glet_problem *problem, struct glet_solution *solution,
                 const double *sum_rps)
{
    bool any = false;
    for (int g = 0; g < solution->gpu_count; g++)
        for (int i = 0; i < solution->gpus[g].let_count; i++) {
            struct glet_let *let = &solution->gpus[g].lets[i];
            for (int k = 0; k < let->slot_count; k++) {
                struct glet_slot *slot = &let->slots[k];
                double demand_rps = solution->scale * problem->models[slot->model].demand_rps;
                if (sum_rps[slot->model] < demand_rps) {
                    slot->rate_rps = nextafter(slot->rate_rps, INFINITY);
                    any = true;
                }
            }
        }
    return any;
}

void glet_solution_distribute(const struct glet_problem *problem, struct glet_solution *solution)
{
    drop_idle(problem, solution);
    double *capacity_rps = malloc(((size_t)problem->model_count + 1) * sizeof *capacity_rps);
    double *sum_rps = malloc(((size_t)problem->model_count + 1) * sizeof *sum_rps);
    if (!capacity_rps || !sum_rps) {
        free(capacity_rps);
        free(sum_rps);
        return;
    }
    glet_solution_capacity(problem, solution, capacity_rps);
    for (int g = 0; g < solution->gpu_count; g++)
        for (int i = 0; i < solution->gpus[g].let_count; i++) {
            struct glet_let *let = &solution->gpus[g].lets[i];
            for (int k = 0; k < let->slot_count; k++) {
                int m = let->slots[k].model;
                let->slots[k].rate_rps = solution->scale * problem->models[m].demand_rps *
                                         (glet_let_capacity_rps(let, k) / capacity_rps[m]);
            }
        }
    for (int tries = 0; tries < 64; tries++) {
        sum_rates(problem, solution, sum_rps);
        if (!lift(problem, solution, sum_rps))
            break;
    }
    free(sum_rps);
    free(capacity_rps);
}

static int compare_slots(const void *a, const void *b)
{
    const struct glet_slot *x = a, *y = b;
    if (x->model != y->model)
        return x->model < y->model ? -1 : 1;
    return (x->batch > y->batch) - (x->batch < y->batch);
}

static int compare_lets(const void *a, const void *b)
{
    const struct glet_let *x = a, *y = b;
    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    for (int k = 0; k < x->slot_count && k < y->slot_count; k++) {
        int order = compare_slots(&x->slots[k], &y->slots[k]);
        if (order)
            return order;
    }
    return (x->slot_count > y->slot_count) - (x->slot_count < y->slot_count);
}

static int compare_gpus(const void *a, const void *b)
{
    const struct glet_gpu *x = a, *y = b;
    if (x->type != y->type)
        return x->type < y->type ? -1 : 1;
    for (int i = 0; i < x->let_count && i < y->let_count; i++) {
        int order = compare_lets(&x->lets[i], &y->lets[i]);
        if (order)
            return order;
    }
    return (x->let_count > y->let_count) - (x->let_count < y->let_count);
}

void glet_solution_sort(const struct glet_problem *problem, struct glet_solution *solution)
{
    (void)problem;
    for (int g = 0; g < solution->gpu_count; g++) {
        struct glet_gpu *gpu = &solution->gpus[g];
        for (int i = 0; i < gpu->let_count; i++)
            if (gpu->lets[i].slot_count > 1)
                qsort(gpu->lets[i].slots, (size_t)gpu->lets[i].slot_count,
                      sizeof *gpu->lets[i].slots, compare_slots);
        if (gpu->let_count > 1)
            qsort(gpu->lets, (size_t)gpu->let_count, sizeof *gpu->lets, compare_lets);
    }
    if (solution->gpu_count > 1)
        qsort(solution->gpus, (size_t)solution->gpu_count, sizeof *solution->gpus, compare_gpus);
}

static int out_of_memory(struct glet_error *err)
{
    return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
}

static double relative(double value, double bound)
{
    return bound > 0 ? fabs(value - bound) / bound : 0;
}

static void certify(const struct glet_problem *problem, const struct glet_solution *solution,
                    const struct glet_bound *bound, struct glet_plan_certificate *out)
{
    out->gpus = solution->gpu_count;
    out->lower_bound = bound->gpus;
    if (problem->objective == GLET_MIN_GPUS) {
        out->gap_ratio = relative(solution->gpu_count, bound->gpus);
    } else if (problem->objective == GLET_MIN_COST) {
        out->cost_per_hour = glet_solution_cost(problem, solution);
        out->cost_lower_bound = bound->cost_per_hour;
        out->gap_ratio = relative(out->cost_per_hour, bound->cost_per_hour);
    } else {
        out->scale = solution->scale;
        out->scale_upper_bound = isfinite(bound->scale) ? bound->scale : solution->scale;
        out->gap_ratio = relative(solution->scale, out->scale_upper_bound);
    }
}

static int fill_models(const struct glet_problem *problem, const struct glet_solution *solution,
                       struct glet_plan *plan, struct glet_error *err)
{
    plan->models = calloc((size_t)problem->model_count + 1, sizeof *plan->models);
    double *sum_rps = malloc(((size_t)problem->model_count + 1) * sizeof *sum_rps);
    if (!plan->models || !sum_rps) {
        free(sum_rps);
        return out_of_memory(err);
    }
    sum_rates(problem, solution, sum_rps);
    for (int m = 0; m < problem->model_count; m++) {
        const struct glet_problem_model *from = &problem->models[m];
        struct glet_plan_model *to = &plan->models[plan->model_count++];
        to->name = strdup(from->name);
        to->slo_ms = from->slo_ms;
        to->percentile = from->percentile;
        to->rate_rps = from->demand_rps * solution->scale;
        to->planned_rps = sum_rps[m];
        if (!to->name) {
            free(sum_rps);
            return out_of_memory(err);
        }
    }
    free(sum_rps);
    return 0;
}

static int fill_let(const struct glet_problem_type *type, const struct glet_let *from,
                    struct glet_plan_let *to, struct glet_error *err)
{
    to->units = type->sizes_units[from->size];
    to->duty_cycle_ms = from->duty_cycle_ms;
    to->models = calloc((size_t)from->slot_count + 1, sizeof *to->models);
    if (!to->models)
        return out_of_memory(err);
    for (int k = 0; k < from->slot_count; k++) {
        const struct glet_slot *slot = &from->slots[k];
        to->models[to->model_count++] = (struct glet_plan_let_model){
            .model = (size_t)slot->model,
            .batch = slot->batch,
            .rate_rps = slot->rate_rps,
            .exec_ms = slot->exec_ms,
            .factor = slot->factor,
            .latency_bound_ms = from->duty_cycle_ms + slot->exec_ms,
        };
    }
    return 0;
}

static int fill_gpu(const struct glet_problem *problem, const struct glet_gpu *from, int number,
                    struct glet_plan_gpu *to, struct glet_error *err)
{
    const struct glet_problem_type *type = &problem->types[from->type];
    const char *node = type->stock[from->stock].node;
    to->units = type->units;
    to->memory_mib = glet_memory_gpu_mib(problem, from);
    to->type = strdup(type->name);
    to->node = node ? strdup(node) : NULL;
    to->lets = calloc((size_t)from->let_count + 1, sizeof *to->lets);
    if (asprintf(&to->id, "gpu%d", number) < 0)
        to->id = NULL;
    if (!to->id || !to->type || (node && !to->node) || !to->lets)
        return out_of_memory(err);
    for (int i = 0; i < from->let_count; i++)
        if (fill_let(type, &from->lets[i], &to->lets[to->let_count++], err) < 0)
            return -1;
    return 0;
}

static int fill_plan(const struct glet_problem *problem, const struct glet_solution *solution,
                     struct glet_plan *plan, struct glet_error *err)
{
    plan->objective = problem->objective;
    if (problem->workload)
        memcpy(plan->workload_sha256, problem->workload->sha256, sizeof plan->workload_sha256);
    if (problem->profile)
        memcpy(plan->profile_sha256, problem->profile->sha256, sizeof plan->profile_sha256);
    if (fill_models(problem, solution, plan, err) < 0)
        return -1;
    plan->gpus = calloc((size_t)solution->gpu_count + 1, sizeof *plan->gpus);
    if (!plan->gpus)
        return out_of_memory(err);
    for (int g = 0; g < solution->gpu_count; g++) {
        plan->gpu_count++;
        if (fill_gpu(problem, &solution->gpus[g], g, &plan->gpus[g], err) < 0)
            return -1;
    }
    return 0;
}

int glet_solution_to_plan_unchecked(const struct glet_problem *problem,
                                    struct glet_solution *solution, const struct glet_bound *bound,
                                    struct glet_plan **out, struct glet_error *err)
{
    if (!isfinite(solution->scale))
        solution->scale = 1; /* no demand at all: any factor serves it */
    drop_idle(problem, solution);
    glet_solution_sort(problem, solution);
    if (!glet_solution_evaluate(problem, solution))
        return glet_error_set(err, GLET_ERR_INTERNAL,
                              "a plan uses a batch or a size that was not profiled");
    glet_solution_assign_nodes(problem, solution);
    glet_solution_distribute(problem, solution);
    struct glet_plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return out_of_memory(err);
    certify(problem, solution, bound, &plan->certificate);
    if (fill_plan(problem, solution, plan, err) < 0 ||
        glet_plan_set_deadlines(problem, plan, err) < 0) {
        glet_plan_free(plan);
        return -1;
    }
    *out = plan;
    return 0;
}

int glet_solution_to_plan(const struct glet_problem *problem, struct glet_solution *solution,
                          const struct glet_bound *bound, struct glet_plan **out,
                          struct glet_error *err)
{
    if (!isfinite(solution->scale))
        solution->scale = 1;
    drop_idle(problem, solution);
    if (!glet_solution_evaluate(problem, solution) || !glet_solution_feasible(problem, solution) ||
        !glet_solution_assign_nodes(problem, solution))
        return glet_error_set(err, GLET_ERR_INTERNAL,
                              "the solver returned a plan that breaks its own constraints");
    return glet_solution_to_plan_unchecked(problem, solution, bound, out, err);
}

static int find_model(const struct glet_problem *problem, const char *name)
{
    for (int m = 0; m < problem->model_count; m++)
        if (strcmp(problem->models[m].name, name) == 0)
            return m;
    return -1;
}

static int find_type(const struct glet_problem *problem, const struct glet_plan_gpu *gpu)
{
    for (int t = 0; t < problem->type_count; t++)
        if (strcmp(problem->types[t].name, gpu->type) == 0)
            return t;
    return -1;
}

static int read_let(const struct glet_problem *problem, const struct glet_plan *plan,
                    struct glet_gpu *gpu, const struct glet_plan_let *from, struct glet_error *err)
{
    const struct glet_problem_type *type = &problem->types[gpu->type];
    int size = glet_problem_find_size(type, from->units);
    if (size < 0)
        return glet_error_at(err, GLET_ERR_INPUT, plan->path, from->mark,
                             "a gpu-let of %d units: no model is profiled at that size",
                             from->units);
    struct glet_let *let = glet_gpu_add_let(gpu, size);
    if (!let)
        return out_of_memory(err);
    let->duty_cycle_ms = from->duty_cycle_ms;
    for (size_t k = 0; k < from->model_count; k++) {
        const struct glet_plan_let_model *slot = &from->models[k];
        int m = find_model(problem, plan->models[slot->model].name);
        if (m < 0)
            return glet_error_at(err, GLET_ERR_INPUT, plan->path, slot->mark,
                                 "the workload has no model '%s'", plan->models[slot->model].name);
        struct glet_slot *added = glet_let_add_slot(let, m, slot->batch);
        if (!added)
            return out_of_memory(err);
        added->rate_rps = slot->rate_rps;
        added->exec_ms = slot->exec_ms;
        added->factor = slot->factor;
    }
    return 0;
}

/* Whether every model and the size exist in the problem. */
static bool is_known(const struct glet_problem *problem, int type, const struct glet_plan *plan,
                     const struct glet_plan_let *let)
{
    bool known = glet_problem_find_size(&problem->types[type], let->units) >= 0;
    for (size_t k = 0; k < let->model_count && known; k++)
        known = find_model(problem, plan->models[let->models[k].model].name) >= 0;
    return known;
}

int glet_solution_from_older_plan(const struct glet_problem *problem, const struct glet_plan *plan,
                                  struct glet_solution *out, struct glet_error *err)
{
    glet_solution_init(out);
    for (size_t g = 0; g < plan->gpu_count; g++) {
        int type = find_type(problem, &plan->gpus[g]);
        if (type < 0)
            continue;
        struct glet_gpu *gpu = glet_solution_add_gpu(out, type);
        int result = gpu ? 0 : out_of_memory(err);
        for (size_t i = 0; result == 0 && i < plan->gpus[g].let_count; i++)
            if (is_known(problem, type, plan, &plan->gpus[g].lets[i]))
                result = read_let(problem, plan, gpu, &plan->gpus[g].lets[i], err);
        if (result < 0) {
            glet_solution_fini(out);
            return -1;
        }
    }
    return 0;
}

int glet_solution_from_plan(const struct glet_problem *problem, const struct glet_plan *plan,
                            struct glet_solution *out, struct glet_error *err)
{
    glet_solution_init(out);
    if (plan->objective == GLET_MAX_RATE)
        out->scale = plan->certificate.scale;
    for (size_t g = 0; g < plan->gpu_count; g++) {
        int type = find_type(problem, &plan->gpus[g]);
        struct glet_gpu *gpu = type < 0 ? NULL : glet_solution_add_gpu(out, type);
        int result = gpu ? 0 : -1;
        if (type < 0)
            glet_error_at(err, GLET_ERR_INPUT, plan->path, plan->gpus[g].mark,
                          "the workload has no GPUs of type '%s'", plan->gpus[g].type);
        else if (!gpu)
            out_of_memory(err);
        for (size_t i = 0; result == 0 && i < plan->gpus[g].let_count; i++)
            result = read_let(problem, plan, gpu, &plan->gpus[g].lets[i], err);
        if (result < 0) {
            glet_solution_fini(out);
            return -1;
        }
    }
    return 0;
}
