/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_HTTP_HEAD_H
#define GLET_HTTP_HEAD_H

/*
 * The head of one HTTP/1.x request (RFC 9112), complete in memory, and what it says about the body.
 * Stricter than the RFC allows wherever leniency has been a way to smuggle a request past a proxy.
 * Pure: no I/O, no allocation; slices point into the parsed bytes.
 */

#include "common/error.h"
#include "runtime/serve/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GLET_HTTP_MAX_HEADERS 64

enum glet_http_method { GLET_HTTP_GET, GLET_HTTP_HEAD, GLET_HTTP_POST, GLET_HTTP_OTHER };

struct glet_http_header {
    struct glet_slice name, value; /* value without surrounding blanks */
};

struct glet_http_head {
    enum glet_http_method method;
    struct glet_slice method_name;
    struct glet_slice path;  /* starts with '/', still percent-encoded */
    struct glet_slice query; /* without '?' */
    int minor_version;       /* HTTP/1.minor: 0 or 1 */
    bool keep_alive;
    bool expects_continue;
    bool chunked;
    bool has_length;
    uint64_t content_length; /* 0 when has_length is false */
    size_t header_count;
    struct glet_http_header headers[GLET_HTTP_MAX_HEADERS];
};

/* Bytes up to and including the empty line, or 0 when it has not come yet. searched is what an
   earlier call with fewer bytes has already seen. */
size_t glet_http_head_length(const char *data, size_t length, size_t searched);

/*
 * Parses a head of exactly length bytes. Returns 0, or the HTTP status to refuse it with (400, 417,
 * 431, 501, 505) and *reason, a constant sentence. After a refusal the connection cannot be reused.
 */
GLET_MUST_CHECK
int glet_http_head_parse(const char *data, size_t length, struct glet_http_head *out,
                         const char **reason);

/* The header of that name (any case), or NULL. */
const struct glet_slice *glet_http_head_find(const struct glet_http_head *head, const char *name);

#endif
