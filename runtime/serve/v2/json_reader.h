/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_JSON_READER_H
#define GLET_JSON_READER_H

/*
 * A strict JSON reader (RFC 8259) that is pulled through a text once, forwards, and builds nothing:
 * no allocation, values are slices of the text. UTF-8 is checked; nesting is limited to
 * GLET_JSON_MAX_DEPTH.
 *
 * Every function returns false when there is nothing (more) of what was asked for; an error is
 * remembered in the reader (`error`), and afterwards everything returns false. Pure.
 *
 *     struct glet_json_scope object;
 *     struct glet_json_string key;
 *     if (glet_json_enter(r, '{', &object))
 *         while (glet_json_next_member(r, &object, &key)) { ... read or skip exactly one value }
 *     if (r->error) ...
 */

#include "runtime/serve/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GLET_JSON_MAX_DEPTH 16

struct glet_json_reader {
    const char *begin, *at, *end;
    int depth;
    const char *error; /* a constant sentence; NULL = fine so far */
};

struct glet_json_scope {
    char close;
    bool started;
};

/* What stands between the quotes, escapes and all. */
struct glet_json_string {
    struct glet_slice raw;
    bool escaped;
};

void glet_json_init(struct glet_json_reader *reader, const char *text, size_t length);

/* The first byte of the next value: '{', '[', '"', 't', 'f', 'n', '-', a digit; 0 = none. */
char glet_json_peek(struct glet_json_reader *reader);

/* open is '{' or '['; anything else there is an error. */
bool glet_json_enter(struct glet_json_reader *reader, char open, struct glet_json_scope *scope);
bool glet_json_next_member(struct glet_json_reader *reader, struct glet_json_scope *scope,
                           struct glet_json_string *key);
bool glet_json_next_item(struct glet_json_reader *reader, struct glet_json_scope *scope);

bool glet_json_text(struct glet_json_reader *reader, struct glet_json_string *out);
bool glet_json_integer(struct glet_json_reader *reader, int64_t *out);
bool glet_json_boolean(struct glet_json_reader *reader, bool *out);
/* Any number's text. */
bool glet_json_number(struct glet_json_reader *reader, struct glet_slice *out);
/* Any value, checked; *out (may be NULL) is its text. */
bool glet_json_skip(struct glet_json_reader *reader, struct glet_slice *out);
/* Only white space is left. */
bool glet_json_finish(struct glet_json_reader *reader);

/* Sets the error unless there is one; returns false. */
bool glet_json_fail(struct glet_json_reader *reader, const char *error);

/* Whether the string, decoded, is text. */
bool glet_json_is(const struct glet_json_string *string, const char *text);

/* Writes it, decoded and terminated, to out, of room >= 1 bytes; false: it does not fit, or holds a
   NUL. */
bool glet_json_decode(const struct glet_json_string *string, char *out, size_t room);

#endif
