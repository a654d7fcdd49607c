/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_LIBRARIES_H
#define GLET_CUDA_LIBRARIES_H

/*
 * cuDNN and cuBLASLt, opened at run time as the driver is (api.h). Looked for, in this order:
 * what GPULET_LIBCUDNN / GPULET_LIBCUBLASLT name, the loader's path, CUDA's folder, the folders that
 * NVIDIA's Python wheels install to.
 */

#include "common/error.h"

#include <cublasLt.h>
#include <cudnn.h>

#define GLET_CUDNN_FUNCTIONS(X)                                                                    \
    X(cudnnGetVersion)                                                                             \
    X(cudnnGetErrorString)                                                                         \
    X(cudnnGetLastErrorString)                                                                     \
    X(cudnnCreate)                                                                                 \
    X(cudnnDestroy)                                                                                \
    X(cudnnSetStream)                                                                              \
    X(cudnnBackendCreateDescriptor)                                                                \
    X(cudnnBackendDestroyDescriptor)                                                               \
    X(cudnnBackendSetAttribute)                                                                    \
    X(cudnnBackendGetAttribute)                                                                    \
    X(cudnnBackendFinalize)                                                                        \
    X(cudnnBackendExecute)

#define GLET_CUBLASLT_FUNCTIONS(X)                                                                 \
    X(cublasLtGetVersion)                                                                          \
    X(cublasLtGetStatusString)                                                                     \
    X(cublasLtCreate)                                                                              \
    X(cublasLtDestroy)                                                                             \
    X(cublasLtMatmul)                                                                              \
    X(cublasLtMatmulDescCreate)                                                                    \
    X(cublasLtMatmulDescDestroy)                                                                   \
    X(cublasLtMatmulDescSetAttribute)                                                              \
    X(cublasLtMatrixLayoutCreate)                                                                  \
    X(cublasLtMatrixLayoutDestroy)                                                                 \
    X(cublasLtMatrixLayoutSetAttribute)                                                            \
    X(cublasLtMatmulPreferenceCreate)                                                              \
    X(cublasLtMatmulPreferenceDestroy)                                                             \
    X(cublasLtMatmulPreferenceSetAttribute)                                                        \
    X(cublasLtMatmulAlgoGetHeuristic)                                                              \
    X(cublasLtMatmulAlgoCheck)

struct glet_cuda_libraries {
#define GLET_CUDA_POINTER(f) __typeof__(&f) f;
    GLET_CUDNN_FUNCTIONS(GLET_CUDA_POINTER)
    GLET_CUBLASLT_FUNCTIONS(GLET_CUDA_POINTER)
#undef GLET_CUDA_POINTER
    void *cudnn, *cublaslt;
    size_t cudnn_version, cublaslt_version;
};

/* Opens both once per process; later calls return the same. GLET_ERR_DEVICE: which file or symbol
   is missing, or a cuDNN of another major version than the headers'. Safe from any thread. */
GLET_MUST_CHECK
int glet_cuda_libraries_open(const struct glet_cuda_libraries **out, struct glet_error *err);

/* Fill err with the library's text for the status; return -1. */
int glet_cudnn_failed(const struct glet_cuda_libraries *libraries, cudnnStatus_t status,
                      const char *call, struct glet_error *err);
int glet_cublaslt_failed(const struct glet_cuda_libraries *libraries, cublasStatus_t status,
                         const char *call, struct glet_error *err);

#define GLET_CUDNN_TRY(libraries, err, f, ...)                                                     \
    __extension__({                                                                                \
        cudnnStatus_t status_ = (libraries)->f(__VA_ARGS__);                                       \
        status_ == CUDNN_STATUS_SUCCESS ? 0 : glet_cudnn_failed((libraries), status_, #f, (err));  \
    })
#define GLET_CUBLASLT_TRY(libraries, err, f, ...)                                                  \
    __extension__({                                                                                \
        cublasStatus_t status_ = (libraries)->f(__VA_ARGS__);                                      \
        status_ == CUBLAS_STATUS_SUCCESS ? 0                                                       \
                                         : glet_cublaslt_failed((libraries), status_, #f, (err));  \
    })

#endif
