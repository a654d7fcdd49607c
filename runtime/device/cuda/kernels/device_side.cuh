// SPDX-License-Identifier: Apache-2.0
// What all kernels share: the two element types, 16-byte vectors, elements of any type, activations.
// GLET_ON_HOST: the tests compile the same source for the host, and bring the words of CUDA along.
#pragma once

#ifdef GLET_ON_HOST
#define UNROLL
#else
#include <cuda_fp16.h>
#define UNROLL _Pragma("unroll")
#endif

extern "C" {
#include "runtime/device/cuda/kernels/kernel_arguments.h"
}

template <typename T> struct alignas(16) vector {
    static constexpr int size = 16 / (int)sizeof(T);
    T v[size];
};

__device__ inline float to_float(float x)
{
    return x;
}
__device__ inline float to_float(__half x)
{
    return __half2float(x);
}
template <typename T> __device__ inline T from_float(float x);
template <> __device__ inline float from_float<float>(float x)
{
    return x;
}
template <> __device__ inline __half from_float<__half>(float x)
{
    return __float2half_rn(x);
}

template <typename T> __device__ inline void load_vector(const T *from, float *to)
{
    vector<T> x = *reinterpret_cast<const vector<T> *>(from);
    UNROLL
    for (int i = 0; i < vector<T>::size; i++)
        to[i] = to_float(x.v[i]);
}
template <typename T> __device__ inline void store_vector(T *to, const float *from)
{
    vector<T> x;
    UNROLL
    for (int i = 0; i < vector<T>::size; i++)
        x.v[i] = from_float<T>(from[i]);
    *reinterpret_cast<vector<T> *>(to) = x;
}

// An element of any type as V (float, or long long for whole numbers).
template <typename V>
__device__ __noinline__ inline V load_any(const void *data, int dtype, long long i)
{
    switch (dtype) {
    case GLET_FLOAT16:
        return (V)__half2float(static_cast<const __half *>(data)[i]);
    case GLET_FLOAT32:
        return (V) static_cast<const float *>(data)[i];
    case GLET_FLOAT64:
        return (V) static_cast<const double *>(data)[i];
    case GLET_INT8:
        return (V) static_cast<const signed char *>(data)[i];
    case GLET_INT16:
        return (V) static_cast<const short *>(data)[i];
    case GLET_INT32:
        return (V) static_cast<const int *>(data)[i];
    case GLET_INT64:
        return (V) static_cast<const long long *>(data)[i];
    case GLET_UINT16:
        return (V) static_cast<const unsigned short *>(data)[i];
    case GLET_UINT32:
        return (V) static_cast<const unsigned *>(data)[i];
    case GLET_UINT64:
        return (V) static_cast<const unsigned long long *>(data)[i];
    default:
        return (V) static_cast<const unsigned char *>(data)[i];
    }
}

// To the nearest value that the type has: a conversion out of range is undefined in C++.
__device__ inline long long to_integer(long long v)
{
    return v;
}
__device__ inline long long to_integer(float v)
{
    if (!(v > -9.2233e18f))
        return v == v ? -0x7fffffffffffffffLL - 1 : 0;
    return v < 9.2233e18f ? (long long)v : 0x7fffffffffffffffLL;
}

template <typename V>
__device__ __noinline__ inline void store_any(void *data, int dtype, long long i, V v)
{
    switch (dtype) {
    case GLET_FLOAT16:
        static_cast<__half *>(data)[i] = __float2half_rn((float)v);
        break;
    case GLET_FLOAT32:
        static_cast<float *>(data)[i] = (float)v;
        break;
    case GLET_FLOAT64:
        static_cast<double *>(data)[i] = (double)v;
        break;
    case GLET_BOOL:
        static_cast<unsigned char *>(data)[i] = v != 0;
        break;
    case GLET_INT8:
    case GLET_UINT8:
        static_cast<unsigned char *>(data)[i] = (unsigned char)to_integer(v);
        break;
    case GLET_INT16:
    case GLET_UINT16:
        static_cast<unsigned short *>(data)[i] = (unsigned short)to_integer(v);
        break;
    case GLET_INT32:
    case GLET_UINT32:
        static_cast<unsigned *>(data)[i] = (unsigned)to_integer(v);
        break;
    default:
        static_cast<long long *>(data)[i] = to_integer(v);
        break;
    }
}

// What networks use everywhere is inlined; the rest is one function per kernel, or each of the eight
// lanes of a vector would carry a copy of it.
__device__ __noinline__ inline float activate_rarely(int kind, float a, float b, float x)
{
    switch (kind) {
    case GLET_ACT_LEAKY_RELU:
        return x < 0.0f ? a * x : x;
    case GLET_ACT_SIGMOID:
        return 1.0f / (1.0f + expf(-x));
    case GLET_ACT_TANH:
        return tanhf(x);
    case GLET_ACT_GELU_ERF:
        return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case GLET_ACT_GELU_TANH:
        return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case GLET_ACT_HARD_SIGMOID:
        return fminf(fmaxf(a * x + b, 0.0f), 1.0f);
    case GLET_ACT_SWISH:
        return x / (1.0f + expf(-a * x));
    case GLET_ACT_ELU:
        return x < 0.0f ? a * (expf(x) - 1.0f) : x;
    case GLET_ACT_LINEAR:
        return a * x + b;
    case GLET_ACT_SQRT:
        return sqrtf(x);
    case GLET_ACT_EXP:
        return expf(x);
    case GLET_ACT_LOG:
        return logf(x);
    case GLET_ACT_ABS:
        return fabsf(x);
    case GLET_ACT_NEG:
        return -x;
    case GLET_ACT_ERF:
        return erff(x);
    case GLET_ACT_RECIPROCAL:
        return 1.0f / x;
    case GLET_ACT_FLOOR:
        return floorf(x);
    case GLET_ACT_CEIL:
        return ceilf(x);
    case GLET_ACT_SQUARE:
        return x * x;
    case GLET_ACT_NOT:
        return x == 0.0f ? 1.0f : 0.0f;
    case GLET_ACT_SOFTPLUS:
        return x > 20.0f ? x : log1pf(expf(x));
    case GLET_ACT_SIN:
        return sinf(x);
    case GLET_ACT_COS:
        return cosf(x);
    case GLET_ACT_ROUND:
        return rintf(x);
    case GLET_ACT_SIGN:
        return (float)((x > 0.0f) - (x < 0.0f));
    default:
        return x;
    }
}

__device__ inline float activate(int kind, float a, float b, float x)
{
    if (kind == GLET_ACT_NONE)
        return x;
    if (kind == GLET_ACT_RELU)
        return fmaxf(x, 0.0f);
    if (kind == GLET_ACT_CLIP)
        return fminf(fmaxf(x, a), b);
    if (kind == GLET_ACT_HARD_SWISH)
        return x * fminf(fmaxf(x * (1.0f / 6.0f) + 0.5f, 0.0f), 1.0f);
    return activate_rarely(kind, a, b, x);
}

__device__ inline unsigned thread_index()
{
    return blockIdx.x * blockDim.x + threadIdx.x;
}

// Sums and maxima over the 32 threads of a warp; every thread gets the result.
__device__ inline float warp_sum(float x)
{
    for (int lane = 16; lane > 0; lane /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, lane);
    return x;
}
__device__ inline float warp_max(float x)
{
    for (int lane = 16; lane > 0; lane /= 2)
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, lane));
    return x;
}
