/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_API_H
#define GLET_CUDA_API_H

/*
 * The CUDA driver, opened at run time: no program links libcuda, so one binary runs with and
 * without a GPU. Function pointers carry the header's own prototypes. Calls that a driver may lack
 * are NULL and say so where they are used.
 */

#include "common/error.h"

#include <cuda.h>
#include <stdbool.h>

/* X(function): the driver must have it. */
#define GLET_CUDA_REQUIRED(X)                                                                      \
    X(cuInit)                                                                                      \
    X(cuDriverGetVersion)                                                                          \
    X(cuGetErrorString)                                                                            \
    X(cuDeviceGet)                                                                                 \
    X(cuDeviceGetCount)                                                                            \
    X(cuDeviceGetName)                                                                             \
    X(cuDeviceGetUuid)                                                                             \
    X(cuDeviceGetAttribute)                                                                        \
    X(cuDeviceTotalMem)                                                                            \
    X(cuDevicePrimaryCtxRetain)                                                                    \
    X(cuDevicePrimaryCtxRelease)                                                                   \
    X(cuCtxSetCurrent)                                                                             \
    X(cuCtxGetCurrent)                                                                             \
    X(cuCtxSynchronize)                                                                            \
    X(cuMemGetInfo)                                                                                \
    X(cuMemAlloc)                                                                                  \
    X(cuMemFree)                                                                                   \
    X(cuMemHostAlloc)                                                                              \
    X(cuMemFreeHost)                                                                               \
    X(cuMemHostRegister)                                                                           \
    X(cuMemHostUnregister)                                                                         \
    X(cuMemcpyHtoDAsync)                                                                           \
    X(cuMemcpyDtoHAsync)                                                                           \
    X(cuMemcpyDtoDAsync)                                                                           \
    X(cuMemsetD8Async)                                                                             \
    X(cuStreamCreate)                                                                              \
    X(cuStreamDestroy)                                                                             \
    X(cuStreamSynchronize)                                                                         \
    X(cuStreamBeginCapture)                                                                        \
    X(cuStreamEndCapture)                                                                          \
    X(cuEventCreate)                                                                               \
    X(cuEventDestroy)                                                                              \
    X(cuEventRecord)                                                                               \
    X(cuEventSynchronize)                                                                          \
    X(cuEventQuery)                                                                                \
    X(cuEventElapsedTime)                                                                          \
    X(cuStreamWaitEvent)                                                                           \
    X(cuGraphInstantiate)                                                                          \
    X(cuGraphUpload)                                                                               \
    X(cuGraphLaunch)                                                                               \
    X(cuGraphExecDestroy)                                                                          \
    X(cuGraphDestroy)                                                                              \
    X(cuModuleLoadData)                                                                            \
    X(cuModuleUnload)                                                                              \
    X(cuModuleGetFunction)                                                                         \
    X(cuFuncGetAttribute)                                                                          \
    X(cuFuncSetAttribute)                                                                          \
    X(cuLaunchKernel)

/* Green contexts, since CUDA 12.4; and what only newer drivers have. */
#define GLET_CUDA_OPTIONAL(X)                                                                      \
    X(cuDeviceGetDevResource)                                                                      \
    X(cuDevSmResourceSplitByCount)                                                                 \
    X(cuDevResourceGenerateDesc)                                                                   \
    X(cuGreenCtxCreate)                                                                            \
    X(cuGreenCtxDestroy)                                                                           \
    X(cuCtxFromGreenCtx)                                                                           \
    X(cuGreenCtxStreamCreate)                                                                      \
    X(cuGreenCtxGetDevResource)                                                                    \
    X(cuStreamGetGreenCtx)

struct glet_cuda_api {
#define GLET_CUDA_POINTER(f) __typeof__(&f) f;
    GLET_CUDA_REQUIRED(GLET_CUDA_POINTER)
    GLET_CUDA_OPTIONAL(GLET_CUDA_POINTER)
#undef GLET_CUDA_POINTER
    void *library;
    int driver_version; /* 13000 = CUDA 13.0 */
};

/*
 * Opens the driver once per process and initialises it; later calls return the same. The file is
 * libcuda.so.1, or what GPULET_LIBCUDA names. GLET_ERR_DEVICE: no driver, no GPU, a symbol missing.
 * Safe from any thread.
 */
GLET_MUST_CHECK
int glet_cuda_api_open(const struct glet_cuda_api **out, struct glet_error *err);
bool glet_cuda_has_green_contexts(const struct glet_cuda_api *api);

/* Fills err with "CALL: the driver's text"; returns -1. CUDA_SUCCESS is not accepted. */
int glet_cuda_failed(const struct glet_cuda_api *api, CUresult code, const char *call,
                     struct glet_error *err);

/* Calls the driver: GLET_CUDA_TRY(api, err, cuMemAlloc, &memory, bytes) is 0, or -1 with err
   filled. */
#define GLET_CUDA_TRY(api, err, f, ...)                                                            \
    __extension__({                                                                                \
        CUresult code_ = (api)->f(__VA_ARGS__);                                                    \
        code_ == CUDA_SUCCESS ? 0 : glet_cuda_failed((api), code_, #f, (err));                     \
    })

/*
 * Makes a context current to the calling thread for a while; what was current before comes back.
 * glet_cuda_enter() writes *before only on success.
 */
GLET_MUST_CHECK
int glet_cuda_enter(const struct glet_cuda_api *api, CUcontext context, CUcontext *before,
                    struct glet_error *err);
void glet_cuda_leave(const struct glet_cuda_api *api, CUcontext before);

#endif
