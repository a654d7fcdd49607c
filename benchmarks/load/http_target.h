/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_LOAD_HTTP_TARGET_H
#define GLET_LOAD_HTTP_TARGET_H

/* Where a URL leads: http only, host and port only. */

#include "common/error.h"

#include <sys/socket.h>

struct glet_http_target {
    char *host; /* "name:port", for the Host header; the owner frees it */
    struct sockaddr_storage address;
    socklen_t address_length;
};

/* GLET_ERR_USAGE for a malformed URL, GLET_ERR_IO when the name does not resolve. */
GLET_MUST_CHECK
int glet_http_target_resolve(struct glet_http_target *target, const char *url,
                             struct glet_error *err);

#endif
