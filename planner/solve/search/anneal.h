/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_ANNEAL_H
#define GLET_PLANNER_ANNEAL_H

/*
 * The largest common scale that a few given GPUs can serve, by simulated annealing over the sizes of
 * their gpu-lets and the batches in them. What it finds is evaluated exactly, so that measured
 * pairs, falling latencies and neighbours of any kind are all the same to it; it proves nothing.
 *
 * Source: Kirkpatrick, Gelatt, Vecchi, "Optimization by Simulated Annealing", Science 220 (1983).
 */

#include "planner/solve/space/boxes.h"
#include "planner/solve/space/halt.h"

struct glet_anneal_options {
    int runs;      /* the first begins with the boxes, the others with empty GPUs */
    long steps;    /* of each run; a million take about a second */
    double guess;  /* about the scale that is hoped for, > 0 */
    double enough; /* any plan that serves this scale will do */
    bool survive;  /* the scale is what is left when the worst one of the GPUs is gone */
    const struct glet_halt *halt;
};

/* Whether there are few enough GPUs and models to be worth it. */
bool glet_anneal_suits(const struct glet_problem *problem, int gpus);

/*
 * Puts the best plan found for these GPUs into boxes, evaluated, and returns the factor of the
 * problem's demands that it serves. No GPU changes its type.
 */
double glet_anneal(const struct glet_problem *problem, const struct glet_anneal_options *options,
                   struct glet_boxes *boxes);

#endif
