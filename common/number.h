/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_NUMBER_H
#define GLET_COMMON_NUMBER_H

/*
 * Numbers as people and files write them, the same everywhere: YAML, CSV, JSON, command line.
 *
 * An integer is [+-]digits; a double is [+-]digits[.digits][e[+-]digits] and finite. Nothing else
 * passes: no blanks, no 0x10, 1_000, 1,5, .5, 5., .inf, nan. Pure; safe from any thread.
 */

#include <stdbool.h>
#include <stdint.h>

/* False, leaving *out alone, when text is not such a number or is out of the type's range. */
bool glet_parse_int(const char *text, int64_t *out);
bool glet_parse_double(const char *text, double *out);

/*
 * A duration with its unit: 250ms, 60s, 10m, 1.5h, 1h30m (units us ms s m h, largest first). "0"
 * needs no unit. False when malformed or above 10 years.
 */
bool glet_parse_duration_us(const char *text, uint64_t *out);

#define GLET_DOUBLE_CHARS 32

/* The fewest digits that read back to the same value; "nan", "inf" or "-inf" otherwise. */
const char *glet_format_double(char text[GLET_DOUBLE_CHARS], double value);

/* As "%.17g" writes it, enough digits for any value, in a fifth of the time. */
const char *glet_format_digits(char text[GLET_DOUBLE_CHARS], double value);

/* As glet_parse_duration_us() reads it, exact: 90s is "1m30s", 1500 us is "1ms500us". */
const char *glet_format_duration(char text[GLET_DOUBLE_CHARS * 2], uint64_t value_us);

#endif
