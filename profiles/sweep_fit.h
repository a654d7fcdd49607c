/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_SWEEP_FIT_H
#define GLET_PROFILES_SWEEP_FIT_H

#include "profiles/sweep_session.h"

#include <stdio.h>

/*
 * Fits the interference model to what the store holds of the session's device, and puts it there
 * with its errors (meta: interference_fit, interference_error_pairs, interference_error_models).
 * The most that the facts allow:
 *
 *     enough pairs with utilisations   the linear model
 *     fewer, or without utilisations   a constant: any neighbour costs as much
 *     no pairs, but utilisations       the share of the memory bandwidth that is left: two gpu-lets
 *                                      that ask for more than there is are slowed down by as much
 *     neither                          nothing
 *
 * What was fitted and how far it is off goes to `report` in a line or two; NULL = nowhere.
 */
GLET_MUST_CHECK
int glet_sweep_fit(struct glet_sweep_session *session, FILE *report, struct glet_error *err);

#endif
