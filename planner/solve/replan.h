/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_REPLAN_H
#define GLET_PLANNER_REPLAN_H

/*
 * Planning from an older plan.
 */

#include "planner/solve/outcome.h"

/*
 * Keeps what the old plan has where it still fits, serves what is missing by local moves, and
 * empties GPUs while that costs at most max_moves changed gpu-lets (-1 = any number). The fresh
 * plan in out, if there is one, wins only when it is cheaper and its changes are within max_moves.
 * Appends nothing to out when the old plan cannot be repaired.
 */
void glet_replan(const struct glet_task *task, const struct glet_boxes *old, int max_moves,
                 struct glet_outcome *out);

/* Gpu-lets of now (type, size, models and batches) that old does not have. */
int glet_replan_moves(const struct glet_boxes *old, const struct glet_boxes *now);

#endif
