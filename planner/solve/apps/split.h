/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_SPLIT_H
#define GLET_PLANNER_SPLIT_H

/*
 * Splitting the SLO of an app over its stages: every model gets a latency limit of its own, such
 * that along every path of every app the limits sum to at most the app's SLO. Nexus (SOSP'19)
 * splits by a dynamic program over a tree for one rate per stage; here the price of a limit is the
 * GPU share that the model then needs at least, any DAG is allowed, and models may serve several
 * apps.
 */

#include "planner/model/problem.h"

/*
 * Sets limit_ms of the view's models to a split of low cost by the estimate. Returns false when no
 * split meets every SLO.
 */
bool glet_apps_split(const struct glet_problem *base, struct glet_problem *view);

/* Raises the view's limits, which must keep every path, until no path has room left. */
void glet_apps_grow(const struct glet_problem *base, struct glet_problem *view);

#endif
