/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_OUTCOME_H
#define GLET_PLANNER_OUTCOME_H

/* The cheapest plan at fixed demands, with apps and within the stock. */

#include "planner/solve/task.h"

/* With apps (app_search.h) where there are some. */
void glet_outcome_cheapest(const struct glet_task *task, struct glet_outcome *out);

/* The same as if the stock had no limits, for a problem with one type of GPUs. */
void glet_outcome_count(const struct glet_task *task, struct glet_outcome *out);

#endif
