/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_AT_LIMITS_H
#define GLET_PLANNER_AT_LIMITS_H

#include "planner/solve/task.h"

/* Without the apps: every model's limit_ms is all that binds its latency. */
void glet_outcome_at_limits(const struct glet_task *task, struct glet_outcome *out);

#endif
