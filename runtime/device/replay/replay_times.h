/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_REPLAY_TIMES_H
#define GLET_REPLAY_TIMES_H

/* What a profile says that a batch takes, alone and beside a neighbour. Pure; safe from any thread. */

#include "common/error.h"
#include "common/profile/profile.h"

#include <stdbool.h>

/* A model at a batch in a partition of a size: a point of the profile, or between two. */
struct glet_replay_times {
    size_t model; /* index in the profile */
    int units, batch;
    double typical_ms; /* the median, copies included, alone on the device */
    double slow_ms;    /* the 99th percentile */
    bool overlaps;     /* the profile knows what of that is computed; else no copies: */
    double copy_in_ms, copy_out_ms; /* of a whole batch */
    double l2_util, dram_util;
    double activation_mib;
};

/*
 * Batches between two measured ones are linear in the batch, as the planner takes them. One below the
 * smallest that was measured in that size takes as long as that: it takes no longer. What is no
 * compute of the median is copies, in and out by the model's bytes.
 * GLET_ERR_INPUT: the profile does not know the model there, or no such size or so large a batch.
 */
GLET_MUST_CHECK
int glet_replay_times_find(const struct glet_profile *profile, size_t device, const char *model,
                           int units, int batch, struct glet_replay_times *out,
                           struct glet_error *err);

/*
 * How much longer a victim takes while the aggressor runs: as co-run where exactly these were, else by
 * the linear model without its margin, which is the planner's; else 1. At least 1.
 */
double glet_replay_slowdown(const struct glet_profile *profile, size_t device,
                            const struct glet_replay_times *victim,
                            const struct glet_replay_times *aggressor);

#endif
