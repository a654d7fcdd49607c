/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the compiled instruction sets this processor runs. */
#include "runtime/device/cpu/kernels/simd.h"

#include <pthread.h>

extern const struct glet_cpu_simd glet_cpu_simd_base;
static const struct glet_cpu_simd *available[4];
static pthread_once_t pick_once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)
extern const struct glet_cpu_simd glet_cpu_simd_avx2, glet_cpu_simd_avx512;

static void pick(void)
{
    int count = 0;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("fma"))
        available[count++] = &glet_cpu_simd_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        available[count++] = &glet_cpu_simd_avx2;
    available[count] = &glet_cpu_simd_base;
}
#else
static void pick(void)
{
    available[0] = &glet_cpu_simd_base;
}
#endif

const struct glet_cpu_simd *glet_cpu_simd(void)
{
    return glet_cpu_simd_all()[0];
}

const struct glet_cpu_simd *const *glet_cpu_simd_all(void)
{
    pthread_once(&pick_once, pick);
    return available;
}
