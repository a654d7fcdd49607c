/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pairwise interference: a table of measured pairs in front of the linear model. Pairs are sorted
 * by victim and then aggressor, so that one pair and all pairs of one victim are binary searches.
 */
#include "planner/model/interference.h"

#include <math.h>

static int order(const struct glet_pair *pair, struct glet_point victim,
                 struct glet_point aggressor)
{
    const int key[6] = {victim.model,    victim.size,    victim.batch,
                        aggressor.model, aggressor.size, aggressor.batch};
    const int have[6] = {pair->victim_model,    pair->victim_size,    pair->victim_batch,
                         pair->aggressor_model, pair->aggressor_size, pair->aggressor_batch};
    for (int i = 0; i < 6; i++)
        if (have[i] != key[i])
            return have[i] < key[i] ? -1 : 1;
    return 0;
}

/* Index of the first pair that is not before (victim, aggressor). */
static int first_pair(const struct glet_problem_type *type, struct glet_point victim,
                      struct glet_point aggressor)
{
    int low = 0, high = type->pair_count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (order(&type->pairs[middle], victim, aggressor) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

double glet_interference_pair(const struct glet_problem *problem, int type,
                              struct glet_point victim, struct glet_point aggressor)
{
    const struct glet_problem_type *t = &problem->types[type];
    if (t->pair_count > 0) {
        int at = first_pair(t, victim, aggressor);
        if (at < t->pair_count && order(&t->pairs[at], victim, aggressor) == 0)
            return t->pairs[at].slowdown_ratio;
    }
    if (!t->linear)
        return 1;
    const struct glet_cell *v =
        glet_problem_cell(problem, type, victim.model, victim.size, victim.batch);
    const struct glet_cell *w =
        glet_problem_cell(problem, type, aggressor.model, aggressor.size, aggressor.batch);
    return v && w ? v->victim_ratio + w->aggressor_ratio : INFINITY;
}

/* Extreme over all aggressors: sign +1 for the largest, -1 for the smallest. */
static double extreme(const struct glet_problem *problem, int type, struct glet_point victim,
                      int sign)
{
    const struct glet_problem_type *t = &problem->types[type];
    double value = 1;
    if (t->linear) {
        const struct glet_cell *v =
            glet_problem_cell(problem, type, victim.model, victim.size, victim.batch);
        double w = sign > 0 ? t->aggressor_max_ratio : t->aggressor_min_ratio;
        value = v ? v->victim_ratio + w : 1;
    }
    for (int i = first_pair(t, victim, (struct glet_point){-1, -1, -1}); i < t->pair_count; i++) {
        const struct glet_pair *pair = &t->pairs[i];
        if (pair->victim_model != victim.model || pair->victim_size != victim.size ||
            pair->victim_batch != victim.batch)
            break;
        value = sign > 0 ? fmax(value, pair->slowdown_ratio) : fmin(value, pair->slowdown_ratio);
    }
    return fmax(1, value);
}

double glet_interference_mildest(const struct glet_problem *problem, int type,
                                 struct glet_point victim)
{
    return extreme(problem, type, victim, -1);
}

double glet_interference_harshest(const struct glet_problem *problem, int type,
                                  struct glet_point victim)
{
    return extreme(problem, type, victim, +1);
}
