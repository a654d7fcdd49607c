/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_MODEL_LATENCY_H
#define GLET_PLANNER_MODEL_LATENCY_H

/*
 * What one model can do in a gpu-let of its own, alone on its GPU: the best latency bound and the
 * best throughput. The answers behind "unserveable", of explain, and of simple sizing.
 */

#include "planner/model/problem.h"

/* A way to run a model. type = -1: there is none. */
struct glet_choice {
    int type, size, batch;
    double latency_ms; /* exec time, alone */
    double bound_ms;   /* 2 x exec: one round waiting, one running */
    double rate_rps;   /* batch / exec */
};

/* The smallest latency bound that the model can have anywhere with memory to spare for it. */
struct glet_choice glet_latency_best(const struct glet_problem *problem, int model);

/* The same, stock and memory aside: what the profile knows at best. */
struct glet_choice glet_latency_ideal(const struct glet_problem *problem, int model);

/*
 * The highest rate of one gpu-let of that size and type (size = -1: of any size) with
 * latency bound <= limit_ms, alone on its GPU, memory fitting.
 */
struct glet_choice glet_latency_fastest(const struct glet_problem *problem, int model, int type,
                                        int size, double limit_ms);

#endif
