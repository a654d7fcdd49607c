/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_SAMPLER_H
#define GLET_PROFILES_SAMPLER_H

/*
 * Decides when a latency has been measured well enough. Pure: samples and times are given to it.
 *
 *     warm up    at least 10 runs and 200 ms, until two windows of 50 ms differ by less than 2 %
 *     measure    at least 50 runs and 0.5 s, and until the 95 % confidence interval of the median
 *                (order statistics, no assumption about the distribution) is within 1 % of it, and
 *                299 runs, so that the largest is at least the 99th percentile with 95 % confidence
 *     give up    at the time or run limit; the result says what was not reached
 *
 * A time limit below ten seconds scales the times above with it; at least 3 runs are measured.
 */

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

struct glet_sampler_rules {
    double max_ms;      /* of warming up and measuring together, > 0 */
    size_t max_samples; /* >= 3 */
    double ci_ratio;    /* wanted: half the interval / median; 0.01 */
    size_t p99_samples; /* wanted for the 99th percentile; 299 */
};

/* The rules above, within max_ms. */
struct glet_sampler_rules glet_sampler_rules(double max_ms);

enum glet_sampler_phase { GLET_SAMPLER_WARM_UP, GLET_SAMPLER_MEASURE, GLET_SAMPLER_DONE };

struct glet_sampler {
    struct glet_sampler_rules rules;
    enum glet_sampler_phase phase;
    double *samples_ms; /* in the order of time */
    size_t count, capacity;
    size_t next_check;
    double elapsed_ms, measured_ms;
    /* warming up */
    size_t warm_runs;
    double window_ms, window_sum_ms, last_window_mean_ms;
    size_t window_runs;
};

struct glet_sampler_result {
    size_t samples;
    double mean_ms, p50_ms, p99_ms; /* p99: of fewer than p99_samples, the largest */
    double cv_ratio;                /* standard deviation / mean */
    double ci_ratio;                /* half the 95 % interval of the median / median; NAN for < 6 */
    bool unconverged;               /* the interval is wider than wanted */
    bool few;                       /* too few for a 99th percentile */
    bool drift;                     /* medians of the three thirds differ by more than 5 % */
};

GLET_MUST_CHECK
int glet_sampler_init(struct glet_sampler *sampler, const struct glet_sampler_rules *rules,
                      struct glet_error *err);
void glet_sampler_fini(struct glet_sampler *sampler);

/* One run took sample_ms > 0. Returns the phase that the next run belongs to. */
enum glet_sampler_phase glet_sampler_add(struct glet_sampler *sampler, double sample_ms);

/* At least one measured run is needed. GLET_ERR_NOMEM. */
GLET_MUST_CHECK
int glet_sampler_result(const struct glet_sampler *sampler, struct glet_sampler_result *out,
                        struct glet_error *err);

/*
 * Ranks (1-based) of the order statistics that enclose the median of n samples with at least 95 %
 * confidence. False for n < 6, where no pair does.
 */
bool glet_median_ranks(size_t n, size_t *low, size_t *high);

#endif
