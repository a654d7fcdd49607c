/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_SHA256_H
#define GLET_COMMON_SHA256_H

/* SHA-256 (FIPS 180-4) as 64 lower-case hexadecimal digits; libnettle does the work. */

#include <stddef.h>

struct glet_sha256 {
    _Alignas(8) unsigned char state[128];
};

void glet_sha256_init(struct glet_sha256 *sha);
void glet_sha256_update(struct glet_sha256 *sha, const void *data, size_t length_bytes);

/* Leaves sha ready for a new message. */
void glet_sha256_finish(struct glet_sha256 *sha, char hex[65]);

void glet_sha256_hex(const void *data, size_t length_bytes, char hex[65]);

#endif
