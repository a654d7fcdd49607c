/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: softmax, layer normalisation, reductions. */
#include "tests/unit/cuda/kernel_table.h"

static void softmaxes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t b = 1 + table_below(&t, 3), heads = 1 + table_below(&t, 3),
                rows = 1 + table_below(&t, 5), n = 1 + table_below(&t, 70);
        struct glet_cuda_place *x = table_place(&t, 4, (int64_t[]){b, heads, rows, n});
        struct glet_cuda_place *mask = table_place(&t, 4, (int64_t[]){b, heads, rows, n});
        struct glet_cuda_place *y = table_place(&t, 4, (int64_t[]){b, heads, rows, n});
        bool masked = table_below(&t, 2);
        mask->strides[0] = n; /* one row per batch */
        mask->strides[1] = mask->strides[2] = 0;
        if (!masked)
            mask->buffer = -1;
        t.node.alpha = 0.5F;
        t.step.kind = GLET_CUDA_SOFTMAX;
        table_run(&t);
        for (int64_t row = 0; row < b * heads * rows; row++) {
            int64_t i = row / rows / heads, j = row / rows % heads, k = row % rows;
            double sum = 0.0;
            for (int pass = 0; pass < 2; pass++)
                for (int64_t d = 0; d < n; d++) {
                    double value = 0.5 * (double)t.values[0][place_at(x, i, j, k, d)];
                    value = exp(value +
                                (masked ? (double)t.values[1][place_at(mask, i, j, k, d)] : 0.0));
                    if (pass == 0)
                        sum += value;
                    else
                        table_expect(&t, seed, "softmax",
                                     table_result(&t, 2, place_at(y, i, j, k, d)), value / sum);
                }
        }
        table_end(&t);
    }
}

static void nothing_but_minus_infinity(void **state)
{
    (void)state;
    struct table t;
    table_start(&t, 2);
    int64_t dims[] = {1, 5};
    for (int i = 0; i < 5; i++)
        ((float *)t.bases[0])[i] = -INFINITY;
    table_place(&t, 2, dims);
    table_place(&t, 2, dims)->buffer = -1;
    table_place(&t, 2, dims);
    t.node.alpha = 1.0F;
    t.step.kind = GLET_CUDA_SOFTMAX;
    table_run(&t);
    for (int i = 0; i < 5; i++)
        assert_true(table_result(&t, 2, i) == 0.0F);
    table_end(&t);
}

static void layer_norms(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t rows = 1 + table_below(&t, 9), n = 2 + table_below(&t, 200);
        if (table_below(&t, 2))
            n = table_vector(&t) * (1 + table_below(&t, 50));
        table_place(&t, 2, (int64_t[]){rows, n});
        table_place(&t, 1, &n);
        table_place(&t, 1, &n);
        table_place(&t, 2, (int64_t[]){rows, n});
        bool bias = table_below(&t, 2);
        if (!bias)
            t.step.places[2].buffer = -1;
        t.node.epsilon = 1e-5F;
        t.step.kind = GLET_CUDA_LAYER_NORM;
        table_run(&t);
        for (int64_t row = 0; row < rows; row++) {
            const float *x = t.values[0] + row * n;
            double mean = 0.0, variance = 0.0;
            for (int64_t i = 0; i < n; i++)
                mean += (double)x[i] / (double)n;
            for (int64_t i = 0; i < n; i++)
                variance += pow((double)x[i] - mean, 2.0) / (double)n;
            for (int64_t i = 0; i < n; i++)
                table_expect(&t, seed, "layer norm", table_result(&t, 3, row * n + i),
                             ((double)x[i] - mean) / sqrt(variance + 1e-5) *
                                     (double)t.values[1][i] +
                                 (bias ? (double)t.values[2][i] : 0.0));
        }
        table_end(&t);
    }
}

static void reductions(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t dims[4], strides[4], outputs = 1;
        for (int i = 0; i < 4; i++)
            dims[i] = 1 + table_below(&t, 6);
        struct glet_cuda_place *x = table_place(&t, 4, dims), *y = table_place(&t, 4, dims);
        t.node.axes_mask = (uint32_t)table_below(&t, 16);
        t.node.op = (enum glet_op)(GLET_OP_REDUCE_MEAN + table_below(&t, 4));
        for (int i = 3; i >= 0; i--) {
            bool gone = t.node.axes_mask >> i & 1u;
            y->strides[i] = strides[i] = gone ? 0 : outputs;
            outputs *= gone ? 1 : dims[i];
        }
        t.step.kind = GLET_CUDA_REDUCE;
        table_run(&t);
        for (int64_t o = 0; o < outputs; o++) {
            double sum = 0.0, top = -INFINITY, low = INFINITY;
            int64_t count = 0;
            for (int64_t i = 0; i < dims[0] * dims[1] * dims[2] * dims[3]; i++) {
                int64_t d = i % dims[3], c = i / dims[3] % dims[2],
                        b = i / dims[3] / dims[2] % dims[1], a = i / dims[3] / dims[2] / dims[1];
                if (a * strides[0] + b * strides[1] + c * strides[2] + d * strides[3] != o)
                    continue;
                double value = (double)t.values[0][place_at(x, a, b, c, d)];
                sum += value;
                top = fmax(top, value);
                low = fmin(low, value);
                count++;
            }
            double wanted = t.node.op == GLET_OP_REDUCE_MEAN  ? sum / (double)count
                            : t.node.op == GLET_OP_REDUCE_SUM ? sum
                            : t.node.op == GLET_OP_REDUCE_MAX ? top
                                                              : low;
            table_expect(&t, seed, "reduction", table_result(&t, 1, o), wanted);
        }
        table_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(softmaxes),
        cmocka_unit_test(nothing_but_minus_infinity),
        cmocka_unit_test(layer_norms),
        cmocka_unit_test(reductions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
