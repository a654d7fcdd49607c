/* SPDX-License-Identifier: Apache-2.0 */
/* The sampling rules on synthetic latencies, and how often the interval holds the true median. */
#include "common/random.h"
#include "profiles/sampler.h"
#include "tests/unit/check.h"

#include <stdlib.h>

static struct glet_error err;

/* A latency: lognormal-like around median_ms, with a tail of `tail` of all runs ten times slower.
 */
static double draw(struct glet_random *random, double median_ms, double sigma, double tail)
{
    double value = median_ms * exp(sigma * glet_random_normal(random));
    return glet_random_uniform(random) < tail ? 10 * value : value;
}

static struct glet_sampler_result run(struct glet_random *random, double max_ms, double median_ms,
                                      double sigma, double tail, double *elapsed_ms)
{
    struct glet_sampler sampler;
    struct glet_sampler_rules rules = glet_sampler_rules(max_ms);
    struct glet_sampler_result result;
    CHECK_OK(glet_sampler_init(&sampler, &rules, &err), &err);
    while (sampler.phase != GLET_SAMPLER_DONE)
        (void)glet_sampler_add(&sampler, draw(random, median_ms, sigma, tail));
    CHECK_OK(glet_sampler_result(&sampler, &result, &err), &err);
    *elapsed_ms = sampler.elapsed_ms;
    glet_sampler_fini(&sampler);
    return result;
}

static void test_quiet_latencies_end_early(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(1);
    double elapsed_ms;
    struct glet_sampler_result r = run(&random, 10000, 5, 0.01, 0, &elapsed_ms);
    assert_false(r.unconverged || r.few || r.drift);
    assert_in_range(r.samples, 299, 340);
    assert_true(elapsed_ms < 2500);
    CHECK_NEAR(r.p50_ms, 5, 0.05);
    CHECK_NEAR(r.cv_ratio, 0.01, 0.003);
    assert_true(r.p99_ms > r.p50_ms && r.ci_ratio < 0.01);
}

static void test_fast_models_run_half_a_second(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(2);
    double elapsed_ms;
    struct glet_sampler_result r = run(&random, 10000, 0.2, 0.01, 0, &elapsed_ms);
    assert_true(elapsed_ms >= 700);
    assert_true(r.samples >= 2400);
    r = run(&random, 10000, 0.001, 0.01, 0, &elapsed_ms);
    assert_int_equal(r.samples, 5000);
}

static void test_noisy_latencies_end_at_the_limit(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(3);
    double elapsed_ms;
    struct glet_sampler_result r = run(&random, 10000, 20, 0.8, 0.02, &elapsed_ms);
    assert_true(r.unconverged);
    assert_in_range((uint64_t)elapsed_ms, 10000, 12000);
    r = run(&random, 200, 30, 0.05, 0, &elapsed_ms);
    assert_true(r.few);
    assert_true(elapsed_ms < 300);
}

/* However slow a run and short the limit, there is a result. */
static void test_always_three_runs(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(4);
    double elapsed_ms;
    struct glet_sampler_result r = run(&random, 50, 3000, 0.01, 0, &elapsed_ms);
    assert_int_equal(r.samples, 3);
    assert_true(r.few && r.unconverged && isnan(r.ci_ratio));
    assert_true(r.p99_ms >= r.p50_ms);
}

static void test_drift_is_seen(void **state)
{
    (void)state;
    struct glet_sampler sampler;
    struct glet_sampler_rules rules = glet_sampler_rules(10000);
    struct glet_sampler_result r;
    for (int rising = 0; rising < 2; rising++) {
        CHECK_OK(glet_sampler_init(&sampler, &rules, &err), &err);
        for (int i = 0; sampler.phase != GLET_SAMPLER_DONE; i++)
            (void)glet_sampler_add(&sampler, 10 + (rising ? 0.01 * i : 0));
        CHECK_OK(glet_sampler_result(&sampler, &r, &err), &err);
        assert_int_equal(r.drift, rising);
        glet_sampler_fini(&sampler);
    }
}

/* A start that is slower does not end up in the samples. */
static void test_warm_up_is_left_out(void **state)
{
    (void)state;
    struct glet_sampler sampler;
    struct glet_sampler_rules rules = glet_sampler_rules(10000);
    struct glet_sampler_result r;
    CHECK_OK(glet_sampler_init(&sampler, &rules, &err), &err);
    for (int i = 0; sampler.phase != GLET_SAMPLER_DONE; i++)
        (void)glet_sampler_add(&sampler, i < 60 ? 20 - 0.25 * i : 5);
    CHECK_OK(glet_sampler_result(&sampler, &r, &err), &err);
    assert_true(r.p99_ms < 6);
    glet_sampler_fini(&sampler);
}

/* Known values: binomial tables. */
static void test_ranks(void **state)
{
    (void)state;
    static const size_t table[][3] = {{6, 1, 6},    {8, 1, 8},     {9, 2, 8},       {20, 6, 15},
                                      {50, 18, 33}, {100, 40, 61}, {1000, 469, 532}};
    size_t low, high;
    assert_false(glet_median_ranks(5, &low, &high));
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        assert_true(glet_median_ranks(table[i][0], &low, &high));
        assert_int_equal(low, table[i][1]);
        assert_int_equal(high, table[i][2]);
    }
    for (size_t n = 6; n < 3000; n++) {
        assert_true(glet_median_ranks(n, &low, &high));
        assert_true(low >= 1 && high <= n && low < high && low + high == n + 1);
    }
}

/* Of many experiments, at least 95 % of the intervals hold the true median. */
static void test_coverage(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(5);
    enum { EXPERIMENTS = 4000 };
    static const size_t sizes[] = {6, 11, 50, 299};
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        int held = 0;
        size_t low, high;
        assert_true(glet_median_ranks(sizes[s], &low, &high));
        for (int e = 0; e < EXPERIMENTS; e++) {
            size_t below = 0; /* samples below the median: the interval holds it when.. */
            for (size_t i = 0; i < sizes[s]; i++)
                below += draw(&random, 1, 0.5, 0) < 1;
            held += below >= low && below < high;
        }
        assert_true(held >= 0.94 * EXPERIMENTS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet_latencies_end_early),
        cmocka_unit_test(test_fast_models_run_half_a_second),
        cmocka_unit_test(test_noisy_latencies_end_at_the_limit),
        cmocka_unit_test(test_always_three_runs),
        cmocka_unit_test(test_drift_is_seen),
        cmocka_unit_test(test_warm_up_is_left_out),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_coverage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
