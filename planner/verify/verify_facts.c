/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verifier's own reading of a profile: one sorted index, a binary search for the two rows
 * around a batch, and the factor by formats.md's sentence, written down as it stands there.
 */
#include "planner/verify/verify_internal.h"

#include <math.h>
#include <stdlib.h>

static int compare_rows(const void *a, const void *b)
{
    const struct glet_profile_latency *x = *(const struct glet_profile_latency *const *)a;
    const struct glet_profile_latency *y = *(const struct glet_profile_latency *const *)b;
    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    if (x->model != y->model)
        return x->model < y->model ? -1 : 1;
    if (x->units != y->units)
        return x->units < y->units ? -1 : 1;
    return (x->batch > y->batch) - (x->batch < y->batch);
}

static double planned_latency_ms(const struct glet_profile_latency *row)
{
    return isnan(row->p99_ms) ? row->p50_ms : row->p99_ms;
}

bool glet_verify_index(struct verify_run *run)
{
    const struct glet_profile *profile = run->profile;
    run->index = malloc((profile->latency_count + 1) * sizeof *run->index);
    if (!run->index)
        return false;
    for (size_t i = 0; i < profile->latency_count; i++)
        if (planned_latency_ms(&profile->latency[i]) > 0)
            run->index[run->index_count++] = &profile->latency[i];
    qsort(run->index, run->index_count, sizeof(const struct glet_profile_latency *), compare_rows);
    return true;
}

/* Position of the first row that is not before key. */
static size_t lower_bound(const struct verify_run *run, const struct glet_profile_latency *key)
{
    size_t low = 0, high = run->index_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_rows(&run->index[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool same_curve(const struct glet_profile_latency *row,
                       const struct glet_profile_latency *key)
{
    return row->device == key->device && row->model == key->model && row->units == key->units;
}

static double or_zero(double value)
{
    return isnan(value) ? 0 : value;
}

bool glet_verify_point(const struct verify_run *run, int device, int model, int batch, int units,
                       struct verify_point *out)
{
    const struct glet_profile_latency key = {
        .device = (size_t)device, .model = (size_t)model, .batch = batch, .units = units};
    if (device < 0 || model < 0)
        return false;
    size_t at = lower_bound(run, &key);
    if (at == run->index_count || !same_curve(run->index[at], &key))
        return false;
    const struct glet_profile_latency *above = run->index[at], *below = above;
    if (above->batch != batch) {
        if (at == 0 || !same_curve(run->index[at - 1], &key))
            return false;
        below = run->index[at - 1];
    }
    double share =
        above == below ? 0 : (double)(batch - below->batch) / (double)(above->batch - below->batch);
    double keep = 1 - share;
    out->latency_ms = (keep * planned_latency_ms(below) + share * planned_latency_ms(above)) *
                      run->workload->options.latency_factor;
    out->activation_mib =
        keep * or_zero(below->activation_mib) + share * or_zero(above->activation_mib);
    out->l2_util = share > 0 ? keep * below->l2_util + share * above->l2_util : below->l2_util;
    out->dram_util =
        share > 0 ? keep * below->dram_util + share * above->dram_util : below->dram_util;
    return true;
}

/* What coefficient x utilisation can be at worst, when the utilisation is not known. */
static double worst_term(double coefficient, double util)
{
    if (isnan(coefficient))
        return 0;
    return isnan(util) ? fmax(coefficient, 0) : coefficient * util;
}

static const struct glet_profile_interference *coefficients(const struct verify_run *run,
                                                            int device)
{
    for (size_t i = 0; i < run->profile->interference_count; i++)
        if ((int)run->profile->interference[i].device == device)
            return &run->profile->interference[i];
    return NULL;
}

struct resident { /* a model of a gpu-let */
    int model, batch, units;
};

static bool is_a(const struct glet_profile_corun *row, struct resident r)
{
    return (int)row->model_a == r.model && row->batch_a == r.batch && row->units_a == r.units;
}

static bool is_b(const struct glet_profile_corun *row, struct resident r)
{
    return (int)row->model_b == r.model && row->batch_b == r.batch && row->units_b == r.units;
}

/* The measured slowdown of victim beside other, the worst if measured twice; NAN: never measured.
 */
static double measured(const struct verify_run *run, int device, struct resident victim,
                       struct resident other)
{
    double slowdown = NAN;
    for (size_t i = 0; i < run->profile->corun_count; i++) {
        const struct glet_profile_corun *row = &run->profile->corun[i];
        if ((int)row->device != device)
            continue;
        if (is_a(row, victim) && is_b(row, other))
            slowdown = fmax(slowdown, row->slowdown_a);
        if (is_b(row, victim) && is_a(row, other))
            slowdown = fmax(slowdown, row->slowdown_b);
    }
    return slowdown;
}

static double beside(const struct verify_run *run, int device, struct resident victim,
                     struct resident other)
{
    double slowdown = measured(run, device, victim, other);
    if (!isnan(slowdown))
        return slowdown;
    const struct glet_profile_interference *c = coefficients(run, device);
    struct verify_point i, j;
    if (!c || !glet_verify_point(run, device, victim.model, victim.batch, victim.units, &i) ||
        !glet_verify_point(run, device, other.model, other.batch, other.units, &j))
        return 1;
    return or_zero(c->constant) + worst_term(c->l2_self, i.l2_util) +
           worst_term(c->l2_other, j.l2_util) + worst_term(c->dram_self, i.dram_util) +
           worst_term(c->dram_other, j.dram_util) + or_zero(c->margin);
}

static struct resident resident_of(const struct verify_run *run, const struct glet_plan_let *let,
                                   size_t k)
{
    return (struct resident){run->profile_model[let->models[k].model], let->models[k].batch,
                             let->units};
}

double glet_verify_factor(const struct verify_run *run, int device, const struct glet_plan_gpu *gpu,
                          size_t i, size_t k)
{
    double factor = 1;
    if (!run->workload->options.interference)
        return factor;
    struct resident victim = resident_of(run, &gpu->lets[i], k);
    for (size_t j = 0; j < gpu->let_count; j++)
        for (size_t other = 0; j != i && other < gpu->lets[j].model_count; other++)
            factor =
                fmax(factor, beside(run, device, victim, resident_of(run, &gpu->lets[j], other)));
    return factor;
}

bool glet_verify_at_most(double a, double b)
{
    return a - b <= 1e-9 * fabs(b);
}
