/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_APP_SEARCH_H
#define GLET_PLANNER_APP_SEARCH_H

#include "planner/solve/task.h"

/*
 * The cheapest plan of a problem with apps, over all ways to split their SLOs: branch and bound on
 * the models' latency limits. Fills found, boxes, cost and bound of out; the bound is INFINITY when
 * no plan exists within the stock. Small problems are decided exactly; on larger ones the number of
 * searches is limited, and the bound stays valid.
 */
void glet_app_search(const struct glet_task *task, struct glet_outcome *out);

/*
 * A view whose limits keep every app's paths by themselves, so that the apps can be forgotten: the
 * latency bounds of this plan, which keeps them, and what room is left. NULL when the plan does not
 * keep the paths, or memory has run out.
 */
struct glet_problem *glet_app_view(const struct glet_problem *problem,
                                   const struct glet_boxes *boxes);

#endif
