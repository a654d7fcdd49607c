/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_FACTS_H
#define GLET_CUDA_FACTS_H

/* What a profile says about the GPU and the software that it was measured on. */

#include "runtime/device/cuda/cuda_partition.h"

/*
 * Keys, in order: gpu_name, compute_capability, sm_count, unit_sms, remainder_sms, driver,
 * cuda_driver, max_sm_clock_mhz, power_limit_w, precision, gpu_uuid. What is not known is
 * "unknown". Fills device->base.facts, which are the device's (glet_cuda_facts_free).
 */
GLET_MUST_CHECK
int glet_cuda_facts_read(struct glet_cuda_device *device, const char *name, const char *uuid,
                         const char *precision, struct glet_error *err);
void glet_cuda_facts_free(struct glet_cuda_device *device);

#endif
