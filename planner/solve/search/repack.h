/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_REPACK_H
#define GLET_PLANNER_REPACK_H

#include "planner/solve/space/halt.h"
#include "planner/solve/space/space.h"

/*
 * Packs the gpu-lets of GPUs that are not full again, across levels, with exact interference; keeps
 * the result when it needs fewer GPUs. demand_rps [model_count] is what must stay served. When
 * halted it soon gives up. Returns how many were saved.
 */
int glet_repack(const struct glet_space *space, const double *demand_rps, struct glet_boxes *boxes,
                int tries, const struct glet_halt *halt);

#endif
