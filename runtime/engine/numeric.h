/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_ENGINE_NUMERIC_H
#define GLET_ENGINE_NUMERIC_H

/*
 * Single elements of arrays of any type, read and written through memcpy, for arithmetic on small
 * constants. `data` may be unaligned. Pure; safe from any thread.
 */

#include "runtime/engine/graph.h"

bool glet_dtype_is_float(enum glet_dtype dtype); /* FP16 and BF16 included */

/* Floating-point elements are truncated towards zero; out of range becomes the nearest limit. */
int64_t glet_number_int(enum glet_dtype dtype, const void *data, int64_t i);
double glet_number_float(enum glet_dtype dtype, const void *data, int64_t i);

/* Narrower integers wrap, BOOL becomes 0 or 1, floating point is rounded to nearest. */
void glet_number_put_int(enum glet_dtype dtype, void *data, int64_t i, int64_t value);
void glet_number_put_float(enum glet_dtype dtype, void *data, int64_t i, double value);

#endif
