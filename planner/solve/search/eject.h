/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_EJECT_H
#define GLET_PLANNER_EJECT_H

/*
 * Emptying GPUs by moving gpu-lets as they are, where memory or units keep them from fitting just
 * anywhere: one that fits nowhere takes the place of others that are easier to place.
 */

#include "planner/solve/space/halt.h"
#include "planner/solve/space/space.h"

/*
 * Empties as many GPUs as it can. demand_rps [model_count] is what must stay served. What is left of
 * a GPU that could not be emptied is as little as was found. Types with layouts or measured pairs
 * are left as they are. Returns how many GPUs were removed.
 */
int glet_eject(const struct glet_space *space, const double *demand_rps, struct glet_boxes *boxes,
               const struct glet_halt *halt);

#endif
