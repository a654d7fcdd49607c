/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_LOAD_HTTP_TARGET_H
#define GLET_LOAD_HTTP_TARGET_H

/* Where a URL leads: http only, host and port only. */

#include "common/error.h"

#include <sys/socket.h>

enum { GLET_HTTP_MOST_ADDRESSES = 8 };

struct glet_http_address {
    struct sockaddr_storage socket;
    socklen_t length;
};

struct glet_http_target {
    char *host; /* "name:port", for the Host header; the owner frees it */
    struct glet_http_address addresses[GLET_HTTP_MOST_ADDRESSES]; /* of the name, best first */
    size_t address_count, current;
};

/* GLET_ERR_USAGE for a malformed URL, GLET_ERR_IO when the name does not resolve. */
GLET_MUST_CHECK
int glet_http_target_resolve(struct glet_http_target *target, const char *url,
                             struct glet_error *err);

/*
 * Moves on to the next address of the name; false when that is the first again. A server on
 * 127.0.0.1 is not found at the ::1 that localhost often stands for first.
 */
bool glet_http_target_turn(struct glet_http_target *target);

#endif
