/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_PACK_H
#define GLET_PLANNER_PACK_H

/* Packing: from gpu-lets with levels to GPUs. */

#include "planner/solve/master.h"

/*
 * Removes what the demands do not need: redundant models and gpu-lets, and sizes that a smaller one
 * can replace.
 */
void glet_pack_trim(const struct glet_space *space, const double *demand_rps,
                    struct glet_placed_list *atoms);

/*
 * Appends GPUs that hold all atoms: per type and level an integer program over size patterns, then
 * filling its slots; what memory keeps out goes where it fits. All boxes are evaluated exactly, and
 * every atom still serves at least the rates that its level promised.
 */
void glet_pack(const struct glet_space *space, const struct glet_placed_list *atoms,
               struct glet_boxes *out);

#endif
