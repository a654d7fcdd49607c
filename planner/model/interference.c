/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pairwise interference: measured pairs in front of the linear model. Every cell knows where the
 * pairs begin that it is the victim of; they are sorted by aggressor.
 */
#include "planner/model/interference.h"

#include <math.h>

/* NULL where no pairs were measured, or the point does not exist. */
static const struct glet_victim *victim_at(const struct glet_problem_type *type,
                                           struct glet_point at)
{
    if (!type->pair_count || at.size < 0 || at.size >= type->size_count)
        return NULL;
    const struct glet_cell_row *row = &type->rows[at.model * type->size_count + at.size];
    if (!row->victims || at.batch < row->first_batch || at.batch > row->last_batch)
        return NULL;
    return &row->victims[at.batch - row->first_batch];
}

/* < 0: the pair's aggressor is before this one. */
static int order(const struct glet_pair *pair, struct glet_point aggressor)
{
    if (pair->aggressor_model != aggressor.model)
        return pair->aggressor_model - aggressor.model;
    if (pair->aggressor_size != aggressor.size)
        return pair->aggressor_size - aggressor.size;
    return pair->aggressor_batch - aggressor.batch;
}

static const struct glet_pair *find_pair(const struct glet_problem_type *type,
                                         struct glet_point victim, struct glet_point aggressor)
{
    const struct glet_victim *v = victim_at(type, victim);
    int low = v ? v->first_pair : 0, high = v ? low + v->pair_count : 0;
    while (low < high) {
        int middle = low + (high - low) / 2, at = order(&type->pairs[middle], aggressor);
        if (at == 0)
            return &type->pairs[middle];
        if (at < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

double glet_interference_pair(const struct glet_problem *problem, int type,
                              struct glet_point victim, struct glet_point aggressor)
{
    const struct glet_problem_type *t = &problem->types[type];
    const struct glet_pair *pair = find_pair(t, victim, aggressor);
    if (pair)
        return pair->slowdown_ratio;
    if (!t->linear)
        return 1;
    const struct glet_cell *v =
        glet_problem_cell(problem, type, victim.model, victim.size, victim.batch);
    const struct glet_cell *w =
        glet_problem_cell(problem, type, aggressor.model, aggressor.size, aggressor.batch);
    return v && w ? v->victim_ratio + w->aggressor_ratio : INFINITY;
}

/* Measured pairs know their extremes; the linear model's are those of its aggressors. */
static double extreme(const struct glet_problem *problem, int type, struct glet_point victim,
                      bool harshest)
{
    const struct glet_problem_type *t = &problem->types[type];
    const struct glet_victim *v = victim_at(t, victim);
    if (v)
        return harshest ? v->harshest_ratio : v->mildest_ratio;
    const struct glet_cell *cell =
        t->linear ? glet_problem_cell(problem, type, victim.model, victim.size, victim.batch)
                  : NULL;
    double aggressor_ratio = harshest ? t->aggressor_max_ratio : t->aggressor_min_ratio;
    return cell ? fmax(1, cell->victim_ratio + aggressor_ratio) : 1;
}

double glet_interference_mildest(const struct glet_problem *problem, int type,
                                 struct glet_point victim)
{
    return extreme(problem, type, victim, false);
}

double glet_interference_beside(const struct glet_problem *problem, int type,
                                struct glet_point victim, double least_ratio)
{
    const struct glet_problem_type *t = &problem->types[type];
    const struct glet_victim *v = victim_at(t, victim);
    const struct glet_cell *cell =
        glet_problem_cell(problem, type, victim.model, victim.size, victim.batch);
    double least = t->linear && cell ? cell->victim_ratio + least_ratio : 1;
    for (int i = v ? v->first_pair : 0, end = v ? i + v->pair_count : 0; i < end; i++) {
        const struct glet_pair *pair = &t->pairs[i];
        const struct glet_cell *other = glet_problem_cell(
            problem, type, pair->aggressor_model, pair->aggressor_size, pair->aggressor_batch);
        if (!other || other->aggressor_ratio >= least_ratio)
            least = fmin(least, pair->slowdown_ratio);
    }
    return fmax(1, least);
}

double glet_interference_harshest(const struct glet_problem *problem, int type,
                                  struct glet_point victim)
{
    return extreme(problem, type, victim, true);
}
