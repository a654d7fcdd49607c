/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fp32 inner loops. Plain C whose loops the compiler vectorises; meson compiles this file once
 * per instruction set with GLET_SIMD_TABLE set to the table's name. Sums run in LANES independent
 * chains, which is what lets them be vectorised without changing their order between instruction
 * sets: every table gives the same sums.
 */
#include "runtime/device/cpu/kernels/simd.h"

#include "runtime/device/cpu/kernels/simd_math.h"

#include <stdbool.h>

enum { LANES = 16 };

#define STRING_(x) #x
#define STRING(x)  STRING_(x)

/* ---- elementwise ---- */

#define UNARY_LOOP(expression)                                                                     \
    for (long i = 0; i < n; i++) {                                                                 \
        float x = in[i];                                                                           \
        out[i] = (expression);                                                                     \
    }                                                                                              \
    break

static void unary_libm(enum glet_activation_kind kind, float *out, const float *in, long n)
{
    switch (kind) {
    case GLET_ACT_LOG:
        UNARY_LOOP(logf(x));
    case GLET_ACT_SIN:
        UNARY_LOOP(sinf(x));
    case GLET_ACT_COS:
        UNARY_LOOP(cosf(x));
    case GLET_ACT_SOFTPLUS:
        UNARY_LOOP(x > 20.0F ? x : log1pf(expf(x)));
    case GLET_ACT_ROUND:
        UNARY_LOOP(rintf(x)); /* half to even, the default rounding mode */
    default:
        break;
    }
}

static void unary(const struct glet_activation *activation, float *out, const float *in, long n)
{
    const float a = activation->a, b = activation->b;
    switch (activation->kind) {
    case GLET_ACT_NONE:
        UNARY_LOOP(x);
    case GLET_ACT_RELU:
        UNARY_LOOP(x < 0.0F ? 0.0F : x);
    case GLET_ACT_LEAKY_RELU:
        UNARY_LOOP(x < 0.0F ? a * x : x);
    case GLET_ACT_CLIP:
        UNARY_LOOP(simd_min(simd_max(x, a), b));
    case GLET_ACT_SIGMOID:
        UNARY_LOOP(simd_sigmoid(x));
    case GLET_ACT_TANH:
        UNARY_LOOP(simd_tanh(x));
    case GLET_ACT_GELU_ERF:
        UNARY_LOOP(0.5F * x * (1.0F + simd_erf(x * 0.70710678F)));
    case GLET_ACT_GELU_TANH:
        UNARY_LOOP(0.5F * x * (1.0F + simd_tanh(0.79788456F * (x + 0.044715F * x * x * x))));
    case GLET_ACT_HARD_SIGMOID:
        UNARY_LOOP(simd_min(simd_max(a * x + b, 0.0F), 1.0F));
    case GLET_ACT_HARD_SWISH:
        UNARY_LOOP(x * simd_min(simd_max(x / 6.0F + 0.5F, 0.0F), 1.0F));
    case GLET_ACT_SWISH:
        UNARY_LOOP(x * simd_sigmoid(a * x));
    case GLET_ACT_ELU:
        UNARY_LOOP(x < 0.0F ? a * simd_expm1(x) : x);
    case GLET_ACT_LINEAR:
        UNARY_LOOP(a * x + b);
    case GLET_ACT_SQRT:
        UNARY_LOOP(sqrtf(x));
    case GLET_ACT_EXP:
        UNARY_LOOP(simd_exp(x));
    case GLET_ACT_ABS:
        UNARY_LOOP(fabsf(x));
    case GLET_ACT_NEG:
        UNARY_LOOP(-x);
    case GLET_ACT_ERF:
        UNARY_LOOP(simd_erf(x));
    case GLET_ACT_RECIPROCAL:
        UNARY_LOOP(1.0F / x);
    case GLET_ACT_FLOOR:
        UNARY_LOOP(floorf(x));
    case GLET_ACT_CEIL:
        UNARY_LOOP(ceilf(x));
    case GLET_ACT_SQUARE:
        UNARY_LOOP(x * x);
    case GLET_ACT_NOT:
        UNARY_LOOP(x == 0.0F ? 1.0F : 0.0F);
    case GLET_ACT_SIGN:
        UNARY_LOOP((float)((x > 0.0F) - (x < 0.0F)));
    default:
        unary_libm(activation->kind, out, in, n);
    }
}

#define BINARY_LOOP(expression)                                                                    \
    for (long i = 0; i < n; i++) {                                                                 \
        float x = a[i * as], y = b[i * bs];                                                        \
        out[i] = (expression);                                                                     \
    }                                                                                              \
    break

#define BINARY_SWITCH                                                                              \
    switch (op) {                                                                                  \
    case GLET_ADD:                                                                                 \
        BINARY_LOOP(x + y);                                                                        \
    case GLET_SUB:                                                                                 \
        BINARY_LOOP(x - y);                                                                        \
    case GLET_MUL:                                                                                 \
        BINARY_LOOP(x *y);                                                                         \
    case GLET_DIV:                                                                                 \
        BINARY_LOOP(x / y);                                                                        \
    case GLET_POW:                                                                                 \
        BINARY_LOOP(powf(x, y));                                                                   \
    case GLET_MIN:                                                                                 \
        BINARY_LOOP(simd_min(x, y));                                                               \
    case GLET_MAX:                                                                                 \
        BINARY_LOOP(simd_max(x, y));                                                               \
    case GLET_MOD:                                                                                 \
        BINARY_LOOP(fmodf(x, y));                                                                  \
    default: /* comparisons have boolean results: kernels_generic.c */                             \
        break;                                                                                     \
    }

/* The switch is repeated per pair of steps so that the steps are constants in each loop. */
static void binary_row(enum glet_binary op, float *out, const float *a, int a_step, const float *b,
                       int b_step, long n)
{
    if (a_step == 1 && b_step == 1) {
        enum { as = 1, bs = 1 };
        BINARY_SWITCH
    } else if (a_step == 1) {
        enum { as = 1, bs = 0 };
        BINARY_SWITCH
    } else if (b_step == 1) {
        enum { as = 0, bs = 1 };
        BINARY_SWITCH
    } else {
        enum { as = 0, bs = 0 };
        BINARY_SWITCH
    }
}

static void binary(enum glet_binary op, const struct glet_cpu_rows *rows)
{
    for (long r = 0; r < rows->rows; r++)
        binary_row(op, rows->out + r * rows->out_row, rows->a + r * rows->a_row, rows->a_step,
                   rows->b + r * rows->b_row, rows->b_step, rows->n);
}

#define SCALE_LOOP(expression)                                                                     \
    for (long i = 0; i < inner; i++)                                                               \
        for (long k = 0; k < block; k++) {                                                         \
            float x = in[i * block + k] * s[k * step] + t[k * step];                               \
            out[i * block + k] = (expression);                                                     \
        }

#define SCALE_SWITCH                                                                               \
    if (activation->kind == GLET_ACT_RELU) {                                                       \
        SCALE_LOOP(x < 0.0F ? 0.0F : x)                                                            \
    } else if (activation->kind == GLET_ACT_CLIP) {                                                \
        SCALE_LOOP(simd_min(simd_max(x, activation->a), activation->b))                            \
    } else {                                                                                       \
        SCALE_LOOP(x)                                                                              \
    }

static void scale_shift_run(float *out, const float *in, long inner, long block, const float *s,
                            const float *t, const struct glet_activation *activation)
{
    if (block == 16) {
        enum { step = 1 };
        block = 16;
        SCALE_SWITCH
    } else if (block == 1) { /* one channel, contiguous: as one row with a constant scale */
        enum { step = 0 };
        block = inner;
        inner = 1;
        SCALE_SWITCH
    } else {
        enum { step = 1 };
        SCALE_SWITCH
    }
}

static void scale_shift(float *out, const float *in, long channels, long inner, long block,
                        const float *scale, const float *shift,
                        const struct glet_activation *activation)
{
    bool fused = activation->kind == GLET_ACT_NONE || activation->kind == GLET_ACT_RELU ||
                 activation->kind == GLET_ACT_CLIP;
    for (long c = 0; c < channels; c++) {
        long at = c * inner * block;
        scale_shift_run(out + at, in + at, inner, block, scale + c * block, shift + c * block,
                        activation);
        if (!fused)
            unary(activation, out + at, out + at, inner * block);
    }
}

/* ---- sums ---- */

static float add_lanes(const float *lanes)
{
    float sum[LANES];
    memcpy(sum, lanes, sizeof sum);
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            sum[i] += sum[i + width];
    return sum[0];
}

static float sum(const float *in, long n)
{
    float lanes[LANES] = {0};
    long i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            lanes[k] += in[i + k];
    for (int k = 0; i < n; i++, k++)
        lanes[k] += in[i];
    return add_lanes(lanes);
}

static void accumulate(float *out, const float *in, long n)
{
    for (long i = 0; i < n; i++)
        out[i] += in[i];
}

static float max_of(const float *in, long n)
{
    float lanes[LANES];
    long i = 0;
    for (int k = 0; k < LANES; k++)
        lanes[k] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            lanes[k] = simd_max(in[i + k], lanes[k]);
    float most = -INFINITY;
    for (; i < n; i++)
        most = simd_max(in[i], most);
    for (int k = 0; k < LANES; k++)
        most = simd_max(lanes[k], most);
    return most;
}

static void softmax(float *out, const float *in, const float *mask, int mask_step, float alpha,
                    long n)
{
    if (!mask)
        for (long i = 0; i < n; i++)
            out[i] = alpha * in[i];
    else if (mask_step == 0)
        for (long i = 0; i < n; i++)
            out[i] = alpha * in[i] + mask[0];
    else
        for (long i = 0; i < n; i++)
            out[i] = alpha * in[i] + mask[i];
    float most = max_of(out, n);
    if (most == -INFINITY) /* everything masked: zeros rather than NaN */
        most = 0.0F;
    for (long i = 0; i < n; i++)
        out[i] = simd_exp(out[i] - most);
    float total = sum(out, n);
    float factor = total > 0.0F ? 1.0F / total : 0.0F;
    for (long i = 0; i < n; i++)
        out[i] *= factor;
}

static void layer_norm(float *out, const float *in, const float *scale, const float *bias,
                       float epsilon, long n)
{
    float mean = sum(in, n) / (float)n;
    float lanes[LANES] = {0};
    long i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) {
            float d = in[i + k] - mean;
            lanes[k] += d * d;
        }
    for (int k = 0; i < n; i++, k++)
        lanes[k] += (in[i] - mean) * (in[i] - mean);
    float factor = 1.0F / sqrtf(add_lanes(lanes) / (float)n + epsilon);
    if (bias)
        for (i = 0; i < n; i++)
            out[i] = (in[i] - mean) * factor * scale[i] + bias[i];
    else
        for (i = 0; i < n; i++)
            out[i] = (in[i] - mean) * factor * scale[i];
}

/* ---- a row times a matrix ---- */

typedef float vector __attribute__((vector_size(LANES * sizeof(float))));

static void row_times_matrix(float *out, const float *row, const float *panels, long k,
                             long panel_count)
{
    enum { AHEAD = 24 }; /* rows of the panel: 4.6 KB, what the L2 cache delivers meanwhile */
    for (long p = 0; p < panel_count; p++) {
        const float *at = panels + p * k * GLET_CPU_PANEL;
        vector sums[3] = {{0}, {0}, {0}};
        for (long i = 0; i < k; i++, at += GLET_CPU_PANEL) {
            for (int j = 0; j < 3; j++) {
                vector w;
                memcpy(&w, at + j * LANES, sizeof w);
                __builtin_prefetch(at + AHEAD * GLET_CPU_PANEL + j * LANES);
                sums[j] += row[i] * w;
            }
        }
        memcpy(out + p * GLET_CPU_PANEL, sums, sizeof sums);
    }
}

extern const struct glet_cpu_simd GLET_SIMD_TABLE;
const struct glet_cpu_simd GLET_SIMD_TABLE = {
    .name = STRING(GLET_SIMD_TABLE),
    .binary = binary,
    .unary = unary,
    .scale_shift = scale_shift,
    .softmax = softmax,
    .layer_norm = layer_norm,
    .row_times_matrix = row_times_matrix,
    .sum = sum,
    .accumulate = accumulate,
};
