/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_BASELINE_H
#define GLET_PLANNER_BASELINE_H

/*
 * Planners from the literature, re-implemented from their papers, to compare with and to be never
 * worse than. All are greedy and deterministic; all work on the cheapest type only.
 */

#include "planner/solve/space/boxes.h"
#include "planner/solve/space/halt.h"

enum glet_baseline {
    GLET_BASELINE_SBP,    /* Nexus' squishy bin packing: whole GPUs, time sharing only */
    GLET_BASELINE_GSLICE, /* GSLICE: every model right-sized, partitions packed, no time sharing */
    GLET_BASELINE_GPULET, /* gpu-lets, elastic partitioning that knows no interference */
    GLET_BASELINE_GPULET_INTERFERENCE, /* the same with interference */
    GLET_BASELINE_IDEAL,               /* exhaustive over the layouts of up to 4 GPUs */
    GLET_BASELINE_COUNT,
};

/* "sbp", "gslice", "gpulet", "gpulet-int", "ideal". */
const char *glet_baseline_name(enum glet_baseline which);

/*
 * Adds the plan's GPUs to out, which has none yet, evaluated with the true interference; returns
 * whether the planner itself takes it for a plan that serves all demands within the stock. Only
 * GLET_BASELINE_GPULET may be mistaken: it promises rates without interference. Apps are not
 * split: every model gets its limit_ms. It gives up at more than most_gpus GPUs (0 = no limit).
 */
bool glet_baseline_run(const struct glet_problem *problem, enum glet_baseline which, int most_gpus,
                       const struct glet_halt *halt, struct glet_boxes *out);

#endif
