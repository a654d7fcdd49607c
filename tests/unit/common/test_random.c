/* SPDX-License-Identifier: Apache-2.0 */
/* Moments are checked within five standard errors of the seeded sample. */
#include "tests/unit/check.h"

#include "common/random.h"

enum { SAMPLES = 200000 };

struct moments {
    double mean, variance;
};

static struct moments moments_of(double (*draw)(struct glet_random *, double, double), double a,
                                 double b)
{
    struct glet_random random = glet_random_seeded(42);
    double sum = 0, squares = 0;
    for (int i = 0; i < SAMPLES; i++) {
        double x = draw(&random, a, b);
        sum += x;
        squares += x * x;
    }
    double mean = sum / SAMPLES;
    return (struct moments){mean, squares / SAMPLES - mean * mean};
}

static double draw_uniform(struct glet_random *random, double a, double b)
{
    (void)a, (void)b;
    return glet_random_uniform(random);
}

static double draw_exponential(struct glet_random *random, double rate, double b)
{
    (void)b;
    return glet_random_exponential(random, rate);
}

static double draw_zipf(struct glet_random *random, double count, double exponent)
{
    return (double)glet_random_zipf(random, (uint64_t)count, exponent);
}

static struct moments zipf_moments(double count, double exponent)
{
    double total = 0, mean = 0, squares = 0;
    for (double k = 1; k <= count; k++) {
        double weight = pow(k, -exponent);
        total += weight;
        mean += k * weight;
        squares += k * k * weight;
    }
    mean /= total;
    return (struct moments){mean, squares / total - mean * mean};
}

static void distributions(void **state)
{
    (void)state;
    const struct {
        double (*draw)(struct glet_random *, double, double);
        double a, b;
        struct moments wanted;
    } cases[] = {
        {draw_uniform, 0, 0, {0.5, 1.0 / 12}},
        {draw_exponential, 4, 0, {0.25, 0.0625}},
        {glet_random_gamma, 0.25, 4, {1, 4}},
        {glet_random_gamma, 9, 0.5, {4.5, 2.25}},
        {draw_zipf, 50, 0, zipf_moments(50, 0)},
        {draw_zipf, 50, 1, zipf_moments(50, 1)},
        {draw_zipf, 1000, 1.3, zipf_moments(1000, 1.3)},
        {draw_zipf, 1, 2, {1, 0}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct moments got = moments_of(cases[i].draw, cases[i].a, cases[i].b);
        double error = sqrt(cases[i].wanted.variance / SAMPLES);
        CHECK_NEAR(got.mean, cases[i].wanted.mean, 5 * error);
        CHECK_NEAR(got.variance, cases[i].wanted.variance, 0.06 * cases[i].wanted.variance + 1e-12);
    }
}

/* The generator's published recurrence, by hand for the first output of a known state. */
static void known_first_output(void **state)
{
    (void)state;
    struct glet_random random = {.state = {1, 2, 3, 4}};
    /* rotl(2 * 5, 7) * 9 = 1280 * 9 */
    assert_true(glet_random_bits(&random) == 11520);
    assert_true(glet_random_bits(&random) == 0);
    assert_true(glet_random_bits(&random) == 1509978240);
}

static void streams_are_repeatable_and_differ(void **state)
{
    (void)state;
    struct glet_random parent = glet_random_seeded(1);
    struct glet_random a = glet_random_split(&parent, 0), b = glet_random_split(&parent, 1);
    glet_random_bits(&parent);
    struct glet_random again = glet_random_split(&parent, 0);
    for (int i = 0; i < 100; i++) {
        uint64_t bits = glet_random_bits(&a);
        assert_true(bits == glet_random_bits(&again));
        assert_true(bits != glet_random_bits(&b));
    }
}

static void below_stays_below(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(3);
    int seen[7] = {0};
    for (int i = 0; i < 7000; i++)
        seen[glet_random_below(&random, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 850, 1150);
    assert_true(glet_random_below(&random, 1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distributions),
        cmocka_unit_test(known_first_output),
        cmocka_unit_test(streams_are_repeatable_and_differ),
        cmocka_unit_test(below_stays_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
