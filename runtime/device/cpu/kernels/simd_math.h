/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_SIMD_MATH_H
#define GLET_CPU_SIMD_MATH_H

/*
 * Branch-free fp32 functions that the compiler turns into vector code. Errors are a few units in
 * the last place (tests/unit/cpu/test_cpu_simd.c measures them against libm).
 */

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float simd_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float simd_select(int condition, float yes, float no)
{
    return condition ? yes : no;
}

static inline float simd_min(float a, float b)
{
    return a < b ? a : b;
}

static inline float simd_max(float a, float b)
{
    return a > b ? a : b;
}

/* exp by 2^n * e^r, |r| <= ln(2)/2, with a polynomial of degree 6 (Cephes expf's coefficients).
   Below about -87.3 the result is 0 within rounding, above 88.7 infinity. */
static inline float simd_exp(float x)
{
    const float round = 12582912.0F; /* 1.5 * 2^23: adding it rounds to an integer */
    float y = simd_min(simd_max(x, -87.33654F), 88.72283F);
    float n = (y * 1.44269504F + round) - round;
    float r = y - n * 0.693359375F;
    r = r + n * 2.12194440e-4F;
    float p = 1.9875691500e-4F;
    p = p * r + 1.3981999507e-3F;
    p = p * r + 8.3334519073e-3F;
    p = p * r + 4.1665795894e-2F;
    p = p * r + 1.6666665459e-1F;
    p = p * r + 5.0000001201e-1F;
    p = p * (r * r) + r + 1.0F;
    /* two factors, so that n = 128 does not overflow the exponent */
    int32_t half = (int32_t)n / 2;
    int32_t rest = (int32_t)n - half;
    float result = p * simd_from_bits((uint32_t)(half + 127) << 23) *
                   simd_from_bits((uint32_t)(rest + 127) << 23);
    result = simd_select(x > 88.72283F, INFINITY, result);
    result = simd_select(x < -103.97F, 0.0F, result);
    return simd_select(x != x, x, result);
}

/* After N. Juffa's erff (public, stackoverflow.com/a/35148199): two polynomials, one of them in an
   exponent. */
static inline float simd_erf(float x)
{
    float t = fabsf(x), s = x * x;
    float r = -1.72853470e-5F * t + 3.83197126e-4F;
    float u = -3.88396438e-3F * t + 2.42546219e-2F;
    r = r * s + u;
    r = r * t + -1.06777877e-1F;
    r = r * t + -6.34846687e-1F;
    r = r * t + -1.28717512e-1F;
    r = r * t + -t;
    float far = copysignf(1.0F - simd_exp(simd_max(r, -80.0F)), x);
    far = simd_select(t > 4.0F, copysignf(1.0F, x), far); /* erf rounds to 1 from 3.92 on */
    float near = -5.96761703e-4F;
    near = near * s + 4.99119423e-3F;
    near = near * s + -2.67681349e-2F;
    near = near * s + 1.12819925e-1F;
    near = near * s + -3.76125336e-1F;
    near = near * s + 1.28379166e-1F;
    near = near * x + x;
    return simd_select(x != x, x, simd_select(t > 0.927734375F, far, near));
}

static inline float simd_sigmoid(float x)
{
    return 1.0F / (1.0F + simd_exp(-x));
}

/* 1 - 2 / (e^2x + 1), and a polynomial near 0 where that would cancel (Cephes tanhf). */
static inline float simd_tanh(float x)
{
    float t = fabsf(x), s = x * x;
    float far = copysignf(1.0F - 2.0F / (simd_exp(2.0F * simd_min(t, 15.0F)) + 1.0F), x);
    float near = -5.70498872745e-3F;
    near = near * s + 2.06390887954e-2F;
    near = near * s + -5.37397155531e-2F;
    near = near * s + 1.33314422036e-1F;
    near = near * s + -3.33332819422e-1F;
    near = near * s * x + x;
    return simd_select(x != x, x, simd_select(t >= 0.625F, far, near));
}

/* e^x - 1 for x <= 0: 2 t / (1 - t) with t = tanh(x / 2) does not cancel near 0. */
static inline float simd_expm1(float x)
{
    float t = simd_tanh(0.5F * x);
    return 2.0F * t / (1.0F - t);
}

#endif
