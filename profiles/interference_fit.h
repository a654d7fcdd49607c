/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_INTERFERENCE_FIT_H
#define GLET_PROFILES_INTERFERENCE_FIT_H

/*
 * Fits the linear interference model of the gpu-lets paper (arXiv 2109.01611, section 4.3) to
 * measured pairs:
 *
 *     slowdown = constant + l2_self l2_i + l2_other l2_j + dram_self dram_i + dram_other dram_j
 *
 * by least squares on relative errors, because a latency is wrong by as many percent as its
 * slowdown is. What the line misses is not left to luck: the margin is the given quantile of the
 * residuals (measured - fitted), so that this share of the measured pairs is not above the model.
 *
 * How well it predicts what it has not seen is measured by leaving pairs, or all pairs of a model,
 * out of the fit and predicting them. Pure; safe from any thread.
 */

#include "common/error.h"
#include "common/profile/profile.h"

#include <stddef.h>
#include <stdint.h>

struct glet_interference_sample {                    /* one side of a measured pair */
    double l2_self, l2_other, dram_self, dram_other; /* 0 .. 1; NAN = unknown */
    double slowdown;                                 /* > 0 */
    size_t pair;                                     /* both sides of a pair have the same */
    size_t model_self, model_other;
};

struct glet_interference_quality {
    size_t samples;
    double rms, largest; /* of the residuals */
    double r2;           /* explained share of the variance; NAN where there is none */
};

/* What the model says without its margin. */
double glet_interference_predict(const struct glet_profile_interference *fit,
                                 const struct glet_interference_sample *sample);

/*
 * quantile: of the residuals, 0 .. 1; 0.99. *fit_out's device is left alone. GLET_ERR_UNDECIDED
 * when the samples are too few, too alike, or without utilisations; at least twice as many as
 * coefficients are wanted.
 */
GLET_MUST_CHECK
int glet_interference_fit(const struct glet_interference_sample *samples, size_t count,
                          double quantile, struct glet_profile_interference *fit_out,
                          struct glet_interference_quality *quality_out, struct glet_error *err);

/* The same with the constant alone: for samples that do not allow more. count >= 1. */
GLET_MUST_CHECK
int glet_interference_fit_constant(const struct glet_interference_sample *samples, size_t count,
                                   double quantile, struct glet_profile_interference *fit_out,
                                   struct glet_interference_quality *quality_out,
                                   struct glet_error *err);

enum glet_interference_left_out {
    GLET_LEFT_OUT_PAIRS,  /* a tenth of the pairs at a time, in an order drawn from the seed */
    GLET_LEFT_OUT_MODELS, /* one model at a time, with every pair that it is part of */
};

struct glet_interference_error { /* of samples when they were left out of the fit */
    size_t samples, fits;
    double mean_ratio, largest_ratio; /* of |predicted - measured| / measured latency */
    double own_ratio;                 /* mean over the model's own sides alone; PAIRS: mean_ratio */
    double above_ratio;               /* share that was slower than predicted + margin */
};

/*
 * Fits once per part left out, and judges each fit by that part. GLET_ERR_UNDECIDED when a part's
 * rest does not suffice for a fit, or there are fewer than two parts.
 */
GLET_MUST_CHECK
int glet_interference_leave_out(const struct glet_interference_sample *samples, size_t count,
                                double quantile, enum glet_interference_left_out what,
                                uint64_t seed, struct glet_interference_error *error_out,
                                struct glet_error *err);

/*
 * The samples that a profile's corun table gives on a device: both sides of every pair, with the
 * utilisations that are known. *samples_out belongs to the caller.
 */
GLET_MUST_CHECK
int glet_interference_samples(const struct glet_profile *profile, size_t device,
                              struct glet_interference_sample **samples_out, size_t *count_out,
                              struct glet_error *err);

#endif
