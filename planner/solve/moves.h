/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_MOVES_H
#define GLET_PLANNER_MOVES_H

#include "planner/solve/task.h"

/*
 * New gpu-lets of now: those that its GPU did not have in old (size, models and batches). GPUs of
 * the same type are matched so that most gpu-lets stay, as `plan diff` does: greedily, the largest
 * overlap first.
 */
int glet_moves_count(const struct glet_boxes *old, const struct glet_boxes *now);

struct glet_moves_answer {
    bool found, complete; /* complete: what is not found does not exist */
    struct glet_boxes boxes;
    double cost;
    int moves;
};

/*
 * The exact method for small menus (menu.h). Looks for the plan with the fewest moves away from old
 * among those of at most this cost and fewer than most_moves moves. Only counts limit it.
 */
void glet_moves_fewest(const struct glet_task *task, const struct glet_boxes *old, double cost,
                       int most_moves, struct glet_moves_answer *out);

/* The cheapest plan with at most so many moves. */
void glet_moves_cheapest(const struct glet_task *task, const struct glet_boxes *old, int most_moves,
                         struct glet_moves_answer *out);

void glet_moves_answer_fini(struct glet_moves_answer *answer);

#endif
