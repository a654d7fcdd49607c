/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_FAKE_LIBRARIES_STATE_H
#define GLET_FAKE_LIBRARIES_STATE_H

/* Insides of the fake libraries. Handles and descriptors belong to a thread, the rest is safe from
   any, as with the real ones. */

#include "tests/doubles/cuda/fake_libraries.h"

#include <cuda.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

extern int fake_refusals;
extern atomic_int fake_library_live, fake_library_plans, fake_library_heuristics;

bool fake_library_call(void);   /* counts; false: this call is to fail */
bool fake_library_failed(void); /* some call was to fail already */
void fake_library_breach(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool fake_library_capturing(void); /* the calling thread captures a stream */

/* Puts `work(data)` onto the stream as `kernels` kernels, the first of which does it; data stays for
   ever. */
bool fake_library_enqueue(CUstream stream, int kernels, void (*work)(void *data), void *data);
void *fake_library_keep(size_t bytes); /* zeroed memory that is never freed, and not a leak */

float fake_half_to_float(uint16_t half);
uint16_t fake_float_to_half(float value);

#endif
