/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_FIT_H
#define GLET_PLANNER_FIT_H

/*
 * Which batches let one gpu-let serve given rates? The smallest duty cycle answers it exactly.
 */

#include "planner/solve/space/atom.h"

struct glet_surroundings { /* what a gpu-let's neighbours do to it */
    bool alone;
    double aggressor_ratio; /* the strongest neighbour's */
};

/*
 * Writes count models with batches that serve rate_rps[] in one gpu-let of that size in the shortest
 * duty cycle. Needs batch >= rate x duty, and duty + exec <= limit. Returns false when no batches
 * do. Memory and the neighbours' reaction are the caller's (glet_box_evaluate()). Measured pairs
 * count as the linear model here.
 */
bool glet_fit_rates(const struct glet_problem *problem, int type, int size,
                    struct glet_surroundings surroundings, int count, const uint16_t *models,
                    const double *rate_rps, struct glet_atom *out);

/*
 * The same with as much of the last model's rate as the others leave time for. Returns false when
 * that is nothing.
 */
bool glet_fit_most(const struct glet_problem *problem, int type, int size,
                   struct glet_surroundings surroundings, int count, const uint16_t *models,
                   const double *rate_rps, struct glet_atom *out);

#endif
