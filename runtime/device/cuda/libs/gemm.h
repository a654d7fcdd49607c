/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_GEMM_H
#define GLET_CUDA_GEMM_H

/*
 * Matrix products through cuBLASLt: y = act(alpha a w + bias + residual), row-major, where act is
 * none, relu, or gelu in the tanh form, which are the functions that its epilogues compute.
 */

#include "runtime/device/cuda/libs/device_store.h"

struct glet_lt_operands {
    void *a, *w, *bias, *residual, *y; /* on the GPU; bias and residual may be NULL */
};

struct glet_lt_plan {
    struct glet_cuda_gemm gemm;
    struct glet_lt_operands operands;
    float alpha;
    size_t element_bytes;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, w, c, y;
    cublasLtMatmulAlgo_t algorithm;
    bool aimed; /* suggested for the gpu-let's number of SMs */
    double ms;  /* as timed; 0 = the choice was cached */
};

bool glet_lt_has_activation(const struct glet_activation *activation);

/* The fastest algorithm, by the cache under `what` and the operands' alignment, or
   by timing. 1: chosen; 0: none; -1: an error.
   *out is to be ended in every case by glet_lt_plan_fini(). */
GLET_MUST_CHECK
int glet_lt_choose(const struct glet_cuda_site *site, const struct glet_cuda_gemm *gemm,
                   float alpha, const struct glet_activation *activation,
                   const struct glet_lt_operands *operands, const char *what,
                   struct glet_lt_plan *out, struct glet_error *err);
GLET_MUST_CHECK
int glet_lt_plan_enqueue(const struct glet_cuda_site *site, const struct glet_lt_plan *plan,
                         struct glet_error *err);
void glet_lt_plan_fini(const struct glet_cuda_site *site, struct glet_lt_plan *plan);

#endif
