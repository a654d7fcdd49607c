/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_ONE_GPU_H
#define GLET_PLANNER_ONE_GPU_H

#include "planner/solve/search/search_state.h"

/*
 * Looks for a plan of one GPU where the bound allows one: every model in one of its gpu-lets, with
 * the batches that the rates need, and at last one model spread over what is left. Offers what it
 * finds.
 */
void glet_one_gpu_run(struct glet_search *search);

#endif
