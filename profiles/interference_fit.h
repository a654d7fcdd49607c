/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_INTERFERENCE_FIT_H
#define GLET_PROFILES_INTERFERENCE_FIT_H

/*
 * Fits the linear interference model of the gpu-lets paper (arXiv 2109.01611, section 4.3) to
 * measured pairs:
 *
 *     slowdown = constant + l2_self l2_i + l2_other l2_j + dram_self dram_i + dram_other dram_j
 *
 * by least squares. What the line misses is not left to luck: the margin is the given quantile of
 * the residuals (measured - fitted), so that this share of the measured pairs is not above the
 * model. Pure.
 */

#include "common/error.h"
#include "profiles/profile.h"

#include <stddef.h>

struct glet_interference_sample {
    double l2_self, l2_other, dram_self, dram_other; /* 0 .. 1 */
    double slowdown;
};

struct glet_interference_quality {
    size_t samples;
    double rms, largest; /* of the residuals */
    double r2;           /* explained share of the variance; NAN where there is none */
};

/*
 * quantile: of the residuals, 0 .. 1; 0.99. *fit_out's device is left alone. GLET_ERR_UNDECIDED
 * when the samples are too few or too alike; at least twice as many as coefficients are wanted.
 */
GLET_MUST_CHECK
int glet_interference_fit(const struct glet_interference_sample *samples, size_t count,
                          double quantile, struct glet_profile_interference *fit_out,
                          struct glet_interference_quality *quality_out, struct glet_error *err);

/*
 * The samples that a profile's corun table gives on a device: both sides of every pair whose
 * utilisations are known. *samples_out belongs to the caller.
 */
GLET_MUST_CHECK
int glet_interference_samples(const struct glet_profile *profile, size_t device,
                              struct glet_interference_sample **samples_out, size_t *count_out,
                              struct glet_error *err);

#endif
