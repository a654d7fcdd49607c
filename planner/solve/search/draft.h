/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_DRAFT_H
#define GLET_PLANNER_DRAFT_H

/*
 * Gpu-lets before they are packed. Every place that a gpu-let can take, a size in an interference
 * level or a GPU of its own, has the price that the master program put on it, so that a set of
 * gpu-lets costs about the sum of its prices in GPUs, whatever pattern each ends in. That makes
 * changes to a few gpu-lets comparable (polish.h, ruin.h).
 */

#include "planner/solve/search/master.h"

struct glet_place { /* where a gpu-let can be put */
    int16_t type, level, size;
    double price;
};

struct glet_places {
    struct glet_place *list; /* cheapest first */
    int count;
    double *model_price;  /* [model], per request per second */
    double *memory_price; /* [type], per MiB */
    double memory_share;  /* the largest share of a type's price that is its memory's */
};

/* The prices of the master's last solution. Free with glet_places_free(). */
void glet_places_init(struct glet_places *places, const struct glet_master *master);
void glet_places_free(struct glet_places *places);

struct glet_draft {
    const struct glet_space *space;
    const struct glet_places *places;
    const double *demand_rps; /* [model], which the gpu-lets serve */
    struct glet_placed_list *atoms;
    double *rate_rps;      /* [model], of all atoms */
    double *weights_price; /* [type], scratch */
    long fits;             /* gpu-lets that may still be tried */
};

/* All but fits is borrowed. Free with glet_draft_fini(). */
void glet_draft_init(struct glet_draft *draft, const struct glet_space *space,
                     const struct glet_places *places, const double *demand_rps, long fits,
                     struct glet_placed_list *atoms);
void glet_draft_fini(struct glet_draft *draft);

/* Counts atom i out of rate_rps, changes it, and counts it in. atom: NULL = without models. */
void glet_draft_set(struct glet_draft *draft, int i, const struct glet_placed *atom);

/* Drops the atoms without models. */
void glet_draft_sweep(struct glet_draft *draft);

/* Copies of these instead of all atoms. */
void glet_draft_reset(struct glet_draft *draft, const struct glet_placed_list *atoms);

/* What the model is served beyond its demand. */
static inline double glet_draft_spare_rps(const struct glet_draft *draft, int model)
{
    double spare_rps = draft->rate_rps[model] - draft->demand_rps[model];
    return spare_rps > 0 ? spare_rps : 0;
}

double glet_draft_price(const struct glet_draft *draft, const struct glet_placed *placed);

#define GLET_DRAFT_WORTH 0.99 /* of what serves it, at least: prices are good */

struct glet_needs { /* models with the rates that one gpu-let must serve */
    int count;
    uint16_t model[2 * GLET_ATOM_PARTS];
    double rate_rps[2 * GLET_ATOM_PARTS];
    double worth; /* at the models' prices */
};

/* Nothing where the rate is next to none. */
void glet_needs_add(const struct glet_draft *draft, struct glet_needs *needs, int model,
                    double rate_rps);

/* The cheapest gpu-let below budget that serves the needs; returns its price or INFINITY. */
double glet_draft_cover(struct glet_draft *draft, const struct glet_needs *needs, double budget,
                        struct glet_placed *out);

/* The gpu-let of one model that fills the place; false when there is none. */
bool glet_draft_fill(const struct glet_draft *draft, const struct glet_place *at, int model,
                     struct glet_placed *out);

#endif
