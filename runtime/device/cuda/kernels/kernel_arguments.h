/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_KERNEL_ARGUMENTS_H
#define GLET_CUDA_KERNEL_ARGUMENTS_H

/*
 * What our kernels are told: each takes one of these by value. C and CUDA C++ read this file.
 * Sizes and strides are in elements unless a name says vectors; a vector is 16 bytes of the
 * kernel's type. Types are enum glet_dtype, codes those of graph.h and step_plan.h.
 */

#include "runtime/device/cuda/plan/step_plan.h"

enum { GLET_K_RANK = 6 };

struct glet_k_operand {
    void *data;
    int dtype;
    int strides[GLET_K_RANK];
};

/* One element (or vector) per thread; dims[rank - 1] is the fastest. */
struct glet_k_map {
    unsigned count; /* elements, or vectors */
    int rank;
    unsigned dims[GLET_K_RANK]; /* the last in vectors for the vector kernels */
    int input_count, operation_count;
    struct glet_k_operand inputs[GLET_CUDA_MAP_INPUTS], out;
    struct {
        int code, binary, swapped, input, activation, cast;
        float a, b;
    } operations[GLET_CUDA_MAP_OPERATIONS];
};

/* N x C x H x W in any strides to pixels of whole vectors, zeros above `channels`. */
struct glet_k_pixels {
    unsigned count; /* pixels x vectors; pixels are the fastest */
    unsigned pixels, height, width, vectors;
    int channels;
    struct glet_k_operand x; /* strides: N, C, H, W */
    void *y;
    int y_n, y_h, y_w;
};

struct glet_k_window {
    unsigned count; /* threads that have work */
    unsigned vectors, out_h, out_w, tiles_w;
    int batch, channels, h, w, out_channels;
    int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group;
    int end_h, end_w; /* h, w with the padding behind them: what count_include_pad counts */
    int x_n, x_h, x_w, y_n, y_h, y_w, r_n, r_h, r_w;
    const void *x, *filter, *bias, *residual; /* bias and residual may be NULL */
    void *y;
    int filter_columns; /* pitch of the filter's innermost dimension */
    int is_max, count_include_pad, activation;
    float a, b;
};

/* y = x / (k + alpha times the squares of `before` to `after` channels around it) ^ beta */
struct glet_k_lrn {
    unsigned count; /* pixels x vectors, the vectors fastest */
    unsigned vectors, h, w;
    int channels, before, after;
    int x_n, x_h, x_w, y_n, y_h, y_w;
    float alpha, beta, k;
    const void *x;
    void *y;
};

/* Rows of n elements: softmax, layer normalisation, arg-max. */
struct glet_k_rows {
    unsigned rows;
    int n, has_mask;
    unsigned dims[3];                 /* of the rows */
    struct glet_k_operand x, mask, y; /* strides: the rows' three, then along the row */
    const void *scale, *bias;         /* bias may be NULL */
    float alpha, epsilon;
};

struct glet_k_reduce {
    unsigned outputs, reduced;
    unsigned kept_dims[GLET_K_RANK], reduced_dims[GLET_K_RANK];
    int x_kept[GLET_K_RANK], y_kept[GLET_K_RANK], x_reduced[GLET_K_RANK];
    const void *x;
    void *y;
    int operation; /* 0 mean, 1 sum, 2 max, 3 min */
};

/* Units of 16, 8, 4, 2 or 1 bytes. */
struct glet_k_gather {
    unsigned count; /* outer x indices x units */
    unsigned units, indices;
    long long axis; /* length of the gathered dimension */
    const void *data, *index;
    int index_bytes;
    void *y;
};

struct glet_k_pad {
    unsigned count;
    int mode;
    unsigned dims[4]; /* of the output */
    int x_dims[4], begin[4], x_strides[4], y_strides[4];
    float value;
    const void *x;
    void *y;
};

struct glet_k_resize {
    unsigned count;
    unsigned channels, out_h, out_w;
    int h, w, x_n, x_h, x_w, y_n, y_h, y_w;
    int linear, coordinates, rounding;
    float scale_h, scale_w;
    const void *x;
    void *y;
};

/* X(kernel, its parameter) for every kernel that exists in both types, as NAME_f16 and NAME_f32 */
#define GLET_K_BOTH(X)                                                                             \
    X(glet_map_vector, glet_k_map)                                                                 \
    X(glet_pixels, glet_k_pixels)                                                                  \
    X(glet_pool, glet_k_window)                                                                    \
    X(glet_pool_global, glet_k_window)                                                             \
    X(glet_depthwise3s1, glet_k_window)                                                            \
    X(glet_depthwise3s2, glet_k_window)                                                            \
    X(glet_depthwise5s1, glet_k_window)                                                            \
    X(glet_depthwise5s2, glet_k_window)                                                            \
    X(glet_depthwise, glet_k_window)                                                               \
    X(glet_conv_direct, glet_k_window)                                                             \
    X(glet_conv_transpose, glet_k_window)                                                          \
    X(glet_lrn, glet_k_lrn)                                                                        \
    X(glet_softmax, glet_k_rows)                                                                   \
    X(glet_layer_norm, glet_k_rows)                                                                \
    X(glet_arg_max, glet_k_rows)                                                                   \
    X(glet_reduce, glet_k_reduce)                                                                  \
    X(glet_pad, glet_k_pad)                                                                        \
    X(glet_resize, glet_k_resize)
/* and for those whose name is all */
#define GLET_K_ONCE(X)                                                                             \
    X(glet_map_float, glet_k_map)                                                                  \
    X(glet_map_integer, glet_k_map)                                                                \
    X(glet_gather1, glet_k_gather)                                                                 \
    X(glet_gather2, glet_k_gather)                                                                 \
    X(glet_gather4, glet_k_gather)                                                                 \
    X(glet_gather8, glet_k_gather)                                                                 \
    X(glet_gather16, glet_k_gather)

enum { GLET_K_DEPTHWISE_TILE = 4 }; /* neighbouring outputs of one thread */

#endif
