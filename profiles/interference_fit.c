/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sample's equation is divided by its slowdown, so that what least squares makes small is the
 * relative error of the latency. On the 750 pairs that benchmarks/profiles/fit_published_pairs.c
 * reads this predicts unseen pairs and unseen models a little better than absolute errors do.
 */
#include "profiles/interference_fit.h"

#include "common/memory.h"
#include "profiles/least_squares.h"

#include <math.h>
#include <stdlib.h>

enum { COEFFICIENTS = 5 };

static void features(const struct glet_interference_sample *s, double row[COEFFICIENTS])
{
    row[0] = 1;
    row[1] = s->l2_self;
    row[2] = s->l2_other;
    row[3] = s->dram_self;
    row[4] = s->dram_other;
}

double glet_interference_predict(const struct glet_profile_interference *fit,
                                 const struct glet_interference_sample *s)
{
    const double x[COEFFICIENTS] = {fit->constant, fit->l2_self, fit->l2_other, fit->dram_self,
                                    fit->dram_other};
    double row[COEFFICIENTS], sum = 0;
    features(s, row);
    for (size_t c = 0; c < COEFFICIENTS; c++)
        sum += x[c] != 0 ? x[c] * row[c] : 0; /* a constant needs no utilisations */
    return sum;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sets the margin; residuals go into r, sorted. */
static struct glet_interference_quality judge(struct glet_profile_interference *fit,
                                              const struct glet_interference_sample *samples,
                                              size_t count, double quantile, double *r)
{
    double squares = 0, largest = 0, mean = 0, variance = 0;
    for (size_t i = 0; i < count; i++) {
        r[i] = samples[i].slowdown - glet_interference_predict(fit, &samples[i]);
        squares += r[i] * r[i];
        largest = fmax(largest, fabs(r[i]));
        mean += samples[i].slowdown / (double)count;
    }
    for (size_t i = 0; i < count; i++)
        variance += (samples[i].slowdown - mean) * (samples[i].slowdown - mean);
    qsort(r, count, sizeof *r, ascending);
    size_t rank = (size_t)ceil(quantile * (double)count);
    fit->margin = fmax(0, r[rank > 0 ? rank - 1 : 0]);
    return (struct glet_interference_quality){.samples = count,
                                              .rms = sqrt(squares / (double)count),
                                              .largest = largest,
                                              .r2 = variance > 0 ? 1 - squares / variance : NAN};
}

/* The first `columns` coefficients by least squares on relative errors, and what they leave. */
static int fit_columns(const struct glet_interference_sample *samples, size_t count, size_t columns,
                       double quantile, struct glet_profile_interference *fit_out,
                       struct glet_interference_quality *quality_out, struct glet_error *err)
{
    GLET_CLEANUP(glet_cleanup_free) double *a = glet_alloc(count * columns, sizeof *a, err);
    GLET_CLEANUP(glet_cleanup_free) double *b = glet_alloc(count, sizeof *b, err);
    if (!a || !b)
        return -1;
    for (size_t i = 0; i < count; i++) {
        double row[COEFFICIENTS];
        features(&samples[i], row);
        for (size_t c = 0; c < columns; c++)
            a[c * count + i] = row[c] / samples[i].slowdown;
        b[i] = 1;
    }
    double x[COEFFICIENTS] = {0};
    if (glet_least_squares(a, b, count, columns, x, err) < 0)
        return -1;
    fit_out->constant = x[0];
    fit_out->l2_self = x[1];
    fit_out->l2_other = x[2];
    fit_out->dram_self = x[3];
    fit_out->dram_other = x[4];
    *quality_out = judge(fit_out, samples, count, quantile, b);
    return 0;
}

int glet_interference_fit(const struct glet_interference_sample *samples, size_t count,
                          double quantile, struct glet_profile_interference *fit_out,
                          struct glet_interference_quality *quality_out, struct glet_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct glet_interference_sample *s = &samples[i];
        if (isnan(s->l2_self + s->l2_other + s->dram_self + s->dram_other))
            return glet_error_set(err, GLET_ERR_UNDECIDED,
                                  "utilisations are unknown for some measured pairs");
    }
    if (count < 2 * COEFFICIENTS)
        return glet_error_set(err, GLET_ERR_UNDECIDED,
                              "%zu slowdowns with utilisations, %d are needed", count,
                              2 * COEFFICIENTS);
    return fit_columns(samples, count, COEFFICIENTS, quantile, fit_out, quality_out, err);
}

int glet_interference_fit_constant(const struct glet_interference_sample *samples, size_t count,
                                   double quantile, struct glet_profile_interference *fit_out,
                                   struct glet_interference_quality *quality_out,
                                   struct glet_error *err)
{
    return fit_columns(samples, count, 1, quantile, fit_out, quality_out, err);
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

int glet_interference_samples(const struct glet_profile *profile, size_t device,
                              struct glet_interference_sample **samples_out, size_t *count_out,
                              struct glet_error *err)
{
    struct glet_interference_sample *samples =
        glet_alloc(2 * profile->corun_count + 1, sizeof *samples, err);
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
        double l2_a = a ? a->l2_util : NAN, dram_a = a ? a->dram_util : NAN;
        double l2_b = b ? b->l2_util : NAN, dram_b = b ? b->dram_util : NAN;
        samples[(*count_out)++] = (struct glet_interference_sample){
            l2_a, l2_b, dram_a, dram_b, pair->slowdown_a, i, pair->model_a, pair->model_b};
        samples[(*count_out)++] = (struct glet_interference_sample){
            l2_b, l2_a, dram_b, dram_a, pair->slowdown_b, i, pair->model_b, pair->model_a};
    }
    *samples_out = samples;
    return 0;
}
