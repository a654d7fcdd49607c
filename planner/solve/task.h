/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_TASK_H
#define GLET_PLANNER_TASK_H

/* What is asked of the methods that find plans, and what they answer. */

#include "planner/solve/solve.h"
#include "planner/solve/space/boxes.h"
#include "planner/solve/space/halt.h"

struct glet_task {
    const struct glet_problem *problem;
    enum glet_effort effort;
    const struct glet_halt *halt;
    double enough;      /* any plan of at most this cost will do; 0 = only the cheapest */
    double most;        /* a plan that costs more is of no use; 0 = than the stock */
    bool count;         /* with no plan within the stock: a plan beyond it is of use, too */
    double scale_guess; /* max-rate: a factor that may fit; 0 = none */
    double scale_limit; /* max-rate: a factor proven not to fit; 0 = none known */
    bool is_try;  /* one of many at the largest scale: what anneals all of them does not here */
    bool survive; /* the plan must serve everything when any one of its GPUs is gone */
    bool keep;    /* survive only by adding to the plan at hand */
};

struct glet_outcome {
    bool found;
    struct glet_boxes boxes;
    double cost;
    double bound;    /* proven: no plan is cheaper; INFINITY = none exists at all */
    double linear;   /* proven: for s <= 1 times the demands no plan, of whatever stock, is
                                  cheaper than s times this; 0 = nothing */
    bool impossible; /* proven: none within the stock */
    double scale, scale_bound; /* max-rate only */
    struct glet_boxes beyond;  /* task->count, not found: a plan that needs more than the stock */
    double beyond_cost;        /* of that plan; INFINITY = none */
};

void glet_outcome_fini(struct glet_outcome *outcome);

/* The cost beyond which a plan is of no use to the task. */
double glet_task_most(const struct glet_task *task);

/* Models with demand. */
int glet_demanded(const struct glet_problem *problem);

#endif
