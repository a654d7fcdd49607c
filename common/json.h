/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_JSON_H
#define GLET_COMMON_JSON_H

/*
 * Writes JSON as it goes: nothing is kept but the nesting, members come out in the order of the
 * calls, and the same calls give the same bytes.
 *
 *     struct glet_json json = glet_json_begin(stdout, GLET_JSON_INDENTED);
 *     glet_json_object(&json, NULL);
 *     glet_json_string(&json, "schema", "gpulet-load/1");
 *     glet_json_end(&json);
 *
 * `key` names a member of an object and is NULL inside an array and at the top. Text is UTF-8;
 * bytes that are not become U+FFFD. Doubles have the fewest digits that read back; NAN and
 * infinities become null. Misuse (a key in an array, a missing end) is our bug and asserts.
 * Stream errors stick to the stream: check ferror() at the end. Not shared between threads.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum glet_json_style {
    GLET_JSON_COMPACT,  /* no blanks at all */
    GLET_JSON_INDENTED, /* two blanks per level, and a newline at the very end */
};

struct glet_json {
    FILE *stream;
    enum glet_json_style style;
    int depth;
    uint64_t is_array, has_items; /* one bit per level; 63 levels */
};

struct glet_json glet_json_begin(FILE *stream, enum glet_json_style style);

void glet_json_object(struct glet_json *json, const char *key);
void glet_json_array(struct glet_json *json, const char *key);
void glet_json_end(struct glet_json *json); /* of the innermost object or array */

void glet_json_string(struct glet_json *json, const char *key, const char *text); /* NULL = null */
void glet_json_int(struct glet_json *json, const char *key, int64_t value);
void glet_json_uint(struct glet_json *json, const char *key, uint64_t value);
void glet_json_double(struct glet_json *json, const char *key, double value);
void glet_json_bool(struct glet_json *json, const char *key, bool value);
void glet_json_null(struct glet_json *json, const char *key);

/* Text with its quotes, as a JSON string; for those who write JSON by other means. */
void glet_json_quote(FILE *stream, const char *text);

#endif
