/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_BOXES_H
#define GLET_PLANNER_BOXES_H

/*
 * GPUs in a growing array, each in room for as many gpu-lets as the fullest has: a box has room for
 * GLET_BOX_ATOMS of them, of which a plan of thousands of GPUs uses a few.
 */

#include "planner/solve/space/atom.h"

struct glet_boxes {
    int count;
    /* Private. */
    int room;  /* for GPUs */
    int atoms; /* room for gpu-lets on each */
    char *list;
};

/*
 * GPU i; valid until one is added or changed. There is nothing beyond its count of gpu-lets, so that
 * it is copied with glet_box_copy(), never with `=`.
 */
static inline const struct glet_box *glet_boxes_at(const struct glet_boxes *boxes, int i)
{
    size_t each =
        offsetof(struct glet_box, atoms) + sizeof(struct glet_atom) * (size_t)boxes->atoms;
    return (const struct glet_box *)(const void *)(boxes->list + each * (size_t)i);
}

/* Appends a copy. */
void glet_boxes_add(struct glet_boxes *boxes, const struct glet_box *box);

void glet_boxes_set(struct glet_boxes *boxes, int i, const struct glet_box *box);   /* to a copy */
void glet_boxes_put(struct glet_boxes *boxes, int i, const struct glet_atom *atom); /* one more */
void glet_boxes_clear(struct glet_boxes *boxes, int i); /* of gpu-lets */
void glet_boxes_swap(struct glet_boxes *boxes, int i, int j);
bool glet_boxes_evaluate(const struct glet_problem *problem, struct glet_boxes *boxes, int i);

void glet_boxes_sweep(struct glet_boxes *boxes); /* drops GPUs without gpu-lets */
void glet_boxes_copy(struct glet_boxes *to, const struct glet_boxes *from);
void glet_boxes_free(struct glet_boxes *boxes);

/* A view of count GPUs from the first on: borrowed, not to be changed or freed. */
struct glet_boxes glet_boxes_part(const struct glet_boxes *boxes, int first, int count);

/* Adds what every model gets, requests per second, into rate_rps[model_count] (zeroed first). */
void glet_boxes_rates(const struct glet_problem *problem, const struct glet_boxes *boxes,
                      double *rate_rps);

/* Of no type more than there are. */
bool glet_boxes_within_stock(const struct glet_problem *problem, const struct glet_boxes *boxes);

/* Sum of the costs: 1 per GPU, or its hourly cost under min-cost. */
double glet_boxes_cost(const struct glet_problem *problem, const struct glet_boxes *boxes);
double glet_type_cost(const struct glet_problem *problem, int type);
double glet_cheapest_cost(const struct glet_problem *problem); /* of a GPU of any type */
double glet_stock_cost(const struct glet_problem *problem);    /* INFINITY: without limit */
bool glet_whole_costs(const struct glet_problem *problem);     /* all are 1: bounds round up */
double *glet_type_costs(const struct glet_problem *problem);   /* [type]; freed by the caller */

/* Writes the boxes as a solution, evaluated. Returns -1 when memory has run out. */
GLET_MUST_CHECK
int glet_boxes_to_solution(const struct glet_problem *problem, const struct glet_boxes *boxes,
                           struct glet_solution *out);

/* The other way; gpu-lets or models beyond the fixed room are left out. */
void glet_boxes_from_solution(const struct glet_problem *problem,
                              const struct glet_solution *solution, struct glet_boxes *out);

#endif
