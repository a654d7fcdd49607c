/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TEXT_H
#define GLET_TEXT_H

/*
 * Text that is put together in memory which is kept from one use to the next. A failed allocation
 * is remembered, later appends do nothing, and the one who sends the text checks `failed` once.
 * Not shared between threads.
 */

#include "common/error.h"
#include "runtime/serve/slice.h"

#include <stdint.h>

struct glet_text {
    char *data; /* not terminated */
    size_t length, capacity;
    bool failed;
};

void glet_text_free(struct glet_text *text); /* leaves an empty one, as {0} is */
void glet_text_clear(struct glet_text *text);

/* Room for `bytes` more, to be filled at the returned place and added to length; NULL = failed. */
char *glet_text_room(struct glet_text *text, size_t bytes);

void glet_text_add(struct glet_text *text, const char *data, size_t length);
void glet_text_put(struct glet_text *text, const char *terminated);
void glet_text_format(struct glet_text *text, const char *format, ...) GLET_PRINTF(2, 3);
void glet_text_u64(struct glet_text *text, uint64_t value);

/* "..." with what JSON wants escaped. Bytes that are not UTF-8 become U+FFFD. */
void glet_text_json(struct glet_text *text, struct glet_slice value);
void glet_text_json_string(struct glet_text *text, const char *terminated);

#endif
