// SPDX-License-Identifier: Apache-2.0
// Every kernel of the CUDA executor, by name (kernel_arguments.h). Compiled for GPUs by nvcc and, for
// tests of the arithmetic, for the host.
#include "runtime/device/cuda/kernels/map.cuh"
#include "runtime/device/cuda/kernels/move.cuh"
#include "runtime/device/cuda/kernels/rows.cuh"
#include "runtime/device/cuda/kernels/window.cuh"

#define BOTH(name, parameter)                                                                      \
    extern "C" __global__ void name##_f16(const parameter p)                                       \
    {                                                                                              \
        name<__half>(p);                                                                           \
    }                                                                                              \
    extern "C" __global__ void name##_f32(const parameter p)                                       \
    {                                                                                              \
        name<float>(p);                                                                            \
    }
GLET_K_BOTH(BOTH)

#define ONCE(name, function, parameter)                                                            \
    extern "C" __global__ void name(const parameter p)                                             \
    {                                                                                              \
        function(p);                                                                               \
    }
ONCE(glet_map_float, map_general<float>, glet_k_map)
ONCE(glet_map_integer, map_general<long long>, glet_k_map)
ONCE(glet_gather1, gather<unsigned char>, glet_k_gather)
ONCE(glet_gather2, gather<unsigned short>, glet_k_gather)
ONCE(glet_gather4, gather<unsigned>, glet_k_gather)
ONCE(glet_gather8, gather<unsigned long long>, glet_k_gather)
ONCE(glet_gather16, gather<vector<float>>, glet_k_gather)
