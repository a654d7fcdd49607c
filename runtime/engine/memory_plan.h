/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_MEMORY_PLAN_H
#define GLET_MEMORY_PLAN_H

/*
 * Places buffers whose lifetimes are known into one arena, so that buffers that never live at the
 * same time share bytes. Pure; safe from any thread.
 */

#include "common/error.h"

#include <stddef.h>

struct glet_memory_block {
    size_t size_bytes;
    int first_step, last_step; /* lives from the start of one to the end of the other, inclusive */
    size_t offset_bytes;       /* out: a multiple of the alignment */
};

/*
 * Sets every block's offset such that blocks that live in a common step do not overlap; a block of
 * no bytes gets offset 0. alignment_bytes is a power of two. *total_bytes_out is the arena's size,
 * at least glet_memory_plan_lower_bound(). O(n^2). GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_memory_plan(struct glet_memory_block *blocks, size_t count, size_t alignment_bytes,
                     size_t *total_bytes_out, struct glet_error *err);

/* The most bytes that live in one step, sizes rounded up to the alignment: no plan is smaller. */
size_t glet_memory_plan_lower_bound(const struct glet_memory_block *blocks, size_t count,
                                    size_t alignment_bytes);

#endif
