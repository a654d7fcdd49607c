/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_SCRATCH_H
#define GLET_PLANNER_SCRATCH_H

/*
 * Memory of the search, and its random numbers. An offline tool that runs out of memory in the
 * middle of a search has nothing sensible left to do: these print one line and end the process with
 * exit status 4, so that the algorithms stay readable.
 */

#include <stddef.h>

void *glet_must_alloc(size_t size, size_t count); /* zeroed; size x count is checked */
void *glet_must_resize(void *list, size_t size, size_t count);

#endif
