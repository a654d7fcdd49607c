/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_MEASURE_H
#define GLET_PROFILES_MEASURE_H

/* Measures one point: a model at a batch in a partition that is alone on the device. */

#include "common/error.h"
#include "runtime/device/device.h"

#include <signal.h>
#include <stdbool.h>

struct glet_measurement {
    double samples, mean_ms, p50_ms, p99_ms, cv_ratio, ci_ratio;
    double wall_ratio;    /* time / (CPU time / size); NAN on a GPU */
    double foreign_ratio; /* NAN when unknown */
    double slice_ms; /* longest stretch for which it keeps what it shares; 0 = shares nothing */
    double achieved_units;
    double activation_mib;
    char flags[64]; /* "drift;few;foreign;unconverged": those that apply */
};

/*
 * Runs until the sampler is content or max_ms are over (building not included); repeats once when
 * the latency drifted. A thread of its own does the work, so that the caller keeps its cores. When
 * *stop becomes non-zero it returns early with GLET_ERR_UNDECIDED. The errors of device.h
 * otherwise.
 */
GLET_MUST_CHECK
int glet_measure_point(struct glet_device *device, struct glet_model *model, int batch, int units,
                       double max_ms, const volatile sig_atomic_t *stop,
                       struct glet_measurement *out, struct glet_error *err);

/* Fills the executor's inputs: floats in -1 .. 1, integers 0 or 1 (always a valid token or mask).
 */
void glet_measure_fill_inputs(struct glet_executor *executor, const struct glet_model *model,
                              int batch);

#endif
