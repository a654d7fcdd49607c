/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_SHARE_H
#define GLET_PLANNER_SHARE_H

/*
 * The facts about a model that the bound (price.h) needs: how fast it runs at least at each point of
 * the profile, and what memory it cannot do without.
 */

#include "planner/solve/space/space.h"

/* Shortens latencies and memory, lengthens limits: twice the contract's slack. */
#define GLET_SHARE_SLACK (2 * GLET_TOLERANCE_RATIO)

struct glet_charge { /* memory that is paid for, whatever the share of the time */
    double memory_mib;
    int memory_class; /* memory_class.h */
    double part;      /* of that class's price */
};

/* One fact about a (type, model, size, batch); size -1: alone on the GPU. */
struct glet_share {
    int16_t type, size, own, seen; /* intervals: its ratio's, and the one it sees at least */
    int32_t batch;
    double latency_ms, least_share; /* L and L / (limit - L) */
    struct glet_charge charge;      /* of each gpu-let with this model */
};

struct glet_share_table { /* all points of one model with 2 L <= limit */
    struct glet_share *list;
    int count;
    struct glet_charge *hosts; /* [type]: the weights, once, on one of the types; NULL: paid for by
                                  the gpu-lets */
};

/* The table of every model with demand. Free with glet_shares_free(). */
struct glet_share_table *glet_shares_new(const struct glet_space *space);
void glet_shares_free(struct glet_share_table *tables, const struct glet_problem *problem);

#endif
