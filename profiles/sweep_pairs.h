/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_SWEEP_PAIRS_H
#define GLET_PROFILES_SWEEP_PAIRS_H

#include "profiles/sweep_session.h"

enum { GLET_SWEEP_SPLITS = 3 };

/*
 * Measures every pair of the session's models (each with itself, too) side by side in two halves of
 * the device, and on a GPU then in a quarter and the rest, each at its largest profiled batch of at
 * most 8 there, and puts the slowdowns into the store, one transaction per pair; pairs that the
 * store holds are skipped. Stops early when *stop is set or deadline_us (monotonic; 0 = none) has
 * passed. *measured_out counts new pairs. What the session knows is not refreshed.
 */
GLET_MUST_CHECK
int glet_sweep_pairs(struct glet_sweep_session *session, uint64_t deadline_us,
                     const volatile sig_atomic_t *stop, size_t *measured_out,
                     struct glet_error *err);

/* How many ways each pair is measured on this device: 1 .. GLET_SWEEP_SPLITS. */
int glet_sweep_split_count(const struct glet_sweep_session *session);

#endif
