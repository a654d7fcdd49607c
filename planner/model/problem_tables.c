/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a workload and a profile to dense tables.
 *
 * The solvers ask for L(type, model, size, batch) millions of times and for whole rows of batches
 * at once, so every integer batch between the smallest and the largest profiled one gets a cell of
 * its own: 32 bytes each, 16 MB for 1000 models x 16 sizes x 32 batches. Interpolation, the
 * latency factor, the interference coefficients and the workload's size restriction are applied
 * here once and never again.
 *
 * A profile row is read exactly once per type; gathering and sorting dominate, O(rows log rows).
 */
#include "planner/model/problem_tables.h"

#include "common/profile/profile_point.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct row_ref { /* a profile row of this type, by problem index */
    int model, units, batch;
    const struct glet_profile_latency *row;
};

static int out_of_memory(struct glet_error *err)
{
    return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
}

static int compare_refs(const void *a, const void *b)
{
    const struct row_ref *x = a, *y = b;
    if (x->model != y->model)
        return x->model < y->model ? -1 : 1;
    if (x->units != y->units)
        return x->units < y->units ? -1 : 1;
    return (x->batch > y->batch) - (x->batch < y->batch);
}

static bool size_allowed(const struct glet_workload *workload, const struct glet_problem_type *type,
                         int units)
{
    const struct glet_workload_options *options = &workload->options;
    bool listed = options->size_count == 0;
    for (size_t i = 0; i < options->size_count && !listed; i++)
        listed = options->sizes_units[i] == units;
    return listed && glet_problem_sizes_fit(type, &units, 1);
}

static void fill_cell(struct glet_cell *cell, const struct glet_profile_latency *a,
                      const struct glet_profile_latency *b, int batch, double latency_factor,
                      const struct glet_profile_interference *model)
{
    struct glet_profile_latency row = glet_profile_between(a, b, batch);
    cell->latency_ms = row.p99_ms * latency_factor;
    cell->activation_mib = row.activation_mib;
    if (!model)
        return;
    cell->victim_ratio = glet_profile_victim_ratio(model, row.l2_util, row.dram_util);
    cell->aggressor_ratio = glet_profile_aggressor_ratio(model, row.l2_util, row.dram_util);
}

/* refs[0..count): the profiled batches of one (model, size), ascending. */
static int fill_row(struct glet_cell_row *out, const struct row_ref *refs, size_t count,
                    double latency_factor, const struct glet_profile_interference *model,
                    struct glet_error *err)
{
    out->first_batch = refs[0].batch;
    out->last_batch = refs[count - 1].batch;
    if (out->last_batch > GLET_BATCH_MAX)
        return glet_error_set(err, GLET_ERR_RANGE,
                              "profile: batch %d is larger than %d, the largest that is planned",
                              out->last_batch, GLET_BATCH_MAX);
    out->cells = calloc((size_t)(out->last_batch - out->first_batch + 1), sizeof *out->cells);
    if (!out->cells)
        return out_of_memory(err);
    size_t low = 0;
    for (int batch = out->first_batch; batch <= out->last_batch; batch++) {
        while (low + 1 < count && refs[low + 1].batch <= batch)
            low++;
        size_t high = refs[low].batch == batch ? low : low + 1;
        fill_cell(&out->cells[batch - out->first_batch], refs[low].row, refs[high].row, batch,
                  latency_factor, model);
    }
    for (int i = 0; i < out->last_batch - out->first_batch; i++)
        out->falls |= out->cells[i + 1].latency_ms < out->cells[i].latency_ms;
    return 0;
}

/* The profile rows that this type can use, sorted by model, size, batch. */
static int gather(const struct glet_problem *problem, const struct glet_problem_type *type,
                  struct row_ref **refs_out, size_t *count_out, struct glet_error *err)
{
    const struct glet_profile *profile = problem->profile;
    int *index = malloc((profile->model_count + 1) * sizeof *index);
    struct row_ref *refs = malloc((profile->latency_count + 1) * sizeof *refs);
    *refs_out = refs; /* the caller frees it, also after a failure */
    if (!index || !refs) {
        free(index);
        return out_of_memory(err);
    }
    for (size_t i = 0; i < profile->model_count; i++)
        index[i] = glet_workload_find_model(problem->workload, profile->models[i].model);
    size_t count = 0;
    for (size_t i = 0; i < profile->latency_count; i++) {
        const struct glet_profile_latency *row = &profile->latency[i];
        if ((int)row->device != type->device || index[row->model] < 0 ||
            !(glet_profile_latency_ms(row) > 0) || row->batch < 1 ||
            !size_allowed(problem->workload, type, row->units))
            continue;
        refs[count++] = (struct row_ref){index[row->model], row->units, row->batch, row};
    }
    free(index);
    qsort(refs, count, sizeof *refs, compare_refs);
    *count_out = count;
    return 0;
}

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static int collect_sizes(struct glet_problem_type *type, const struct row_ref *refs, size_t count,
                         struct glet_error *err)
{
    type->sizes_units = malloc((count + 1) * sizeof *type->sizes_units);
    if (!type->sizes_units)
        return out_of_memory(err);
    for (size_t i = 0; i < count; i++)
        type->sizes_units[i] = refs[i].units;
    qsort(type->sizes_units, count, sizeof(int), compare_ints);
    for (size_t i = 0; i < count; i++)
        if (type->size_count == 0 ||
            type->sizes_units[type->size_count - 1] != type->sizes_units[i])
            type->sizes_units[type->size_count++] = type->sizes_units[i];
    return 0;
}

static void note_aggressors(struct glet_problem_type *type, const struct glet_cell_row *row,
                            bool *any)
{
    for (int b = row->first_batch; b <= row->last_batch; b++) {
        double w = row->cells[b - row->first_batch].aggressor_ratio;
        if (!*any || w < type->aggressor_min_ratio)
            type->aggressor_min_ratio = w;
        if (!*any || w > type->aggressor_max_ratio)
            type->aggressor_max_ratio = w;
        *any = true;
    }
}

static int fill_tables(const struct glet_problem *problem, struct glet_problem_type *type,
                       const struct row_ref *refs, size_t count, struct glet_error *err)
{
    const struct glet_profile_interference *model =
        problem->interference ? glet_profile_coefficients(problem->profile, (size_t)type->device)
                              : NULL;
    type->linear = model != NULL;
    type->rows =
        calloc((size_t)problem->model_count * (size_t)type->size_count + 1, sizeof *type->rows);
    if (!type->rows)
        return out_of_memory(err);
    bool any = false;
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && refs[next].model == refs[i].model &&
                           refs[next].units == refs[i].units;)
            next++;
        int size = glet_problem_find_size(type, refs[i].units);
        struct glet_cell_row *row = &type->rows[refs[i].model * type->size_count + size];
        if (fill_row(row, refs + i, next - i, problem->workload->options.latency_factor, model,
                     err) < 0)
            return -1;
        if (model)
            note_aggressors(type, row, &any);
    }
    return 0;
}

static int compare_pairs(const void *a, const void *b)
{
    const struct glet_pair *x = a, *y = b;
    const int *p = &x->victim_model, *q = &y->victim_model;
    for (int i = 0; i < 6; i++)
        if (p[i] != q[i])
            return p[i] < q[i] ? -1 : 1;
    return 0;
}

static void add_pair(struct glet_problem_type *type, const int victim[3], const int aggressor[3],
                     double slowdown)
{
    if (isnan(slowdown))
        return;
    type->pairs[type->pair_count++] = (struct glet_pair){
        victim[0], victim[1], victim[2], aggressor[0], aggressor[1], aggressor[2], slowdown};
}

/* A pair measured twice keeps the worse of its slowdowns. */
static void merge_pairs(struct glet_problem_type *type)
{
    int kept = 0;
    for (int i = 0; i < type->pair_count; i++) {
        struct glet_pair *last = kept ? &type->pairs[kept - 1] : NULL;
        if (last && compare_pairs(last, &type->pairs[i]) == 0)
            last->slowdown_ratio = fmax(last->slowdown_ratio, type->pairs[i].slowdown_ratio);
        else
            type->pairs[kept++] = type->pairs[i];
    }
    type->pair_count = kept;
}

static int fill_pairs(const struct glet_problem *problem, struct glet_problem_type *type,
                      struct glet_error *err)
{
    const struct glet_profile *profile = problem->profile;
    if (!problem->interference || profile->corun_count == 0)
        return 0;
    type->pairs = malloc(2 * profile->corun_count * sizeof *type->pairs);
    if (!type->pairs)
        return out_of_memory(err);
    for (size_t i = 0; i < profile->corun_count; i++) {
        const struct glet_profile_corun *row = &profile->corun[i];
        if ((int)row->device != type->device)
            continue;
        int a[3] = {
            glet_workload_find_model(problem->workload, profile->models[row->model_a].model),
            glet_problem_find_size(type, row->units_a), row->batch_a};
        int b[3] = {
            glet_workload_find_model(problem->workload, profile->models[row->model_b].model),
            glet_problem_find_size(type, row->units_b), row->batch_b};
        if (a[0] < 0 || a[1] < 0 || b[0] < 0 || b[1] < 0)
            continue;
        add_pair(type, a, b, row->slowdown_a);
        add_pair(type, b, a, row->slowdown_b);
    }
    qsort(type->pairs, (size_t)type->pair_count, sizeof *type->pairs, compare_pairs);
    merge_pairs(type);
    return 0;
}

/* The pairs of victim (m, s, batch), from `next` on, which moves past them. */
static struct glet_victim note_victim(const struct glet_problem_type *type, int m, int s, int batch,
                                      const struct glet_cell *cell, int *next)
{
    double mild = type->linear ? cell->victim_ratio + type->aggressor_min_ratio : 1;
    double harsh = type->linear ? cell->victim_ratio + type->aggressor_max_ratio : 1;
    struct glet_pair self = {m, s, batch, -1, -1, -1, 0};
    while (*next < type->pair_count && compare_pairs(&type->pairs[*next], &self) < 0)
        ++*next; /* a batch that was co-run, but has no cell */
    struct glet_victim victim = {.first_pair = *next};
    for (; *next < type->pair_count; ++*next, victim.pair_count++) {
        const struct glet_pair *pair = &type->pairs[*next];
        if (pair->victim_model != m || pair->victim_size != s || pair->victim_batch != batch)
            break;
        mild = fmin(mild, pair->slowdown_ratio);
        harsh = fmax(harsh, pair->slowdown_ratio);
    }
    victim.paired = victim.pair_count > 0;
    victim.mildest_ratio = fmax(1, mild);
    victim.harshest_ratio = fmax(1, harsh);
    return victim;
}

static int fill_victims(const struct glet_problem *problem, struct glet_problem_type *type,
                        struct glet_error *err)
{
    int next = 0;
    for (int i = 0; type->pair_count && i < problem->model_count * type->size_count; i++) {
        struct glet_cell_row *row = &type->rows[i];
        if (!row->cells)
            continue;
        int cells = row->last_batch - row->first_batch + 1;
        row->victims = calloc((size_t)cells, sizeof *row->victims);
        if (!row->victims)
            return out_of_memory(err);
        for (int k = 0; k < cells; k++)
            row->victims[k] = note_victim(type, i / type->size_count, i % type->size_count,
                                          row->first_batch + k, &row->cells[k], &next);
    }
    for (int i = 0; i < type->pair_count; i++) {
        const struct glet_pair *pair = &type->pairs[i];
        struct glet_cell_row *row =
            &type->rows[pair->aggressor_model * type->size_count + pair->aggressor_size];
        int batch = pair->aggressor_batch;
        if (row->victims && batch >= row->first_batch && batch <= row->last_batch)
            row->victims[batch - row->first_batch].paired = true;
    }
    return 0;
}

int glet_problem_fill_type(const struct glet_problem *problem, struct glet_problem_type *type,
                           struct glet_error *err)
{
    struct row_ref *refs = NULL;
    size_t count = 0;
    int result = gather(problem, type, &refs, &count, err);
    if (result == 0)
        result = collect_sizes(type, refs, count, err);
    if (result == 0)
        result = fill_tables(problem, type, refs, count, err);
    free(refs);
    if (result == 0)
        result = fill_pairs(problem, type, err);
    if (result == 0)
        result = fill_victims(problem, type, err);
    type->interferes = type->linear || type->pair_count > 0;
    return result;
}
