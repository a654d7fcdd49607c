/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_REPLAN_H
#define GLET_PLANNER_REPLAN_H

/*
 * Planning from an older plan.
 */

#include "planner/solve/outcome.h"

/*
 * Replaces the fresh plan in out by the best change of the old one: lowest cost first, then fewest
 * new gpu-lets, which are at most max_moves (-1 = any number). Not found when none is; then
 * impossible says whether that is proven.
 */
void glet_replan(const struct glet_task *task, const struct glet_boxes *old, int max_moves,
                 struct glet_outcome *out);

#endif
