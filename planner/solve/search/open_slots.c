/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A heap per size. A GPU's memory grows when a slot of any of its sizes is taken; its entries in the
 * other heaps learn that when they come to the top, which is early enough as memory never shrinks.
 */
#include "planner/solve/search/open_slots.h"

#include "planner/solve/space/scratch.h"

#include <stdbool.h>
#include <stdlib.h>

struct entry {
    int gpu;
    double memory_mib; /* at least so much is in use by now */
};

struct glet_slot_heap {
    struct entry *list;
    int count;
};

static bool before(const struct entry *a, const struct entry *b)
{
    return a->memory_mib != b->memory_mib ? a->memory_mib < b->memory_mib : a->gpu > b->gpu;
}

static void sift_down(struct glet_slot_heap *heap)
{
    int at = 0;
    for (;;) {
        int first = at;
        for (int child = 2 * at + 1; child <= 2 * at + 2 && child < heap->count; child++)
            if (before(&heap->list[child], &heap->list[first]))
                first = child;
        if (first == at)
            return;
        struct entry swap = heap->list[at];
        heap->list[at] = heap->list[first];
        heap->list[first] = swap;
        at = first;
    }
}

void glet_open_slots_init(struct glet_open_slots *slots, const struct glet_patterns *patterns,
                          const int *copies)
{
    int sizes = patterns->size_count;
    *slots = (struct glet_open_slots){.size_count = sizes};
    slots->heaps = glet_must_alloc(sizeof *slots->heaps, (size_t)sizes);
    for (int s = 0; s < sizes; s++) {
        size_t room = 0;
        for (int p = 0; p < patterns->count; p++)
            room += (size_t)copies[p] * (size_t)patterns->uses[p * sizes + s];
        slots->heaps[s].list = glet_must_alloc(sizeof *slots->heaps[s].list, room);
    }
    for (int p = 0; p < patterns->count; p++)
        slots->gpu_count += copies[p];
    slots->memory_mib = glet_must_alloc(sizeof *slots->memory_mib, (size_t)slots->gpu_count);
    /* In falling order of GPUs they are heaps as they are. */
    for (int p = patterns->count - 1, gpu = slots->gpu_count - 1; p >= 0; p--)
        for (int c = 0; c < copies[p]; c++, gpu--)
            for (int s = 0; s < sizes; s++)
                for (int n = 0; n < patterns->uses[p * sizes + s]; n++)
                    slots->heaps[s].list[slots->heaps[s].count++].gpu = gpu;
}

void glet_open_slots_fini(struct glet_open_slots *slots)
{
    for (int s = 0; s < slots->size_count; s++)
        free(slots->heaps[s].list);
    free(slots->heaps);
    free(slots->memory_mib);
}

int glet_open_slots_take(struct glet_open_slots *slots, int size, double memory_mib)
{
    while (size < slots->size_count && slots->heaps[size].count == 0)
        size++;
    if (size == slots->size_count)
        return -1;
    struct glet_slot_heap *heap = &slots->heaps[size];
    struct entry *top = &heap->list[0];
    while (top->memory_mib < slots->memory_mib[top->gpu]) {
        top->memory_mib = slots->memory_mib[top->gpu];
        sift_down(heap);
    }
    int gpu = top->gpu;
    slots->memory_mib[gpu] += memory_mib;
    *top = heap->list[--heap->count];
    sift_down(heap);
    return gpu;
}
