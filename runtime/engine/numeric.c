/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One switch per direction. Half precision goes through the compiler's _Float16 where it has one;
 * here it is spelt out in bits (IEEE 754 binary16), because gcc 12 has it only on some processors.
 */
#include "runtime/engine/numeric.h"

#include <math.h>
#include <string.h>

bool glet_dtype_is_float(enum glet_dtype dtype)
{
    return dtype == GLET_FLOAT32 || dtype == GLET_FLOAT64 || dtype == GLET_FLOAT16 ||
           dtype == GLET_BFLOAT16;
}

static float bits_to_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t float_to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double half_to_double(uint16_t half)
{
    int exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
    double magnitude;
    if (exponent == 0x1f)
        magnitude = fraction ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        magnitude = ldexp(fraction, -24);
    else
        magnitude = ldexp(fraction + 1024, exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

static uint16_t double_to_half(double value)
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    double magnitude = fabs(value);
    if (isnan(value))
        return 0x7e00;
    if (magnitude >= 65520.0) /* half-way between the largest binary16 and the next power */
        return (uint16_t)(sign | 0x7c00);
    int exponent;
    frexp(magnitude, &exponent);
    bool subnormal = magnitude < 0x1p-14;
    /* rint() rounds to even; a carry into the exponent is right as it is. */
    int scaled = (int)rint(ldexp(magnitude, subnormal ? 24 : 11 - exponent));
    return (uint16_t)(sign | (subnormal ? scaled : ((exponent + 13) << 10) + scaled));
}

static uint16_t double_to_bfloat(double value)
{
    uint32_t bits = float_to_bits((float)value);
    if (isnan(value))
        return 0x7fc0;
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#define READ(type)                                                                                 \
    __extension__({                                                                                \
        type element_;                                                                             \
        memcpy(&element_, (const char *)data + (size_t)i * sizeof element_, sizeof element_);      \
        element_;                                                                                  \
    })

double glet_number_float(enum glet_dtype dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case GLET_FLOAT32:
        return (double)READ(float);
    case GLET_FLOAT64:
        return READ(double);
    case GLET_FLOAT16:
        return half_to_double(READ(uint16_t));
    case GLET_BFLOAT16:
        return (double)bits_to_float((uint32_t)READ(uint16_t) << 16);
    case GLET_UINT64:
        return (double)READ(uint64_t);
    default:
        return (double)glet_number_int(dtype, data, i);
    }
}

static int64_t saturate(double value)
{
    if (isnan(value))
        return 0;
    if (value >= 0x1p63)
        return INT64_MAX;
    if (value < -0x1p63)
        return INT64_MIN;
    return (int64_t)value;
}

int64_t glet_number_int(enum glet_dtype dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case GLET_INT8:
        return READ(int8_t);
    case GLET_INT16:
        return READ(int16_t);
    case GLET_INT32:
        return READ(int32_t);
    case GLET_INT64:
        return READ(int64_t);
    case GLET_UINT8:
        return READ(uint8_t);
    case GLET_BOOL:
        return READ(uint8_t) != 0;
    case GLET_UINT16:
        return READ(uint16_t);
    case GLET_UINT32:
        return READ(uint32_t);
    case GLET_UINT64:
        return (int64_t)READ(uint64_t);
    default:
        return saturate(glet_number_float(dtype, data, i));
    }
}

#define WRITE(type, value)                                                                         \
    do {                                                                                           \
        type element_ = (type)(value);                                                             \
        memcpy((char *)data + (size_t)i * sizeof element_, &element_, sizeof element_);            \
    } while (0)

void glet_number_put_int(enum glet_dtype dtype, void *data, int64_t i, int64_t value)
{
    switch (glet_dtype_size(dtype)) {
    case 1:
        WRITE(uint8_t, dtype == GLET_BOOL ? value != 0 : value);
        return;
    case 2:
        if (glet_dtype_is_float(dtype))
            break;
        WRITE(uint16_t, value);
        return;
    case 4:
        if (glet_dtype_is_float(dtype))
            break;
        WRITE(uint32_t, value);
        return;
    default:
        if (glet_dtype_is_float(dtype))
            break;
        WRITE(uint64_t, value);
        return;
    }
    glet_number_put_float(dtype, data, i, (double)value);
}

void glet_number_put_float(enum glet_dtype dtype, void *data, int64_t i, double value)
{
    switch (dtype) {
    case GLET_FLOAT32:
        WRITE(float, value);
        return;
    case GLET_FLOAT64:
        WRITE(double, value);
        return;
    case GLET_FLOAT16:
        WRITE(uint16_t, double_to_half(value));
        return;
    case GLET_BFLOAT16:
        WRITE(uint16_t, double_to_bfloat(value));
        return;
    case GLET_BOOL:
        glet_number_put_int(dtype, data, i, value < 0.0 || value > 0.0 || isnan(value));
        return;
    default:
        glet_number_put_int(dtype, data, i, saturate(value));
        return;
    }
}
