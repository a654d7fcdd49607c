/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_HTTP_CHUNKED_H
#define GLET_HTTP_CHUNKED_H

/* Decodes a chunked body (RFC 9112, 7.1) in place, in pieces of any size. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct glet_http_chunked {
    int state;
    uint64_t left;         /* of the current chunk */
    size_t digits;         /* of the current size */
    size_t overhead_bytes; /* of the current size line, or of all trailers: bounded */
};

enum glet_http_chunked_result {
    GLET_HTTP_CHUNKED_MORE, /* everything consumed, the body goes on */
    GLET_HTTP_CHUNKED_DONE, /* the body is complete; what is not consumed belongs to what follows */
    GLET_HTTP_CHUNKED_ERROR, /* malformed: the connection cannot be reused */
};

void glet_http_chunked_init(struct glet_http_chunked *decoder);

/*
 * Takes length bytes at data and moves the body bytes among them to the front of data:
 * *body_length of them. *consumed is less than length only when the body is complete.
 */
enum glet_http_chunked_result glet_http_chunked_decode(struct glet_http_chunked *decoder,
                                                       char *data, size_t length,
                                                       size_t *body_length, size_t *consumed);

#endif
