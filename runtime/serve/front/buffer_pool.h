/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_BUFFER_POOL_H
#define GLET_BUFFER_POOL_H

/*
 * Buffers for request bodies and results, kept for reuse: once the pool has seen the largest mix of
 * sizes, nothing is allocated any more, and what a burst needed goes back to the system after it.
 * One thread's; the memory of all pools together is limited by a budget that they share.
 *
 * A large buffer that comes back a second time is one that is kept in use: it is pinned, so that GPUs
 * read requests in it in place (glet_service_pin()). That is after an answer, not before one.
 */

#include "common/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct glet_buffer_budget {
    size_t limit_bytes;
    _Atomic size_t used_bytes; /* handed out, all pools */
};

#define GLET_BUFFER_CLASSES 160

struct glet_service;

struct glet_buffer_pool {
    struct glet_buffer_budget *budget;
    struct glet_service *pins; /* NULL: nothing is pinned */
    uint64_t pin_us;           /* not before then */
    struct glet_buffer_shelf {
        struct glet_buffer *idle;
        size_t count, least; /* idle now, and the fewest since the last trim */
    } shelves[GLET_BUFFER_CLASSES];
    size_t idle_bytes;
};

/* pins: the service that pins buffers, open until glet_buffer_pool_fini(); NULL: none is pinned. */
void glet_buffer_pool_init(struct glet_buffer_pool *pool, struct glet_buffer_budget *budget,
                           struct glet_service *pins);
/* Every buffer must be back. */
void glet_buffer_pool_fini(struct glet_buffer_pool *pool);

/* Frees what has not been needed since the last call; of what is pinned, a little at a time. */
void glet_buffer_pool_trim(struct glet_buffer_pool *pool);

/* At least `bytes` (0 is fine), 64-byte aligned; NULL when the budget or memory is used up. */
void *glet_buffer_take(struct glet_buffer_pool *pool, size_t bytes);
/* Whether memory of a buffer that is handed out is pinned. */
bool glet_buffer_pinned(const void *buffer);
void glet_buffer_give(struct glet_buffer_pool *pool, void *buffer); /* NULL is accepted */

#endif
