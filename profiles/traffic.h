/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_TRAFFIC_H
#define GLET_PROFILES_TRAFFIC_H

/*
 * What a run of a model moves through a GPU's L2 cache and memory, from its shapes alone: the
 * stand-in for hardware counters where these may not be read. Rough on purpose, and on the high
 * side for memory: every operator reads its inputs and writes its output once (through L2);
 * weights, requests and answers come from and go to memory, and so does an intermediate tensor that
 * is larger than half of the cache. Floats count two bytes each: fp16 is what a GPU computes in.
 */

#include "common/error.h"
#include "runtime/device/device.h"
#include "runtime/engine/model.h"

struct glet_traffic {
    double l2_bytes, dram_bytes; /* of one run of the whole batch */
};

/* cache_bytes: of the L2; 0 = none. The errors of glet_model_bind(). */
GLET_MUST_CHECK
int glet_traffic_estimate(const struct glet_model *model, int batch, double cache_bytes,
                          struct glet_traffic *out, struct glet_error *err);

/* Traffic over time over peak bandwidth, at most 1; NAN where the device's peak is not known. */
struct glet_utilisation glet_traffic_utilisation(const struct glet_traffic *traffic,
                                                 double latency_ms,
                                                 const struct glet_device_info *info);

#endif
