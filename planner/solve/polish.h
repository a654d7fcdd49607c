/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_POLISH_H
#define GLET_PLANNER_POLISH_H

/*
 * Local search over gpu-lets before they are packed. Every place that a gpu-let can take, a size in
 * an interference level or a GPU of its own, has the price that the master program put on it, so
 * that a set of gpu-lets costs about the sum of its prices in GPUs, whatever pattern each ends in.
 * That makes single moves comparable: pairs of gpu-lets that serve more than their models need
 * are served again, together or divided differently, wherever that is cheaper.
 */

#include "planner/solve/halt.h"
#include "planner/solve/master.h"

struct glet_place { /* where a gpu-let can be put */
    int16_t type, level, size;
    double price;
};

struct glet_places {
    struct glet_place *list; /* cheapest first */
    int count;
    double *model_price;  /* [model], per request per second */
    double *memory_price; /* [type], per MiB */
};

/* The prices of the master's last solution. Free with glet_places_free(). */
void glet_places_init(struct glet_places *places, const struct glet_master *master);
void glet_places_free(struct glet_places *places);

/*
 * Rearranges atoms that serve demand_rps [model_count], which they go on serving. fits: at most so
 * many gpu-lets are tried.
 */
void glet_polish(const struct glet_space *space, const struct glet_places *places,
                 const double *demand_rps, long fits, const struct glet_halt *halt,
                 struct glet_placed_list *atoms);

#endif
