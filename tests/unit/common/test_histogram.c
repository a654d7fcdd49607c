/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include "common/histogram.h"
#include "common/random.h"

#include <pthread.h>
#include <stdlib.h>

static struct glet_histogram *new_histogram(void)
{
    struct glet_error err;
    struct glet_histogram *histogram = glet_histogram_new(&err);
    assert_non_null(histogram);
    return histogram;
}

static void empty_is_zero(void **state)
{
    (void)state;
    struct glet_histogram *histogram = new_histogram();
    assert_int_equal(glet_histogram_count(histogram), 0);
    assert_int_equal(glet_histogram_percentile_us(histogram, 99), 0);
    assert_int_equal(glet_histogram_min_us(histogram), 0);
    CHECK_NEAR(glet_histogram_mean_us(histogram), 0, 0);
    glet_histogram_free(histogram);
}

/* Every counter boundary: the reported top is the value or above it by less than 1/1024. */
static void resolution(void **state)
{
    (void)state;
    struct glet_histogram *histogram = new_histogram();
    for (uint64_t value = 0; value < GLET_HISTOGRAM_MAX_US; value += 1 + value / 500) {
        uint64_t highest, count;
        size_t cursor = 0;
        glet_histogram_reset(histogram);
        glet_histogram_record(histogram, value);
        assert_true(glet_histogram_next(histogram, &cursor, &highest, &count));
        assert_int_equal(count, 1);
        assert_in_range(highest, value, value + value / 1024);
        assert_int_equal(glet_histogram_percentile_us(histogram, 50), value);
        assert_int_equal(glet_histogram_count_at_most(histogram, value), 1);
    }
    glet_histogram_free(histogram);
}

static void clamps_large_values(void **state)
{
    (void)state;
    struct glet_histogram *histogram = new_histogram();
    glet_histogram_record(histogram, UINT64_MAX);
    assert_int_equal(glet_histogram_max_us(histogram), GLET_HISTOGRAM_MAX_US);
    assert_int_equal(glet_histogram_percentile_us(histogram, 100), GLET_HISTOGRAM_MAX_US);
    glet_histogram_free(histogram);
}

static int ascending(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Against sorting all values. */
static void percentiles_match_sorting(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static const double percentiles[] = {0, 1, 25, 50, 90, 99, 99.9, 99.99, 100};
    static uint64_t values[COUNT];
    struct glet_histogram *left = new_histogram(), *right = new_histogram();
    struct glet_random random = glet_random_seeded(7);
    double sum = 0;
    for (int i = 0; i < COUNT; i++) {
        values[i] = (uint64_t)(1000 * glet_random_gamma(&random, 0.5, 20));
        sum += (double)values[i];
        glet_histogram_record(i % 3 ? left : right, values[i]);
    }
    glet_histogram_merge(left, right);
    qsort(values, COUNT, sizeof values[0], ascending);
    assert_int_equal(glet_histogram_count(left), COUNT);
    CHECK_NEAR(glet_histogram_mean_us(left), sum / COUNT, 1e-6);
    assert_int_equal(glet_histogram_min_us(left), values[0]);
    assert_int_equal(glet_histogram_max_us(left), values[COUNT - 1]);
    for (size_t i = 0; i < COUNT_OF(percentiles); i++) {
        size_t rank = (size_t)ceil(percentiles[i] / 100 * COUNT - 1e-6);
        uint64_t exact = values[rank ? rank - 1 : 0];
        assert_in_range(glet_histogram_percentile_us(left, percentiles[i]), exact,
                        exact + exact / 1024);
    }
    glet_histogram_free(left);
    glet_histogram_free(right);
}

static void *record_all(void *histogram)
{
    for (uint64_t i = 0; i < 200000; i++)
        glet_histogram_record(histogram, i % 5000);
    return NULL;
}

/* Readers beside the one writer see counts that only grow, and in the end all of them. */
static void reading_beside_the_writer(void **state)
{
    (void)state;
    struct glet_histogram *live = new_histogram(), *copy = new_histogram();
    pthread_t writer;
    uint64_t seen = 0;
    assert_int_equal(pthread_create(&writer, NULL, record_all, live), 0);
    for (int i = 0; i < 20; i++) {
        glet_histogram_reset(copy);
        glet_histogram_merge(copy, live);
        assert_true(glet_histogram_count(copy) >= seen);
        assert_true(glet_histogram_percentile_us(copy, 100) < 5000);
        seen = glet_histogram_count(copy);
    }
    pthread_join(writer, NULL);
    assert_int_equal(glet_histogram_count(live), 200000);
    glet_histogram_free(live);
    glet_histogram_free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_is_zero),
        cmocka_unit_test(resolution),
        cmocka_unit_test(clamps_large_values),
        cmocka_unit_test(percentiles_match_sorting),
        cmocka_unit_test(reading_beside_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
