/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_SURVIVE_H
#define GLET_PLANNER_SURVIVE_H

#include "planner/solve/task.h"

/*
 * Turns the cheapest plan in out, if there is one, into the cheapest one found that still serves
 * every demand when any one GPU is gone, and raises the bound to what such a plan costs at least.
 * Small problems are decided exactly. Sets found, boxes, cost, bound and impossible. Apps are not
 * looked at: limit_ms is all that binds latencies.
 */
void glet_survive(const struct glet_task *task, struct glet_outcome *out);

#endif
