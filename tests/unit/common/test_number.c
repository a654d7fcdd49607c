/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include "common/nearest.h"
#include "common/number.h"
#include "common/random.h"

#include <stdlib.h>
#include <string.h>

static void doubles(void **state)
{
    (void)state;
    const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0}, {"-1.5", -1.5}, {"+2", 2}, {"1e3", 1000}, {"1.25E-2", 0.0125}};
    const char *bad[] = {"",   " 1", "1 ",  "0x10", "1_000", ".inf", "inf", "nan", ".nan", ".5",
                         "5.", "1e", "1e+", "--1",  "1e999", "1,5",  "~",   "yes", "1.e2"};
    double value = 7;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(glet_parse_double(good[i].text, &value));
        CHECK_NEAR(value, good[i].value, 0);
    }
    value = 7;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (glet_parse_double(bad[i], &value))
            fail_msg("'%s' was taken", bad[i]);
    CHECK_NEAR(value, 7, 0);
}

static void integers(void **state)
{
    (void)state;
    const char *bad[] = {"", "1.0", "1e3", "0x1", "9223372036854775808", "1 ", "+", "1_0"};
    int64_t value;
    assert_true(glet_parse_int("-9223372036854775808", &value) && value == INT64_MIN);
    assert_true(glet_parse_int("+007", &value) && value == 7);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (glet_parse_int(bad[i], &value))
            fail_msg("'%s' was taken", bad[i]);
}

static void durations(void **state)
{
    (void)state;
    const struct {
        const char *text;
        uint64_t us;
        const char *shown;
    } good[] = {{"0", 0, "0s"},
                {"250ms", 250000, "250ms"},
                {"60s", 60000000, "1m"},
                {"1.5h", 5400000000, "1h30m"},
                {"1h30m", 5400000000, "1h30m"},
                {"1.5ms", 1500, "1ms500us"}};
    const char *bad[] = {"", "10", "-1s", "1m1h", "1s1s", "1 s", "s", "1d", "99999h", "1e3s"};
    char text[GLET_DOUBLE_CHARS * 2];
    uint64_t us;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        if (!glet_parse_duration_us(good[i].text, &us))
            fail_msg("'%s' was refused", good[i].text);
        assert_int_equal(us, good[i].us);
        assert_string_equal(glet_format_duration(text, us), good[i].shown);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (glet_parse_duration_us(bad[i], &us))
            fail_msg("'%s' was taken", bad[i]);
}

static void doubles_round_trip(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(5);
    char text[GLET_DOUBLE_CHARS];
    assert_string_equal(glet_format_double(text, 0.1), "0.1");
    assert_string_equal(glet_format_double(text, 400), "400");
    assert_string_equal(glet_format_double(text, 1.0 / 3), "0.3333333333333333");
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = glet_random_bits(&random);
        double value, back;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        assert_true(glet_parse_double(glet_format_double(text, value), &back));
        assert_memory_equal(&back, &value, sizeof value);
    }
}

/* Around powers of ten, halfway cases (integers over powers of two) and everywhere else. */
static void digits_as_printf_writes(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(7);
    char text[GLET_DOUBLE_CHARS], known[40];
    static const double edges[] = {0,    1,     -1,     NAN,    INFINITY, 1e-4, 1e15, 1e-5,
                                   0.05, 1e100, 5e-324, 1 / 3., 4.75,     -0.0, 0.5};
    for (int i = 0; i < 600000; i++) {
        double value = edges[i % (int)COUNT_OF(edges)];
        if (i % 4 == 1)
            value = pow(10, floor(20 * glet_random_uniform(&random)) - 5) *
                    (1 + (floor(9 * glet_random_uniform(&random)) - 4) * 0x1p-52);
        else if (i % 4 == 2)
            value = ldexp((double)(glet_random_bits(&random) >> 11), -3 - i % 60);
        else if (i % 4 == 3)
            value = floor(1e6 * glet_random_uniform(&random)) / 1e4;
        snprintf(known, sizeof known, "%.17g", value);
        assert_string_equal(glet_format_digits(text, value), known);
    }
}

static void nearest_words(void **state)
{
    (void)state;
    const char *const names[] = {"rate_rps", "slo_ms", NULL, "name", "arrival"};
    assert_int_equal(glet_edit_distance("slo", "los"), 2);
    assert_int_equal(glet_edit_distance("ab", "ba"), 1);
    assert_int_equal(glet_edit_distance("", "abc"), 3);
    assert_string_equal(glet_nearest("rate_rsp", names, 5), "rate_rps");
    assert_string_equal(glet_nearest("NAME", names, 5), "name");
    assert_string_equal(glet_nearest("slo_us", names, 5), "slo_ms");
    assert_null(glet_nearest("colour", names, 5));
    assert_null(glet_nearest("", names, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles),
        cmocka_unit_test(integers),
        cmocka_unit_test(durations),
        cmocka_unit_test(doubles_round_trip),
        cmocka_unit_test(digits_as_printf_writes),
        cmocka_unit_test(nearest_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
