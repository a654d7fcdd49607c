/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elementwise operators on every type. fp32 goes to the vector kernels; the other types occur in
 * index and mask arithmetic of a few hundred elements, where one element at a time through a wide
 * type (double or int64) is fast enough and is one piece of code for all of them.
 */
#include "runtime/device/cpu/kernels/kernels.h"

#include <math.h>
#include <string.h>

/* ---- one element of any type ---- */

static float from_half(uint16_t bits)
{
    int exponent = bits >> 10 & 0x1f, fraction = bits & 0x3ff;
    float value;
    if (exponent == 0)
        value = ldexpf((float)fraction, -24);
    else if (exponent == 31)
        value = fraction ? NAN : INFINITY;
    else
        value = ldexpf((float)(fraction | 0x400), exponent - 25);
    return bits & 0x8000 ? -value : value;
}

static uint16_t to_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    float magnitude = fabsf(value);
    if (value != value)
        return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 65520.0F) /* rounds to infinity */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude < 6.103515625e-5F) /* subnormal: in units of 2^-24, to even */
        return (uint16_t)(sign | (uint16_t)rintf(magnitude * 16777216.0F));
    uint32_t rounded = (bits & 0x7fffffff) + 0xfff + (bits >> 13 & 1);
    return (uint16_t)(sign | (uint16_t)((rounded - (112U << 23)) >> 13));
}

static float from_bfloat(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static uint16_t to_bfloat(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#define LOAD_AS(type, index)                                                                       \
    __extension__({                                                                                \
        type element_;                                                                             \
        memcpy(&element_, (const char *)data + (size_t)(index) * sizeof element_,                  \
               sizeof element_);                                                                   \
        element_;                                                                                  \
    })

#define STORE_AS(type, index, value)                                                               \
    do {                                                                                           \
        type element_ = (type)(value);                                                             \
        memcpy((char *)data + (size_t)(index) * sizeof element_, &element_, sizeof element_);      \
    } while (0)

static bool is_floating(enum glet_dtype dtype)
{
    return dtype <= GLET_BFLOAT16;
}

static double load_double(const void *data, enum glet_dtype dtype, int64_t i)
{
    switch (dtype) {
    case GLET_FLOAT32:
        return (double)LOAD_AS(float, i);
    case GLET_FLOAT64:
        return LOAD_AS(double, i);
    case GLET_FLOAT16:
        return (double)from_half(LOAD_AS(uint16_t, i));
    case GLET_BFLOAT16:
        return (double)from_bfloat(LOAD_AS(uint16_t, i));
    default:
        return 0.0;
    }
}

static int64_t load_int(const void *data, enum glet_dtype dtype, int64_t i)
{
    switch (dtype) {
    case GLET_INT8:
        return LOAD_AS(int8_t, i);
    case GLET_INT16:
        return LOAD_AS(int16_t, i);
    case GLET_INT32:
        return LOAD_AS(int32_t, i);
    case GLET_INT64:
        return LOAD_AS(int64_t, i);
    case GLET_UINT8:
        return LOAD_AS(uint8_t, i);
    case GLET_UINT16:
        return LOAD_AS(uint16_t, i);
    case GLET_UINT32:
        return LOAD_AS(uint32_t, i);
    case GLET_UINT64:
        return (int64_t)LOAD_AS(uint64_t, i);
    case GLET_BOOL:
        return LOAD_AS(uint8_t, i) != 0;
    default:
        return 0;
    }
}

static void store_double(void *data, enum glet_dtype dtype, int64_t i, double value)
{
    switch (dtype) {
    case GLET_FLOAT32:
        STORE_AS(float, i, value);
        break;
    case GLET_FLOAT64:
        STORE_AS(double, i, value);
        break;
    case GLET_FLOAT16:
        STORE_AS(uint16_t, i, to_half((float)value));
        break;
    case GLET_BFLOAT16:
        STORE_AS(uint16_t, i, to_bfloat((float)value));
        break;
    default:
        break;
    }
}

static void store_int(void *data, enum glet_dtype dtype, int64_t i, int64_t value)
{
    switch (glet_dtype_size(dtype)) {
    case 1:
        STORE_AS(uint8_t, i, dtype == GLET_BOOL ? value != 0 : value);
        break;
    case 2:
        STORE_AS(uint16_t, i, value);
        break;
    case 4:
        STORE_AS(uint32_t, i, value);
        break;
    default:
        STORE_AS(uint64_t, i, value);
    }
}

/* Towards zero, saturating where C leaves it undefined. */
static int64_t to_int(double value)
{
    if (value != value)
        return 0;
    if (value >= 9223372036854775808.0)
        return INT64_MAX;
    if (value <= -9223372036854775808.0)
        return INT64_MIN;
    return (int64_t)value;
}

void glet_cpu_convert(void *out, enum glet_dtype to, const void *in, enum glet_dtype from,
                      int64_t count)
{
    if (to == from) {
        memcpy(out, in, (size_t)count * glet_dtype_size(to));
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        if (is_floating(from)) {
            double value = load_double(in, from, i);
            if (is_floating(to))
                store_double(out, to, i, value);
            else
                store_int(out, to, i, to == GLET_BOOL ? value != 0.0 : to_int(value));
        } else {
            int64_t value = load_int(in, from, i);
            if (is_floating(to))
                store_double(out, to, i,
                             from == GLET_UINT64 ? (double)(uint64_t)value : (double)value);
            else
                store_int(out, to, i, value);
        }
    }
}

/* ---- binary ---- */

static bool gives_bool(enum glet_binary op)
{
    return op == GLET_EQUAL || op == GLET_LESS || op == GLET_GREATER || op == GLET_LESS_EQUAL ||
           op == GLET_GREATER_EQUAL;
}

static int64_t int_power(int64_t base, int64_t exponent)
{
    uint64_t result = 1, factor = (uint64_t)base;
    if (exponent < 0)
        return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
    for (; exponent > 0; exponent >>= 1, factor *= factor)
        if (exponent & 1)
            result *= factor;
    return (int64_t)result;
}

/* Wraps around like the hardware; a division by zero gives 0, since no request may end us. */
static int64_t int_divide(int64_t x, int64_t y)
{
    return y == 0 ? 0 : y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y;
}

static int64_t int_modulo(int64_t x, int64_t y) /* the sign of y, as ONNX has it */
{
    if (y == 0 || y == -1)
        return 0;
    int64_t rest = x % y;
    return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
}

static int64_t int_binary(enum glet_binary op, int64_t x, int64_t y)
{
    switch (op) {
    case GLET_ADD:
        return (int64_t)((uint64_t)x + (uint64_t)y);
    case GLET_SUB:
        return (int64_t)((uint64_t)x - (uint64_t)y);
    case GLET_MUL:
        return (int64_t)((uint64_t)x * (uint64_t)y);
    case GLET_DIV:
        return int_divide(x, y);
    case GLET_MOD:
        return int_modulo(x, y);
    case GLET_POW:
        return int_power(x, y);
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
        return x & y;
    case GLET_OR:
        return x | y;
    case GLET_XOR:
        return x ^ y;
    }
    return 0;
}

static bool float_compare(enum glet_binary op, double x, double y)
{
    switch (op) {
    case GLET_EQUAL:
        return x == y;
    case GLET_LESS:
        return x < y;
    case GLET_GREATER:
        return x > y;
    case GLET_LESS_EQUAL:
        return x <= y;
    default:
        return x >= y;
    }
}

struct binary_job {
    const struct glet_cpu_loop *loop;
    enum glet_binary op;
    enum glet_dtype dtype;
    void *out;
    const void *a, *b;
};

static void generic_row(const int64_t *offsets, int64_t n, void *data)
{
    const struct binary_job *job = data;
    int last = job->loop->rank - 1;
    int64_t a_step = job->loop->strides[1][last], b_step = job->loop->strides[2][last];
    enum glet_dtype to = gives_bool(job->op) ? GLET_BOOL : job->dtype;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = offsets[1] + i * a_step, bt = offsets[2] + i * b_step;
        int64_t result;
        if (is_floating(job->dtype))
            result = float_compare(job->op, load_double(job->a, job->dtype, at),
                                   load_double(job->b, job->dtype, bt));
        else
            result = int_binary(job->op, load_int(job->a, job->dtype, at),
                                load_int(job->b, job->dtype, bt));
        store_int(job->out, to, offsets[0] + i, result);
    }
}

static void float_row(const int64_t *offsets, int64_t n, void *data)
{
    const struct binary_job *job = data;
    int last = job->loop->rank - 1;
    struct glet_cpu_rows rows = {.a = (const float *)job->a + offsets[1],
                                 .b = (const float *)job->b + offsets[2],
                                 .out = (float *)job->out + offsets[0],
                                 .rows = 1,
                                 .n = n,
                                 .a_step = (int)job->loop->strides[1][last],
                                 .b_step = (int)job->loop->strides[2][last]};
    glet_cpu_simd()->binary(job->op, &rows);
}

void glet_cpu_binary(const struct glet_cpu_loop *loop, enum glet_binary op, enum glet_dtype dtype,
                     void *out, const void *a, const void *b)
{
    struct binary_job job = {loop, op, dtype, out, a, b};
    bool fast = dtype == GLET_FLOAT32 && !gives_bool(op);
    glet_cpu_loop_run(loop, fast ? float_row : generic_row, &job);
}

/* ---- unary and where ---- */

bool glet_cpu_unary_generic(enum glet_dtype dtype, const struct glet_activation *activation,
                            void *out, const void *in, int64_t count)
{
    if (is_floating(dtype))
        return false;
    switch (activation->kind) {
    case GLET_ACT_NONE:
    case GLET_ACT_NOT:
    case GLET_ACT_NEG:
    case GLET_ACT_ABS:
    case GLET_ACT_SIGN:
    case GLET_ACT_RELU:
    case GLET_ACT_CLIP:
    case GLET_ACT_SQUARE:
    case GLET_ACT_LINEAR:
        break;
    default:
        return false;
    }
    int64_t low = to_int((double)activation->a), high = to_int((double)activation->b);
    for (int64_t i = 0; i < count; i++) {
        int64_t x = load_int(in, dtype, i), y = x;
        if (activation->kind == GLET_ACT_NOT)
            y = x == 0;
        else if (activation->kind == GLET_ACT_NEG || (activation->kind == GLET_ACT_ABS && x < 0))
            y = (int64_t)(0 - (uint64_t)x);
        else if (activation->kind == GLET_ACT_SIGN)
            y = (x > 0) - (x < 0);
        else if (activation->kind == GLET_ACT_RELU)
            y = x < 0 ? 0 : x;
        else if (activation->kind == GLET_ACT_CLIP)
            y = x < low ? low : x > high ? high : x;
        else if (activation->kind == GLET_ACT_SQUARE)
            y = int_binary(GLET_MUL, x, x);
        else if (activation->kind == GLET_ACT_LINEAR)
            y = to_int((double)x * (double)activation->a + (double)activation->b);
        store_int(out, dtype, i, y);
    }
    return true;
}

struct where_job {
    const struct glet_cpu_loop *loop;
    size_t element_bytes;
    char *out;
    const unsigned char *condition;
    const char *a, *b;
};

static void where_row(const int64_t *offsets, int64_t n, void *data)
{
    const struct where_job *job = data;
    int last = job->loop->rank - 1;
    size_t size = job->element_bytes;
    for (int64_t i = 0; i < n; i++) {
        bool yes = job->condition[offsets[1] + i * job->loop->strides[1][last]] != 0;
        const char *from =
            yes ? job->a + (offsets[2] + i * job->loop->strides[2][last]) * (int64_t)size
                : job->b + (offsets[3] + i * job->loop->strides[3][last]) * (int64_t)size;
        memcpy(job->out + (offsets[0] + i) * (int64_t)size, from, size);
    }
}

void glet_cpu_where(const struct glet_cpu_loop *loop, size_t element_bytes, void *out,
                    const unsigned char *condition, const void *a, const void *b)
{
    struct where_job job = {loop, element_bytes, out, condition, a, b};
    glet_cpu_loop_run(loop, where_row, &job);
}
