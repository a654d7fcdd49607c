/* SPDX-License-Identifier: Apache-2.0 */
/* Windows: pooling and convolutions. */
#include "tests/unit/cuda/kernel_table.h"

#include <stdlib.h>

#include <string.h>

static void random_window(struct table *t, int64_t size, int i, int64_t *out_size)
{
    struct glet_node *n = &t->node;
    n->kernel[i] = 1 + table_below(t, 5);
    n->strides[i] = 1 + table_below(t, 2);
    n->dilations[i] = 1 + (table_below(t, 4) == 0);
    int64_t reach = (n->kernel[i] - 1) * n->dilations[i] + 1;
    n->pads_begin[i] = table_below(t, (int)n->kernel[i]);
    n->pads_end[i] = table_below(t, (int)n->kernel[i]);
    if (size + n->pads_begin[i] + n->pads_end[i] < reach)
        n->pads_end[i] = reach - size - n->pads_begin[i];
    *out_size = (size + n->pads_begin[i] + n->pads_end[i] - reach) / n->strides[i] + 1;
}

static double pool_reference(const struct table *t, const struct glet_cuda_place *x, int64_t n,
                             int64_t c, int64_t i, int64_t j, bool is_max)
{
    const struct glet_node *node = &t->node;
    double best = -INFINITY, sum = 0.0;
    int64_t count = 0;
    for (int64_t p = 0; p < node->kernel[0]; p++)
        for (int64_t q = 0; q < node->kernel[1]; q++) {
            int64_t h = i * node->strides[0] - node->pads_begin[0] + p * node->dilations[0];
            int64_t w = j * node->strides[1] - node->pads_begin[1] + q * node->dilations[1];
            if (h < 0 || w < 0 || h >= x->dims[2] || w >= x->dims[3]) {
                count += node->count_include_pad && h < x->dims[2] + node->pads_end[0] &&
                         w < x->dims[3] + node->pads_end[1];
                continue;
            }
            double value = (double)t->values[0][place_at(x, n, c, h, w)];
            best = fmax(best, value);
            sum += value;
            count++;
        }
    return is_max ? best : sum / (double)(count ? count : 1);
}

static void pools(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2 * ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t n = 1 + table_below(&t, 2), c = 1 + table_below(&t, 40), h = 4 + table_below(&t, 5),
                oh, ow;
        bool global = seed % 5 == 0, is_max = table_below(&t, 2);
        random_window(&t, h, 0, &oh);
        random_window(&t, h, 1, &ow);
        if (global) {
            memset(&t.node, 0, sizeof t.node);
            t.node.kernel[0] = t.node.kernel[1] = h;
            oh = ow = 1;
        }
        t.node.op = is_max ? GLET_OP_MAX_POOL : GLET_OP_AVG_POOL;
        t.node.count_include_pad = table_below(&t, 2);
        struct glet_cuda_place *x = table_map(&t, n, c, h, h, table_below(&t, 2));
        struct glet_cuda_place *y = table_map(&t, n, c, oh, ow, table_below(&t, 2));
        if (global)
            for (int i = 0; i < 2; i++)
                t.node.strides[i] = t.node.dilations[i] = 1;
        t.step.kind = GLET_CUDA_POOL;
        table_run(&t);
        for (int64_t i = 0; i < n * c * oh * ow; i++) {
            int64_t d = i % ow, k = i / ow % oh, ch = i / ow / oh % c, b = i / ow / oh / c;
            double wanted = pool_reference(&t, x, b, ch, k, d, is_max);
            if (isfinite(wanted)) /* a window that lies in the padding holds nothing */
                table_expect(&t, seed, "pool", table_result(&t, 1, place_at(y, b, ch, k, d)),
                             wanted);
        }
        table_end(&t);
    }
}

/* Depthwise, and direct with groups; bias, residual, activation. */
static void convolutions(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3 * ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        bool depthwise = seed % 3 != 0;
        int64_t n = 1 + table_below(&t, 2), c = 2 * (1 + table_below(&t, 9)),
                h = 5 + table_below(&t, 4), oh, ow;
        int64_t group = depthwise ? c : 2, k = depthwise ? c : 2 * (1 + table_below(&t, 5));
        random_window(&t, h, 0, &oh);
        random_window(&t, h, 1, &ow);
        if (table_below(&t, 2)) { /* the shapes that have kernels of their own */
            for (int i = 0; i < 2; i++) {
                t.node.kernel[i] = seed % 4 < 2 ? 3 : 5;
                t.node.strides[i] = 1 + seed / 4 % 2;
                t.node.dilations[i] = 1;
                t.node.pads_begin[i] = t.node.pads_end[i] = t.node.kernel[i] / 2;
            }
            oh = ow = (h - 1) / t.node.strides[0] + 1;
        }
        int64_t per_group = c / group, vector = table_vector(&t);
        int64_t columns = depthwise ? (c + vector - 1) / vector * vector : per_group;
        int64_t r = t.node.kernel[0], s = t.node.kernel[1];
        t.node.group = group;
        t.node.op = GLET_OP_CONV;
        struct glet_cuda_place *x = table_map(&t, n, c, h, h, table_below(&t, 2));
        table_place(&t, 4, (int64_t[]){depthwise ? 1 : k, r, s, columns});
        table_place(&t, 1, &k)->channels = k;
        struct glet_cuda_place *z = table_map(&t, n, k, oh, ow, 0);
        struct glet_cuda_place *y = table_map(&t, n, k, oh, ow, table_below(&t, 2));
        bool bias = table_below(&t, 2), residual = table_below(&t, 2);
        if (!bias)
            t.step.places[2].buffer = -1;
        if (!residual)
            t.step.places[3].buffer = -1;
        t.step.kind = depthwise ? GLET_CUDA_DEPTHWISE : GLET_CUDA_CONV_DIRECT;
        t.step.activation.kind = seed % 2 ? GLET_ACT_RELU : GLET_ACT_NONE;
        table_run(&t);
        for (int64_t i = 0; i < n * k * oh * ow; i++) {
            int64_t ox = i % ow, oy = i / ow % oh, m = i / ow / oh % k, b = i / ow / oh / k;
            double sum = bias ? (double)t.values[2][m] : 0.0;
            for (int64_t g = 0; g < per_group; g++)
                for (int64_t p = 0; p < r; p++)
                    for (int64_t q = 0; q < s; q++) {
                        int64_t a =
                            oy * t.node.strides[0] - t.node.pads_begin[0] + p * t.node.dilations[0];
                        int64_t d =
                            ox * t.node.strides[1] - t.node.pads_begin[1] + q * t.node.dilations[1];
                        if (a < 0 || d < 0 || a >= h || d >= h)
                            continue;
                        int64_t channel = depthwise ? m : m / (k / group) * per_group + g;
                        int64_t w = depthwise ? (p * s + q) * columns + m
                                              : ((m * r + p) * s + q) * columns + g;
                        sum += (double)t.values[0][place_at(x, b, channel, a, d)] *
                               (double)t.values[1][w];
                    }
            sum += residual ? (double)t.values[3][place_at(z, b, m, oy, ox)] : 0.0;
            if (t.step.activation.kind == GLET_ACT_RELU)
                sum = fmax(sum, 0.0);
            table_expect(&t, seed, "convolution", table_result(&t, 4, place_at(y, b, m, oy, ox)),
                         sum);
        }
        table_end(&t);
    }
}

/* Each input is spread over the outputs that it reaches, from weights as ONNX holds them. */
static void spread(const struct table *t, const float *weights, const struct glet_cuda_place *x,
                   int64_t k, int64_t oh, int64_t ow, double *sums)
{
    const struct glet_node *node = &t->node;
    int64_t of_group = x->dims[1] / node->group, outs = k / node->group;
    int64_t pixels = x->dims[2] * x->dims[3], window = node->kernel[0] * node->kernel[1];
    for (int64_t e = 0; e < x->dims[0] * x->dims[1] * pixels * outs * window; e++) {
        int64_t q = e % node->kernel[1], p = e / node->kernel[1] % node->kernel[0];
        int64_t m = e / window % outs, pixel = e / window / outs % pixels;
        int64_t c = e / window / outs / pixels % x->dims[1],
                n = e / window / outs / pixels / x->dims[1];
        int64_t h = pixel / x->dims[3], w = pixel % x->dims[3];
        int64_t i = h * node->strides[0] + p * node->dilations[0] - node->pads_begin[0];
        int64_t j = w * node->strides[1] + q * node->dilations[1] - node->pads_begin[1];
        if (i < 0 || j < 0 || i >= oh || j >= ow)
            continue;
        sums[((n * k + c / of_group * outs + m) * oh + i) * ow + j] +=
            (double)t->values[0][place_at(x, n, c, h, w)] *
            (double)weights[(c * outs + m) * window + p * node->kernel[1] + q];
    }
}

static void transposed_convolutions(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2 * ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t group = 1 + table_below(&t, 3), of_group = 1 + table_below(&t, 5);
        int64_t n = 1 + table_below(&t, 2), c = group * of_group, h = 1 + table_below(&t, 5);
        int64_t outs = 1 + table_below(&t, 4), k = group * outs, w = 1 + table_below(&t, 5),
                ignored;
        random_window(&t, 100, 0, &ignored);
        random_window(&t, 100, 1, &ignored);
        t.node.op = GLET_OP_CONV_TRANSPOSE;
        t.node.group = group;
        t.node.strides[0] += table_below(&t, 2);
        int64_t oh = (h - 1) * t.node.strides[0] + (t.node.kernel[0] - 1) * t.node.dilations[0] +
                     1 + table_below(&t, 2) - t.node.pads_begin[0];
        int64_t ow = (w - 1) * t.node.strides[1] + (t.node.kernel[1] - 1) * t.node.dilations[1] +
                     1 - t.node.pads_begin[1];
        oh = oh > 0 ? oh : 1;
        ow = ow > 0 ? ow : 1;
        struct glet_cuda_place *x = table_map(&t, n, c, h, w, table_below(&t, 2));
        table_place(&t, 4, (int64_t[]){k, t.node.kernel[0], t.node.kernel[1], of_group});
        table_place(&t, 1, &k)->channels = k;
        table_map(&t, n, k, oh, ow, 0)->buffer = -1; /* no residual */
        struct glet_cuda_place *y = table_map(&t, n, k, oh, ow, table_below(&t, 2));
        const float *weights = t.values[1];
        const struct glet_cuda_weight weight = {
            .data = weights,
            .from = GLET_FLOAT32,
            .to = t.plan.type,
            .packing = GLET_CUDA_PACK_TRANSPOSED,
            .count = c * outs * t.node.kernel[0] * t.node.kernel[1],
            .k = k,
            .c = of_group,
            .groups = group,
            .r = t.node.kernel[0],
            .s = t.node.kernel[1],
            .rows = k,
            .columns = of_group,
            .bytes = (size_t)(c * outs * t.node.kernel[0] * t.node.kernel[1]) *
                     glet_dtype_size(t.plan.type)};
        glet_cuda_weight_pack(&weight, t.bases[1]);
        t.step.kind = GLET_CUDA_CONV_TRANSPOSE;
        table_run(&t);
        double *sums = calloc((size_t)(n * k * oh * ow), sizeof *sums);
        spread(&t, weights, x, k, oh, ow, sums);
        for (int64_t i = 0; i < n * k * oh * ow; i++) {
            int64_t ox = i % ow, oy = i / ow % oh, m = i / ow / oh % k, b = i / ow / oh / k;
            table_expect(&t, seed, "transposed convolution",
                         table_result(&t, 4, place_at(y, b, m, oy, ox)),
                         sums[i] + (double)t.values[2][m]);
        }
        free(sums);
        table_end(&t);
    }
}

/* What lies beyond the last channel takes no part, and becomes zero. */
static void responses(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t n = 1 + table_below(&t, 2), c = 1 + table_below(&t, 20), h = 1 + table_below(&t, 4);
        struct glet_cuda_place *x = table_map(&t, n, c, h, 3, table_below(&t, 2));
        struct glet_cuda_place *y = table_map(&t, n, c, h, 3, table_below(&t, 2));
        int size = t.node.mode = 1 + table_below(&t, 6);
        t.node.alpha = 0.3F;
        t.node.beta = seed % 3 ? 0.75F : 0.5F;
        t.node.epsilon = 1.5F;
        t.step.kind = GLET_CUDA_LRN;
        table_run(&t);
        for (int64_t i = 0; i < n * y->channels * h * 3; i++) {
            int64_t q = i % 3, p = i / 3 % h, m = i / 3 / h % y->channels,
                    b = i / 3 / h / y->channels;
            double squares = 0.0;
            for (int64_t a = m - (size - 1) / 2; a <= m + size / 2; a++)
                if (a >= 0 && a < c)
                    squares += pow((double)t.values[0][place_at(x, b, a, p, q)], 2);
            double wanted =
                m < c ? (double)t.values[0][place_at(x, b, m, p, q)] /
                            pow(1.5 + (double)t.node.alpha / size * squares, (double)t.node.beta)
                      : 0.0;
            table_expect(&t, seed, "lrn", table_result(&t, 1, place_at(y, b, m, p, q)), wanted);
        }
        table_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pools),
        cmocka_unit_test(convolutions),
        cmocka_unit_test(transposed_convolutions),
        cmocka_unit_test(responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
