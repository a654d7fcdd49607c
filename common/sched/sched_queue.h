/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_SCHED_QUEUE_H
#define GLET_SCHED_QUEUE_H

/*
 * The requests of one model that wait for one gpu-let, most urgent first: higher priority, then
 * earlier deadline, then earlier arrival in the queue. Bounded; allocates only when made.
 *
 * Pure: times are parameters. Not shared between threads.
 */

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct glet_sched_item {
    void *request; /* the caller's; never looked at */
    uint64_t arrival_us, deadline_us;
    int priority; /* 0 = default; larger is more urgent */
    int rows;     /* >= 1 */
};

struct glet_sched_queue {
    struct glet_sched_item *ring; /* sorted; item i is ring[(head + i) & mask] */
    size_t mask, head, count;
    int rows;           /* sum over the items */
    size_t prioritised; /* items whose priority is not 0 */
};

/* capacity >= 1 is rounded up to a power of two. */
GLET_MUST_CHECK
int glet_sched_queue_init(struct glet_sched_queue *queue, size_t capacity, struct glet_error *err);
void glet_sched_queue_fini(struct glet_sched_queue *queue);

/* False when the queue is full. O(1) for an item that is not more urgent than those there. */
bool glet_sched_queue_push(struct glet_sched_queue *queue, const struct glet_sched_item *item);

/* Item i in order of urgency, i < count. Valid until the queue changes. */
const struct glet_sched_item *glet_sched_queue_at(const struct glet_sched_queue *queue, size_t i);

/* Takes item i out; i = 0 in O(1). */
struct glet_sched_item glet_sched_queue_remove(struct glet_sched_queue *queue, size_t i);

/* Rows of the items that would be served before `item`, were it pushed now. */
int glet_sched_queue_rows_before(const struct glet_sched_queue *queue,
                                 const struct glet_sched_item *item);

#endif
