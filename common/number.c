/* SPDX-License-Identifier: Apache-2.0 */
#include "common/number.h"

#include <errno.h>
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
