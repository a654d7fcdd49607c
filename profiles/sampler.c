/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sampling rules for latencies.
 *
 * The median and its interval are taken rather than mean and deviation, because latencies have a
 * tail: one preempted run in a hundred moves the mean, not the median. The interval between the
 * order statistics l and h holds the median with probability P(l <= X < h), X binomial(n, 1/2),
 * whatever the distribution. The binomial sums are computed exactly up to 1,000 samples and by the
 * normal approximation (error < 1e-4 there) above.
 *
 * The interval is looked at each time the number of samples has grown by a tenth, so that sorting
 * costs O(n log n) in all.
 */
#include "profiles/sampler.h"

#include "common/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WARM_UP_MS     200.0
#define WARM_UP_RUNS   10
#define WINDOW_MS      50.0
#define WINDOW_RATIO   0.02
#define MEASURE_MS     500.0
#define MEASURE_RUNS   50
#define FEWEST_RUNS    3
#define DRIFT_RATIO    1.05
#define USUAL_LIMIT_MS 10000.0
#define WARM_UP_PART   0.25 /* of the limit, at most */

struct glet_sampler_rules glet_sampler_rules(double max_ms)
{
    return (struct glet_sampler_rules){
        .max_ms = max_ms, .max_samples = 5000, .ci_ratio = 0.01, .p99_samples = 299};
}

/* Times shrink with a limit below the usual one. */
static double scaled(const struct glet_sampler *sampler, double ms)
{
    double ratio = sampler->rules.max_ms / USUAL_LIMIT_MS;
    return ratio < 1 ? ms * ratio : ms;
}

int glet_sampler_init(struct glet_sampler *sampler, const struct glet_sampler_rules *rules,
                      struct glet_error *err)
{
    *sampler = (struct glet_sampler){.rules = *rules, .last_window_mean_ms = NAN};
    sampler->next_check = MEASURE_RUNS;
    return glet_reserve(&sampler->samples_ms, &sampler->capacity, rules->max_samples,
                        sizeof *sampler->samples_ms, err);
}

void glet_sampler_fini(struct glet_sampler *sampler)
{
    free(sampler->samples_ms);
    sampler->samples_ms = NULL;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bool glet_median_ranks(size_t n, size_t *low, size_t *high)
{
    if (n < 6)
        return false;
    if (n > 1000) {
        double half = 1.959964 * sqrt((double)n) / 2;
        *low = (size_t)floor((double)n / 2 - half);
        *high = n + 1 - *low;
        return true;
    }
    /* The largest rank l with P(X < l) <= 2.5 %; symmetric. */
    double term = pow(0.5, (double)n), below = 0;
    size_t rank = 0;
    while (below + term <= 0.025) {
        below += term;
        term *= (double)(n - rank) / (double)(rank + 1);
        rank++;
    }
    *low = rank;
    *high = n + 1 - rank;
    return true;
}

static double middle(const double *sorted, size_t n)
{
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static double interval_ratio(const double *sorted, size_t n)
{
    size_t low, high;
    if (!glet_median_ranks(n, &low, &high))
        return NAN;
    return (sorted[high - 1] - sorted[low - 1]) / 2 / middle(sorted, n);
}

/* Sorts a copy of count samples from first on; NULL = out of memory. */
static double *sorted_copy(const struct glet_sampler *sampler, size_t first, size_t count)
{
    double *sorted = reallocarray(NULL, count, sizeof *sorted);
    if (!sorted)
        return NULL;
    memcpy(sorted, sampler->samples_ms + first, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, ascending);
    return sorted;
}

static void warm_up(struct glet_sampler *sampler, double sample_ms)
{
    sampler->warm_runs++;
    sampler->window_ms += sample_ms;
    sampler->window_sum_ms += sample_ms;
    sampler->window_runs++;
    bool settled = false;
    if (sampler->window_ms >= scaled(sampler, WINDOW_MS)) {
        double mean_ms = sampler->window_sum_ms / (double)sampler->window_runs;
        settled = fabs(mean_ms / sampler->last_window_mean_ms - 1) < WINDOW_RATIO;
        sampler->last_window_mean_ms = mean_ms;
        sampler->window_ms = sampler->window_sum_ms = 0;
        sampler->window_runs = 0;
    }
    bool enough = sampler->warm_runs >= WARM_UP_RUNS &&
                  sampler->elapsed_ms >= scaled(sampler, WARM_UP_MS) && settled;
    if (enough || sampler->elapsed_ms >= WARM_UP_PART * sampler->rules.max_ms)
        sampler->phase = GLET_SAMPLER_MEASURE;
}

static bool good_enough(struct glet_sampler *sampler)
{
    if (sampler->count < sampler->next_check)
        return false;
    sampler->next_check = sampler->count + sampler->count / 10;
    if (sampler->measured_ms < scaled(sampler, MEASURE_MS) ||
        sampler->count < sampler->rules.p99_samples)
        return false;
    double *sorted = sorted_copy(sampler, 0, sampler->count);
    if (!sorted)
        return false; /* go on to the limit; the result will say so */
    double ratio = interval_ratio(sorted, sampler->count);
    free(sorted);
    return ratio <= sampler->rules.ci_ratio;
}

enum glet_sampler_phase glet_sampler_add(struct glet_sampler *sampler, double sample_ms)
{
    sampler->elapsed_ms += sample_ms;
    if (sampler->phase == GLET_SAMPLER_WARM_UP) {
        warm_up(sampler, sample_ms);
    } else if (sampler->phase == GLET_SAMPLER_MEASURE) {
        sampler->samples_ms[sampler->count++] = sample_ms;
        sampler->measured_ms += sample_ms;
        bool limit = sampler->elapsed_ms >= sampler->rules.max_ms && sampler->count >= FEWEST_RUNS;
        if (limit || sampler->count >= sampler->rules.max_samples || good_enough(sampler))
            sampler->phase = GLET_SAMPLER_DONE;
    }
    return sampler->phase;
}

static int find_drift(const struct glet_sampler *sampler, bool *drift, struct glet_error *err)
{
    *drift = false;
    size_t third = sampler->count / 3;
    if (third < 5)
        return 0;
    double lowest = INFINITY, highest = 0;
    for (size_t i = 0; i < 3; i++) {
        double *sorted = sorted_copy(sampler, i * third, third);
        if (!sorted)
            return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        double median = middle(sorted, third);
        free(sorted);
        lowest = fmin(lowest, median);
        highest = fmax(highest, median);
    }
    *drift = highest > DRIFT_RATIO * lowest;
    return 0;
}

int glet_sampler_result(const struct glet_sampler *sampler, struct glet_sampler_result *out,
                        struct glet_error *err)
{
    size_t n = sampler->count;
    bool drift;
    double sum = 0, squares = 0;
    if (find_drift(sampler, &drift, err) < 0)
        return -1;
    GLET_CLEANUP(glet_cleanup_free) double *sorted = sorted_copy(sampler, 0, n);
    if (!sorted)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        sum += sorted[i];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (sorted[i] - mean) * (sorted[i] - mean);
    bool few = n < sampler->rules.p99_samples;
    size_t p99_rank = few ? n : (size_t)ceil(0.99 * (double)n);
    double ratio = interval_ratio(sorted, n);
    *out = (struct glet_sampler_result){
        .samples = n,
        .mean_ms = mean,
        .p50_ms = middle(sorted, n),
        .p99_ms = sorted[p99_rank - 1],
        .cv_ratio = n > 1 ? sqrt(squares / (double)(n - 1)) / mean : NAN,
        .ci_ratio = ratio,
        .unconverged = !(ratio <= sampler->rules.ci_ratio),
        .few = few,
        .drift = drift,
    };
    return 0;
}
