/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Greedy by size (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference",
 * arXiv 2001.03288): the largest buffer first, each into the smallest gap that holds it between the
 * buffers already placed whose lifetimes overlap with its own. The problem is NP-hard; two other
 * orders, by size times lifetime and by start, are tried as well and the smallest arena is kept.
 */
#include "runtime/engine/memory_plan.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static size_t round_up(size_t size, size_t alignment)
{
    return (size + alignment - 1) & ~(alignment - 1);
}

static int by_size(const void *a, const void *b)
{
    const struct glet_memory_block *x = *(struct glet_memory_block *const *)a;
    const struct glet_memory_block *y = *(struct glet_memory_block *const *)b;
    if (x->size_bytes != y->size_bytes)
        return x->size_bytes > y->size_bytes ? -1 : 1;
    if (x->first_step != y->first_step)
        return x->first_step < y->first_step ? -1 : 1;
    return x < y ? -1 : x > y; /* the same plan on every machine */
}

static int by_area(const void *a, const void *b)
{
    const struct glet_memory_block *x = *(struct glet_memory_block *const *)a;
    const struct glet_memory_block *y = *(struct glet_memory_block *const *)b;
    double x_area = (double)x->size_bytes * (x->last_step - x->first_step + 1);
    double y_area = (double)y->size_bytes * (y->last_step - y->first_step + 1);
    return x_area != y_area ? (x_area > y_area ? -1 : 1) : by_size(a, b);
}

static int by_start(const void *a, const void *b)
{
    const struct glet_memory_block *x = *(struct glet_memory_block *const *)a;
    const struct glet_memory_block *y = *(struct glet_memory_block *const *)b;
    return x->first_step != y->first_step ? (x->first_step < y->first_step ? -1 : 1)
                                          : by_size(a, b);
}

static bool overlap_in_time(const struct glet_memory_block *a, const struct glet_memory_block *b)
{
    return a->first_step <= b->last_step && b->first_step <= a->last_step;
}

/* The smallest gap that holds `size` below and between `placed`, which is in order of offset. */
static size_t best_gap(const struct glet_memory_block *block,
                       struct glet_memory_block *const *placed, size_t count, size_t size,
                       size_t alignment)
{
    size_t end = 0, best = SIZE_MAX, best_gap_bytes = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        const struct glet_memory_block *other = placed[i];
        if (!overlap_in_time(block, other))
            continue;
        if (other->offset_bytes >= end + size && other->offset_bytes - end < best_gap_bytes) {
            best = end;
            best_gap_bytes = other->offset_bytes - end;
        }
        size_t other_end = other->offset_bytes + round_up(other->size_bytes, alignment);
        if (other_end > end)
            end = other_end;
    }
    return best == SIZE_MAX ? end : best;
}

/* Places the blocks in the given order; returns the arena's size. */
static size_t place(struct glet_memory_block *const *order, struct glet_memory_block **placed,
                    size_t count, size_t alignment)
{
    size_t placed_count = 0, total = 0;
    for (size_t i = 0; i < count; i++) {
        struct glet_memory_block *block = order[i];
        block->offset_bytes = 0;
        size_t size = round_up(block->size_bytes, alignment);
        if (size == 0)
            continue;
        size_t offset = best_gap(block, placed, placed_count, size, alignment);
        block->offset_bytes = offset;
        size_t at = placed_count++;
        while (at > 0 && placed[at - 1]->offset_bytes > offset) {
            placed[at] = placed[at - 1];
            at--;
        }
        placed[at] = block;
        if (offset + size > total)
            total = offset + size;
    }
    return total;
}

int glet_memory_plan(struct glet_memory_block *blocks, size_t count, size_t alignment_bytes,
                     size_t *total_bytes_out, struct glet_error *err)
{
    static int (*const orders[])(const void *, const void *) = {by_size, by_area, by_start};
    enum { ORDERS = sizeof orders / sizeof orders[0] };
    *total_bytes_out = 0;
    if (count == 0)
        return 0;
    struct glet_memory_block **order = calloc(2 * count, sizeof(struct glet_memory_block *));
    if (!order)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory for a plan of %zu buffers",
                              count);
    for (size_t i = 0; i < count; i++)
        order[i] = &blocks[i];
    size_t best = 0, best_total = SIZE_MAX;
    for (size_t k = 0; k < ORDERS; k++) {
        qsort(order, count, sizeof *order, orders[k]);
        *total_bytes_out = place(order, order + count, count, alignment_bytes);
        if (*total_bytes_out < best_total) {
            best_total = *total_bytes_out;
            best = k;
        }
    }
    if (best != ORDERS - 1) {
        qsort(order, count, sizeof *order, orders[best]);
        *total_bytes_out = place(order, order + count, count, alignment_bytes);
    }
    free(order);
    return 0;
}

size_t glet_memory_plan_lower_bound(const struct glet_memory_block *blocks, size_t count,
                                    size_t alignment_bytes)
{
    size_t most = 0;
    for (size_t i = 0; i < count; i++) { /* the maximum is reached where some block begins */
        size_t live = 0;
        for (size_t j = 0; j < count; j++)
            if (blocks[j].first_step <= blocks[i].first_step &&
                blocks[j].last_step >= blocks[i].first_step)
                live += round_up(blocks[j].size_bytes, alignment_bytes);
        if (live > most)
            most = live;
    }
    return most;
}
