/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_MODEL_PROBLEM_TABLES_H
#define GLET_PLANNER_MODEL_PROBLEM_TABLES_H

/* The steps of glet_problem_new() that have a file of their own. */

#include "planner/model/problem.h"

/*
 * Fills sizes, cells, aggressor range and co-run pairs of a type whose device, stock and layouts
 * are known. GLET_ERR_RANGE (batch too large for a dense table), GLET_ERR_NOMEM; what was
 * allocated is freed with the problem in either case.
 */
GLET_MUST_CHECK
int glet_problem_fill_type(const struct glet_problem *problem, struct glet_problem_type *type,
                           struct glet_error *err);

/*
 * Adds the apps, stages in topological order, and tightens limit_ms of their models: what the
 * app's SLO leaves when every other stage of the path runs as fast as it can. GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_problem_fill_apps(struct glet_problem *problem, struct glet_error *err);

#endif
