// SPDX-License-Identifier: Apache-2.0
// Elementwise operations, conversions and copies: memory-bound, so that what counts is the width of
// the loads. The vector kernel serves operands that are contiguous or constant along the fastest
// dimension, the general one everything else. Operations are a short program that all threads run
// alike: its branches cost nothing beside the memory.
#pragma once

#include "runtime/device/cuda/kernels/device_side.cuh"

__device__ __noinline__ inline float binary_rarely(int op, float x, float y)
{
    switch (op) {
    case GLET_DIV:
        return x / y;
    case GLET_POW:
        return y == 2.0f ? x * x : powf(x, y);
    case GLET_MIN:
        return fminf(x, y);
    case GLET_MAX:
        return fmaxf(x, y);
    case GLET_EQUAL:
        return x == y;
    case GLET_LESS:
        return x < y;
    case GLET_GREATER:
        return x > y;
    case GLET_LESS_EQUAL:
        return x <= y;
    case GLET_GREATER_EQUAL:
        return x >= y;
    case GLET_AND:
        return x != 0.0f && y != 0.0f;
    case GLET_OR:
        return x != 0.0f || y != 0.0f;
    case GLET_XOR:
        return (x != 0.0f) != (y != 0.0f);
    default:
        return fmodf(x, y);
    }
}

__device__ inline float binary(int op, float x, float y)
{
    if (op == GLET_ADD)
        return x + y;
    if (op == GLET_MUL)
        return x * y;
    if (op == GLET_SUB)
        return x - y;
    return binary_rarely(op, x, y);
}

__device__ inline long long power(long long x, long long y)
{
    long long result = 1;
    if (y < 0)
        return x == 1 ? 1 : x == -1 ? (y % 2 ? -1 : 1) : 0;
    for (; y > 0; y >>= 1, x *= x)
        if (y & 1)
            result *= x;
    return result;
}

// Division rounds towards zero, the remainder has the divisor's sign; by zero both are 0.
__device__ inline long long binary(int op, long long x, long long y)
{
    switch (op) {
    case GLET_ADD:
        return x + y;
    case GLET_SUB:
        return x - y;
    case GLET_MUL:
        return x * y;
    case GLET_DIV:
        return y == 0 ? 0 : y == -1 ? -x : x / y;
    case GLET_POW:
        return power(x, y);
    case GLET_MIN:
        return x < y ? x : y;
    case GLET_MAX:
        return x > y ? x : y;
    case GLET_EQUAL:
        return x == y;
    case GLET_LESS:
        return x < y;
    case GLET_GREATER:
        return x > y;
    case GLET_LESS_EQUAL:
        return x <= y;
    case GLET_GREATER_EQUAL:
        return x >= y;
    case GLET_AND:
        return x != 0 && y != 0;
    case GLET_OR:
        return x != 0 || y != 0;
    case GLET_XOR:
        return (x != 0) != (y != 0);
    default: {
        if (y == 0 || y == -1)
            return 0;
        long long r = x % y;
        return r != 0 && (r < 0) != (y < 0) ? r + y : r;
    }
    }
}

__device__ inline long long activate(int kind, float, float, long long x)
{
    switch (kind) {
    case GLET_ACT_NEG:
        return -x;
    case GLET_ACT_ABS:
        return x < 0 ? -x : x;
    case GLET_ACT_RELU:
        return x > 0 ? x : 0;
    case GLET_ACT_NOT:
        return x == 0;
    case GLET_ACT_SIGN:
        return (x > 0) - (x < 0);
    case GLET_ACT_SQUARE:
        return x * x;
    default:
        return x;
    }
}

// What a type makes of a value, short of its range: truth, or the part before the point.
__device__ inline long long cast(int, long long x)
{
    return x;
}
__device__ inline float cast(int dtype, float x)
{
    if (dtype == GLET_FLOAT32 || dtype == GLET_FLOAT16 || dtype == GLET_FLOAT64)
        return x;
    return dtype == GLET_BOOL ? (float)(x != 0.0f) : truncf(x);
}

// Where a thread's elements lie. The operand is chosen among registers: an index that the compiler
// does not know would put them all into memory.
struct map_offsets {
    int in[GLET_CUDA_MAP_INPUTS], out;
};
__device__ inline int offset_of(const map_offsets &at, int input)
{
    int offset = at.in[0];
    UNROLL
    for (int k = 1; k < GLET_CUDA_MAP_INPUTS; k++)
        offset = input == k ? at.in[k] : offset;
    return offset;
}
// size: elements that one step along the last dimension is
__device__ inline map_offsets locate(const glet_k_map &p, unsigned index, int size)
{
    map_offsets at = {};
    for (int d = p.rank - 1; d >= 0; d--) {
        int i = (int)(d > 0 ? index % p.dims[d] : index);
        if (d > 0)
            index /= p.dims[d];
        if (d == p.rank - 1)
            i *= size;
        UNROLL
        for (int k = 0; k < GLET_CUDA_MAP_INPUTS; k++)
            if (k < p.input_count)
                at.in[k] += i * p.inputs[k].strides[d];
        at.out += i * p.out.strides[d];
    }
    return at;
}

template <typename V> __device__ void map_general(const glet_k_map &p)
{
    unsigned index = thread_index();
    if (index >= p.count)
        return;
    map_offsets at = locate(p, index, 1);
    V value = load_any<V>(p.inputs[0].data, p.inputs[0].dtype, at.in[0]);
    for (int o = 0; o < p.operation_count; o++) {
        const auto &op = p.operations[o];
        if (op.code == GLET_CUDA_MAP_ACTIVATION) {
            value = activate(op.activation, op.a, op.b, value);
            continue;
        }
        if (op.code == GLET_CUDA_MAP_CAST) {
            value = cast(op.cast, value);
            continue;
        }
        V x =
            load_any<V>(p.inputs[op.input].data, p.inputs[op.input].dtype, offset_of(at, op.input));
        if (op.code == GLET_CUDA_MAP_BINARY) {
            value = op.swapped ? binary(op.binary, x, value) : binary(op.binary, value, x);
            continue;
        }
        const glet_k_operand &next = p.inputs[op.input + 1];
        V y = load_any<V>(next.data, next.dtype, offset_of(at, op.input + 1));
        value = op.code == GLET_CUDA_MAP_SCALE ? value * x + y : value != 0 ? x : y;
    }
    store_any<V>(p.out.data, p.out.dtype, at.out, value);
}

template <typename T>
__device__ inline void load_operand(const glet_k_map &p, int k, const map_offsets &at, float *to)
{
    const T *data = static_cast<const T *>(p.inputs[k].data) + offset_of(at, k);
    if (p.inputs[k].strides[p.rank - 1] != 0) {
        load_vector(data, to);
        return;
    }
    float x = to_float(*data);
    UNROLL
    for (int i = 0; i < vector<T>::size; i++)
        to[i] = x;
}

template <typename T> __device__ void glet_map_vector(const glet_k_map &p)
{
    constexpr int size = vector<T>::size;
    unsigned index = thread_index();
    if (index >= p.count)
        return;
    map_offsets at = locate(p, index, size);
    float value[size], x[size], y[size];
    load_operand<T>(p, 0, at, value);
    for (int o = 0; o < p.operation_count; o++) {
        const auto &op = p.operations[o];
        if (op.code == GLET_CUDA_MAP_ACTIVATION) {
            UNROLL
            for (int i = 0; i < size; i++)
                value[i] = activate(op.activation, op.a, op.b, value[i]);
            continue;
        }
        if (op.code == GLET_CUDA_MAP_CAST)
            continue; // between floating-point types: held in the same one
        load_operand<T>(p, op.input, at, x);
        if (op.code == GLET_CUDA_MAP_BINARY) {
            UNROLL
            for (int i = 0; i < size; i++)
                value[i] = op.swapped ? binary(op.binary, x[i], value[i])
                                      : binary(op.binary, value[i], x[i]);
            continue;
        }
        load_operand<T>(p, op.input + 1, at, y);
        UNROLL
        for (int i = 0; i < size; i++)
            value[i] = op.code == GLET_CUDA_MAP_SCALE ? value[i] * x[i] + y[i]
                       : value[i] != 0.0f             ? x[i]
                                                      : y[i];
    }
    store_vector(static_cast<T *>(p.out.data) + at.out, value);
}

// Neighbouring threads take neighbouring pixels: they read one plane's stretch of the input, and
// write whole vectors.
template <typename T> __device__ void glet_pixels(const glet_k_pixels &p)
{
    constexpr int size = vector<T>::size;
    unsigned index = thread_index();
    if (index >= p.count)
        return;
    unsigned pixel = index % p.pixels;
    int channel = (int)(index / p.pixels) * size;
    long long w = pixel % p.width, h = pixel / p.width % p.height, n = pixel / p.width / p.height;
    long long from = n * p.x.strides[0] + h * p.x.strides[2] + w * p.x.strides[3];
    float value[size];
    UNROLL
    for (int i = 0; i < size; i++)
        value[i] = channel + i < p.channels
                       ? load_any<float>(p.x.data, p.x.dtype,
                                         from + (long long)(channel + i) * p.x.strides[1])
                       : 0.0f;
    store_vector(static_cast<T *>(p.y) + n * p.y_n + h * p.y_h + w * p.y_w + channel, value);
}
