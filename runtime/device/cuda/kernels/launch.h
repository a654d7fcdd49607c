/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_LAUNCH_H
#define GLET_CUDA_LAUNCH_H

/*
 * From a step to the launch of one of our kernels: which, how many threads, which parameters. Pure:
 * on a GPU the addresses are the device's; tests run the same launches on the host.
 */

#include "runtime/device/cuda/kernels/kernel_arguments.h"
#include "runtime/device/cuda/plan/step_plan.h"

struct glet_cuda_launch {
    char kernel[32];
    unsigned grid[3], block[3];
    union {
        struct glet_k_map map;
        struct glet_k_pixels pixels;
        struct glet_k_window window;
        struct glet_k_lrn lrn;
        struct glet_k_rows rows;
        struct glet_k_reduce reduce;
        struct glet_k_gather gather;
        struct glet_k_pad pad;
        struct glet_k_resize resize;
    } parameters;
};

/* Where the first byte of each buffer of the plan lies; of a place: bases[buffer] + offset. */
void *glet_cuda_address(void *const *bases, const struct glet_cuda_place *place);

/*
 * Fills *out for a step of our own kernels. A step of no elements has grid[0] = 0.
 * GLET_ERR_UNSUPPORTED: more elements or dimensions than a kernel counts.
 */
GLET_MUST_CHECK
int glet_cuda_launch_of(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                        void *const *bases, struct glet_cuda_launch *out, struct glet_error *err);

/* What is left of a step when the library only made the product: y = act(y [+ bias] [+ residual]),
   in place. bias_axis: the dimension of y that bias runs along. */
GLET_MUST_CHECK
int glet_cuda_epilogue_step(const struct glet_cuda_step *step, bool with_bias, bool with_residual,
                            int bias_axis, struct glet_cuda_step *out, struct glet_error *err);

/* The softmax between the two products of unfused attention, in place. */
struct glet_cuda_step glet_cuda_scores_step(const struct glet_cuda_step *attention);

#endif
