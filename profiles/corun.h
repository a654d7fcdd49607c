/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_CORUN_H
#define GLET_PROFILES_CORUN_H

/* Measures how much two models slow each other down in two partitions of one device. */

#include "common/error.h"
#include "runtime/device/device.h"

#include <signal.h>

struct glet_corun_side {
    struct glet_model *model;
    int batch, units;
    double slowdown; /* result: median beside the other / median alone, in the same partitions */
};

/*
 * Cuts the device into two partitions, lets each side run alone for phase_ms and then both
 * together, each back to back. GLET_ERR_UNDECIDED when *stop was set; the errors of device.h.
 */
GLET_MUST_CHECK
int glet_corun_measure(struct glet_device *device, struct glet_corun_side sides[2], double phase_ms,
                       const volatile sig_atomic_t *stop, struct glet_error *err);

#endif
