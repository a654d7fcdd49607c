/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_HOST_KERNELS_H
#define GLET_TESTS_HOST_KERNELS_H

/* The executor's kernels on the host. */

#include "runtime/device/cuda/kernels/launch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Runs every thread of the launch; false: no kernel has that name. Launches of
   several threads take turns. */
bool host_launch(const struct glet_cuda_launch *launch);

void host_halves_to_floats(const uint16_t *from, float *to, size_t count);
void host_floats_to_halves(const float *from, uint16_t *to, size_t count);

#endif
