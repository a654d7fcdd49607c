/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sha256.h"

#include <assert.h>
#include <nettle/sha2.h>
#include <stdint.h>

static_assert(sizeof(struct sha256_ctx) <= sizeof(struct glet_sha256), "state is too small");

static struct sha256_ctx *context(struct glet_sha256 *sha)
{
    return (struct sha256_ctx *)(void *)sha->state;
}

void glet_sha256_init(struct glet_sha256 *sha)
{
    sha256_init(context(sha));
}

void glet_sha256_update(struct glet_sha256 *sha, const void *data, size_t length_bytes)
{
    sha256_update(context(sha), length_bytes, data);
}

void glet_sha256_finish(struct glet_sha256 *sha, char hex[65])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(context(sha), sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[64] = '\0';
}

void glet_sha256_hex(const void *data, size_t length_bytes, char hex[65])
{
    struct glet_sha256 sha;
    glet_sha256_init(&sha);
    glet_sha256_update(&sha, data, length_bytes);
    glet_sha256_finish(&sha, hex);
}
