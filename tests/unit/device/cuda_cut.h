/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_CUDA_CUT_H
#define GLET_TESTS_CUDA_CUT_H

/* A CUDA device on the fake driver, cut into gpu-lets: what tests of it begin and end with. */

#include "runtime/device/device.h"
#include "tests/doubles/cuda/fake_cuda.h"

/* config: NULL = the usual one. Fails the test where there is none. */
struct glet_device *open_device(const struct fake_cuda_config *config, const char *spec);
struct glet_partition_set *cut(struct glet_device *device, const int *units, size_t count);

int sms_of(struct glet_partition_set *set, size_t i);

void check_clean(void);                        /* no rule was broken, nothing is left */
void close_device(struct glet_device *device); /* and is clean then */

#endif
