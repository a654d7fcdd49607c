/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Solutions: containers, exact evaluation and the feasibility rules of formats.md.
 *
 * The rules are written out here for solvers, which ask about one GPU at a time; planner/verify/
 * writes them out again from the files alone. The repetition is the point: a wrong rule here is
 * found by the check there.
 */
#include "planner/solution.h"

#include "planner/model/gpu_memory.h"
#include "planner/model/interference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void glet_solution_init(struct glet_solution *solution)
{
    *solution = (struct glet_solution){.scale = 1};
}

static void free_let(struct glet_let *let)
{
    free(let->slots);
}

static void free_gpu(struct glet_gpu *gpu)
{
    for (int i = 0; i < gpu->let_count; i++)
        free_let(&gpu->lets[i]);
    free(gpu->lets);
}

void glet_solution_fini(struct glet_solution *solution)
{
    if (!solution)
        return;
    for (int g = 0; g < solution->gpu_count; g++)
        free_gpu(&solution->gpus[g]);
    free(solution->gpus);
    glet_solution_init(solution);
}

/* Makes room for one more element of size bytes; returns the array or NULL. */
static void *grow(void *array, int count, int *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    int wanted = *capacity ? 2 * *capacity : 2;
    void *bigger = realloc(array, (size_t)wanted * size);
    if (bigger)
        *capacity = wanted;
    return bigger;
}

struct glet_gpu *glet_solution_add_gpu(struct glet_solution *solution, int type)
{
    struct glet_gpu *gpus =
        grow(solution->gpus, solution->gpu_count, &solution->gpu_capacity, sizeof *solution->gpus);
    if (!gpus)
        return NULL;
    solution->gpus = gpus;
    gpus[solution->gpu_count] = (struct glet_gpu){.type = type};
    return &gpus[solution->gpu_count++];
}

struct glet_let *glet_gpu_add_let(struct glet_gpu *gpu, int size)
{
    struct glet_let *lets = grow(gpu->lets, gpu->let_count, &gpu->let_capacity, sizeof *gpu->lets);
    if (!lets)
        return NULL;
    gpu->lets = lets;
    lets[gpu->let_count] = (struct glet_let){.size = size};
    return &lets[gpu->let_count++];
}

struct glet_slot *glet_let_add_slot(struct glet_let *let, int model, int batch)
{
    struct glet_slot *slots =
        grow(let->slots, let->slot_count, &let->slot_capacity, sizeof *let->slots);
    if (!slots)
        return NULL;
    let->slots = slots;
    slots[let->slot_count] = (struct glet_slot){.model = model, .batch = batch, .factor = 1};
    return &slots[let->slot_count++];
}

static void remove_at(void *array, int *count, int index, size_t size)
{
    char *at = (char *)array + (size_t)index * size;
    memmove(at, at + size, (size_t)(*count - index - 1) * size);
    (*count)--;
}

void glet_solution_remove_gpu(struct glet_solution *solution, int index)
{
    free_gpu(&solution->gpus[index]);
    remove_at(solution->gpus, &solution->gpu_count, index, sizeof *solution->gpus);
}

void glet_gpu_remove_let(struct glet_gpu *gpu, int index)
{
    free_let(&gpu->lets[index]);
    remove_at(gpu->lets, &gpu->let_count, index, sizeof *gpu->lets);
}

void glet_let_remove_slot(struct glet_let *let, int index)
{
    remove_at(let->slots, &let->slot_count, index, sizeof *let->slots);
}

static double slot_factor(const struct glet_problem *problem, const struct glet_gpu *gpu, int let,
                          const struct glet_slot *slot)
{
    if (!problem->types[gpu->type].interferes)
        return 1;
    double factor = 1;
    struct glet_point victim = {slot->model, gpu->lets[let].size, slot->batch};
    for (int j = 0; j < gpu->let_count; j++) {
        for (int k = 0; j != let && k < gpu->lets[j].slot_count; k++) {
            const struct glet_slot *other = &gpu->lets[j].slots[k];
            struct glet_point aggressor = {other->model, gpu->lets[j].size, other->batch};
            factor = fmax(factor, glet_interference_pair(problem, gpu->type, victim, aggressor));
        }
    }
    return factor;
}

bool glet_gpu_evaluate(const struct glet_problem *problem, struct glet_gpu *gpu)
{
    for (int i = 0; i < gpu->let_count; i++) {
        struct glet_let *let = &gpu->lets[i];
        let->duty_cycle_ms = 0;
        for (int k = 0; k < let->slot_count; k++) {
            struct glet_slot *slot = &let->slots[k];
            const struct glet_cell *cell =
                glet_problem_cell(problem, gpu->type, slot->model, let->size, slot->batch);
            if (!cell)
                return false;
            slot->factor = slot_factor(problem, gpu, i, slot);
            slot->exec_ms = cell->latency_ms * slot->factor;
            let->duty_cycle_ms += slot->exec_ms;
        }
    }
    return true;
}

bool glet_solution_evaluate(const struct glet_problem *problem, struct glet_solution *solution)
{
    for (int g = 0; g < solution->gpu_count; g++)
        if (!glet_gpu_evaluate(problem, &solution->gpus[g]))
            return false;
    return true;
}

bool glet_gpu_feasible(const struct glet_problem *problem, const struct glet_gpu *gpu)
{
    const struct glet_problem_type *type = &problem->types[gpu->type];
    int units[GLET_GPULETS_MAX];
    if (gpu->let_count > type->max_gpulets)
        return false;
    for (int i = 0; i < gpu->let_count; i++) {
        const struct glet_let *let = &gpu->lets[i];
        units[i] = type->sizes_units[let->size];
        for (int k = 0; k < let->slot_count; k++)
            if (!glet_within(let->duty_cycle_ms + let->slots[k].exec_ms,
                             problem->models[let->slots[k].model].limit_ms))
                return false;
    }
    return glet_problem_sizes_fit(type, units, gpu->let_count) &&
           glet_within(glet_memory_gpu_mib(problem, gpu), type->memory_mib);
}

double glet_let_capacity_rps(const struct glet_let *let, int k)
{
    return 1000.0 * let->slots[k].batch / let->duty_cycle_ms;
}

void glet_solution_capacity(const struct glet_problem *problem,
                            const struct glet_solution *solution, double *capacity_rps)
{
    for (int m = 0; m < problem->model_count; m++)
        capacity_rps[m] = 0;
    for (int g = 0; g < solution->gpu_count; g++)
        for (int i = 0; i < solution->gpus[g].let_count; i++) {
            const struct glet_let *let = &solution->gpus[g].lets[i];
            for (int k = 0; k < let->slot_count; k++)
                capacity_rps[let->slots[k].model] += glet_let_capacity_rps(let, k);
        }
}

double glet_solution_scale(const struct glet_problem *problem, const struct glet_solution *solution)
{
    double *capacity_rps = malloc(((size_t)problem->model_count + 1) * sizeof *capacity_rps);
    if (!capacity_rps)
        return 0;
    glet_solution_capacity(problem, solution, capacity_rps);
    double scale = INFINITY;
    for (int m = 0; m < problem->model_count; m++)
        if (problem->models[m].demand_rps > 0)
            scale = fmin(scale, capacity_rps[m] / problem->models[m].demand_rps);
    free(capacity_rps);
    return scale;
}

/* Largest latency bound of each model over its gpu-lets; 0 where it has none. */
static void worst_bounds(const struct glet_problem *problem, const struct glet_solution *solution,
                         double *bound_ms)
{
    for (int m = 0; m < problem->model_count; m++)
        bound_ms[m] = 0;
    for (int g = 0; g < solution->gpu_count; g++)
        for (int i = 0; i < solution->gpus[g].let_count; i++) {
            const struct glet_let *let = &solution->gpus[g].lets[i];
            for (int k = 0; k < let->slot_count; k++) {
                double *worst = &bound_ms[let->slots[k].model];
                *worst = fmax(*worst, let->duty_cycle_ms + let->slots[k].exec_ms);
            }
        }
}

/* Longest path of the app; end_ms[] is scratch for its stages. */
static double longest_path(const struct glet_problem_app *app, const double *bound_ms,
                           double *end_ms)
{
    double longest_ms = 0;
    for (int s = 0; s < app->stage_count; s++) {
        double start_ms = 0;
        for (int i = 0; i < app->stages[s].after_count; i++)
            start_ms = fmax(start_ms, end_ms[app->stages[s].after[i]]);
        end_ms[s] = start_ms + bound_ms[app->stages[s].model];
        longest_ms = fmax(longest_ms, end_ms[s]);
    }
    return longest_ms;
}

bool glet_solution_apps_ok(const struct glet_problem *problem, const struct glet_solution *solution)
{
    if (problem->app_count == 0)
        return true;
    size_t stages = 0;
    for (int a = 0; a < problem->app_count; a++)
        if ((size_t)problem->apps[a].stage_count > stages)
            stages = (size_t)problem->apps[a].stage_count;
    double *bound_ms = malloc(((size_t)problem->model_count + stages + 1) * sizeof *bound_ms);
    if (!bound_ms)
        return false;
    worst_bounds(problem, solution, bound_ms);
    bool ok = true;
    for (int a = 0; a < problem->app_count && ok; a++)
        ok = glet_within(longest_path(&problem->apps[a], bound_ms, bound_ms + problem->model_count),
                         problem->apps[a].slo_ms);
    free(bound_ms);
    return ok;
}

static bool within_stock(const struct glet_problem *problem, const struct glet_solution *solution)
{
    for (int t = 0; t < problem->type_count; t++) {
        int used = 0;
        for (int g = 0; g < solution->gpu_count; g++)
            used += solution->gpus[g].type == t;
        if (problem->types[t].count >= 0 && used > problem->types[t].count)
            return false;
    }
    return true;
}

bool glet_solution_feasible(const struct glet_problem *problem,
                            const struct glet_solution *solution)
{
    for (int g = 0; g < solution->gpu_count; g++)
        if (!glet_gpu_feasible(problem, &solution->gpus[g]))
            return false;
    return glet_within(solution->scale, glet_solution_scale(problem, solution)) &&
           within_stock(problem, solution) && glet_solution_apps_ok(problem, solution);
}

double glet_solution_cost(const struct glet_problem *problem, const struct glet_solution *solution)
{
    double cost = 0;
    for (int g = 0; g < solution->gpu_count; g++)
        cost += problem->types[solution->gpus[g].type].cost_per_hour;
    return cost;
}

bool glet_solution_assign_nodes(const struct glet_problem *problem, struct glet_solution *solution)
{
    bool enough = true;
    for (int t = 0; t < problem->type_count; t++) {
        const struct glet_problem_type *type = &problem->types[t];
        int entry = 0, used = 0;
        /* Limited entries in file order; what is left goes to the first unlimited one. */
        for (int g = 0; g < solution->gpu_count; g++) {
            if (solution->gpus[g].type != t)
                continue;
            while (entry < type->stock_count &&
                   (type->stock[entry].count < 0 || used >= type->stock[entry].count)) {
                entry++;
                used = 0;
            }
            if (entry < type->stock_count) {
                solution->gpus[g].stock = entry;
                used++;
                continue;
            }
            int open = 0;
            while (open < type->stock_count && type->stock[open].count >= 0)
                open++;
            enough = enough && open < type->stock_count;
            solution->gpus[g].stock = open < type->stock_count ? open : 0;
        }
    }
    return enough;
}
