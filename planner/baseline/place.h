/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_PLACE_H
#define GLET_PLANNER_PLACE_H

/* What the greedy planners share: a growing set of GPUs and what is still to be served. */

#include "planner/baseline/baseline.h"

struct glet_place {
    const struct glet_problem *problem;
    int type, max_gpulets;
    int most_gpus;                /* gives up beyond; 0 = no limit */
    const struct glet_halt *halt; /* gives up then */
    bool interference;            /* whether the planner knows it */
    struct glet_boxes *boxes;
    double *rate_rps; /* [model] what the boxes serve, as the planner sees it */
};

void glet_place_init(struct glet_place *place, const struct glet_problem *problem,
                     bool interference, struct glet_boxes *boxes);
void glet_place_fini(struct glet_place *place);

/* The demand of the model that is not served yet; 0 within the contract's slack. */
double glet_place_missing(const struct glet_place *place, int m);

/* Highest rate of a one-model gpu-let alone on its GPU, and its batch; 0 = impossible. */
double glet_place_solo(const struct glet_place *place, int m, int size, int *batch_out);

/* The size with the largest distance above the chord of the rate curve: its knee. -1 = none. */
int glet_place_knee(const struct glet_place *place, int m);

/* The smallest size that serves the rate alone; -1 = none. */
int glet_place_required(const struct glet_place *place, int m, double rate_rps);

/*
 * Adds a gpu-let of the model to box i (-1 = a new GPU) with the largest batch that meets its
 * limit and its neighbours' limits. Returns the rate gained by the model; 0 = not possible.
 */
double glet_place_add(struct glet_place *place, int i, int m, int size);

/* The model's missing rate joins gpu-let a of box i with new batches. Returns whether it could. */
bool glet_place_join(struct glet_place *place, int i, int a, int m);

/* Replaces box i (-1 = adds one), whether or not it fits. */
void glet_place_set(struct glet_place *place, int i, const struct glet_box *box);

/* Replaces box i when the new content fits, as the planner sees it. Returns whether it did. */
bool glet_place_put(struct glet_place *place, int i, const struct glet_box *box);

/* No GPU may be added: the stock is used up, or it is time to give up. */
bool glet_place_full(const struct glet_place *place);

bool glet_baseline_sbp(struct glet_place *place);
bool glet_baseline_gslice(struct glet_place *place);
bool glet_baseline_gpulet(struct glet_place *place);
bool glet_baseline_ideal(struct glet_place *place);

#endif
