/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_MEASURE_H
#define GLET_PROFILES_MEASURE_H

/* Measures one point: a model at a batch in a partition that is alone on the device. */

#include "common/error.h"
#include "runtime/device/device.h"

#include <signal.h>
#include <stdbool.h>

struct glet_measure_options {
    double max_ms; /* of running; building not included */
    bool cold_l2;  /* every run finds an empty cache (glet_executor_cool()) */
    const volatile sig_atomic_t *stop;
};

struct glet_measurement {
    double samples, mean_ms, p50_ms, p99_ms, cv_ratio, ci_ratio; /* as it is served, with copies */
    double device_p50_ms, device_p99_ms; /* kernels alone, by the device's clock; NAN on a CPU */
    double clock_mhz;                    /* of the device meanwhile; NAN = unknown */
    double wall_ratio;                   /* time / (CPU time / size); NAN on a GPU */
    double foreign_ratio;                /* NAN when unknown */
    double slice_ms; /* longest stretch for which it keeps what it shares; 0 = shares nothing */
    double achieved_units;
    double build_ms; /* of the executor */
    double activation_mib;
    char flags[64]; /* "drift;few;foreign;tail;throttled;unconverged": those that apply */
};

/*
 * Runs until the sampler is content or max_ms are over (building not included; on a device with its
 * own clock a quarter of it more); repeats once when the latency drifted,
 * and once when the host lengthened the tail. A thread of its own does
 * the work, so that the caller keeps its cores. When *stop becomes non-zero it returns early with
 * GLET_ERR_UNDECIDED. The errors of device.h otherwise.
 */
GLET_MUST_CHECK
int glet_measure_point(struct glet_device *device, struct glet_model *model, int batch, int units,
                       const struct glet_measure_options *options, struct glet_measurement *out,
                       struct glet_error *err);

#endif
