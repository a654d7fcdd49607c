/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/simulate/event_heap.h"

#include "common/memory.h"

#include <stdlib.h>

static bool before(const struct glet_event *a, const struct glet_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

void glet_event_heap_fini(struct glet_event_heap *heap)
{
    free(heap->events);
    *heap = (struct glet_event_heap){0};
}

int glet_event_heap_push(struct glet_event_heap *heap, struct glet_event event,
                         struct glet_error *err)
{
    if (glet_reserve(&heap->events, &heap->capacity, heap->count + 1, sizeof *heap->events, err) <
        0)
        return -1;
    size_t i = heap->count++;
    for (; i > 0 && before(&event, &heap->events[(i - 1) / 2]); i = (i - 1) / 2)
        heap->events[i] = heap->events[(i - 1) / 2];
    heap->events[i] = event;
    return 0;
}

bool glet_event_heap_pop(struct glet_event_heap *heap, struct glet_event *out)
{
    if (heap->count == 0)
        return false;
    *out = heap->events[0];
    struct glet_event last = heap->events[--heap->count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && before(&heap->events[child + 1], &heap->events[child]))
            child++;
        if (!before(&heap->events[child], &last))
            break;
        heap->events[i] = heap->events[child];
        i = child;
    }
    heap->events[i] = last;
    return true;
}
