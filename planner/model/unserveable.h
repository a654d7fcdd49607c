/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_MODEL_UNSERVEABLE_H
#define GLET_PLANNER_MODEL_UNSERVEABLE_H

/*
 * Why a model cannot be served at all, however many GPUs there are: the reason, and the best that
 * can be reached. Independent of rates; a gpu-let alone on its GPU is the mildest case.
 */

#include "planner/model/latency.h"

enum glet_unserveable_reason {
    GLET_UNSERVEABLE_LATENCY, /* 2 x its fastest execution exceeds its SLO */
    GLET_UNSERVEABLE_APP,     /* ... exceeds what an app's SLO leaves beside the other stages */
    GLET_UNSERVEABLE_MEMORY,  /* where it is fast enough, it does not fit into the memory */
    GLET_UNSERVEABLE_STOCK,   /* where it is fast enough, the stock is zero */
};

struct glet_unserveable {
    int model;
    enum glet_unserveable_reason reason;
    struct glet_choice best;  /* the fastest with stock and memory; type -1: there is none */
    struct glet_choice ideal; /* the fastest, stock and memory aside */
    double limit_ms;
    int app; /* with GLET_UNSERVEABLE_APP: index of the tightest app */
};

/* True, with *out filled, when the model has demand and cannot be served. */
bool glet_unserveable(const struct glet_problem *problem, int model, struct glet_unserveable *out);

/* One line about it, of at most size - 1 bytes. */
void glet_unserveable_text(const struct glet_problem *problem, const struct glet_unserveable *why,
                           char *text, size_t size);

/* The place in the workload that causes it: the SLO of the model or app, or the model. */
struct glet_mark glet_unserveable_mark(const struct glet_problem *problem,
                                       const struct glet_unserveable *why);

#endif
