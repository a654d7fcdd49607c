/* SPDX-License-Identifier: Apache-2.0 */
/* Every instruction set that this processor has, against libm in double precision. */
#include "runtime/device/cpu/kernels/simd.h"
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

enum { COUNT = 40000 };

static double exact(const struct glet_activation *f, double x)
{
    double a = (double)f->a, b = (double)f->b;
    switch (f->kind) {
    case GLET_ACT_NONE:
        return x;
    case GLET_ACT_RELU:
        return fmax(x, 0.0);
    case GLET_ACT_LEAKY_RELU:
        return x < 0.0 ? a * x : x;
    case GLET_ACT_CLIP:
        return fmin(fmax(x, a), b);
    case GLET_ACT_SIGMOID:
        return 1.0 / (1.0 + exp(-x));
    case GLET_ACT_TANH:
        return tanh(x);
    case GLET_ACT_GELU_ERF:
        return 0.5 * x * (1.0 + erf(x * 0.70710678118654752));
    case GLET_ACT_GELU_TANH:
        return 0.5 * x * (1.0 + tanh(0.79788456080286536 * (x + 0.044715 * x * x * x)));
    case GLET_ACT_HARD_SIGMOID:
        return fmin(fmax(a * x + b, 0.0), 1.0);
    case GLET_ACT_HARD_SWISH:
        return x * fmin(fmax(x / 6.0 + 0.5, 0.0), 1.0);
    case GLET_ACT_SWISH:
        return x / (1.0 + exp(-a * x));
    case GLET_ACT_ELU:
        return x < 0.0 ? a * expm1(x) : x;
    case GLET_ACT_LINEAR:
        return a * x + b;
    case GLET_ACT_SQRT:
        return sqrt(x);
    case GLET_ACT_EXP:
        return exp(x);
    case GLET_ACT_LOG:
        return log(x);
    case GLET_ACT_ABS:
        return fabs(x);
    case GLET_ACT_NEG:
        return -x;
    case GLET_ACT_ERF:
        return erf(x);
    case GLET_ACT_RECIPROCAL:
        return 1.0 / x;
    case GLET_ACT_FLOOR:
        return floor(x);
    case GLET_ACT_CEIL:
        return ceil(x);
    case GLET_ACT_SQUARE:
        return x * x;
    case GLET_ACT_NOT:
        return x == 0.0;
    case GLET_ACT_SOFTPLUS:
        return log1p(exp(x));
    case GLET_ACT_SIN:
        return sin(x);
    case GLET_ACT_COS:
        return cos(x);
    case GLET_ACT_ROUND:
        return rint(x);
    case GLET_ACT_SIGN:
        return (x > 0.0) - (x < 0.0);
    }
    return NAN;
}

/* Units in the last place of fp32 at `size`. */
static double ulps(double got, double wanted, double size)
{
    double scale = fmax(size, 1e-6);
    return fabs(got - wanted) / (scale * 5.9604644775390625e-8);
}

static void activations(void **state)
{
    (void)state;
    static float in[COUNT], out[COUNT];
    for (int i = 0; i < COUNT; i++)
        in[i] = (float)(i - COUNT / 2) * 0.0015F;
    for (const struct glet_cpu_simd *const *simd = glet_cpu_simd_all(); *simd; simd++)
        for (int kind = GLET_ACT_NONE; kind <= GLET_ACT_SIGN; kind++) {
            struct glet_activation f = {(enum glet_activation_kind)kind, 0.2F, 0.5F};
            (*simd)->unary(&f, out, in, COUNT);
            double worst = 0.0;
            /* these subtract nearly equal numbers on the left: exact relative to the input */
            bool cancels = kind == GLET_ACT_GELU_ERF || kind == GLET_ACT_GELU_TANH ||
                           kind == GLET_ACT_ELU || kind == GLET_ACT_SOFTPLUS ||
                           kind == GLET_ACT_LINEAR || kind == GLET_ACT_HARD_SIGMOID ||
                           kind == GLET_ACT_HARD_SWISH;
            for (int i = 0; i < COUNT; i++) {
                double x = (double)in[i], value = exact(&f, x);
                if (!isfinite(value))
                    continue;
                double size = cancels ? fmax(fabs(value), fabs(x)) : fabs(value);
                worst = fmax(worst, ulps((double)out[i], value, size));
            }
            if (worst > 8.0)
                fail_msg("%s: %s is off by %.1f ulp", (*simd)->name, glet_activation_name(f.kind),
                         worst);
        }
}

static void extreme_values(void **state)
{
    (void)state;
    const float in[] = {-INFINITY, -1e30F, -200.0F, -88.0F,   0.0F,
                        88.0F,     89.0F,  1e30F,   INFINITY, NAN};
    enum { N = sizeof in / sizeof in[0] };
    for (const struct glet_cpu_simd *const *simd = glet_cpu_simd_all(); *simd; simd++) {
        float out[N];
        struct glet_activation f = {GLET_ACT_EXP, 0.0F, 0.0F};
        (*simd)->unary(&f, out, in, N);
        for (int i = 0; i < N; i++) {
            double wanted = exp((double)in[i]);
            assert_true(isnan(wanted) ? isnan(out[i])
                                      : (float)wanted == out[i] ||
                                            fabs((double)out[i] - wanted) <= 1e-6 * wanted + 1e-37);
        }
        f.kind = GLET_ACT_ERF;
        (*simd)->unary(&f, out, in, N);
        assert_true(out[0] == -1.0F && out[8] == 1.0F && isnan(out[9]));
        f.kind = GLET_ACT_SIGMOID;
        (*simd)->unary(&f, out, in, N);
        assert_true(out[0] == 0.0F && out[8] == 1.0F && isnan(out[9]));
        f.kind = GLET_ACT_RELU;
        (*simd)->unary(&f, out, in, N);
        assert_true(out[0] == 0.0F && out[8] == INFINITY && isnan(out[9]));
    }
}

static void rows_of_many_lengths(void **state)
{
    (void)state;
    srand(5);
    for (const struct glet_cpu_simd *const *simd = glet_cpu_simd_all(); *simd; simd++)
        for (long n = 1; n < 200; n += 1 + rand() % 5) {
            float in[200], mask[200], scale[200], bias[200], out[200];
            double most = -1e300, total = 0.0, mean = 0.0, variance = 0.0;
            for (long i = 0; i < n; i++) {
                in[i] = (float)rand() / (float)RAND_MAX * 8.0F - 4.0F;
                mask[i] = rand() % 3 ? 0.0F : -10000.0F;
                scale[i] = in[i] * 0.5F;
                bias[i] = 1.0F - in[i];
                mean += (double)in[i] / (double)n;
                most = fmax(most, 0.5 * (double)in[i] + (double)mask[i]);
            }
            for (long i = 0; i < n; i++) {
                total += exp(0.5 * (double)in[i] + (double)mask[i] - most);
                variance += pow((double)in[i] - mean, 2.0) / (double)n;
            }
            (*simd)->softmax(out, in, mask, 1, 0.5F, n);
            for (long i = 0; i < n; i++)
                CHECK_NEAR((double)out[i],
                           exp(0.5 * (double)in[i] + (double)mask[i] - most) / total, 2e-6);
            (*simd)->layer_norm(out, in, scale, bias, 1e-5F, n);
            for (long i = 0; i < n; i++)
                CHECK_NEAR((double)out[i],
                           ((double)in[i] - mean) / sqrt(variance + 1e-5) * (double)scale[i] +
                               (double)bias[i],
                           2e-4);
            CHECK_NEAR((double)(*simd)->sum(in, n), mean * (double)n, 1e-4);
        }
}

static void masked_row(void **state)
{
    (void)state;
    const float in[4] = {1.0F, 2.0F, 3.0F, 4.0F}, mask = -INFINITY;
    for (const struct glet_cpu_simd *const *simd = glet_cpu_simd_all(); *simd; simd++) {
        float out[4];
        (*simd)->softmax(out, in, &mask, 0, 1.0F, 4);
        for (int i = 0; i < 4; i++)
            assert_true(out[i] == 0.0F);
    }
}

static void scale_and_shift(void **state)
{
    (void)state;
    const long blocks[] = {1, 8, 16, 24};
    for (const struct glet_cpu_simd *const *simd = glet_cpu_simd_all(); *simd; simd++)
        for (size_t b = 0; b < COUNT_OF(blocks); b++)
            for (int kind = 0; kind < 3; kind++) {
                static const struct glet_activation f[] = {{GLET_ACT_RELU, 0.0F, 0.0F},
                                                           {GLET_ACT_CLIP, 0.0F, 6.0F},
                                                           {GLET_ACT_TANH, 0.0F, 0.0F}};
                long block = blocks[b], inner = 7, channels = 3;
                float in[3 * 7 * 24], out[3 * 7 * 24], scale[72], shift[72];
                for (long i = 0; i < channels * inner * block; i++)
                    in[i] = (float)(i % 19) - 9.0F;
                for (long i = 0; i < channels * block; i++) {
                    scale[i] = 0.1F * (float)(i % 7 + 1);
                    shift[i] = (float)(i % 3) - 1.0F;
                }
                (*simd)->scale_shift(out, in, channels, inner, block, scale, shift, &f[kind]);
                for (long c = 0; c < channels; c++)
                    for (long i = 0; i < inner; i++)
                        for (long k = 0; k < block; k++) {
                            long at = (c * inner + i) * block + k, s = c * block + k;
                            CHECK_NEAR((double)out[at],
                                       exact(&f[kind],
                                             (double)in[at] * (double)scale[s] + (double)shift[s]),
                                       2e-6);
                        }
            }
}

static void row_times_matrix(void **state)
{
    (void)state;
    enum { K = 37, PANELS = 3, N = PANELS * GLET_CPU_PANEL };
    static float row[K], panels[PANELS * K * GLET_CPU_PANEL], out[N];
    srand(9);
    for (int i = 0; i < K; i++)
        row[i] = (float)(rand() % 200) * 0.01F - 1.0F;
    for (int i = 0; i < PANELS * K * GLET_CPU_PANEL; i++)
        panels[i] = (float)(rand() % 200) * 0.01F - 1.0F;
    for (const struct glet_cpu_simd *const *simd = glet_cpu_simd_all(); *simd; simd++) {
        (*simd)->row_times_matrix(out, row, panels, K, PANELS);
        for (int p = 0; p < PANELS; p++)
            for (int j = 0; j < GLET_CPU_PANEL; j++) {
                double sum = 0.0;
                for (int i = 0; i < K; i++)
                    sum += (double)row[i] * (double)panels[(p * K + i) * GLET_CPU_PANEL + j];
                CHECK_NEAR((double)out[p * GLET_CPU_PANEL + j], sum, 1e-5);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations),          cmocka_unit_test(extreme_values),
        cmocka_unit_test(rows_of_many_lengths), cmocka_unit_test(masked_row),
        cmocka_unit_test(scale_and_shift),      cmocka_unit_test(row_times_matrix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
