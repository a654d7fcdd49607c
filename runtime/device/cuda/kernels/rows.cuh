// SPDX-License-Identifier: Apache-2.0
// Rows: softmax, layer normalisation, reductions, arg-max. A warp per row (or output); what it reads
// again lies in the first-level cache.
#pragma once

#include "runtime/device/cuda/kernels/device_side.cuh"

__device__ inline long long row_offset(const glet_k_rows &p, const glet_k_operand &o, unsigned row)
{
    long long offset = (long long)(row % p.dims[2]) * o.strides[2];
    row /= p.dims[2];
    return offset + (long long)(row % p.dims[1]) * o.strides[1] +
           (long long)(row / p.dims[1]) * o.strides[0];
}

// Block: 32 x rows of the block.
__device__ inline unsigned warp_row()
{
    return blockIdx.x * blockDim.y + threadIdx.y;
}

// Where everything is -infinity, the result is 0.
template <typename T> __device__ void glet_softmax(const glet_k_rows &p)
{
    unsigned row = warp_row();
    if (row >= p.rows)
        return;
    const T *x = static_cast<const T *>(p.x.data) + row_offset(p, p.x, row);
    const T *mask =
        static_cast<const T *>(p.mask.data) + (p.has_mask ? row_offset(p, p.mask, row) : 0);
    T *y = static_cast<T *>(p.y.data) + row_offset(p, p.y, row);
    long long x_step = p.x.strides[3], mask_step = p.mask.strides[3], y_step = p.y.strides[3];
    float top = -INFINITY, sum = 0.0f;
    for (int i = (int)threadIdx.x; i < p.n; i += 32) {
        float value = p.alpha * to_float(x[i * x_step]);
        if (p.has_mask)
            value += to_float(mask[i * mask_step]);
        top = fmaxf(top, value);
    }
    top = warp_max(top);
    if (top == -INFINITY)
        top = 0.0f;
    for (int i = (int)threadIdx.x; i < p.n; i += 32) {
        float value = p.alpha * to_float(x[i * x_step]);
        if (p.has_mask)
            value += to_float(mask[i * mask_step]);
        sum += expf(value - top);
    }
    sum = warp_sum(sum);
    float factor = sum > 0.0f ? 1.0f / sum : 0.0f;
    for (int i = (int)threadIdx.x; i < p.n; i += 32) {
        float value = p.alpha * to_float(x[i * x_step]);
        if (p.has_mask)
            value += to_float(mask[i * mask_step]);
        y[i * y_step] = from_float<T>(expf(value - top) * factor);
    }
}

// Contiguous rows; in vectors where n is a multiple.
template <typename T> __device__ void glet_layer_norm(const glet_k_rows &p)
{
    constexpr int size = vector<T>::size;
    unsigned row = warp_row();
    if (row >= p.rows)
        return;
    const T *x = static_cast<const T *>(p.x.data) + (long long)row * p.n;
    const T *scale = static_cast<const T *>(p.scale), *bias = static_cast<const T *>(p.bias);
    T *y = static_cast<T *>(p.y.data) + (long long)row * p.n;
    int vectors = p.n % size == 0 ? p.n / size : 0;
    float value[size], factor[size], shift[size] = {}, sum = 0.0f, squares = 0.0f;
    for (int i = (int)threadIdx.x; i < vectors; i += 32) {
        load_vector(x + i * size, value);
        UNROLL
        for (int k = 0; k < size; k++)
            sum += value[k];
    }
    for (int i = vectors * size + (int)threadIdx.x; i < p.n; i += 32)
        sum += to_float(x[i]);
    float mean = warp_sum(sum) / (float)p.n;
    for (int i = (int)threadIdx.x; i < vectors; i += 32) {
        load_vector(x + i * size, value);
        UNROLL
        for (int k = 0; k < size; k++)
            squares += (value[k] - mean) * (value[k] - mean);
    }
    for (int i = vectors * size + (int)threadIdx.x; i < p.n; i += 32)
        squares += (to_float(x[i]) - mean) * (to_float(x[i]) - mean);
    float inverse = 1.0f / sqrtf(warp_sum(squares) / (float)p.n + p.epsilon);
    for (int i = (int)threadIdx.x; i < vectors; i += 32) {
        load_vector(x + i * size, value);
        load_vector(scale + i * size, factor);
        if (bias)
            load_vector(bias + i * size, shift);
        UNROLL
        for (int k = 0; k < size; k++)
            value[k] = (value[k] - mean) * inverse * factor[k] + shift[k];
        store_vector(y + i * size, value);
    }
    for (int i = vectors * size + (int)threadIdx.x; i < p.n; i += 32)
        y[i] = from_float<T>((to_float(x[i]) - mean) * inverse * to_float(scale[i]) +
                             (bias ? to_float(bias[i]) : 0.0f));
}

// One thread per row; the first of equal values.
template <typename T> __device__ void glet_arg_max(const glet_k_rows &p)
{
    unsigned row = thread_index();
    if (row >= p.rows)
        return;
    const T *x = static_cast<const T *>(p.x.data) + row_offset(p, p.x, row);
    float top = to_float(x[0]);
    long long best = 0;
    for (int i = 1; i < p.n; i++) {
        float value = to_float(x[(long long)i * p.x.strides[3]]);
        if (value > top) {
            top = value;
            best = i;
        }
    }
    static_cast<long long *>(p.y.data)[row_offset(p, p.y, row)] = best;
}

template <typename T> __device__ void glet_reduce(const glet_k_reduce &p)
{
    unsigned output = warp_row();
    if (output >= p.outputs)
        return;
    long long from = 0, to = 0;
    for (int d = GLET_K_RANK - 1; d >= 0; d--) {
        long long i = output % p.kept_dims[d];
        output /= p.kept_dims[d];
        from += i * p.x_kept[d];
        to += i * p.y_kept[d];
    }
    const T *x = static_cast<const T *>(p.x) + from;
    bool sums = p.operation < 2;
    float result = sums ? 0.0f : p.operation == 2 ? -INFINITY : INFINITY;
    for (unsigned i = threadIdx.x; i < p.reduced; i += 32) {
        long long at = 0;
        unsigned rest = i;
        for (int d = GLET_K_RANK - 1; d >= 0; d--) {
            at += (long long)(rest % p.reduced_dims[d]) * p.x_reduced[d];
            rest /= p.reduced_dims[d];
        }
        float value = to_float(x[at]);
        result = sums               ? result + value
                 : p.operation == 2 ? fmaxf(result, value)
                                    : fminf(result, value);
    }
    result = sums ? warp_sum(result) : p.operation == 2 ? warp_max(result) : -warp_max(-result);
    if (p.operation == 0)
        result /= (float)p.reduced;
    if (threadIdx.x == 0)
        static_cast<T *>(p.y)[to] = from_float<T>(result);
}
