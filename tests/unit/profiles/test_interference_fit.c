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

static const double truth[] = {0.9, 0.1, 0.7, 0.35, 0.09};

/* Pairs of MODELS models at random utilisations, with noise; both sides one after the other. */
enum { MODELS = 6, PAIRS = 200, SAMPLES = 2 * PAIRS };

static void make_pairs(struct glet_interference_sample samples[SAMPLES], uint64_t seed,
                       double noise)
{
    struct glet_random random = glet_random_seeded(seed);
    print_message("seed %ju, noise %g\n", (uintmax_t)seed, noise);
    for (size_t i = 0; i < SAMPLES; i += 2) {
        double l2[2], dram[2];
        size_t model[2];
        for (size_t side = 0; side < 2; side++) {
            l2[side] = glet_random_uniform(&random);
            dram[side] = glet_random_uniform(&random);
            model[side] = (size_t)glet_random_below(&random, MODELS);
        }
        for (size_t side = 0; side < 2; side++)
            samples[i + side] = (struct glet_interference_sample){
                l2[side],
                l2[1 - side],
                dram[side],
                dram[1 - side],
                truth[0] + truth[1] * l2[side] + truth[2] * l2[1 - side] + truth[3] * dram[side] +
                    truth[4] * dram[1 - side] + noise * glet_random_normal(&random),
                i / 2,
                model[side],
                model[1 - side]};
    }
}

static void test_fit(void **state)
{
    (void)state;
    struct glet_interference_sample samples[SAMPLES];
    struct glet_profile_interference fit = {0};
    struct glet_interference_quality quality;
    make_pairs(samples, 3, 0.05);
    CHECK_OK(glet_interference_fit(samples, SAMPLES, 0.99, &fit, &quality, &err), &err);
    CHECK_NEAR(fit.constant, truth[0], 0.03);
    CHECK_NEAR(fit.l2_self, truth[1], 0.03);
    CHECK_NEAR(fit.l2_other, truth[2], 0.03);
    CHECK_NEAR(fit.dram_self, truth[3], 0.03);
    CHECK_NEAR(fit.dram_other, truth[4], 0.03);
    CHECK_NEAR(quality.rms, 0.05, 0.01);
    CHECK_NEAR(fit.margin, 2.33 * 0.05, 0.03);
    assert_true(quality.r2 > 0.9 && quality.r2 < 1);
    size_t above = 0;
    for (size_t i = 0; i < SAMPLES; i++)
        above +=
            samples[i].slowdown > glet_interference_predict(&fit, &samples[i]) + fit.margin + 1e-12;
    assert_true(above <= SAMPLES / 100);
    assert_int_equal(glet_interference_fit(samples, 9, 0.99, &fit, &quality, &err), -1);
    assert_int_equal(err.code, GLET_ERR_UNDECIDED);
    samples[7].dram_other = NAN;
    assert_int_equal(glet_interference_fit(samples, SAMPLES, 0.99, &fit, &quality, &err), -1);
    assert_int_equal(err.code, GLET_ERR_UNDECIDED);
}

/* Without noise the coefficients are the true ones, whatever the weights. */
static void test_exact_pairs_are_found_exactly(void **state)
{
    (void)state;
    struct glet_interference_sample samples[SAMPLES];
    struct glet_profile_interference fit = {0};
    struct glet_interference_quality quality;
    struct glet_interference_error error;
    make_pairs(samples, 4, 0);
    CHECK_OK(glet_interference_fit(samples, SAMPLES, 0.99, &fit, &quality, &err), &err);
    CHECK_NEAR(fit.constant, truth[0], 1e-12);
    CHECK_NEAR(fit.l2_other, truth[2], 1e-12);
    CHECK_NEAR(fit.margin, 0, 1e-12);
    for (int what = GLET_LEFT_OUT_PAIRS; what <= GLET_LEFT_OUT_MODELS; what++) {
        CHECK_OK(glet_interference_leave_out(samples, SAMPLES, 0.99,
                                             (enum glet_interference_left_out)what, 1, &error,
                                             &err),
                 &err);
        CHECK_NEAR(error.largest_ratio, 0, 1e-12);
    }
}

/* A constant needs no utilisations: between the slowdowns, the margin up to the largest. */
static void test_constant(void **state)
{
    (void)state;
    struct glet_interference_sample samples[] = {{NAN, NAN, NAN, NAN, 1.0, 0, 0, 1},
                                                 {NAN, NAN, NAN, NAN, 1.2, 0, 1, 0}};
    struct glet_profile_interference fit = {0};
    struct glet_interference_quality quality;
    CHECK_OK(glet_interference_fit_constant(samples, 2, 0.99, &fit, &quality, &err), &err);
    assert_true(fit.constant > 1.0 && fit.constant < 1.2);
    CHECK_NEAR(fit.constant + fit.margin, 1.2, 1e-12);
    CHECK_NEAR(glet_interference_predict(&fit, samples), fit.constant, 0);
}

/* Every side of a pair leaves once; a pair of two models leaves with either of them. */
static void test_what_is_left_out(void **state)
{
    (void)state;
    struct glet_interference_sample samples[SAMPLES];
    struct glet_interference_error error, again;
    size_t of_two = 0;
    make_pairs(samples, 5, 0.05);
    for (size_t i = 0; i < SAMPLES; i++)
        of_two += samples[i].model_self != samples[i].model_other;
    CHECK_OK(
        glet_interference_leave_out(samples, SAMPLES, 0.99, GLET_LEFT_OUT_PAIRS, 1, &error, &err),
        &err);
    assert_int_equal(error.samples, SAMPLES);
    assert_int_equal(error.fits, 10);
    CHECK_NEAR(error.own_ratio, error.mean_ratio, 0);
    /* mean |normal| = 0.8 sigma, over a slowdown of 1.5 */
    CHECK_NEAR(error.mean_ratio, 0.8 * 0.05 / 1.5, 0.01);
    assert_true(error.above_ratio < 0.05);
    CHECK_OK(
        glet_interference_leave_out(samples, SAMPLES, 0.99, GLET_LEFT_OUT_PAIRS, 1, &again, &err),
        &err);
    CHECK_NEAR(again.mean_ratio, error.mean_ratio, 0);
    CHECK_OK(
        glet_interference_leave_out(samples, SAMPLES, 0.99, GLET_LEFT_OUT_MODELS, 1, &error, &err),
        &err);
    assert_int_equal(error.samples, SAMPLES + of_two);
    assert_int_equal(error.fits, MODELS);
}

/* A model unlike the others shows when it is left out, and not in the fit that has seen it. */
static void test_a_model_of_another_kind_shows(void **state)
{
    (void)state;
    struct glet_interference_sample samples[SAMPLES];
    struct glet_interference_error pairs, models;
    make_pairs(samples, 6, 0.01);
    for (size_t i = 0; i < SAMPLES; i++) {
        struct glet_interference_sample *s = &samples[i];
        bool other_kind = s->model_self == 2;
        s->l2_self = other_kind ? 1 : 0.05 * s->l2_self;
        s->slowdown += other_kind ? 5 : 0;
    }
    CHECK_OK(
        glet_interference_leave_out(samples, SAMPLES, 0.99, GLET_LEFT_OUT_PAIRS, 1, &pairs, &err),
        &err);
    CHECK_OK(
        glet_interference_leave_out(samples, SAMPLES, 0.99, GLET_LEFT_OUT_MODELS, 1, &models, &err),
        &err);
    assert_true(models.largest_ratio > 2 * pairs.largest_ratio);
    assert_true(models.above_ratio > 0.1);
}

static void test_too_little_to_leave_out(void **state)
{
    (void)state;
    struct glet_interference_sample samples[SAMPLES];
    struct glet_interference_error error;
    make_pairs(samples, 7, 0.01);
    assert_int_equal(
        glet_interference_leave_out(samples, 10, 0.99, GLET_LEFT_OUT_PAIRS, 1, &error, &err), -1);
    assert_int_equal(err.code, GLET_ERR_UNDECIDED);
    for (size_t i = 0; i < SAMPLES; i++)
        samples[i].model_self = samples[i].model_other = 0;
    assert_int_equal(
        glet_interference_leave_out(samples, SAMPLES, 0.99, GLET_LEFT_OUT_MODELS, 1, &error, &err),
        -1);
    assert_int_equal(err.code, GLET_ERR_UNDECIDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_longley),
        cmocka_unit_test(test_wampler),
        cmocka_unit_test(test_dependent_columns),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_exact_pairs_are_found_exactly),
        cmocka_unit_test(test_constant),
        cmocka_unit_test(test_what_is_left_out),
        cmocka_unit_test(test_a_model_of_another_kind_shows),
        cmocka_unit_test(test_too_little_to_leave_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
