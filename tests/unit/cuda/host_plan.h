/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_HOST_PLAN_H
#define GLET_TESTS_HOST_PLAN_H

/* Runs a plan of the CUDA executor in host memory: what a GPU would do, byte for byte, with plain
   products in place of the libraries' and everything that a library may leave done by epilogues. */

#include "runtime/device/cuda/plan/step_plan.h"

/* inputs and outputs as glet_cuda_net_input() describes them. Memory that a step has not written
   holds NaN. */
GLET_MUST_CHECK
int host_plan_run(const struct glet_cuda_plan *plan, void *const *inputs, void *const *outputs,
                  struct glet_error *err);

#endif
