/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_NVML_H
#define GLET_CUDA_NVML_H

/*
 * What NVIDIA's management library says about one GPU: power, clocks, memory, throttling. The
 * library is opened at run time (libnvidia-ml.so.1, or what GPULET_LIBNVML names) and is optional:
 * what it does not say is unknown, never an error. It reads; it changes no setting.
 */

#include "runtime/device/device.h"

struct glet_nvml;

/* uuid: "GPU-..." or "MIG-..."; of a MIG instance, what is not told of it is told of its GPU. NULL
   where there is no library, or it does not know this GPU. */
struct glet_nvml *glet_nvml_open(const char *uuid);
void glet_nvml_close(struct glet_nvml *nvml); /* NULL is accepted */

const char *glet_nvml_driver(const struct glet_nvml *nvml);      /* "580.65.06"; empty = unknown */
double glet_nvml_max_sm_clock_mhz(const struct glet_nvml *nvml); /* NaN = unknown */

/* Fills in what is known and leaves the rest of *sample_out as it is. Safe from any thread; takes
   up to some milliseconds. */
void glet_nvml_sample(const struct glet_nvml *nvml, struct glet_device_sample *sample_out);

#endif
