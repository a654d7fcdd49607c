/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILE_POINT_H
#define GLET_PROFILE_POINT_H

/*
 * What a profile says at a point: between two measured batches, and of two neighbours. The planner
 * plans with it, and the replay device takes its times from it. Pure; safe from any thread.
 */

#include "common/profile/profile.h"

/* What is planned for: the 99th percentile, or the median where that is unknown. */
double glet_profile_latency_ms(const struct glet_profile_latency *row);

/*
 * The row of a batch from a's to b's, two rows of one device, model and size: linear in the batch.
 * p99_ms is of glet_profile_latency_ms(), and unknown memory counts as none; an unknown utilisation
 * stays unknown.
 */
struct glet_profile_latency glet_profile_between(const struct glet_profile_latency *a,
                                                 const struct glet_profile_latency *b, int batch);

/* The linear model of a device; NULL = the profile has none. */
const struct glet_profile_interference *
glet_profile_coefficients(const struct glet_profile *profile, size_t device);

/*
 * The two parts of its factor, which is max(1, victim's + aggressor's): what a victim brings, and
 * what a neighbour adds. An unknown utilisation counts as the worst value of its term.
 */
double glet_profile_victim_ratio(const struct glet_profile_interference *model, double l2_util,
                                 double dram_util);
double glet_profile_aggressor_ratio(const struct glet_profile_interference *model, double l2_util,
                                    double dram_util);

#endif
