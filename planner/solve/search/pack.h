/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_PACK_H
#define GLET_PLANNER_PACK_H

/* Packing: from gpu-lets with levels to GPUs. */

#include "planner/solve/search/master.h"

/*
 * Removes what the demands do not need: redundant models and gpu-lets, and sizes that a smaller one
 * can replace.
 */
void glet_pack_trim(const struct glet_space *space, const double *demand_rps,
                    struct glet_placed_list *atoms);

/*
 * Appends GPUs that hold all atoms: levels are chosen anew (spread.h), each is packed by an integer
 * program over size patterns, and slots that stay open are filled from other levels. What memory
 * keeps out then moves to other GPUs, which takes many where memory binds (eject.h). All boxes are
 * evaluated exactly, and together they serve demand_rps [model_count] where the atoms did. Levels of
 * atoms change.
 */
void glet_pack(const struct glet_space *space, const double *demand_rps,
               struct glet_placed_list *atoms, struct glet_boxes *out);

#endif
