/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Least squares on the reference problems of NIST (Statistical Reference Datasets, linear
 * regression: Longley, Wampler1), and the interference model on made-up pairs.
 */
#include "common/random.h"
#include "profiles/interference_fit.h"
#include "profiles/least_squares.h"
#include "tests/unit/check.h"

#include <stdlib.h>

static struct glet_error err;

/* J. Longley (1967); NIST calls its difficulty "higher". */
static void test_longley(void **state)
{
    (void)state;
    enum { M = 16, N = 7 };
    static const double columns[N - 1][M] = {
        {83.0, 88.5, 88.2, 89.5, 96.2, 98.1, 99.0, 100.0, 101.2, 104.6, 108.4, 110.8, 112.6, 114.2,
         115.7, 116.9},
        {234289, 259426, 258054, 284599, 328975, 346999, 365385, 363112, 397469, 419180, 442769,
         444546, 482704, 502601, 518173, 554894},
        {2356, 2325, 3682, 3351, 2099, 1932, 1870, 3578, 2904, 2822, 2936, 4681, 3813, 3931, 4806,
         4007},
        {1590, 1456, 1616, 1650, 3099, 3594, 3547, 3350, 3048, 2857, 2798, 2637, 2552, 2514, 2572,
         2827},
        {107608, 108632, 109773, 110929, 112075, 113270, 115094, 116219, 117388, 118734, 120445,
         121950, 123366, 125368, 127852, 130081},
        {1947, 1948, 1949, 1950, 1951, 1952, 1953, 1954, 1955, 1956, 1957, 1958, 1959, 1960, 1961,
         1962}};
    double y[M] = {60323, 61122, 60171, 61187, 63221, 63639, 64989, 63761,
                   66019, 67857, 68169, 66513, 68655, 69564, 69331, 70551};
    static const double certified[N] = {-3482258.63459582, 15.0618722713733,  -0.0358191792925910,
                                        -2.02022980381683, -1.03322686717359, -0.0511041056535807,
                                        1829.15146461355};
    double a[M * N], x[N];
    for (size_t i = 0; i < M; i++) {
        a[i] = 1;
        for (size_t c = 1; c < N; c++)
            a[c * M + i] = columns[c - 1][i];
    }
    CHECK_OK(glet_least_squares(a, y, M, N, x, &err), &err);
    for (size_t c = 0; c < N; c++)
        CHECK_NEAR(x[c], certified[c], 1e-9 * fabs(certified[c]));
}

/* 1 + x + ... + x^5 at 0 .. 20: every coefficient is 1. */
static void test_wampler(void **state)
{
    (void)state;
    enum { M = 21, N = 6 };
    double a[M * N], y[M] = {0}, x[N];
    for (size_t i = 0; i < M; i++)
        for (size_t c = 0; c < N; c++) {
            a[c * M + i] = pow((double)i, (double)c);
            y[i] += a[c * M + i];
        }
    CHECK_OK(glet_least_squares(a, y, M, N, x, &err), &err);
    for (size_t c = 0; c < N; c++)
        CHECK_NEAR(x[c], 1, 1e-8);
}

static void test_dependent_columns(void **state)
{
    (void)state;
    double a[12], y[4] = {1, 2, 3, 4}, x[3];
    for (size_t i = 0; i < 4; i++) {
        a[i] = 1;
        a[4 + i] = (double)i;
        a[8 + i] = 3 * (double)i - 2;
    }
    assert_int_equal(glet_least_squares(a, y, 4, 3, x, &err), -1);
    assert_int_equal(err.code, GLET_ERR_UNDECIDED);
    assert_int_equal(glet_least_squares(a, y, 2, 3, x, &err), -1);
    double zeros[4] = {0};
    assert_int_equal(glet_least_squares(zeros, y, 4, 1, x, &err), -1);
}

static void test_fit(void **state)
{
    (void)state;
    static const double truth[] = {0.9, 0.1, 0.7, 0.35, 0.09};
    struct glet_random random = glet_random_seeded(3);
    struct glet_interference_sample samples[400];
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        struct glet_interference_sample *s = &samples[i];
        s->l2_self = glet_random_uniform(&random);
        s->l2_other = glet_random_uniform(&random);
        s->dram_self = glet_random_uniform(&random);
        s->dram_other = glet_random_uniform(&random);
        s->slowdown = truth[0] + truth[1] * s->l2_self + truth[2] * s->l2_other +
                      truth[3] * s->dram_self + truth[4] * s->dram_other +
                      0.05 * glet_random_normal(&random);
    }
    struct glet_profile_interference fit = {0};
    struct glet_interference_quality quality;
    CHECK_OK(glet_interference_fit(samples, COUNT_OF(samples), 0.99, &fit, &quality, &err), &err);
    CHECK_NEAR(fit.constant, truth[0], 0.03);
    CHECK_NEAR(fit.l2_self, truth[1], 0.03);
    CHECK_NEAR(fit.l2_other, truth[2], 0.03);
    CHECK_NEAR(fit.dram_self, truth[3], 0.03);
    CHECK_NEAR(fit.dram_other, truth[4], 0.03);
    CHECK_NEAR(quality.rms, 0.05, 0.01);
    CHECK_NEAR(fit.margin, 2.33 * 0.05, 0.03);
    assert_true(quality.r2 > 0.9 && quality.r2 < 1);
    size_t above = 0;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        const struct glet_interference_sample *s = &samples[i];
        above += s->slowdown > fit.constant + fit.l2_self * s->l2_self +
                                   fit.l2_other * s->l2_other + fit.dram_self * s->dram_self +
                                   fit.dram_other * s->dram_other + fit.margin + 1e-12;
    }
    assert_true(above <= 4);
    assert_int_equal(glet_interference_fit(samples, 9, 0.99, &fit, &quality, &err), -1);
    assert_int_equal(err.code, GLET_ERR_UNDECIDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_longley),
        cmocka_unit_test(test_wampler),
        cmocka_unit_test(test_dependent_columns),
        cmocka_unit_test(test_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
