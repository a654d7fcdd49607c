/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory of a GPU by the rules of its partition mechanism (formats.md). */
#include "planner/model/gpu_memory.h"

#include "planner/solution.h"

bool glet_memory_shares_weights(enum glet_mechanism mechanism)
{
    return mechanism == GLET_MECHANISM_GREEN_CONTEXT || mechanism == GLET_MECHANISM_CPU;
}

double glet_memory_let_mib(const struct glet_problem *problem, int type, const struct glet_let *let)
{
    const struct glet_problem_type *t = &problem->types[type];
    double sum_mib = t->context_mib;
    for (int k = 0; k < let->slot_count; k++) {
        const struct glet_slot *slot = &let->slots[k];
        const struct glet_cell *cell =
            glet_problem_cell(problem, type, slot->model, let->size, slot->batch);
        sum_mib += cell ? cell->activation_mib : 0;
        if (!glet_memory_shares_weights(t->mechanism))
            sum_mib += problem->models[slot->model].memory_mib;
    }
    return sum_mib;
}

/* Whether an earlier gpu-let (or slot) of the GPU already holds the model's weights. */
static bool hosted_before(const struct glet_gpu *gpu, int let, int slot)
{
    int model = gpu->lets[let].slots[slot].model;
    for (int i = 0; i <= let; i++)
        for (int k = 0; k < (i < let ? gpu->lets[i].slot_count : slot); k++)
            if (gpu->lets[i].slots[k].model == model)
                return true;
    return false;
}

double glet_memory_gpu_mib(const struct glet_problem *problem, const struct glet_gpu *gpu)
{
    bool shared = glet_memory_shares_weights(problem->types[gpu->type].mechanism);
    double sum_mib = 0;
    for (int i = 0; i < gpu->let_count; i++) {
        sum_mib += glet_memory_let_mib(problem, gpu->type, &gpu->lets[i]);
        for (int k = 0; shared && k < gpu->lets[i].slot_count; k++)
            if (!hosted_before(gpu, i, k))
                sum_mib += problem->models[gpu->lets[i].slots[k].model].memory_mib;
    }
    return sum_mib;
}
