// SPDX-License-Identifier: Apache-2.0
// Movement that strides cannot say: gathering rows, padding, resizing.
#pragma once

#include "runtime/device/cuda/kernels/device_side.cuh"

// Indices come from requests: whatever they are, no thread reads outside the data.
template <typename U> __device__ void gather(const glet_k_gather &p)
{
    unsigned index = thread_index();
    if (index >= p.count)
        return;
    unsigned unit = index % p.units, i = index / p.units % p.indices;
    long long outer = index / p.units / p.indices;
    long long at = p.index_bytes == 8 ? static_cast<const long long *>(p.index)[i]
                                      : static_cast<const int *>(p.index)[i];
    if (at < 0)
        at += p.axis;
    at = at < 0 ? 0 : at >= p.axis ? p.axis - 1 : at;
    static_cast<U *>(p.y)[index] =
        static_cast<const U *>(p.data)[(outer * p.axis + at) * p.units + unit];
}

__device__ inline int reflect(int at, int n)
{
    while (at < 0 || at >= n) {
        if (n == 1)
            return 0;
        at = at < 0 ? -at : 2 * (n - 1) - at;
    }
    return at;
}

template <typename T> __device__ void glet_pad(const glet_k_pad &p)
{
    unsigned index = thread_index();
    if (index >= p.count)
        return;
    long long from = 0, to = 0;
    bool inside = true;
    for (int d = 3; d >= 0; d--) {
        int i = (int)(index % p.dims[d]), at = i - p.begin[d];
        index /= p.dims[d];
        to += (long long)i * p.y_strides[d];
        if (at < 0 || at >= p.x_dims[d]) {
            inside = inside && p.mode != 0;
            at = p.mode == 1 ? reflect(at, p.x_dims[d]) : at < 0 ? 0 : p.x_dims[d] - 1;
        }
        from += (long long)at * p.x_strides[d];
    }
    static_cast<T *>(p.y)[to] = inside ? static_cast<const T *>(p.x)[from] : from_float<T>(p.value);
}

__device__ inline float coordinate(int mode, int i, int n, int m, float scale)
{
    switch (mode) {
    case GLET_ASYMMETRIC:
        return (float)i / scale;
    case GLET_ALIGN_CORNERS:
        return m > 1 ? (float)i * (float)(n - 1) / (float)(m - 1) : 0.0f;
    case GLET_PYTORCH_HALF_PIXEL:
        return m > 1 ? ((float)i + 0.5f) / scale - 0.5f : 0.0f;
    default:
        return ((float)i + 0.5f) / scale - 0.5f;
    }
}

__device__ inline int clamp(int at, int n)
{
    return at < 0 ? 0 : at >= n ? n - 1 : at;
}

__device__ inline int nearest(int rounding, float at, int n)
{
    float rounded = rounding == GLET_ROUND_FLOOR         ? floorf(at)
                    : rounding == GLET_ROUND_CEIL        ? ceilf(at)
                    : rounding == GLET_ROUND_PREFER_CEIL ? floorf(at + 0.5f)
                                                         : ceilf(at - 0.5f);
    return clamp((int)rounded, n);
}

template <typename T> __device__ void glet_resize(const glet_k_resize &p)
{
    unsigned index = thread_index();
    if (index >= p.count)
        return;
    unsigned channel = index % p.channels;
    index /= p.channels;
    int ox = (int)(index % p.out_w), oy = (int)(index / p.out_w % p.out_h);
    long long n = index / p.out_w / p.out_h;
    const T *x = static_cast<const T *>(p.x) + n * p.x_n + channel;
    float h = coordinate(p.coordinates, oy, p.h, (int)p.out_h, p.scale_h);
    float w = coordinate(p.coordinates, ox, p.w, (int)p.out_w, p.scale_w);
    float result;
    if (!p.linear) {
        result = to_float(x[(long long)nearest(p.rounding, h, p.h) * p.x_h +
                            (long long)nearest(p.rounding, w, p.w) * p.x_w]);
    } else {
        h = fminf(fmaxf(h, 0.0f), (float)(p.h - 1));
        w = fminf(fmaxf(w, 0.0f), (float)(p.w - 1));
        int top = (int)h, left = (int)w, bottom = clamp(top + 1, p.h), right = clamp(left + 1, p.w);
        float down = h - (float)top, across = w - (float)left;
        const T *upper = x + (long long)top * p.x_h, *lower = x + (long long)bottom * p.x_h;
        long long l = (long long)left * p.x_w, r = (long long)right * p.x_w;
        float above = to_float(upper[l]) * (1.0f - across) + to_float(upper[r]) * across;
        float below = to_float(lower[l]) * (1.0f - across) + to_float(lower[r]) * across;
        result = above * (1.0f - down) + below * down;
    }
    static_cast<T *>(p.y)[n * p.y_n + (long long)oy * p.y_h + (long long)ox * p.y_w + channel] =
        from_float<T>(result);
}
