/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_SPACE_H
#define GLET_PLANNER_SPACE_H

/*
 * The search space of one problem: size patterns, interference levels, and the best one-model
 * gpu-let for every (type, level, model, size).
 *
 * A co-resident enters a gpu-let's latency through one number, its aggressor ratio. Level l of a
 * type has a threshold: a gpu-let may sit in level l when its own ratio is at most the threshold,
 * and its latency is then taken as if its neighbours had exactly it. So any mix of gpu-lets of one
 * level is feasible on one GPU, and the exact factor, known once the GPU is packed, is never worse.
 * Level 0 means alone on its GPU.
 *
 * Of gpu-lets with more than half of the units a GPU has at most one, which does not see itself. So
 * an uneven level has a higher threshold for them (`loud`) than for the others (`mild`): they see
 * the mild one, the others the loud one. More levels are harder to pack, so that a space has either
 * many even ones or few and uneven ones.
 */

#include "planner/solve/space/boxes.h"
#include "planner/solve/space/pattern.h"

#define GLET_LEVELS_MAX 12
#define GLET_ENDS       3

struct glet_single { /* the one-model gpu-let of the highest rate; rate 0 = none */
    float memory_mib;
    uint16_t batch;
    double rate_rps;
};

struct glet_space_type {
    int even_count;  /* levels 1 .. even_count have loud = mild, rising to the largest ratio */
    int level_count; /* shared levels 1 .. level_count */
    double loud[GLET_LEVELS_MAX + 1], mild[GLET_LEVELS_MAX + 1];
    double ends[GLET_ENDS]; /* rising; where ratios are told apart by the bound (slots.h) */
    struct glet_patterns patterns;
    struct glet_single *best; /* [(level * model_count + model) * size_count + size] */
    bool memory_binds; /* a GPU's memory can keep gpu-lets apart that its units would allow */
};

struct glet_space {
    const struct glet_problem *problem;
    struct glet_space_type *types; /* [problem->type_count] */
};

/* levels: interference levels per type, 1 .. GLET_LEVELS_MAX. Free with glet_space_fini(). */
void glet_space_init(struct glet_space *space, const struct glet_problem *problem, int levels);

/*
 * The same with a few even levels and uneven ones. False, and nothing to free, where big gpu-lets
 * bring too little of the load for it to make a difference.
 */
bool glet_space_init_uneven(struct glet_space *space, const struct glet_problem *problem);
void glet_space_fini(struct glet_space *space);

static inline const struct glet_single *glet_space_best(const struct glet_space *space, int type,
                                                        int level, int model, int size)
{
    const struct glet_problem *problem = space->problem;
    return &space->types[type]
                .best[(level * problem->model_count + model) * problem->types[type].size_count +
                      size];
}

/*
 * What a linear program shall pay for leaving out so much of a model: far above what any way to serve
 * it costs, low enough not to hurt the simplex numerically. cost [type]: of a GPU.
 */
double glet_space_missing_cost(const struct glet_space *space, const double *cost, int model,
                               double demand_rps);

/* The aggressor ratio that a gpu-let of this size sees in a shared level, at most. */
double glet_space_seen(const struct glet_space *space, int type, int level, int size);

/* The factor of a point in a level, at least 1; INFINITY when it may not sit there. */
double glet_space_factor(const struct glet_space *space, int type, int level, int model, int size,
                         int batch, const struct glet_cell *cell);

/*
 * Sets duty_ms as in that level. Returns whether every point exists, may sit in the level and
 * meets its limit, and memory alone fits.
 */
bool glet_space_rate_atom(const struct glet_space *space, int type, int level,
                          struct glet_atom *atom);

#endif
