/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading: a significand below 2^53 and a power of ten up to 10^22 are both exact as doubles, so
 * one multiplication or division rounds correctly (Clinger, "How to read floating point numbers
 * accurately", PLDI'90); anything else goes to strtod. Rounding that double once more to float is
 * only wrong when it lies exactly between two floats: then strtof decides.
 *
 * Writing a float: nine significant digits from one scaling, since a decimal with nine digits is
 * nearer to its float than to any other even when the last digit is off by one. Seven are tried
 * first, so that 0.1 is written as 0.1.
 */

#include "runtime/serve/v2/number_text.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define EXACT_POWERS 22
#define EXACT_LIMIT  (UINT64_C(1) << 53)

static const double powers[EXACT_POWERS + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

struct decimal {
    uint64_t significand;
    int exponent;
    bool negative, exact;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct decimal read_decimal(struct glet_slice text)
{
    struct decimal d = {.exact = true};
    const char *at = text.data, *end = text.data + text.length;
    d.negative = *at == '-';
    at += d.negative;
    bool fraction = false;
    for (; at < end && (is_digit(*at) || *at == '.'); at++) {
        if (*at == '.') {
            fraction = true;
            continue;
        }
        if (d.significand >= EXACT_LIMIT / 10)
            d.exact = false;
        else
            d.significand = d.significand * 10 + (uint64_t)(*at - '0');
        d.exponent -= fraction;
    }
    if (at < end) { /* e or E */
        at++;
        bool negative = *at == '-';
        at += *at == '-' || *at == '+';
        int exponent = 0;
        for (; at < end && exponent < 10000; at++)
            exponent = exponent * 10 + (*at - '0');
        d.exponent += negative ? -exponent : exponent;
    }
    if (d.exponent > EXACT_POWERS || d.exponent < -EXACT_POWERS)
        d.exact = false;
    return d;
}

static double exact_value(const struct decimal *d)
{
    double value = (double)d->significand;
    value = d->exponent < 0 ? value / powers[-d->exponent] : value * powers[d->exponent];
    return d->negative ? -value : value;
}

/* strto* wants a terminator and obeys the locale; this is the rare path, so it copies. */
static double slow_value(struct glet_slice text, bool to_float)
{
    char small[128], *copy = small;
    if (text.length >= sizeof small) {
        copy = malloc(text.length + 1);
        if (!copy)
            return (double)INFINITY;
    }
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    char *dot = strchr(copy, '.');
    if (dot)
        *dot = *localeconv()->decimal_point;
    double value = to_float ? (double)strtof(copy, NULL) : strtod(copy, NULL);
    if (copy != small)
        free(copy);
    return value;
}

/* Exactly between two floats, or where floats lose digits. */
static bool rounds_twice(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits & UINT64_C(0x1fffffff)) == UINT64_C(0x10000000) ||
           (value != 0 && fabs(value) < 1.2e-38);
}

bool glet_number_to_double(struct glet_slice text, double *out)
{
    struct decimal d = read_decimal(text);
    *out = d.exact ? exact_value(&d) : slow_value(text, false);
    return isfinite(*out);
}

bool glet_number_to_float(struct glet_slice text, float *out)
{
    struct decimal d = read_decimal(text);
    double value = d.exact ? exact_value(&d) : 0;
    if (!d.exact || rounds_twice(value))
        value = slow_value(text, true);
    *out = (float)value;
    return isfinite(*out);
}

bool glet_number_to_integer(struct glet_slice text, int64_t low, uint64_t high, uint64_t *out)
{
    bool negative = text.data[0] == '-';
    uint64_t value = 0, limit = negative ? (uint64_t)0 - (uint64_t)low : high;
    for (size_t i = negative; i < text.length; i++) {
        if (!is_digit(text.data[i]))
            return false;
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (digit > limit || value > (limit - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = negative ? (uint64_t)0 - value : value;
    return true;
}

size_t glet_number_from_unsigned(uint64_t value, char *out)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    memcpy(out, digits + at, sizeof digits - at);
    return sizeof digits - at;
}

size_t glet_number_from_signed(int64_t value, char *out)
{
    if (value >= 0)
        return glet_number_from_unsigned((uint64_t)value, out);
    out[0] = '-';
    return 1 + glet_number_from_unsigned((uint64_t)0 - (uint64_t)value, out + 1);
}

/* significand x 10^exponent, without trailing zeros, in the plain form where that is short. */
static size_t write_decimal(uint64_t significand, int exponent, char *out)
{
    while (significand && significand % 10 == 0) {
        significand /= 10;
        exponent++;
    }
    char digits[GLET_NUMBER_MAX_BYTES];
    int count = (int)glet_number_from_unsigned(significand, digits), point = count + exponent;
    size_t n = 0;
    if (point > 0 && point <= 16) {
        for (int i = 0; i < count || i < point; i++) {
            if (i == point)
                out[n++] = '.';
            out[n++] = i < count ? digits[i] : '0';
        }
        return n;
    }
    if (point <= 0 && point > -4) {
        memcpy(out, "0.00000", 7);
        n = (size_t)(2 - point);
        memcpy(out + n, digits, (size_t)count);
        return n + (size_t)count;
    }
    out[n++] = digits[0];
    if (count > 1) {
        out[n++] = '.';
        memcpy(out + n, digits + 1, (size_t)(count - 1));
        n += (size_t)(count - 1);
    }
    out[n++] = 'e';
    return n + glet_number_from_signed(point - 1, out + n);
}

static bool reads_back(uint64_t significand, int exponent, float value)
{
    struct decimal d = {.significand = significand, .exponent = exponent, .exact = true};
    if (exponent < -EXACT_POWERS || exponent > EXACT_POWERS)
        return false;
    double back = exact_value(&d);
    return !rounds_twice(back) && (float)back == value;
}

size_t glet_number_from_float(float value, char *out)
{
    size_t n = 0;
    if (signbit(value))
        out[n++] = '-';
    value = fabsf(value);
    if (value == 0) { /* "-0" would be read as an integer, which has no sign of zero */
        memcpy(out + n, "0.0", 3);
        return n ? n + 3 : 1;
    }
    if (value < 1e-13F || value > 1e21F) /* beyond exact powers of ten: rare, so slow */
        return n + (size_t)snprintf(out + n, GLET_NUMBER_MAX_BYTES - n, "%.9g", (double)value);
    int exponent = (int)floor(log10((double)value)) - 8;
    double scaled =
        exponent < 0 ? (double)value * powers[-exponent] : (double)value / powers[exponent];
    uint64_t nine = (uint64_t)llrint(scaled);
    uint64_t seven = (nine + 50) / 100;
    if (reads_back(seven, exponent + 2, value))
        return n + write_decimal(seven, exponent + 2, out + n);
    return n + write_decimal(nine, exponent, out + n);
}

size_t glet_number_from_double(double value, char *out)
{
    int n = snprintf(out, GLET_NUMBER_MAX_BYTES, "%.15g", value);
    if (strtod(out, NULL) != value)
        n = snprintf(out, GLET_NUMBER_MAX_BYTES, "%.17g", value);
    return (size_t)n;
}
