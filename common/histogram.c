/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log-linear counters, laid out as HdrHistogram lays them out (Tene, hdrhistogram.org): values
 * below 2048 have a counter each; every further doubling of the value shares 1024 counters. A
 * value's counter is found with one count-leading-zeros and one shift.
 *
 * Recording is a relaxed load and a relaxed store, not a locked add: with one writer nothing is
 * lost, and on x86 it costs what a plain increment costs. Readers only need untorn counters.
 */
#include "common/histogram.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    LINEAR_BITS = 11, /* 2^11 = 2048 exact counters: the fewest that keep three digits */
    HALF = 1 << (LINEAR_BITS - 1),
    VALUE_BITS = 27, /* 2^27 us = 134 s, the first power of two above 100 s */
    COUNTERS = (VALUE_BITS - LINEAR_BITS + 2) * HALF,
};

struct glet_histogram {
    atomic_uint_least64_t count, sum_us, min_us, max_us;
    atomic_uint_least64_t counters[COUNTERS];
};

static uint64_t get(const atomic_uint_least64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void put(atomic_uint_least64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static unsigned shift_of(uint64_t value_us)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(value_us | 1);
    return bits > LINEAR_BITS ? bits - LINEAR_BITS : 0;
}

static size_t index_of(uint64_t value_us)
{
    unsigned shift = shift_of(value_us);
    return (size_t)shift * HALF + (size_t)(value_us >> shift);
}

static uint64_t highest_of(size_t index)
{
    unsigned shift = index < 2 * HALF ? 0 : (unsigned)(index / HALF - 1);
    uint64_t base = index - (size_t)shift * HALF;
    return ((base + 1) << shift) - 1;
}

struct glet_histogram *glet_histogram_new(struct glet_error *err)
{
    struct glet_histogram *histogram = calloc(1, sizeof *histogram);
    if (histogram)
        put(&histogram->min_us, UINT64_MAX);
    else
        glet_error_set(err, GLET_ERR_NOMEM, "out of memory for a histogram");
    return histogram;
}

void glet_histogram_free(struct glet_histogram *histogram)
{
    free(histogram);
}

void glet_histogram_record(struct glet_histogram *histogram, uint64_t value_us)
{
    glet_histogram_record_many(histogram, value_us, 1);
}

void glet_histogram_record_many(struct glet_histogram *histogram, uint64_t value_us, uint64_t count)
{
    if (count == 0)
        return;
    if (value_us > GLET_HISTOGRAM_MAX_US)
        value_us = GLET_HISTOGRAM_MAX_US;
    atomic_uint_least64_t *counter = &histogram->counters[index_of(value_us)];
    put(counter, get(counter) + count);
    put(&histogram->sum_us, get(&histogram->sum_us) + value_us * count);
    if (value_us < get(&histogram->min_us))
        put(&histogram->min_us, value_us);
    if (value_us > get(&histogram->max_us))
        put(&histogram->max_us, value_us);
    put(&histogram->count, get(&histogram->count) + count);
}

void glet_histogram_reset(struct glet_histogram *histogram)
{
    for (size_t i = 0; i < COUNTERS; i++)
        put(&histogram->counters[i], 0);
    put(&histogram->count, 0);
    put(&histogram->sum_us, 0);
    put(&histogram->min_us, UINT64_MAX);
    put(&histogram->max_us, 0);
}

void glet_histogram_merge(struct glet_histogram *into, const struct glet_histogram *from)
{
    uint64_t added = 0;
    for (size_t i = 0; i < COUNTERS; i++) {
        uint64_t count = get(&from->counters[i]);
        if (count == 0)
            continue;
        put(&into->counters[i], get(&into->counters[i]) + count);
        added += count;
    }
    /* The count follows the counters, not from->count: a writer may be between the two. */
    put(&into->count, get(&into->count) + added);
    put(&into->sum_us, get(&into->sum_us) + get(&from->sum_us));
    if (get(&from->min_us) < get(&into->min_us))
        put(&into->min_us, get(&from->min_us));
    if (get(&from->max_us) > get(&into->max_us))
        put(&into->max_us, get(&from->max_us));
}

uint64_t glet_histogram_count(const struct glet_histogram *histogram)
{
    return get(&histogram->count);
}

uint64_t glet_histogram_sum_us(const struct glet_histogram *histogram)
{
    return get(&histogram->sum_us);
}

uint64_t glet_histogram_min_us(const struct glet_histogram *histogram)
{
    uint64_t min_us = get(&histogram->min_us);
    return min_us == UINT64_MAX ? 0 : min_us;
}

uint64_t glet_histogram_max_us(const struct glet_histogram *histogram)
{
    return get(&histogram->max_us);
}

double glet_histogram_mean_us(const struct glet_histogram *histogram)
{
    uint64_t count = get(&histogram->count);
    return count ? (double)get(&histogram->sum_us) / (double)count : 0;
}

uint64_t glet_histogram_percentile_us(const struct glet_histogram *histogram, double percentile)
{
    uint64_t count = get(&histogram->count);
    if (count == 0)
        return 0;
    /* The slack keeps e.g. 99.9 % of 1000 at rank 999 although 0.999 has no exact double. */
    double rank = ceil(percentile / 100 * (double)count - 1e-9 * (double)count);
    uint64_t wanted = rank < 1 ? 1 : rank > (double)count ? count : (uint64_t)rank;
    uint64_t max_us = glet_histogram_max_us(histogram), seen = 0, highest_us, here;
    size_t cursor = 0;
    while (glet_histogram_next(histogram, &cursor, &highest_us, &here)) {
        seen += here;
        if (seen >= wanted)
            return highest_us < max_us ? highest_us : max_us;
    }
    return max_us;
}

uint64_t glet_histogram_count_at_most(const struct glet_histogram *histogram, uint64_t value_us)
{
    if (value_us >= GLET_HISTOGRAM_MAX_US)
        return glet_histogram_count(histogram);
    uint64_t count = 0;
    for (size_t i = 0, last = index_of(value_us); i <= last; i++)
        count += get(&histogram->counters[i]);
    return count;
}

bool glet_histogram_next(const struct glet_histogram *histogram, size_t *cursor,
                         uint64_t *highest_us, uint64_t *count)
{
    for (; *cursor < COUNTERS; ++*cursor) {
        uint64_t here = get(&histogram->counters[*cursor]);
        if (here == 0)
            continue;
        *highest_us = highest_of((*cursor)++);
        *count = here;
        return true;
    }
    return false;
}
