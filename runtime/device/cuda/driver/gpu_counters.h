/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_GPU_COUNTERS_H
#define GLET_CUDA_GPU_COUNTERS_H

/*
 * How much of the GPU's L2 and DRAM bandwidth a graph takes, by CUPTI's range profiler in one pass.
 * The counters are the whole device's: only what runs alone can be told from them. They need
 * rights that drivers keep from ordinary users by default, and slow down what runs.
 *
 * libcupti is opened at run time: GPULET_LIBCUPTI, or libcupti.so of CUDA 13 or 12.
 */

#include "common/error.h"
#include "runtime/device/cuda/driver/api.h"
#include "runtime/device/device.h"

struct glet_cuda_cupti; /* the open library */

/* Once per process; later calls return the same, and so does a failure. Safe from any thread.
   GLET_ERR_UNSUPPORTED: no library, or one without the range profiler. */
GLET_MUST_CHECK
int glet_cuda_cupti_open(const struct glet_cuda_cupti **out, struct glet_error *err);

/* Replays that the two counters need on a chip ("GH100"), by the library's own tables: no GPU is
   used. GLET_ERR_UNSUPPORTED: a chip or counter that the library does not know. */
GLET_MUST_CHECK
int glet_cuda_counters_passes(const struct glet_cuda_cupti *cupti, const char *chip,
                              size_t *passes_out, struct glet_error *err);

/*
 * Replays the graph and reads what it took of the device meanwhile.
 *
 * context, stream, graph   of one gpu-let; the context is current; the device is otherwise idle
 * device                   index of the device in the driver's order
 * replays                  >= 1: enough that the device is busy for some milliseconds
 *
 * GLET_ERR_UNSUPPORTED: counters are not to be had, and why; GLET_ERR_DEVICE: the graph failed.
 */
GLET_MUST_CHECK
int glet_cuda_counters_read(const struct glet_cuda_api *api, const struct glet_cuda_cupti *cupti,
                            CUcontext context, size_t device, CUstream stream, CUgraphExec graph,
                            int replays, struct glet_utilisation *out, struct glet_error *err);

#endif
