/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_ATOM_H
#define GLET_PLANNER_ATOM_H

/*
 * An atom is one gpu-let as the search moves it about: a size and the models with their batches. A
 * box is a GPU with its atoms. Both are small plain values of fixed room that can be copied with
 * `=`, unlike the arrays of planner/solution.h, which only carry results.
 */

#include "planner/solution.h"

#include <stdint.h>

#define GLET_ATOM_PARTS 20 /* models in one gpu-let */
#define GLET_BOX_ATOMS  GLET_GPULETS_MAX

struct glet_atom {
    int16_t size;  /* index into the type's sizes */
    int16_t count; /* of models */
    uint16_t model[GLET_ATOM_PARTS], batch[GLET_ATOM_PARTS];
    double duty_ms; /* sum of exec; the rate of part k is 1000 * batch[k] / duty_ms */
};

struct glet_box {
    int type;
    int count;
    struct glet_atom atoms[GLET_BOX_ATOMS];
};

/* GPUs in a growing array. */
struct glet_boxes {
    struct glet_box *list;
    int count, room;
};

static inline double glet_atom_rate_rps(const struct glet_atom *atom, int k)
{
    return 1000.0 * atom->batch[k] / atom->duty_ms;
}

/*
 * What part k must keep of its rate for the model's demand to stay served, when all gpu-lets
 * together serve served_rps of it.
 */
double glet_atom_least_rps(const struct glet_atom *atom, int k, double demand_rps,
                           double served_rps);

/* Largest aggressor ratio over the atom's models; -INFINITY when it has none. */
double glet_atom_aggressor(const struct glet_problem *problem, int type,
                           const struct glet_atom *atom);

/* Memory that the atom charges, weights included, MiB. */
double glet_atom_memory_mib(const struct glet_problem *problem, int type,
                            const struct glet_atom *atom);

/* Copies only the atoms in use. */
void glet_box_copy(struct glet_box *to, const struct glet_box *from);

/* Units of the type that no atom uses. Layouts are not looked at. */
int glet_box_free_units(const struct glet_problem *problem, const struct glet_box *box);

/*
 * Exact interference, duty cycles and latencies with all co-residents: sets duty_ms of every atom
 * and returns whether sizes, memory and latencies keep the contract.
 */
bool glet_box_evaluate(const struct glet_problem *problem, struct glet_box *box);

/* Appends a copy. */
void glet_boxes_add(struct glet_boxes *boxes, const struct glet_box *box);
void glet_boxes_sweep(struct glet_boxes *boxes); /* drops GPUs without gpu-lets */
void glet_boxes_copy(struct glet_boxes *to, const struct glet_boxes *from);
void glet_boxes_free(struct glet_boxes *boxes);

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
