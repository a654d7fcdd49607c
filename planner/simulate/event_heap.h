/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_SIMULATE_EVENT_HEAP_H
#define GLET_SIMULATE_EVENT_HEAP_H

/*
 * What happens next: events by time, ties by number, so that a simulation has one order. A binary
 * heap that grows. Not shared between threads.
 */

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct glet_event {
    uint64_t at_us;
    size_t number; /* the caller's */
};

struct glet_event_heap {
    struct glet_event *events;
    size_t count, capacity;
};

void glet_event_heap_fini(struct glet_event_heap *heap);

/* O(log count). GLET_ERR_NOMEM. */
GLET_MUST_CHECK
int glet_event_heap_push(struct glet_event_heap *heap, struct glet_event event,
                         struct glet_error *err);

/* Takes the first event out; false when there is none. O(log count). */
bool glet_event_heap_pop(struct glet_event_heap *heap, struct glet_event *out);

#endif
