/* SPDX-License-Identifier: Apache-2.0 */
#include "common/number.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Skips digits; NULL when there is none. */
static const char *digits(const char *text)
{
    size_t count = strspn(text, "0123456789");
    return count ? text + count : NULL;
}

/* The end of the unsigned double at text, or NULL. */
static const char *unsigned_double(const char *text, bool exponent)
{
    const char *end = digits(text);
    if (end && *end == '.')
        end = digits(end + 1);
    if (end && exponent && (*end == 'e' || *end == 'E')) {
        end++;
        end = digits(end + (*end == '+' || *end == '-'));
    }
    return end;
}

bool glet_parse_int(const char *text, int64_t *out)
{
    const char *end = digits(text + (*text == '+' || *text == '-'));
    if (!end || *end)
        return false;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno)
        return false;
    *out = value;
    return true;
}

bool glet_parse_double(const char *text, double *out)
{
    const char *end = unsigned_double(text + (*text == '+' || *text == '-'), true);
    if (!end || *end)
        return false;
    double value = strtod(text, NULL);
    if (!isfinite(value))
        return false;
    *out = value;
    return true;
}

static const struct {
    const char *name;
    uint64_t us;
} units[] = {
    {"h", 3600000000}, {"m", 60000000}, {"s", 1000000}, {"ms", 1000}, {"us", 1},
};

enum { UNIT_COUNT = sizeof units / sizeof units[0] };

bool glet_parse_duration_us(const char *text, uint64_t *out)
{
    static const double limit_us = 10 * 365.25 * 24 * 3600e6;
    double total_us = 0;
    if (strcmp(text, "0") == 0) {
        *out = 0;
        return true;
    }
    for (size_t next = 0; next == 0 || *text;) {
        const char *end = unsigned_double(text, false);
        if (!end)
            return false;
        size_t length = strspn(end, "hmsu"), unit = next;
        while (unit < UNIT_COUNT &&
               (strlen(units[unit].name) != length || memcmp(units[unit].name, end, length) != 0))
            unit++;
        if (unit == UNIT_COUNT)
            return false;
        total_us += strtod(text, NULL) * (double)units[unit].us;
        text = end + length;
        next = unit + 1;
    }
    if (total_us > limit_us)
        return false;
    *out = (uint64_t)llround(total_us);
    return true;
}

const char *glet_format_double(char text[GLET_DOUBLE_CHARS], double value)
{
    /* Up to 15 digits always survive decimal -> double -> decimal; %g drops trailing zeros. */
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, GLET_DOUBLE_CHARS, "%.*g", precision, value);
        if (!isfinite(value) || strtod(text, NULL) == value)
            break;
    }
    return text;
}

__extension__ typedef unsigned __int128 wide;

/* value * 10^power, rounded to even; exact for 1e-4 <= value < 1e15 and 1 <= power <= 21. */
static uint64_t scaled(double value, int power)
{
    int exponent;
    wide product = (wide)ldexp(frexp(value, &exponent), DBL_MANT_DIG); /* 53 bits ... */
    for (int i = 0; i < power; i++)
        product *= 5;                            /* ... and at most 49 */
    int shift = DBL_MANT_DIG - exponent - power; /* > 0 */
    wide half = (wide)1 << (shift - 1), rest = product & (2 * half - 1);
    uint64_t whole = (uint64_t)(product >> shift);
    return whole + (rest > half || (rest == half && whole % 2 == 1));
}

const char *glet_format_digits(char text[GLET_DOUBLE_CHARS], double value)
{
    const uint64_t least = 10000000000000000; /* of 17 digits */
    if (!(value >= 1e-4 && value < 1e15)) {
        snprintf(text, GLET_DOUBLE_CHARS, "%.17g", value);
        return text;
    }
    int before = (int)floor(log10(value)); /* digits before the point, less one; at worst near */
    uint64_t digits = scaled(value, 16 - before);
    if (digits < least)
        digits = scaled(value, 16 - --before);
    else if (digits >= 10 * least)
        digits = scaled(value, 16 - ++before);
    int decimals = 16 - before;
    for (; decimals > 0 && digits % 10 == 0; decimals--)
        digits /= 10;
    char *end = text + GLET_DOUBLE_CHARS, *at = end;
    *--at = '\0';
    for (; decimals > 0; digits /= 10, decimals--)
        *--at = (char)('0' + digits % 10);
    if (at < end - 1)
        *--at = '.';
    do
        *--at = (char)('0' + digits % 10);
    while (digits /= 10);
    memmove(text, at, (size_t)(end - at));
    return text;
}

const char *glet_format_duration(char text[GLET_DOUBLE_CHARS * 2], uint64_t value_us)
{
    int length = 0;
    snprintf(text, GLET_DOUBLE_CHARS, "0s");
    for (size_t unit = 0; unit < UNIT_COUNT; unit++) {
        uint64_t whole = value_us / units[unit].us;
        value_us %= units[unit].us;
        if (whole > 0)
            length += snprintf(text + length, 24, "%" PRIu64 "%s", whole, units[unit].name);
    }
    return text;
}
