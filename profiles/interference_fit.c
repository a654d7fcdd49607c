/* SPDX-License-Identifier: Apache-2.0 */
#include "profiles/interference_fit.h"

#include "common/memory.h"
#include "profiles/least_squares.h"

#include <math.h>
#include <stdlib.h>

enum { COEFFICIENTS = 5 };

static double fitted(const double x[COEFFICIENTS], const struct glet_interference_sample *s)
{
    return x[0] + x[1] * s->l2_self + x[2] * s->l2_other + x[3] * s->dram_self +
           x[4] * s->dram_other;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Residuals into r, sorted; returns what they say. */
static struct glet_interference_quality judge(const double x[COEFFICIENTS],
                                              const struct glet_interference_sample *samples,
                                              size_t count, double *r)
{
    double squares = 0, largest = 0, mean = 0, variance = 0;
    for (size_t i = 0; i < count; i++) {
        r[i] = samples[i].slowdown - fitted(x, &samples[i]);
        squares += r[i] * r[i];
        largest = fmax(largest, fabs(r[i]));
        mean += samples[i].slowdown / (double)count;
    }
    for (size_t i = 0; i < count; i++)
        variance += (samples[i].slowdown - mean) * (samples[i].slowdown - mean);
    qsort(r, count, sizeof *r, ascending);
    return (struct glet_interference_quality){.samples = count,
                                              .rms = sqrt(squares / (double)count),
                                              .largest = largest,
                                              .r2 = variance > 0 ? 1 - squares / variance : NAN};
}

int glet_interference_fit(const struct glet_interference_sample *samples, size_t count,
                          double quantile, struct glet_profile_interference *fit_out,
                          struct glet_interference_quality *quality_out, struct glet_error *err)
{
    if (count < 2 * COEFFICIENTS)
        return glet_error_set(err, GLET_ERR_UNDECIDED,
                              "%zu measured slowdowns with known utilisations, %d are needed",
                              count, 2 * COEFFICIENTS);
    GLET_CLEANUP(glet_cleanup_free) double *a = glet_alloc(count * COEFFICIENTS, sizeof *a, err);
    GLET_CLEANUP(glet_cleanup_free) double *b = glet_alloc(count, sizeof *b, err);
    if (!a || !b)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const struct glet_interference_sample *s = &samples[i];
        const double row[COEFFICIENTS] = {1, s->l2_self, s->l2_other, s->dram_self, s->dram_other};
        for (size_t c = 0; c < COEFFICIENTS; c++)
            a[c * count + i] = row[c];
        b[i] = s->slowdown;
    }
    double x[COEFFICIENTS];
    if (glet_least_squares(a, b, count, COEFFICIENTS, x, err) < 0)
        return -1;
    *quality_out = judge(x, samples, count, b);
    size_t rank = (size_t)ceil(quantile * (double)count);
    double margin = b[rank > 0 ? rank - 1 : 0];
    fit_out->constant = x[0];
    fit_out->l2_self = x[1];
    fit_out->l2_other = x[2];
    fit_out->dram_self = x[3];
    fit_out->dram_other = x[4];
    fit_out->margin = margin > 0 ? margin : 0;
    return 0;
}

static const struct glet_profile_latency *
find_point(const struct glet_profile *profile, size_t device, size_t model, int batch, int units)
{
    for (size_t i = 0; i < profile->latency_count; i++) {
        const struct glet_profile_latency *row = &profile->latency[i];
        if (row->device == device && row->model == model && row->batch == batch &&
            row->units == units)
            return row;
    }
    return NULL;
}

static void add_side(struct glet_interference_sample *samples, size_t *count,
                     const struct glet_profile_latency *self,
                     const struct glet_profile_latency *other, double slowdown)
{
    struct glet_interference_sample sample = {self->l2_util, other->l2_util, self->dram_util,
                                              other->dram_util, slowdown};
    if (!isnan(sample.l2_self + sample.l2_other + sample.dram_self + sample.dram_other))
        samples[(*count)++] = sample;
}

int glet_interference_samples(const struct glet_profile *profile, size_t device,
                              struct glet_interference_sample **samples_out, size_t *count_out,
                              struct glet_error *err)
{
    struct glet_interference_sample *samples =
        glet_alloc(2 * profile->corun_count, sizeof *samples, err);
    if (!samples)
        return -1;
    *count_out = 0;
    for (size_t i = 0; i < profile->corun_count; i++) {
        const struct glet_profile_corun *pair = &profile->corun[i];
        if (pair->device != device)
            continue;
        const struct glet_profile_latency *a =
            find_point(profile, device, pair->model_a, pair->batch_a, pair->units_a);
        const struct glet_profile_latency *b =
            find_point(profile, device, pair->model_b, pair->batch_b, pair->units_b);
        if (!a || !b)
            continue;
        add_side(samples, count_out, a, b, pair->slowdown_a);
        add_side(samples, count_out, b, a, pair->slowdown_b);
    }
    *samples_out = samples;
    return 0;
}
