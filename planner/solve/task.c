/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/task.h"

void glet_outcome_fini(struct glet_outcome *outcome)
{
    glet_boxes_free(&outcome->boxes);
    glet_boxes_free(&outcome->beyond);
}

double glet_task_most(const struct glet_task *task)
{
    return task->most > 0 ? task->most : glet_stock_cost(task->problem);
}

int glet_demanded(const struct glet_problem *problem)
{
    int count = 0;
    for (int m = 0; m < problem->model_count; m++)
        count += problem->models[m].demand_rps > 0;
    return count;
}
