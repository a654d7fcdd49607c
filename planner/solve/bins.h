/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_BINS_H
#define GLET_PLANNER_BINS_H

/*
 * Packing by size and memory at once, where the memory of a GPU keeps gpu-lets apart that its units
 * would allow. Patterns of (size, memory class) slots are generated for the gpu-lets at hand; a
 * class is the memory in steps of a fraction of the GPU's, rounded up, so what fits in steps fits.
 */

#include "planner/model/problem.h"

struct glet_bin_item {
    int size; /* index into the type's sizes */
    double memory_mib;
    int bin; /* result: 0 .. the returned number - 1 */
};

/* For types without layouts. Returns the number of GPUs. */
int glet_bins_pack(const struct glet_problem_type *type, struct glet_bin_item *items, int count);

#endif
