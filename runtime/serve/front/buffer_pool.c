/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Size classes at four steps per doubling: at most a quarter is wasted, and a model's requests,
 * being of a few sizes, find their buffer at once. The last given is the next taken, so that a
 * request lands in memory that is still in the cache.
 */

#include "runtime/serve/front/buffer_pool.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT      64
#define SMALLEST_BITS  12
#define SMALLEST       ((size_t)1 << SMALLEST_BITS)
#define MAX_IDLE_BYTES ((size_t)256 << 20) /* one pool keeps this much after a burst */

struct glet_buffer { /* in front of the memory handed out */
    struct glet_buffer *next;
    size_t index, bytes;
    char pad[ALIGNMENT - sizeof(void *) - 2 * sizeof(size_t)];
};
_Static_assert(sizeof(struct glet_buffer) == ALIGNMENT, "the header keeps the alignment");

static size_t class_bytes(size_t index)
{
    return (SMALLEST << index / 4) / 4 * (4 + index % 4);
}

/* The smallest class that holds them; GLET_BUFFER_CLASSES = none. */
static size_t class_of(size_t bytes)
{
    if (bytes <= SMALLEST)
        return 0;
    size_t last = bytes - 1, doubling = (size_t)(63 - __builtin_clzll(last));
    size_t quarter = (last >> (doubling - 2)) % 4;
    size_t index = 4 * (doubling - SMALLEST_BITS) + quarter + 1;
    return index < GLET_BUFFER_CLASSES ? index : GLET_BUFFER_CLASSES;
}

void glet_buffer_pool_init(struct glet_buffer_pool *pool, struct glet_buffer_budget *budget)
{
    *pool = (struct glet_buffer_pool){.budget = budget};
}

void glet_buffer_pool_fini(struct glet_buffer_pool *pool)
{
    for (size_t i = 0; i < GLET_BUFFER_CLASSES; i++) {
        while (pool->idle[i]) {
            struct glet_buffer *buffer = pool->idle[i];
            pool->idle[i] = buffer->next;
            free(buffer);
        }
    }
}

void *glet_buffer_take(struct glet_buffer_pool *pool, size_t bytes)
{
    size_t index = class_of(bytes);
    if (index == GLET_BUFFER_CLASSES)
        return NULL;
    size_t size = class_bytes(index);
    struct glet_buffer_budget *budget = pool->budget;
    size_t used = atomic_fetch_add_explicit(&budget->used_bytes, size, memory_order_relaxed);
    struct glet_buffer *buffer = NULL;
    if (used <= budget->limit_bytes && size <= budget->limit_bytes - used) {
        buffer = pool->idle[index];
        if (buffer) {
            pool->idle[index] = buffer->next;
            pool->idle_bytes -= size;
        } else {
            buffer = aligned_alloc(ALIGNMENT, ALIGNMENT + size);
        }
    }
    if (!buffer) {
        atomic_fetch_sub_explicit(&budget->used_bytes, size, memory_order_relaxed);
        return NULL;
    }
    buffer->index = index;
    buffer->bytes = size;
    return buffer + 1;
}

void glet_buffer_give(struct glet_buffer_pool *pool, void *memory)
{
    if (!memory)
        return;
    struct glet_buffer *buffer = (struct glet_buffer *)memory - 1;
    atomic_fetch_sub_explicit(&pool->budget->used_bytes, buffer->bytes, memory_order_relaxed);
    if (buffer->bytes > MAX_IDLE_BYTES - pool->idle_bytes) {
        free(buffer);
        return;
    }
    pool->idle_bytes += buffer->bytes;
    buffer->next = pool->idle[buffer->index];
    pool->idle[buffer->index] = buffer;
}
