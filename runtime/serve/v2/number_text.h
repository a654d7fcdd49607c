/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_NUMBER_TEXT_H
#define GLET_NUMBER_TEXT_H

/* Numbers as JSON writes them, to and from machine types; fast for what tensors hold. Pure. */

#include "runtime/serve/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GLET_NUMBER_MAX_BYTES 32 /* of any number written here */

/* text has JSON's grammar of a number. false: does not fit (infinity). Correctly rounded. */
bool glet_number_to_float(struct glet_slice text, float *out);
bool glet_number_to_double(struct glet_slice text, double *out);

/* As an integer within [low, high], high as unsigned; false: it is not one. */
bool glet_number_to_integer(struct glet_slice text, int64_t low, uint64_t high, uint64_t *out);

/* Written to out (GLET_NUMBER_MAX_BYTES), returns the length; value is finite. Reads back as the
   same value; a float takes at most 9 digits, a double at most 17. */
size_t glet_number_from_float(float value, char *out);
size_t glet_number_from_double(double value, char *out);
size_t glet_number_from_unsigned(uint64_t value, char *out);
size_t glet_number_from_signed(int64_t value, char *out);

#endif
