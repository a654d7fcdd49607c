/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_SLICE_H
#define GLET_SLICE_H

/* Bytes inside somebody else's buffer: not terminated, not owned. */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct glet_slice {
    const char *data;
    size_t length;
};

static inline struct glet_slice glet_slice_of(const char *terminated)
{
    return (struct glet_slice){terminated, strlen(terminated)};
}

static inline bool glet_slice_is(struct glet_slice slice, const char *text)
{
    return strlen(text) == slice.length && memcmp(slice.data, text, slice.length) == 0;
}

/* ASCII letters of either case are the same: for HTTP's names and tokens. */
static inline bool glet_slice_is_nocase(struct glet_slice slice, const char *text)
{
    return strlen(text) == slice.length && strncasecmp(slice.data, text, slice.length) == 0;
}

#endif
