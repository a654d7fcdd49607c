/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/analyse/spare.h"

#include "common/memory.h"

#include <math.h>
#include <stdlib.h>

/* A move that gains less is not worth its units. */
static const double LEAST_GAIN = 0.01;

struct spare {
    const struct glet_problem *problem;
    struct glet_solution *solution;
    double *capacity_rps;           /* of the whole solution */
    double *before_rps, *after_rps; /* of the GPU at hand; scratch */
};

/* Of the models that the GPU has; the others' entries are left alone. */
static void capacity_of(const struct glet_gpu *gpu, double *out_rps)
{
    for (int l = 0; l < gpu->let_count; l++)
        for (int k = 0; k < gpu->lets[l].slot_count; k++)
            out_rps[gpu->lets[l].slots[k].model] = 0;
    for (int l = 0; l < gpu->let_count; l++)
        for (int k = 0; k < gpu->lets[l].slot_count; k++)
            out_rps[gpu->lets[l].slots[k].model] += glet_let_capacity_rps(&gpu->lets[l], k);
}

/* What the GPU, changed in its place in the solution, adds; -1 when it may not be. before_rps is
   that of the GPU before the change. */
static double gain(struct spare *spare, struct glet_gpu *changed)
{
    if (!glet_gpu_evaluate(spare->problem, changed) ||
        !glet_gpu_feasible(spare->problem, changed) ||
        (spare->problem->app_count > 0 && !glet_solution_apps_ok(spare->problem, spare->solution)))
        return -1;
    capacity_of(changed, spare->after_rps);
    double sum = 0;
    for (int l = 0; l < changed->let_count; l++)
        for (int k = 0; k < changed->lets[l].slot_count; k++) {
            int m = changed->lets[l].slots[k].model;
            if (!glet_within(spare->before_rps[m], spare->after_rps[m]))
                return -1;
            sum += log1p((spare->after_rps[m] - spare->before_rps[m]) / spare->capacity_rps[m]);
            spare->after_rps[m] = spare->before_rps[m]; /* counted */
        }
    return sum;
}

/* Brings capacity_rps up to date with a change that gain() has judged. */
static void add_change(struct spare *spare, const struct glet_gpu *changed)
{
    capacity_of(changed, spare->after_rps);
    for (int l = 0; l < changed->let_count; l++)
        for (int k = 0; k < changed->lets[l].slot_count; k++) {
            int m = changed->lets[l].slots[k].model;
            spare->capacity_rps[m] += spare->after_rps[m] - spare->before_rps[m];
            spare->after_rps[m] = spare->before_rps[m];
        }
}

static bool copy_slots(struct glet_let *to, const struct glet_let *from)
{
    for (int k = 0; k < from->slot_count; k++)
        if (!glet_let_add_slot(to, from->slots[k].model, from->slots[k].batch))
            return false;
    return true;
}

/* The best move on this GPU, made in place. 1 = made, 0 = there is none, -1 = error. */
static int improve(struct spare *spare, struct glet_gpu *gpu, struct glet_error *err)
{
    const struct glet_problem_type *type = &spare->problem->types[gpu->type];
    double best = LEAST_GAIN;
    int best_let = -1, best_size = -1;
    capacity_of(gpu, spare->before_rps);
    for (int l = 0; l < gpu->let_count; l++) {
        int size = gpu->lets[l].size;
        for (int larger = size + 1; larger < type->size_count; larger++) {
            gpu->lets[l].size = larger;
            double value = gain(spare, gpu);
            if (value > best) {
                best = value;
                best_let = l;
                best_size = larger;
            }
        }
        gpu->lets[l].size = size;
    }
    bool copy = false;
    int count = gpu->let_count;
    for (int l = 0; l < count; l++) {
        struct glet_let *added = glet_gpu_add_let(gpu, gpu->lets[l].size);
        if (!added || !copy_slots(added, &gpu->lets[l]))
            return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        double value = gain(spare, gpu);
        glet_gpu_remove_let(gpu, count);
        if (value > best) {
            best = value;
            best_let = l;
            copy = true;
        }
    }
    if (best_let >= 0 && copy) {
        struct glet_let *added = glet_gpu_add_let(gpu, gpu->lets[best_let].size);
        if (!added || !copy_slots(added, &gpu->lets[best_let]))
            return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    } else if (best_let >= 0) {
        gpu->lets[best_let].size = best_size;
    }
    if (!glet_gpu_evaluate(spare->problem, gpu))
        return glet_error_set(err, GLET_ERR_INTERNAL, "a gpu-let without a profile");
    if (best_let >= 0)
        add_change(spare, gpu);
    return best_let >= 0;
}

static int use_all(struct spare *spare, struct glet_error *err)
{
    for (int g = 0; g < spare->solution->gpu_count; g++) {
        int made;
        do
            made = improve(spare, &spare->solution->gpus[g], err);
        while (made > 0);
        if (made < 0)
            return -1;
    }
    return 0;
}

int glet_spare_use(const struct glet_problem *problem, struct glet_solution *solution,
                   struct glet_error *err)
{
    size_t models = (size_t)problem->model_count;
    GLET_CLEANUP(glet_cleanup_free) double *rates = glet_alloc(3 * models, sizeof *rates, err);
    if (!rates)
        return -1;
    struct spare spare = {problem, solution, rates, rates + models, rates + 2 * models};
    if (!glet_solution_evaluate(problem, solution))
        return glet_error_set(err, GLET_ERR_INTERNAL, "a gpu-let without a profile");
    glet_solution_capacity(problem, solution, spare.capacity_rps);
    return use_all(&spare, err);
}
