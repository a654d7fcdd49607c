/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/at_limits.h"

#include "planner/solve/search/search.h"
#include "planner/solve/survive.h"

#include <math.h>

#define LEVELS 8 /* interference levels (space.h) */

static void take_plan(struct glet_outcome *out, const struct glet_search *search)
{
    if (!isfinite(search->best_cost) || (out->found && search->best_cost >= out->cost))
        return;
    out->found = true;
    out->cost = search->best_cost;
    glet_boxes_copy(&out->boxes, &search->best);
}

void glet_outcome_at_limits(const struct glet_task *task, struct glet_outcome *out)
{
    struct glet_space space;
    struct glet_search search;
    *out = (struct glet_outcome){.cost = INFINITY, .beyond_cost = INFINITY};
    glet_space_init(&space, task->problem, LEVELS);
    glet_search_init(&search, task->problem, &space, task->effort, task->halt);
    search.enough = task->enough;
    search.most = glet_task_most(task);
    search.count = task->count;
    search.is_try = task->is_try;
    glet_search_run(&search);
    out->bound = search.bound;
    out->linear = search.linear;
    take_plan(out, &search);
    glet_search_fini(&search);
    glet_space_fini(&space);
    if (task->survive)
        glet_survive(task, out);
}
