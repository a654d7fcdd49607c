/* SPDX-License-Identifier: Apache-2.0 */
#include "benchmarks/load/load_hdr.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>

enum { STEPS_PER_HALVING = 5 };

/* The next percentile to show after `at`, 0..100. */
static double next_step(double at)
{
    double halvings = floor(log2(100 / (100 - at))) + 1;
    return at + 100 / (pow(2, halvings) * STEPS_PER_HALVING);
}

static double deviation_ms(const struct glet_histogram *histogram)
{
    double mean_us = glet_histogram_mean_us(histogram), squares = 0;
    uint64_t highest_us, count, total = 0;
    size_t cursor = 0;
    while (glet_histogram_next(histogram, &cursor, &highest_us, &count)) {
        double off_us = (double)highest_us - mean_us;
        squares += off_us * off_us * (double)count;
        total += count;
    }
    return total ? sqrt(squares / (double)total) / 1e3 : 0;
}

int glet_load_hdr_write(const struct glet_histogram *histogram, FILE *out, struct glet_error *err)
{
    uint64_t total = glet_histogram_count(histogram), highest_us, here, seen = 0;
    uint64_t max_us = glet_histogram_max_us(histogram);
    double step = 0;
    size_t cursor = 0;
    fprintf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
            "1/(1-Percentile)");
    while (glet_histogram_next(histogram, &cursor, &highest_us, &here)) {
        seen += here;
        double reached = 100 * (double)seen / (double)total;
        double value_ms = (double)(highest_us < max_us ? highest_us : max_us) / 1e3;
        for (; step <= reached && seen < total; step = next_step(step))
            fprintf(out, "%12.3f %2.12f %10" PRIu64 " %14.2f\n", value_ms, step / 100, seen,
                    1 / (1 - step / 100));
        if (seen == total)
            fprintf(out, "%12.3f %2.12f %10" PRIu64 "\n", value_ms, 1.0, seen);
    }
    fprintf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n",
            glet_histogram_mean_us(histogram) / 1e3, deviation_ms(histogram));
    fprintf(out, "#[Max     = %12.3f, Total count    = %12" PRIu64 "]\n", (double)max_us / 1e3,
            total);
    fprintf(out, "#[Buckets = %12d, SubBuckets     = %12d]\n", 17, 2048);
    if (fflush(out) != 0 || ferror(out))
        return glet_error_errno(err, errno, "writing percentiles");
    return 0;
}
