/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_SWEEP_UTILISATION_H
#define GLET_PROFILES_SWEEP_UTILISATION_H

/*
 * How much of the L2's and the memory's bandwidth each measured point takes, after all points are
 * measured: a driver whose counters were read makes no gpu-lets any more in that process (driver
 * 580 with CUDA 13.0 on an H100: cuGreenCtxCreate() is not supported from then on). So each model
 * and batch is counted once, in one partition made before, and the other sizes follow: a batch
 * moves the same bytes in whatever time it takes.
 */

#include "profiles/sweep_session.h"

#include <signal.h>

/* Models and batches that are measured and not counted yet. */
size_t glet_sweep_uncounted(const struct glet_sweep_session *session);

/*
 * Reads the device's counters for them, each at the largest size that was measured, until
 * glet_clock_us() is deadline_us (0 = never) or *stop. counted_out: models and batches. Nothing may
 * make partitions of the device afterwards. GLET_ERR_UNSUPPORTED: counters are not to be had, and
 * why; the other errors of device.h.
 */
GLET_MUST_CHECK
int glet_sweep_count(struct glet_sweep_session *session, uint64_t deadline_us,
                     const volatile sig_atomic_t *stop, size_t *counted_out,
                     struct glet_error *err);

/* Estimates what is still not known, from the models' shapes. estimated_out: points. */
GLET_MUST_CHECK
int glet_sweep_estimate(struct glet_sweep_session *session, size_t *estimated_out,
                        struct glet_error *err);

#endif
