/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Size classes at four steps per doubling: at most a quarter is wasted, and a model's requests,
 * being of a few sizes, find their buffer at once. The last given is the next taken, so that a
 * request lands in memory that is still in the cache. Large buffers are mapped one by one: freed to
 * the heap, they would stay with the process between others that live.
 */

#include "runtime/serve/front/buffer_pool.h"

#include "common/clock.h"
#include "runtime/serve/service.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT      64
#define SMALLEST_BITS  12
#define SMALLEST       ((size_t)1 << SMALLEST_BITS)
#define MAPPED_BYTES   ((size_t)128 << 10) /* only these have their pages to themselves */
#define PINNED_AT      2                   /* returns: a burst's buffers come back once */
#define PIN_PAUSE      9 /* times what pinning one took: a tenth of the thread's time at most */
#define UNPINNED_MOST  8 /* at one trim, for the same reason */
#define MAX_IDLE_BYTES ((size_t)256 << 20) /* one pool keeps this much in a burst */

struct glet_buffer { /* in front of the memory handed out */
    struct glet_buffer *next;
    size_t index, bytes;
    int given; /* how often, up to PINNED_AT */
    bool pinned;
    char pad[ALIGNMENT - sizeof(void *) - 2 * sizeof(size_t) - sizeof(int) - sizeof(bool)];
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

static struct glet_buffer *allocate(size_t size)
{
    void *memory;
    if (size < MAPPED_BYTES)
        memory = aligned_alloc(ALIGNMENT, ALIGNMENT + size);
    else
        memory = mmap(NULL, ALIGNMENT + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                      -1, 0);
    if (!memory || memory == MAP_FAILED)
        return NULL;
    struct glet_buffer *buffer = memory;
    buffer->given = 0;
    buffer->pinned = false;
    return buffer;
}

static void release(struct glet_buffer_pool *pool, struct glet_buffer *buffer, size_t size)
{
    if (buffer->pinned)
        glet_service_unpin(pool->pins, buffer, ALIGNMENT + size);
    if (size < MAPPED_BYTES)
        free(buffer);
    else
        (void)munmap(buffer, ALIGNMENT + size);
}

/* Tried once: a driver that would not does not cost every answer a call. */
static void pin_if_kept(struct glet_buffer_pool *pool, struct glet_buffer *buffer)
{
    if (!pool->pins || buffer->bytes < MAPPED_BYTES || buffer->given == PINNED_AT)
        return;
    uint64_t start_us = glet_clock_us();
    if (buffer->given + 1 == PINNED_AT && start_us < pool->pin_us)
        return; /* when it comes back once more */
    if (++buffer->given < PINNED_AT)
        return;
    buffer->pinned = glet_service_pin(pool->pins, buffer, ALIGNMENT + buffer->bytes, true);
    uint64_t end_us = glet_clock_us();
    pool->pin_us = end_us + PIN_PAUSE * (end_us - start_us);
}

/* NULL when the shelf is empty. */
static struct glet_buffer *take_idle(struct glet_buffer_pool *pool, size_t index)
{
    struct glet_buffer_shelf *shelf = &pool->shelves[index];
    struct glet_buffer *buffer = shelf->idle;
    if (!buffer)
        return NULL;
    shelf->idle = buffer->next;
    shelf->count--;
    if (shelf->count < shelf->least)
        shelf->least = shelf->count;
    pool->idle_bytes -= class_bytes(index);
    return buffer;
}

void glet_buffer_pool_init(struct glet_buffer_pool *pool, struct glet_buffer_budget *budget,
                           struct glet_service *pins)
{
    *pool = (struct glet_buffer_pool){.budget = budget, .pins = pins};
}

void glet_buffer_pool_fini(struct glet_buffer_pool *pool)
{
    for (size_t i = 0; i < GLET_BUFFER_CLASSES; i++)
        for (struct glet_buffer *buffer; (buffer = take_idle(pool, i));)
            release(pool, buffer, class_bytes(i));
}

void glet_buffer_pool_trim(struct glet_buffer_pool *pool)
{
    int unpinned = 0;
    for (size_t i = 0; i < GLET_BUFFER_CLASSES; i++) {
        struct glet_buffer_shelf *shelf = &pool->shelves[i];
        for (size_t spare = shelf->least; spare > 0 && unpinned < UNPINNED_MOST; spare--) {
            struct glet_buffer *buffer = take_idle(pool, i);
            unpinned += buffer->pinned;
            release(pool, buffer, class_bytes(i));
        }
        shelf->least = shelf->count;
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
        buffer = take_idle(pool, index);
        if (!buffer)
            buffer = allocate(size);
    }
    if (!buffer) {
        atomic_fetch_sub_explicit(&budget->used_bytes, size, memory_order_relaxed);
        return NULL;
    }
    buffer->index = index;
    buffer->bytes = size;
    return buffer + 1;
}

bool glet_buffer_pinned(const void *memory)
{
    return ((const struct glet_buffer *)memory - 1)->pinned;
}

void glet_buffer_give(struct glet_buffer_pool *pool, void *memory)
{
    if (!memory)
        return;
    struct glet_buffer *buffer = (struct glet_buffer *)memory - 1;
    atomic_fetch_sub_explicit(&pool->budget->used_bytes, buffer->bytes, memory_order_relaxed);
    if (buffer->bytes > MAX_IDLE_BYTES - pool->idle_bytes) {
        release(pool, buffer, buffer->bytes);
        return;
    }
    pin_if_kept(pool, buffer);
    struct glet_buffer_shelf *shelf = &pool->shelves[buffer->index];
    pool->idle_bytes += buffer->bytes;
    buffer->next = shelf->idle;
    shelf->idle = buffer;
    shelf->count++;
}
