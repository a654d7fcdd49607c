/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_BEARER_H
#define GLET_BEARER_H

/* A secret that requests must carry as "Authorization: Bearer TOKEN" (RFC 6750). */

#include "common/error.h"
#include "runtime/serve/http/http_head.h"

struct glet_bearer {
    size_t length; /* 0 = none needed */
    char token[256];
};

/*
 * Reads the file's only line: 16 to 255 printable bytes without blanks. GLET_ERR_INPUT: anything
 * else, or a file that users other than its owner and group may read; GLET_ERR_IO.
 */
GLET_MUST_CHECK
int glet_bearer_load(const char *path, struct glet_bearer *out, struct glet_error *err);

/* Takes the same time for every wrong token of the right length. */
bool glet_bearer_accepts(const struct glet_bearer *bearer, const struct glet_http_head *head);

#endif
