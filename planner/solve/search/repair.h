/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_REPAIR_H
#define GLET_PLANNER_REPAIR_H

/*
 * Local improvement of a packed plan with exact interference: empty GPUs one after the other by
 * serving their models elsewhere, where there are free units, idle time in a gpu-let, or more rate
 * than the demand needs.
 */

#include "planner/solve/space/halt.h"
#include "planner/solve/space/space.h"

/*
 * Empties up to tries of the least used GPUs, one at a time. demand_rps [model_count] is what must
 * stay served. Returns how many GPUs were removed.
 */
int glet_repair_dissolve(const struct glet_space *space, const double *demand_rps,
                         struct glet_boxes *boxes, int tries, const struct glet_halt *halt);

/*
 * Gives up GPUs beyond the stock and serves demands that the boxes do not cover, opening new GPUs
 * within the stock where nothing else helps. Returns whether all demands are served. Goes on when
 * halted, for what was found so far to become a plan, unless that takes very many GPUs.
 */
bool glet_repair_cover(const struct glet_space *space, const double *demand_rps,
                       const struct glet_halt *halt, struct glet_boxes *boxes);

#endif
