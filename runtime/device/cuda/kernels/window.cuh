// SPDX-License-Identifier: Apache-2.0
// Windows over feature maps whose channels are innermost: pools, depthwise and direct convolution.
// A thread owns one vector of channels; neighbouring threads own neighbouring vectors, so that every
// load is 16 bytes wide and coalesced.
#pragma once

#include "runtime/device/cuda/kernels/device_side.cuh"

struct window_at {
    unsigned vector, x, y;
    long long n;
};

__device__ inline window_at locate(const glet_k_window &p, unsigned index, unsigned width)
{
    window_at at;
    at.vector = index % p.vectors;
    index /= p.vectors;
    at.x = index % width;
    index /= width;
    at.y = index % p.out_h;
    at.n = index / p.out_h;
    return at;
}

template <typename T> __device__ void glet_pool(const glet_k_window &p)
{
    constexpr int size = vector<T>::size;
    unsigned index = thread_index();
    if (index >= p.count)
        return;
    window_at at = locate(p, index, p.out_w);
    int top = (int)at.y * p.stride_h - p.pad_h, left = (int)at.x * p.stride_w - p.pad_w, seen = 0;
    const T *x = static_cast<const T *>(p.x) + at.n * p.x_n + at.vector * size;
    float result[size], value[size];
    UNROLL
    for (int i = 0; i < size; i++)
        result[i] = p.is_max ? -INFINITY : 0.0f;
    for (int i = 0; i < p.kernel_h; i++)
        for (int j = 0; j < p.kernel_w; j++) {
            int h = top + i * p.dilation_h, w = left + j * p.dilation_w;
            if (h < 0 || w < 0 || h >= p.h || w >= p.w) {
                seen += p.count_include_pad && h < p.end_h && w < p.end_w;
                continue;
            }
            seen++;
            load_vector(x + (long long)h * p.x_h + (long long)w * p.x_w, value);
            UNROLL
            for (int k = 0; k < size; k++)
                result[k] = p.is_max ? fmaxf(result[k], value[k]) : result[k] + value[k];
        }
    UNROLL
    for (int k = 0; k < size && !p.is_max; k++)
        result[k] /= (float)(seen > 0 ? seen : 1);
    store_vector(static_cast<T *>(p.y) + at.n * p.y_n + (long long)at.y * p.y_h +
                     (long long)at.x * p.y_w + at.vector * size,
                 result);
}

// The whole map into one pixel. Block: 4 vectors x 32 threads that share the pixels; grid: groups of
// 4 vectors x batch.
template <typename T> __device__ void glet_pool_global(const glet_k_window &p)
{
    constexpr int size = vector<T>::size;
    __shared__ float partial[32][4 * size];
    unsigned group = blockIdx.x * 4 + threadIdx.x;
    const T *x = static_cast<const T *>(p.x) + (long long)blockIdx.y * p.x_n + group * size;
    float result[size], value[size];
    UNROLL
    for (int k = 0; k < size; k++)
        result[k] = p.is_max ? -INFINITY : 0.0f;
    if (group < p.vectors)
        for (int pixel = (int)threadIdx.y; pixel < p.h * p.w; pixel += 32) {
            load_vector(x + (long long)(pixel / p.w) * p.x_h + (long long)(pixel % p.w) * p.x_w,
                        value);
            UNROLL
            for (int k = 0; k < size; k++)
                result[k] = p.is_max ? fmaxf(result[k], value[k]) : result[k] + value[k];
        }
    UNROLL
    for (int k = 0; k < size; k++)
        partial[threadIdx.y][threadIdx.x * size + k] = result[k];
    for (int half = 16; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.y < half)
            UNROLL
        for (int k = 0; k < size; k++) {
            float *mine = &partial[threadIdx.y][threadIdx.x * size + k];
            float other = partial[threadIdx.y + half][threadIdx.x * size + k];
            *mine = p.is_max ? fmaxf(*mine, other) : *mine + other;
        }
    }
    if (threadIdx.y != 0 || group >= p.vectors)
        return;
    UNROLL
    for (int k = 0; k < size; k++)
        result[k] = partial[0][threadIdx.x * size + k] / (p.is_max ? 1.0f : (float)(p.h * p.w));
    store_vector(static_cast<T *>(p.y) + (long long)blockIdx.y * p.y_n + group * size, result);
}

template <typename T>
__device__ inline void finish_window(const glet_k_window &p, const window_at &at, unsigned x,
                                     float *sum)
{
    constexpr int size = vector<T>::size;
    float value[size];
    if (p.bias) {
        load_vector(static_cast<const T *>(p.bias) + at.vector * size, value);
        UNROLL
        for (int k = 0; k < size; k++)
            sum[k] += value[k];
    }
    if (p.residual) {
        load_vector(static_cast<const T *>(p.residual) + at.n * p.r_n + (long long)at.y * p.r_h +
                        (long long)x * p.r_w + at.vector * size,
                    value);
        UNROLL
        for (int k = 0; k < size; k++)
            sum[k] += value[k];
    }
    UNROLL
    for (int k = 0; k < size; k++)
        sum[k] = activate(p.activation, p.a, p.b, sum[k]);
    store_vector(static_cast<T *>(p.y) + at.n * p.y_n + (long long)at.y * p.y_h +
                     (long long)x * p.y_w + at.vector * size,
                 sum);
}

// K x K, stride S, no dilation: a thread makes neighbouring outputs of one row, so that it loads an
// input that several of them need once.
template <typename T, int K, int S> __device__ void depthwise_tile(const glet_k_window &p)
{
    constexpr int size = vector<T>::size, tile = GLET_K_DEPTHWISE_TILE;
    unsigned index = thread_index();
    if (index >= p.count)
        return;
    window_at at = locate(p, index, p.tiles_w);
    unsigned first = at.x * tile;
    int top = (int)at.y * S - p.pad_h, left = (int)first * S - p.pad_w;
    const T *x = static_cast<const T *>(p.x) + at.n * p.x_n + at.vector * size;
    const T *filter = static_cast<const T *>(p.filter) + at.vector * size;
    float sum[tile][size] = {};
    for (int i = 0; i < K; i++) {
        int h = top + i;
        if (h < 0 || h >= p.h)
            continue;
        float weight[K][size];
        UNROLL
        for (int j = 0; j < K; j++)
            load_vector(filter + (i * K + j) * p.filter_columns, weight[j]);
        UNROLL
        for (int j = 0; j < (tile - 1) * S + K; j++) {
            int w = left + j;
            if (w < 0 || w >= p.w)
                continue;
            float value[size];
            load_vector(x + (long long)h * p.x_h + (long long)w * p.x_w, value);
            UNROLL
            for (int t = 0; t < tile; t++)
                if (j - t * S >= 0 && j - t * S < K)
                    UNROLL
            for (int k = 0; k < size; k++)
                sum[t][k] += value[k] * weight[j - t * S][k];
        }
    }
    UNROLL
    for (int t = 0; t < tile; t++)
        if (first + t < p.out_w)
            finish_window<T>(p, at, first + t, sum[t]);
}
template <typename T> __device__ void glet_depthwise3s1(const glet_k_window &p)
{
    depthwise_tile<T, 3, 1>(p);
}
template <typename T> __device__ void glet_depthwise3s2(const glet_k_window &p)
{
    depthwise_tile<T, 3, 2>(p);
}
template <typename T> __device__ void glet_depthwise5s1(const glet_k_window &p)
{
    depthwise_tile<T, 5, 1>(p);
}
template <typename T> __device__ void glet_depthwise5s2(const glet_k_window &p)
{
    depthwise_tile<T, 5, 2>(p);
}

template <typename T> __device__ void glet_depthwise(const glet_k_window &p)
{
    constexpr int size = vector<T>::size;
    unsigned index = thread_index();
    if (index >= p.count)
        return;
    window_at at = locate(p, index, p.out_w);
    int top = (int)at.y * p.stride_h - p.pad_h, left = (int)at.x * p.stride_w - p.pad_w;
    const T *x = static_cast<const T *>(p.x) + at.n * p.x_n + at.vector * size;
    const T *filter = static_cast<const T *>(p.filter) + at.vector * size;
    float sum[size] = {}, value[size], weight[size];
    for (int i = 0; i < p.kernel_h; i++)
        for (int j = 0; j < p.kernel_w; j++) {
            int h = top + i * p.dilation_h, w = left + j * p.dilation_w;
            if (h < 0 || w < 0 || h >= p.h || w >= p.w)
                continue;
            load_vector(x + (long long)h * p.x_h + (long long)w * p.x_w, value);
            load_vector(filter + (i * p.kernel_w + j) * p.filter_columns, weight);
            UNROLL
            for (int k = 0; k < size; k++)
                sum[k] += value[k] * weight[k];
        }
    finish_window<T>(p, at, at.x, sum);
}

// One output value per thread, of any group and any channels: for what the libraries refuse.
struct value_at {
    int out, x, y;
    long long n;
};

__device__ inline value_at locate_value(const glet_k_window &p, unsigned index)
{
    value_at at;
    at.out = (int)(index % (unsigned)p.out_channels);
    index /= (unsigned)p.out_channels;
    at.x = (int)(index % p.out_w);
    index /= p.out_w;
    at.y = (int)(index % p.out_h);
    at.n = index / p.out_h;
    return at;
}

// Input (h, w) times the weights at (i, j) of the filter, over the channels of the value's group.
template <typename T>
__device__ inline float dot(const glet_k_window &p, const value_at &at, int h, int w, int i, int j)
{
    int channels = p.channels / p.group, first = at.out / (p.out_channels / p.group) * channels;
    const T *x = static_cast<const T *>(p.x) + at.n * p.x_n + (long long)h * p.x_h +
                 (long long)w * p.x_w + first;
    const T *weight = static_cast<const T *>(p.filter) +
                      ((long long)at.out * p.kernel_h * p.kernel_w + i * p.kernel_w + j) *
                          p.filter_columns;
    float sum = 0.0f;
    for (int c = 0; c < channels; c++)
        sum += to_float(x[c]) * to_float(weight[c]);
    return sum;
}

template <typename T>
__device__ inline void finish_value(const glet_k_window &p, const value_at &at, float sum)
{
    if (p.bias)
        sum += to_float(static_cast<const T *>(p.bias)[at.out]);
    if (p.residual)
        sum += to_float(
            static_cast<const T *>(p.residual)[at.n * p.r_n + (long long)at.y * p.r_h +
                                               (long long)at.x * p.r_w + at.out]);
    static_cast<T *>(
        p.y)[at.n * p.y_n + (long long)at.y * p.y_h + (long long)at.x * p.y_w + at.out] =
        from_float<T>(activate(p.activation, p.a, p.b, sum));
}

template <typename T> __device__ void glet_conv_direct(const glet_k_window &p)
{
    unsigned index = thread_index();
    if (index >= p.count)
        return;
    value_at at = locate_value(p, index);
    float sum = 0.0f;
    for (int i = 0; i < p.kernel_h; i++)
        for (int j = 0; j < p.kernel_w; j++) {
            int h = at.y * p.stride_h - p.pad_h + i * p.dilation_h;
            int w = at.x * p.stride_w - p.pad_w + j * p.dilation_w;
            if (h >= 0 && w >= 0 && h < p.h && w < p.w)
                sum += dot<T>(p, at, h, w, i, j);
        }
    finish_value<T>(p, at, sum);
}

// Each input adds to every stride-th output: those that reach this one.
template <typename T> __device__ void glet_conv_transpose(const glet_k_window &p)
{
    unsigned index = thread_index();
    if (index >= p.count)
        return;
    value_at at = locate_value(p, index);
    float sum = 0.0f;
    for (int i = 0; i < p.kernel_h; i++)
        for (int j = 0; j < p.kernel_w; j++) {
            int down = at.y + p.pad_h - i * p.dilation_h;
            int right = at.x + p.pad_w - j * p.dilation_w;
            if (down < 0 || right < 0 || down % p.stride_h != 0 || right % p.stride_w != 0)
                continue;
            int h = down / p.stride_h, w = right / p.stride_w;
            if (h < p.h && w < p.w)
                sum += dot<T>(p, at, h, w, i, j);
        }
    finish_value<T>(p, at, sum);
}

// A vector of channels per thread; those beyond the map's own become zero.
template <typename T> __device__ void glet_lrn(const glet_k_lrn &p)
{
    constexpr int size = vector<T>::size;
    unsigned index = thread_index();
    if (index >= p.count)
        return;
    int first = (int)(index % p.vectors) * size;
    index /= p.vectors;
    long long column = index % p.w, row = index / p.w % p.h, n = index / p.w / p.h;
    const T *x = static_cast<const T *>(p.x) + n * p.x_n + row * p.x_h + column * p.x_w;
    float result[size];
    for (int i = 0; i < size; i++) {
        int channel = first + i, from = channel - p.before, to = channel + p.after;
        float squares = 0.0f;
        for (int c = from > 0 ? from : 0; c <= to && c < p.channels; c++)
            squares += to_float(x[c]) * to_float(x[c]);
        result[i] = channel < p.channels
                        ? to_float(x[channel]) * powf(p.k + p.alpha * squares, -p.beta)
                        : 0.0f;
    }
    store_vector(static_cast<T *>(p.y) + n * p.y_n + row * p.y_h + column * p.y_w + first, result);
}
