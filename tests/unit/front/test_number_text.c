/* SPDX-License-Identifier: Apache-2.0 */

/* Against the C library's strtof and strtod, which round correctly, over random bit patterns and
   random decimals. */

#include "tests/unit/check.h"

#include "common/random.h"
#include "runtime/serve/v2/number_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint64_t bits_of_double(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void check_float(const char *text)
{
    float value = -1, wanted = strtof(text, NULL);
    bool fits = glet_number_to_float((struct glet_slice){text, strlen(text)}, &value);
    if (fits != (isfinite(wanted) != 0) || (fits && bits_of(value) != bits_of(wanted)))
        fail_msg("%s: %.9g, not %.9g", text, (double)value, (double)wanted);
}

static void check_double(const char *text)
{
    double value = -1, wanted = strtod(text, NULL);
    bool fits = glet_number_to_double((struct glet_slice){text, strlen(text)}, &value);
    if (fits != (isfinite(wanted) != 0) ||
        (fits && bits_of_double(value) != bits_of_double(wanted)))
        fail_msg("%s: %.17g, not %.17g", text, value, wanted);
}

static void test_reading(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0",
        "-0",
        "0.0",
        "1",
        "-1",
        "0.1",
        "3.4028235e38",
        "3.4028236e38",
        "1e39",
        "1e-45",
        "7e-46",
        "1e-400",
        "1e400",
        "1.7976931348623157e308",
        "1.7976931348623159e308",
        "16777217",
        "16777219",
        "9007199254740993",
        "123456789012345678901234567890",
        "0.000000000000000000000000000000000000000000001401298464324817",
        "1.00000005960464477539062500000000000000000000000000000001",
        "5e-324",
        "2e-324",
        "1E5",
        "1e+5",
        "1e-0",
        "0e99999999999",
        "1e99999999999",
        "1e-99999999999"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        check_float(texts[i]);
        check_double(texts[i]);
    }
    struct glet_random random = glet_random_seeded(1);
    for (int i = 0; i < 300000; i++) {
        char text[64];
        uint64_t digits = glet_random_below(&random, UINT64_C(1) << glet_random_below(&random, 63));
        int exponent = (int)glet_random_below(&random, 100) - 60;
        snprintf(text, sizeof text, "%s%" PRIu64 "e%d", i % 2 ? "-" : "", digits, exponent);
        check_float(text);
        check_double(text);
        snprintf(text, sizeof text, "%" PRIu64 ".%06" PRIu64, digits >> 40,
                 glet_random_below(&random, 1000000));
        check_float(text);
        check_double(text);
    }
}

static void test_writing(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(2);
    for (int i = 0; i < 500000; i++) {
        uint32_t bits = (uint32_t)glet_random_below(&random, UINT64_C(1) << 32);
        float value;
        char text[GLET_NUMBER_MAX_BYTES + 1];
        memcpy(&value, &bits, sizeof value);
        if (i % 2)
            value = (float)((double)glet_random_below(&random, 1000000) / 1e5 - 5);
        if (!isfinite(value))
            continue;
        size_t length = glet_number_from_float(value, text);
        assert_true(length < GLET_NUMBER_MAX_BYTES);
        text[length] = '\0';
        if (bits_of(strtof(text, NULL)) != bits_of(value))
            fail_msg("%.9g written as %s", (double)value, text);
        double wide = (double)value * 1.1;
        length = glet_number_from_double(wide, text);
        text[length] = '\0';
        assert_true(strtod(text, NULL) == wide);
    }
}

static void check_written(float value, const char *wanted)
{
    char text[GLET_NUMBER_MAX_BYTES + 1];
    text[glet_number_from_float(value, text)] = '\0';
    assert_string_equal(text, wanted);
}

static void test_short_forms(void **state)
{
    (void)state;
    check_written(0, "0");
    check_written(-0.0F, "-0.0");
    check_written(1, "1");
    check_written(-0.1F, "-0.1");
    check_written(0.001F, "0.001");
    check_written(0.00001F, "1e-5");
    check_written(1234.5F, "1234.5");
    check_written(16777216, "16777216");
    check_written(1.0F / 3, "0.333333343");
    check_written(3e20F, "3e20");
    check_written(99999.99F, "99999.99");
}

static void test_integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t low;
        uint64_t high;
        bool fits;
    } rows[] = {{"127", -128, 127, true},
                {"128", -128, 127, false},
                {"-128", -128, 127, true},
                {"-129", -128, 127, false},
                {"-0", 0, 255, true},
                {"-1", 0, 255, false},
                {"18446744073709551615", 0, UINT64_MAX, true},
                {"18446744073709551616", 0, UINT64_MAX, false},
                {"-9223372036854775808", INT64_MIN, INT64_MAX, true},
                {"-9223372036854775809", INT64_MIN, INT64_MAX, false},
                {"9223372036854775808", INT64_MIN, INT64_MAX, false},
                {"1.0", -128, 127, false},
                {"1e2", -128, 127, false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t value = 0;
        bool fits = glet_number_to_integer((struct glet_slice){rows[i].text, strlen(rows[i].text)},
                                           rows[i].low, rows[i].high, &value);
        if (fits != rows[i].fits)
            fail_msg("%s", rows[i].text);
        if (fits && rows[i].low < 0)
            assert_int_equal((int64_t)value, strtoll(rows[i].text, NULL, 10));
    }
    char text[GLET_NUMBER_MAX_BYTES + 1];
    text[glet_number_from_signed(INT64_MIN, text)] = '\0';
    assert_string_equal(text, "-9223372036854775808");
    text[glet_number_from_unsigned(UINT64_MAX, text)] = '\0';
    assert_string_equal(text, "18446744073709551615");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_writing),
        cmocka_unit_test(test_short_forms),
        cmocka_unit_test(test_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
