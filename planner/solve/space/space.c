/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Thresholds are quantiles of the aggressor ratios of the gpu-lets that an efficient plan would
 * use: evenly spaced ones waste levels where no gpu-let is (benchmarks/planner/fleets: up to 1 %
 * more GPUs at the same number of levels).
 *
 * Pairs that were co-run need not follow the linear model: a point that was measured as a victim
 * takes its harshest measured slowdown in every shared level.
 */
#include "planner/solve/space/space.h"

#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* More patterns than this are generated on demand instead of listed. */
#define PATTERN_LIMIT 700

/* A size is likely to be used when its rate per unit is at least this share of the best. */
#define EFFICIENT 0.9

/* Of a space with uneven levels; they are worth it where big gpu-lets bring this share of the load. */
#define UNEVEN_LOAD 0.2
#define EVEN_LEVELS 3
#define LOUD_STEPS  2
#define MILD_STEPS  3

/* Gpu-lets with at least this share of the load have an end of their own; nearer ones share it. */
#define HEAVY_ENDS 2
#define HEAVY_LOAD 0.01
#define NEAR_RATIO 0.003

/* Only one gpu-let of such a size fits a GPU. */
static bool is_big(const struct glet_problem_type *t, int size)
{
    return 2 * t->sizes_units[size] > t->units;
}

double glet_space_seen(const struct glet_space *space, int type, int level, int size)
{
    const struct glet_space_type *s = &space->types[type];
    return is_big(&space->problem->types[type], size) ? s->mild[level]
                                                      : fmax(s->loud[level], s->mild[level]);
}

double glet_space_factor(const struct glet_space *space, int type, int level, int model, int size,
                         int batch, const struct glet_cell *cell)
{
    const struct glet_problem_type *t = &space->problem->types[type];
    if (level == 0)
        return 1;
    double factor = 1;
    if (t->linear) {
        const struct glet_space_type *s = &space->types[type];
        if (cell->aggressor_ratio > (is_big(t, size) ? s->loud[level] : s->mild[level]))
            return INFINITY;
        factor = fmax(1, cell->victim_ratio + glet_space_seen(space, type, level, size));
    }
    const struct glet_cell_row *row = &t->rows[model * t->size_count + size];
    if (row->victims && row->victims[batch - row->first_batch].pair_count)
        factor = fmax(factor, row->victims[batch - row->first_batch].harshest_ratio);
    return factor;
}

static void rate_single(const struct glet_space *space, int type, int level, int model, int size,
                        struct glet_single *out)
{
    const struct glet_problem *problem = space->problem;
    const struct glet_problem_type *t = &problem->types[type];
    const struct glet_cell_row *row = &t->rows[model * t->size_count + size];
    double base_mib = t->context_mib + problem->models[model].memory_mib;
    for (int i = 0; row->cells && i <= row->last_batch - row->first_batch; i++) {
        const struct glet_cell *cell = &row->cells[i];
        int batch = row->first_batch + i;
        if (batch > UINT16_MAX)
            break;
        double factor = glet_space_factor(space, type, level, model, size, batch, cell);
        double exec_ms = cell->latency_ms * factor;
        double memory_mib = base_mib + cell->activation_mib;
        if (!(2 * exec_ms <= problem->models[model].limit_ms) || memory_mib > t->memory_mib)
            continue;
        double rate_rps = 1000.0 * batch / exec_ms;
        if (rate_rps > out->rate_rps * (1 + 1e-12))
            *out = (struct glet_single){(float)memory_mib, (uint16_t)batch, rate_rps};
    }
}

struct weighted {
    double aggressor, load;
    bool big;
};

static int by_aggressor(const void *a, const void *b)
{
    const struct weighted *x = a, *y = b;
    return x->aggressor < y->aggressor ? -1 : x->aggressor > y->aggressor;
}

/* Whether another gpu-let could sit beside one of this size. */
static bool can_share(const struct glet_problem_type *t, int size)
{
    int pair[2] = {t->sizes_units[size], t->sizes_units[0]};
    return glet_problem_sizes_fit(t, pair, 2);
}

/*
 * The aggressors of the gpu-lets that an efficient plan would use: for every model the sizes within
 * EFFICIENT of its best rate per unit, weighted by the load that the model brings.
 */
static int likely_aggressors(const struct glet_problem *problem, const struct glet_problem_type *t,
                             struct weighted *out, double *largest)
{
    int count = 0;
    for (int m = 0; m < problem->model_count; m++) {
        double best = 0;
        for (int pass = 0; pass < 2 && problem->models[m].demand_rps > 0; pass++)
            for (int s = 0; s < t->size_count && can_share(t, s); s++) {
                const struct glet_cell_row *row = &t->rows[m * t->size_count + s];
                double rate = 0, aggressor = 0;
                for (int i = 0; row->cells && i <= row->last_batch - row->first_batch; i++) {
                    const struct glet_cell *cell = &row->cells[i];
                    if (pass)
                        *largest = fmax(*largest, cell->aggressor_ratio);
                    double here = (row->first_batch + i) / cell->latency_ms;
                    if (2 * cell->latency_ms > problem->models[m].limit_ms || here <= rate)
                        continue;
                    rate = here;
                    aggressor = cell->aggressor_ratio;
                }
                double per_unit = rate / t->sizes_units[s];
                if (pass == 0)
                    best = fmax(best, per_unit);
                else if (per_unit >= best * EFFICIENT && best > 0)
                    out[count++] = (struct weighted){
                        aggressor, problem->models[m].demand_rps / best, is_big(t, s)};
            }
    }
    return count;
}

/* The ratio below which so much of the load is; the list is sorted. */
static double quantile(const struct weighted *list, int count, double load)
{
    int at = 0;
    for (double sum = 0; at < count - 1 && sum + list[at].load <= load; at++)
        sum += list[at].load;
    return list[at].aggressor;
}

static double load_of(const struct weighted *list, int count)
{
    double load = 0;
    for (int i = 0; i < count; i++)
        load += list[i].load;
    return load;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/*
 * Just below the ratios of the gpu-lets that bring the most load, since all their neighbours see
 * them, and at quantiles for what is left.
 */
static void init_ends(struct glet_space_type *out, const struct weighted *list, int count)
{
    int n = 0;
    double total = load_of(list, count);
    while (n < HEAVY_ENDS) {
        int heaviest = -1;
        for (int i = 0; i < count; i++) {
            bool near = false;
            for (int j = 0; j < n; j++)
                near |= fabs(out->ends[j] - list[i].aggressor) < NEAR_RATIO;
            if (!near && (heaviest < 0 || list[i].load > list[heaviest].load))
                heaviest = i;
        }
        if (heaviest < 0 || list[heaviest].load < HEAVY_LOAD * total)
            break;
        out->ends[n++] = list[heaviest].aggressor * (1 - 1e-6);
    }
    for (int i = 1; n < GLET_ENDS; i++)
        out->ends[n++] = count ? quantile(list, count, total * i / (GLET_ENDS + 1)) : 0;
    qsort(out->ends, GLET_ENDS, sizeof *out->ends, by_value);
}

/* Moves the big ones to the front and keeps the order otherwise; returns how many. */
static int split_big(struct weighted *list, int count)
{
    struct weighted *small = glet_must_alloc(sizeof *small, (size_t)count + 1);
    int bigs = 0, smalls = 0;
    for (int i = 0; i < count; i++)
        if (list[i].big)
            list[bigs++] = list[i];
        else
            small[smalls++] = list[i];
    memcpy(list + bigs, small, (size_t)smalls * sizeof *small);
    free(small);
    return bigs;
}

/* Levels for GPUs with one big gpu-let that is louder than the others. */
static void add_uneven(struct glet_space_type *out, struct weighted *list, int count)
{
    int bigs = split_big(list, count);
    struct weighted *small = list + bigs;
    double big_load = load_of(list, bigs), small_load = load_of(small, count - bigs);
    if (bigs == 0 || bigs == count || big_load < UNEVEN_LOAD * (big_load + small_load))
        return;
    for (int i = 1; i <= LOUD_STEPS; i++)
        for (int j = 1; j <= MILD_STEPS; j++) {
            double loud = quantile(list, bigs, big_load * i / LOUD_STEPS);
            double mild = quantile(small, count - bigs, small_load * j / MILD_STEPS);
            if (mild >= loud)
                continue;
            int l = ++out->level_count;
            out->loud[l] = loud;
            out->mild[l] = mild;
        }
}

static void init_levels(const struct glet_problem *problem, const struct glet_problem_type *t,
                        struct glet_space_type *out, int levels, bool uneven)
{
    bool varied = t->linear && t->aggressor_max_ratio > t->aggressor_min_ratio;
    out->level_count = out->even_count = varied ? levels : 1;
    if (!t->linear)
        return;
    struct weighted *list =
        glet_must_alloc(sizeof *list, (size_t)problem->model_count * (size_t)t->size_count);
    double largest = t->aggressor_min_ratio;
    int count = likely_aggressors(problem, t, list, &largest);
    qsort(list, (size_t)count, sizeof *list, by_aggressor);
    double total = load_of(list, count);
    for (int l = 1; l < out->even_count; l++)
        out->loud[l] = out->mild[l] =
            count ? quantile(list, count, total * l / out->even_count) : largest;
    out->loud[out->even_count] = out->mild[out->even_count] = largest;
    init_ends(out, list, count);
    if (varied && uneven)
        add_uneven(out, list, count);
    free(list);
}

/* Whether the heaviest gpu-lets that units and count allow could exceed the memory. */
static bool memory_binds(const struct glet_problem *problem, const struct glet_problem_type *t)
{
    double heaviest_mib = 0;
    for (int m = 0; m < problem->model_count; m++)
        for (int s = 0; s < t->size_count && problem->models[m].demand_rps > 0; s++) {
            const struct glet_cell_row *row = &t->rows[m * t->size_count + s];
            for (int i = 0; row->cells && i <= row->last_batch - row->first_batch; i++)
                heaviest_mib = fmax(heaviest_mib,
                                    problem->models[m].memory_mib + row->cells[i].activation_mib);
        }
    double parts = fmin(t->max_gpulets, t->units);
    return parts * (t->context_mib + 3 * heaviest_mib) > t->memory_mib;
}

static void init_best(struct glet_space *space, int g)
{
    const struct glet_problem *problem = space->problem;
    const struct glet_problem_type *t = &problem->types[g];
    struct glet_space_type *out = &space->types[g];
    size_t cells =
        (size_t)(out->level_count + 1) * (size_t)problem->model_count * (size_t)t->size_count;
    out->best = glet_must_alloc(sizeof *out->best, cells);
    struct glet_single *next = out->best;
    for (int l = 0; l <= out->level_count; l++)
        for (int m = 0; m < problem->model_count; m++)
            for (int s = 0; s < t->size_count; s++, next++)
                if (problem->models[m].demand_rps > 0)
                    rate_single(space, g, l, m, s, next);
}

/* Returns whether any level is uneven. */
static bool init(struct glet_space *space, const struct glet_problem *problem, int levels,
                 bool uneven)
{
    bool any = false;
    space->problem = problem;
    space->types = glet_must_alloc(sizeof *space->types, (size_t)problem->type_count);
    for (int g = 0; g < problem->type_count; g++) {
        const struct glet_problem_type *t = &problem->types[g];
        struct glet_space_type *out = &space->types[g];
        init_levels(problem, t, out, levels, uneven);
        any |= out->level_count > out->even_count;
        glet_patterns_init(&out->patterns, t, PATTERN_LIMIT);
        out->memory_binds = memory_binds(problem, t);
        init_best(space, g);
    }
    return any;
}

void glet_space_init(struct glet_space *space, const struct glet_problem *problem, int levels)
{
    init(space, problem, levels, false);
}

bool glet_space_init_uneven(struct glet_space *space, const struct glet_problem *problem)
{
    bool any = init(space, problem, EVEN_LEVELS, true);
    if (!any)
        glet_space_fini(space);
    return any;
}

void glet_space_fini(struct glet_space *space)
{
    for (int g = 0; space->types && g < space->problem->type_count; g++) {
        glet_patterns_fini(&space->types[g].patterns);
        free(space->types[g].best);
    }
    free(space->types);
    space->types = NULL;
}

double glet_space_missing_cost(const struct glet_space *space, const double *cost, int model,
                               double demand_rps)
{
    double missing_cost = 1e4;
    for (int g = 0; g < space->problem->type_count; g++) {
        double best_rps = 0;
        for (int s = 0; s < space->problem->types[g].size_count; s++)
            best_rps = fmax(best_rps, glet_space_best(space, g, 0, model, s)->rate_rps);
        if (best_rps > 0)
            missing_cost = fmax(missing_cost, 10 * cost[g] * demand_rps / best_rps);
    }
    return missing_cost;
}

bool glet_space_rate_atom(const struct glet_space *space, int type, int level,
                          struct glet_atom *atom)
{
    const struct glet_problem *problem = space->problem;
    double exec_ms[GLET_ATOM_PARTS], duty_ms = 0;
    for (int k = 0; k < atom->count; k++) {
        const struct glet_cell *cell =
            glet_problem_cell(problem, type, atom->model[k], atom->size, atom->batch[k]);
        if (!cell)
            return false;
        exec_ms[k] = cell->latency_ms * glet_space_factor(space, type, level, atom->model[k],
                                                          atom->size, atom->batch[k], cell);
        duty_ms += exec_ms[k];
    }
    for (int k = 0; k < atom->count; k++)
        if (!(duty_ms + exec_ms[k] <= problem->models[atom->model[k]].limit_ms))
            return false;
    atom->duty_ms = duty_ms;
    return glet_atom_memory_mib(problem, type, atom) <= problem->types[type].memory_mib;
}
