/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_PRECISION_H
#define GLET_CUDA_PRECISION_H

enum glet_cuda_precision {
    GLET_CUDA_FP16, /* fp16 NHWC data, fp32 accumulation: the default */
    GLET_CUDA_TF32, /* fp32 data, tf32 products */
    GLET_CUDA_FP32,
};

#endif
