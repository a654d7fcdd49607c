/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_LEAST_SQUARES_H
#define GLET_PROFILES_LEAST_SQUARES_H

#include "common/error.h"

#include <stddef.h>

/*
 * Minimises |A x - b| for an m x n matrix of full rank, m >= n >= 1.
 *
 * a   m x n, column by column; overwritten
 * b   m values; overwritten
 * x   n values, written only on success
 *
 * GLET_ERR_UNDECIDED: too few rows, or the columns depend on each other (within rounding), so that
 * b does not tell the coefficients apart.
 */
GLET_MUST_CHECK
int glet_least_squares(double *a, double *b, size_t m, size_t n, double *x, struct glet_error *err);

#endif
