// SPDX-License-Identifier: Apache-2.0
// As much of CUDA C++ as our kernels use, on the host: threads of a block are loops, or fibers where
// they wait for each other. For tests of the kernels' arithmetic, nothing else.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __noinline__
#define __shared__ static

struct host_index {
    unsigned x, y, z;
};
extern host_index threadIdx, blockIdx, blockDim;

void __syncthreads();
float __shfl_xor_sync(unsigned mask, float value, int lane);

struct __half {
    uint16_t bits;
};

inline float __half2float(__half h)
{
    uint32_t bits = (uint32_t)(h.bits & 0x7fffu) << 13, sign = (uint32_t)(h.bits & 0x8000u) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    value *= 0x1p112f; // the exponent's bias; also normalises what is subnormal
    std::memcpy(&bits, &value, sizeof bits);
    if ((h.bits & 0x7c00u) == 0x7c00u)
        bits |= 0x7f800000u;
    bits |= sign;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// To nearest, ties to even.
inline __half __float2half_rn(float value)
{
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return {(uint16_t)(sign | 0x7e00u)};
    if (magnitude >= 0x477ff000u)
        return {(uint16_t)(sign | 0x7c00u)};
    if (magnitude < 0x38800000u) { // subnormal: let the addition round
        float shifted;
        std::memcpy(&shifted, &magnitude, sizeof shifted);
        shifted += 0.5f;
        std::memcpy(&magnitude, &shifted, sizeof magnitude);
        return {(uint16_t)(sign | (magnitude - 0x3f000000u))};
    }
    magnitude += 0xc8000fffu + (magnitude >> 13 & 1u);
    return {(uint16_t)(sign | magnitude >> 13)};
}
