/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_ATOM_H
#define GLET_PLANNER_ATOM_H

/*
 * An atom is one gpu-let as the search moves it about: a size and the models with their batches. A
 * box is a GPU with its atoms. Both are plain values of fixed room, unlike the arrays of
 * planner/solution.h, which only carry results. Many boxes are kept in less room (boxes.h).
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

static inline double glet_atom_rate_rps(const struct glet_atom *atom, int k)
{
    return 1000.0 * atom->batch[k] / atom->duty_ms;
}

/* A gpu-let of one model; duty_ms is not known yet. */
static inline struct glet_atom glet_atom_single(int size, int model, int batch)
{
    return (struct glet_atom){
        .size = (int16_t)size, .count = 1, .model = {(uint16_t)model}, .batch = {(uint16_t)batch}};
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

#endif
