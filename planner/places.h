/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_PLACES_H
#define GLET_PLANNER_PLACES_H

#include "common/plan_file.h"
#include "common/workload.h"

/*
 * Gives the GPUs of a new plan the ids, nodes and order of the older plan's, so that what stays is
 * found where it was: the runtime binds a GPU of a plan to a device by its id or its order. A GPU
 * takes the place of the one that it has most gpu-lets in common with, else a place of its type
 * that became free; nodes change only within the stock and at the same price.
 * Changes nothing but ids, nodes and order. Fails with GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_places_keep(const struct glet_plan *old, const struct glet_workload *workload,
                     struct glet_plan *plan, struct glet_error *err);

#endif
