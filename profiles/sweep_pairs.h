/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_SWEEP_PAIRS_H
#define GLET_PROFILES_SWEEP_PAIRS_H

#include "profiles/sweep_session.h"

/*
 * Measures every pair of the session's models (each with itself, too) side by side in two halves of
 * the device, each at its largest profiled batch of at most 8 there, and puts the slowdowns into
 * the store, one transaction per pair; pairs that the store holds are skipped. Where utilisations
 * are known for enough points, the linear model is fitted and stored as well. Stops early when
 * *stop is set or deadline_us (monotonic; 0 = none) has passed. *measured_out counts new pairs.
 */
GLET_MUST_CHECK
int glet_sweep_pairs(struct glet_sweep_session *session, uint64_t deadline_us,
                     const volatile sig_atomic_t *stop, size_t *measured_out,
                     struct glet_error *err);

#endif
