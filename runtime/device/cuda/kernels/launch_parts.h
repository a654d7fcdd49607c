/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_LAUNCH_PARTS_H
#define GLET_CUDA_LAUNCH_PARTS_H

/* Insides of launch.h, shared by the files that fill launches. */

#include "runtime/device/cuda/kernels/launch.h"

/* Fills err: more elements or dimensions than a kernel counts. */
int glet_launch_too_large(const struct glet_cuda_step *step, struct glet_error *err);
/* NAME_f16 or NAME_f32. */
void glet_launch_name(struct glet_cuda_launch *out, const char *name, enum glet_dtype type);
/* A thread for each of `count`. */
GLET_MUST_CHECK
int glet_launch_threads(const struct glet_cuda_step *step, struct glet_cuda_launch *out,
                        int64_t count, unsigned *count_out, struct glet_error *err);
/* A warp for each row. */
void glet_launch_warps(struct glet_cuda_launch *out, unsigned rows);
/* Whether 32 bits reach every element of a place. */
bool glet_launch_reaches(const struct glet_cuda_place *place);
/* Dimensions sorted by the last place's stride, 1s dropped, merged where all agree: how many are
   left, at least one. */
int glet_launch_arrange(const struct glet_cuda_place *places, int count, int64_t *dims,
                        int64_t strides[][GLET_MAX_RANK]);

GLET_MUST_CHECK
int glet_launch_map(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                    void *const *bases, struct glet_cuda_launch *out, struct glet_error *err);
GLET_MUST_CHECK
int glet_launch_window(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                       void *const *bases, struct glet_cuda_launch *out, struct glet_error *err);
GLET_MUST_CHECK
int glet_launch_lrn(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                    void *const *bases, struct glet_cuda_launch *out, struct glet_error *err);
GLET_MUST_CHECK
int glet_launch_rows(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                     void *const *bases, struct glet_cuda_launch *out, struct glet_error *err);
GLET_MUST_CHECK
int glet_launch_reduce(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                       void *const *bases, struct glet_cuda_launch *out, struct glet_error *err);
GLET_MUST_CHECK
int glet_launch_gather(const struct glet_cuda_step *step, void *const *bases,
                       struct glet_cuda_launch *out, struct glet_error *err);
GLET_MUST_CHECK
int glet_launch_pad(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                    void *const *bases, struct glet_cuda_launch *out, struct glet_error *err);
GLET_MUST_CHECK
int glet_launch_resize(const struct glet_cuda_plan *plan, const struct glet_cuda_step *step,
                       void *const *bases, struct glet_cuda_launch *out, struct glet_error *err);

#endif
