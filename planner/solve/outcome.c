/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/outcome.h"

#include "planner/solve/apps/app_search.h"
#include "planner/solve/at_limits.h"
#include "planner/solve/exact/menu.h"

#include <math.h>
#include <stdlib.h>

static void search(const struct glet_task *task, struct glet_outcome *out)
{
    if (task->problem->app_count)
        glet_app_search(task, out);
    else
        glet_outcome_at_limits(task, out);
}

void glet_outcome_count(const struct glet_task *task, struct glet_outcome *out)
{
    struct glet_problem open = *task->problem;
    struct glet_task at = *task;
    *out = (struct glet_outcome){.cost = INFINITY, .beyond_cost = INFINITY};
    open.types = glet_problem_types_unlimited(task->problem);
    at.problem = &open;
    if (open.types)
        search(&at, out);
    free(open.types);
}

static bool has_one_limit(const struct glet_task *task)
{
    return task->problem->type_count == 1 && task->problem->types[0].count > 0 && !task->survive;
}

static bool is_limited(const struct glet_problem *problem)
{
    bool limited = false;
    for (int g = 0; g < problem->type_count; g++)
        limited |= problem->types[g].count > 0;
    return limited;
}

static void keep_beyond(struct glet_outcome *out)
{
    out->found = false;
    out->beyond = out->boxes;
    out->beyond_cost = out->cost;
    out->boxes = (struct glet_boxes){0};
    out->cost = INFINITY;
}

/* As if the stock had no limit; a plan that the limit forbids becomes one beyond it. */
static void count_against_stock(const struct glet_task *task, double stock,
                                struct glet_outcome *out)
{
    struct glet_task at = *task;
    at.most = glet_task_most(task);
    at.enough = fmin(task->enough, at.most);
    glet_outcome_count(&at, out);
    if (out->found && out->cost > stock)
        keep_beyond(out);
}

/*
 * With one type a limit on the number of GPUs helps no search: the program's prices only lose their
 * meaning where it cannot be met. The exact methods of small problems mostly use it well.
 */
void glet_outcome_cheapest(const struct glet_task *task, struct glet_outcome *out)
{
    double stock = glet_stock_cost(task->problem) * (1 + GLET_TOLERANCE_RATIO);
    bool small = glet_demanded(task->problem) <= GLET_MENU_MODELS;
    if (has_one_limit(task) && !small) {
        count_against_stock(task, stock, out);
    } else {
        search(task, out);
        if (is_limited(task->problem))
            out->linear = 0;
        if (has_one_limit(task) && !out->found && out->bound <= stock) {
            double bound = out->bound;
            glet_outcome_fini(out);
            count_against_stock(task, stock, out);
            out->bound = fmax(out->bound, bound);
        }
    }
    out->impossible = !out->found && out->bound > stock;
}
