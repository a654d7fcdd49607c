/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_MODEL_GPU_MEMORY_H
#define GLET_PLANNER_MODEL_GPU_MEMORY_H

/*
 * What a GPU's memory must hold (formats.md): a context per gpu-let, the activations of each model
 * of each gpu-let, and the weights: once per GPU that hosts the model where all gpu-lets share an
 * address space (green_context, cpu), once per gpu-let where each is a process (mps, mig).
 */

#include "planner/model/problem.h"

struct glet_gpu; /* planner/solution.h */
struct glet_let;

/* Whether gpu-lets of one GPU share the weights of a model. */
bool glet_memory_shares_weights(enum glet_mechanism mechanism);

/* Memory of a whole GPU of the solution, MiB. Pure. */
double glet_memory_gpu_mib(const struct glet_problem *problem, const struct glet_gpu *gpu);

/*
 * Memory that a gpu-let charges whatever else is on its GPU, MiB: context, activations and, under
 * mps and mig, weights. Under green_context and cpu the weights come on top, once per GPU.
 */
double glet_memory_let_mib(const struct glet_problem *problem, int type,
                           const struct glet_let *let);

#endif
