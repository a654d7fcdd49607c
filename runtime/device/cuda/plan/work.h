/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_WORK_H
#define GLET_CUDA_WORK_H

/* What a step cannot do with less than: to hold how long it takes against. Pure. */

#include "runtime/device/cuda/plan/step_plan.h"

struct glet_cuda_work {
    double bytes; /* every element of its places once; whatever lies between the ways' calls is not
                     in it */
    double flop;  /* of products and windows, padding included; 0 = a step that has none */
    char shape[64];
};
struct glet_cuda_work glet_cuda_work_of(const struct glet_cuda_step *step);

#endif
