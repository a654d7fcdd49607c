/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_TIMING_H
#define GLET_CUDA_TIMING_H

/* How long work takes in a gpu-let: what decides between ways to do the same. */

#include "runtime/device/cuda/libs/device_store.h"

/* Milliseconds that the gpu-let takes for one run of work that `enqueue` puts on the site's stream,
   as a part of a graph, which is how it will be replayed. What cannot be captured is an error.
   rival_ms: what there is to be faster than, 0 = nothing; what is far from it is timed once. */
GLET_MUST_CHECK
int glet_cuda_time(const struct glet_cuda_site *site,
                   int (*enqueue)(void *context, struct glet_error *err), void *context,
                   double rival_ms, double *ms_out, struct glet_error *err);

#endif
