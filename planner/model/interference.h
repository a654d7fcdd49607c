/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_MODEL_INTERFERENCE_H
#define GLET_PLANNER_MODEL_INTERFERENCE_H

/*
 * How much a co-resident gpu-let slows a model down.
 *
 * One victim next to one aggressor: where exactly that pair (models, batches, sizes) was co-run,
 * the measured slowdown; else, with interference coefficients, the linear model of formats.md;
 * else 1. A gpu-let's factor is the maximum over its co-residents and over their models, at least
 * 1; alone on its GPU it is 1. An unknown utilisation counts as the worst value of its term.
 */

#include "planner/model/problem.h"

/* A model at a batch and a size (index), somewhere on a type. */
struct glet_point {
    int model, size, batch;
};

/* The unclipped factor of victim next to aggressor; both points must exist. O(log of the victim's pairs). */
double glet_interference_pair(const struct glet_problem *problem, int type,
                              struct glet_point victim, struct glet_point aggressor);

/*
 * Bounds of max(1, pair) over every possible aggressor on the type: what no co-resident can be
 * milder than, and what none can exceed. The first is safe in a lower bound of latency, the second
 * in an upper one.
 */
double glet_interference_mildest(const struct glet_problem *problem, int type,
                                 struct glet_point victim);
double glet_interference_harshest(const struct glet_problem *problem, int type,
                                  struct glet_point victim);

/* The mildest of those whose aggressor ratio is at least so high. O(the victim's pairs). */
double glet_interference_beside(const struct glet_problem *problem, int type,
                                struct glet_point victim, double least_ratio);

#endif
