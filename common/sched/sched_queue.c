/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sorted ring. Requests of a model mostly arrive in the order of their deadlines (arrival + SLO),
 * so a push almost always ends where it begins, at the tail; and the batcher reads the first few in
 * order, which a heap would not give. The rare request with a deadline of its own moves those
 * behind it by one, at most `capacity` moves of 32 bytes. A queue that runs empty starts over at
 * the front, in memory that is still in the cache.
 */
#include "common/sched/sched_queue.h"

#include <assert.h>
#include <stdlib.h>

static bool before(const struct glet_sched_item *a, const struct glet_sched_item *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    return a->deadline_us < b->deadline_us;
}

static struct glet_sched_item *slot(const struct glet_sched_queue *queue, size_t i)
{
    return &queue->ring[(queue->head + i) & queue->mask];
}

int glet_sched_queue_init(struct glet_sched_queue *queue, size_t capacity, struct glet_error *err)
{
    size_t size = 1;
    while (size < capacity)
        size *= 2;
    *queue = (struct glet_sched_queue){.mask = size - 1};
    queue->ring = calloc(size, sizeof *queue->ring);
    if (!queue->ring)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory for a queue of %zu", size);
    return 0;
}

void glet_sched_queue_fini(struct glet_sched_queue *queue)
{
    free(queue->ring);
    *queue = (struct glet_sched_queue){0};
}

bool glet_sched_queue_push(struct glet_sched_queue *queue, const struct glet_sched_item *item)
{
    if (queue->count > queue->mask)
        return false;
    size_t i = queue->count++;
    for (; i > 0 && before(item, slot(queue, i - 1)); i--)
        *slot(queue, i) = *slot(queue, i - 1);
    *slot(queue, i) = *item;
    queue->rows += item->rows;
    queue->prioritised += item->priority != 0;
    return true;
}

const struct glet_sched_item *glet_sched_queue_at(const struct glet_sched_queue *queue, size_t i)
{
    assert(i < queue->count);
    return slot(queue, i);
}

struct glet_sched_item glet_sched_queue_remove(struct glet_sched_queue *queue, size_t i)
{
    assert(i < queue->count);
    struct glet_sched_item item = *slot(queue, i);
    for (; i > 0; i--)
        *slot(queue, i) = *slot(queue, i - 1);
    queue->count--;
    queue->head = queue->count ? (queue->head + 1) & queue->mask : 0;
    queue->rows -= item.rows;
    queue->prioritised -= item.priority != 0;
    return item;
}

int glet_sched_queue_rows_before(const struct glet_sched_queue *queue,
                                 const struct glet_sched_item *item)
{
    int rows = queue->rows;
    for (size_t i = queue->count; i > 0 && before(item, slot(queue, i - 1)); i--)
        rows -= slot(queue, i - 1)->rows;
    return rows;
}
