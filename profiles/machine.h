/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_MACHINE_H
#define GLET_PROFILES_MACHINE_H

/*
 * The machine under measurement: what identifies it, and what else runs on it.
 */

#include "common/error.h"
#include "common/profile/profile.h"
#include "runtime/device/device.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A digest of the facts on which latencies depend, all but the kernel's version and which of equal
   GPUs it is, and of whether the L2 is cold for every run. */
void glet_machine_digest(const struct glet_device *device, bool cold_l2, char digest[17]);

/* What of that is not as the profile says of one of its devices: "driver 580.65.06, now 580.82.07;
   ..."; empty where the profile does not tell, or nothing is. */
void glet_machine_changes(const struct glet_device *device, bool cold_l2,
                          const struct glet_profile *profile, int of, char *text, size_t size);

/* Time counters of the whole machine and of this process, in clock ticks. */
struct glet_machine_load {
    uint64_t busy_ticks; /* of all cores: everything but idle, waiting for I/O */
    uint64_t own_ticks;  /* of this process */
    uint64_t time_us;
    int cores;
};

void glet_machine_load(struct glet_machine_load *load_out);

/* Share of all cores that others used between two readings, 0 .. 1; NAN when too close together. */
double glet_machine_foreign_ratio(const struct glet_machine_load *before,
                                  const struct glet_machine_load *after);

#endif
