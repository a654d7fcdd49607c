/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_OPEN_SLOTS_H
#define GLET_PLANNER_OPEN_SLOTS_H

/* The slots of GPUs cut by size patterns, as gpu-lets are put into them one after the other. */

#include "planner/solve/space/pattern.h"

struct glet_slot_heap; /* of one size, least memory in use first */

struct glet_open_slots {
    int gpu_count;
    /* Private. */
    int size_count;
    double *memory_mib; /* [gpu_count]: in use */
    struct glet_slot_heap *heaps;
};

/* copies[p] GPUs of pattern p, counted from 0 in the order of the patterns. */
void glet_open_slots_init(struct glet_open_slots *slots, const struct glet_patterns *patterns,
                          const int *copies);
void glet_open_slots_fini(struct glet_open_slots *slots);

/*
 * Takes a slot of the smallest size that has one and is no smaller than `size`: on the GPU with the
 * least memory in use, the last one of these. It uses memory_mib more from now on. Returns the GPU,
 * or -1 when there is no such slot. Takes O(log slots).
 */
int glet_open_slots_take(struct glet_open_slots *slots, int size, double memory_mib);

#endif
