/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_HTML_CHARTS_H
#define GLET_PLANNER_HTML_CHARTS_H

/* The drawings of the HTML report, as inline SVG. All sizes are in px of their own view box. */

#include "common/plan_file.h"
#include "planner/model/problem.h"
#include "planner/solution.h"

/*
 * One bar per GPU, equal ones in a row drawn once: gpu-lets by units, the models of a gpu-let as
 * layers by their share of its round, what is free hatched, and the memory as a thin bar below.
 * solution is the plan's own (glet_solution_from_plan()), for its memory. model_of maps the plan's
 * models to the problem's.
 */
void glet_html_gpus(FILE *out, const struct glet_problem *problem, const struct glet_plan *plan,
                    const struct glet_solution *solution, const int *model_of);

/*
 * Two charts of model m: how its latency bound falls with the size, at the batches it runs at, and
 * how it grows with the rate of one gpu-let, at the sizes it runs at; with its SLO and where the
 * plan is. solution may be NULL: then at its smallest batch and the whole device.
 */
void glet_html_curves(FILE *out, const struct glet_problem *problem, int m,
                      const struct glet_solution *solution);

#endif
