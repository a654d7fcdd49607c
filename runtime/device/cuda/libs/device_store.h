/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_DEVICE_STORE_H
#define GLET_CUDA_DEVICE_STORE_H

/*
 * The insides of what nets share: of a device (struct glet_cuda_store), and of a gpu-let (struct
 * glet_cuda_handles). See site.h for their lives.
 */

#include "runtime/device/cuda/kernels/launch.h"
#include "runtime/device/cuda/libs/choice_cache.h"
#include "runtime/device/cuda/libs/libraries.h"
#include "runtime/device/cuda/libs/site.h"
#include "runtime/device/cuda/plan/step_plan.h"

struct glet_cuda_handles {
    cudnnHandle_t cudnn;
    cublasLtHandle_t cublaslt;
    CUmodule module; /* of this context: functions belong to one */
    CUdeviceptr workspace;
    size_t workspace_bytes;
    CUevent begin, end; /* for timing candidates */
};

/* Of a site that is open. */
static inline struct glet_cuda_handles *glet_cuda_handles_of(const struct glet_cuda_site *site)
{
    return (struct glet_cuda_handles *)site->handles;
}

const struct glet_cuda_libraries *glet_cuda_store_libraries(const struct glet_cuda_store *store);
enum glet_cuda_precision glet_cuda_store_precision(const struct glet_cuda_store *store);
struct glet_choice_cache *glet_cuda_store_choices(struct glet_cuda_store *store);

/* What makes a choice this device's: GPU, driver, libraries. One line of text. */
const char *glet_cuda_store_identity(const struct glet_cuda_store *store);

/* Are the libraries also asked what suits the gpu-let's number of SMs? $GPULET_SM_TARGET: on, off. */
bool glet_cuda_aims_at_sms(const struct glet_cuda_site *site);

/* The constant as packed, on the GPU; uploaded by its first user, on the site's stream. Borrowed
   until glet_cuda_store_forget(model). Safe from any thread. */
GLET_MUST_CHECK
int glet_cuda_store_weight(const struct glet_cuda_site *site, const struct glet_model *model,
                           const struct glet_cuda_weight *weight, CUdeviceptr *out,
                           struct glet_error *err);
size_t glet_cuda_store_weight_bytes(struct glet_cuda_store *store);

GLET_MUST_CHECK
int glet_cuda_function(const struct glet_cuda_site *site, const char *kernel, CUfunction *out,
                       struct glet_error *err);
GLET_MUST_CHECK
int glet_cuda_enqueue(const struct glet_cuda_site *site, CUfunction function,
                      const struct glet_cuda_launch *launch, struct glet_error *err);

#endif
