/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Integer arithmetic from rounded prices on: it is part of the proof of the lower bound. */
#include "planner/solve/bound/slots.h"

#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>

/* More intervals prove hardly more (benchmarks/planner/fleets). A filling takes units^3 steps. */
#define INTERVALS  (GLET_ENDS + 1)
#define UNITS_MAX  32
#define MODELS_MAX 50

int glet_slots_intervals(const struct glet_problem *problem, int type)
{
    const struct glet_problem_type *t = &problem->types[type];
    bool many = problem->model_count <= MODELS_MAX && t->units <= UNITS_MAX && t->linear &&
                !t->layouts && t->max_gpulets > 1;
    return many ? INTERVALS : 1;
}

int glet_slots_count(const struct glet_problem *problem, int type)
{
    int count = glet_slots_intervals(problem, type);
    return count * count * problem->types[type].size_count;
}

/* The prices of the slots of a pair of intervals. */
static void slot_prices(const struct glet_problem *problem, int type, const double *sigma, int own,
                        int seen, int64_t *out)
{
    int sizes = problem->types[type].size_count;
    int first = (own * glet_slots_intervals(problem, type) + seen) * sizes;
    for (int s = 0; s < sizes; s++)
        out[s] = (int64_t)(sigma[first + s] * GLET_PRICE_UNIT);
}

int64_t glet_slots_filling(const struct glet_problem *problem, int type, const double *sigma, int a,
                           int b, int16_t *uses_out)
{
    const struct glet_problem_type *t = &problem->types[type];
    int sizes = t->size_count, count = glet_slots_intervals(problem, type);
    int64_t *top = glet_must_alloc(sizeof *top, (size_t)sizes);
    int64_t *rest = glet_must_alloc(sizeof *rest, (size_t)sizes);
    int16_t *uses = glet_must_alloc(sizeof *uses, (size_t)sizes);
    slot_prices(problem, type, sigma, a, b, top);
    slot_prices(problem, type, sigma, b, a, rest);
    int best_top = -1;
    int64_t best = a == b ? glet_pattern_best(t, rest, uses) : 0;
    for (int s = 0; a != b && s < sizes; s++) {
        int64_t value = top[s] + glet_pattern_best_beside(t, s, rest, NULL);
        if (value > best) {
            best = value;
            best_top = s;
        }
    }
    if (uses_out) {
        for (int s = 0; s < count * count * sizes; s++)
            uses_out[s] = 0;
        if (best_top >= 0) {
            glet_pattern_best_beside(t, best_top, rest, uses);
            uses_out[(a * count + b) * sizes + best_top] = 1;
        }
        for (int s = 0; s < sizes && (a == b || best_top >= 0); s++)
            uses_out[(b * count + a) * sizes + s] = uses[s];
    }
    free(top);
    free(rest);
    free(uses);
    return best;
}

double glet_slots_interval_end(const struct glet_space *space, int type, int interval)
{
    int count = glet_slots_intervals(space->problem, type);
    const struct glet_space_type *t = &space->types[type];
    if (interval < 0)
        return space->problem->types[type].aggressor_min_ratio;
    if (interval == count - 1)
        return INFINITY;
    return t->ends[interval];
}
