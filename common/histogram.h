/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_HISTOGRAM_H
#define GLET_COMMON_HISTOGRAM_H

/*
 * Latency histogram: whole microseconds from 0 to 134 s with a relative error below 1/1024 (three
 * significant digits), in 18 432 counters (144 KiB) whatever is recorded.
 *
 * One thread records; any thread may read or merge from it at any time without stopping the
 * writer. A reader that runs beside the writer sees each counter at some recent value, so a count
 * and a percentile taken together may differ by the few values recorded in between. Several
 * writers need one histogram each, merged by the reader. Creating, merging into and resetting
 * belong to the one thread that owns the histogram.
 */

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

/* Larger values are recorded as this one. */
#define GLET_HISTOGRAM_MAX_US ((UINT64_C(1) << 27) - 1)

struct glet_histogram;

/* Owned by the caller (glet_histogram_free); NULL with GLET_ERR_NOMEM. */
GLET_MUST_CHECK
struct glet_histogram *glet_histogram_new(struct glet_error *err);

/* NULL is accepted. */
void glet_histogram_free(struct glet_histogram *histogram);

void glet_histogram_record(struct glet_histogram *histogram, uint64_t value_us);
void glet_histogram_record_many(struct glet_histogram *histogram, uint64_t value_us,
                                uint64_t count);
void glet_histogram_reset(struct glet_histogram *histogram);

/* Adds what `from` holds to `into`. */
void glet_histogram_merge(struct glet_histogram *into, const struct glet_histogram *from);

uint64_t glet_histogram_count(const struct glet_histogram *histogram);
uint64_t glet_histogram_sum_us(const struct glet_histogram *histogram); /* of clamped values */
uint64_t glet_histogram_min_us(const struct glet_histogram *histogram); /* exact; 0 when empty */
uint64_t glet_histogram_max_us(const struct glet_histogram *histogram); /* exact; 0 when empty */
double glet_histogram_mean_us(const struct glet_histogram *histogram);  /* exact; 0 when empty */

/*
 * The value that `percentile` percent (0..100) of the recorded values do not exceed: the smallest
 * recorded value with at least ceil(percentile / 100 x count) values at or below it, rounded up to
 * the top of its counter but never above the exact maximum. 0 when empty.
 */
uint64_t glet_histogram_percentile_us(const struct glet_histogram *histogram, double percentile);

/* How many recorded values are at most value_us, at the resolution of the counters. */
uint64_t glet_histogram_count_at_most(const struct glet_histogram *histogram, uint64_t value_us);

/*
 * Walks the non-empty counters in ascending order: start with *cursor = 0; each call that returns
 * true gives the largest value of one counter and how many values it holds.
 */
bool glet_histogram_next(const struct glet_histogram *histogram, size_t *cursor,
                         uint64_t *highest_us, uint64_t *count);

#endif
