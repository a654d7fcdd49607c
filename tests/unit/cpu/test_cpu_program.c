/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators through whole programs, against plain loops in double precision: random shapes, one and
 * two threads, and the cases where memory is shared (residuals, concatenations, views).
 */
#include "runtime/device/cpu/kernels/team.h"
#include "tests/unit/check.h"
#include "tests/unit/cpu/hand_graph.h"

#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 30 };
static const double TOLERANCE = 2e-5;

static float *conv_reference(const struct hand *h, const struct glet_node *node)
{
    const struct glet_tensor *x = &h->tensors[node->inputs[0]], *w = &h->tensors[node->inputs[1]];
    const struct glet_tensor *y = &h->tensors[node->output];
    const float *xd = h->data[node->inputs[0]], *wd = h->data[node->inputs[1]];
    float *out = malloc(glet_tensor_bytes(y));
    int64_t group_out = y->dims[1] / node->group, group_in = x->dims[1] / node->group, at = 0;
    for (int64_t n = 0; n < y->dims[0]; n++)
        for (int64_t m = 0; m < y->dims[1]; m++)
            for (int64_t i = 0; i < y->dims[2]; i++)
                for (int64_t j = 0; j < y->dims[3]; j++) {
                    double sum = node->has_bias ? (double)h->data[node->inputs[2]][m] : 0.0;
                    for (int64_t c = 0; c < group_in; c++)
                        for (int64_t p = 0; p < w->dims[2]; p++)
                            for (int64_t q = 0; q < w->dims[3]; q++) {
                                int64_t r = i * node->strides[0] - node->pads_begin[0] +
                                            p * node->dilations[0];
                                int64_t s = j * node->strides[1] - node->pads_begin[1] +
                                            q * node->dilations[1];
                                if (r < 0 || s < 0 || r >= x->dims[2] || s >= x->dims[3])
                                    continue;
                                int64_t channel = m / group_out * group_in + c;
                                sum +=
                                    (double)xd[((n * x->dims[1] + channel) * x->dims[2] + r) *
                                                   x->dims[3] +
                                               s] *
                                    (double)
                                        wd[((m * group_in + c) * w->dims[2] + p) * w->dims[3] + q];
                            }
                    out[at++] = (float)sum;
                }
    return out;
}

static void random_window(struct hand *h, struct glet_node *node, int64_t kernel, int64_t size,
                          int64_t *out_size, int dimension)
{
    node->kernel[dimension] = kernel;
    node->strides[dimension] = 1 + hand_below(h, 2);
    node->dilations[dimension] = 1;
    node->pads_begin[dimension] = hand_below(h, (int)kernel);
    node->pads_end[dimension] = hand_below(h, (int)kernel);
    *out_size = (size + node->pads_begin[dimension] + node->pads_end[dimension] - kernel) /
                    node->strides[dimension] +
                1;
}

/* conv, then conv with a residual and relu: layouts, in-place sums, depthwise. */
static void convolutions(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct hand h;
        hand_init(&h, seed);
        int64_t group = hand_below(&h, 3) == 0 ? 16 : 1;
        int64_t in = group > 1 ? 16 : 1 + hand_below(&h, 40),
                out = group > 1 ? 16 : 1 + hand_below(&h, 40);
        int64_t n = 1 + hand_below(&h, 2), hw = 5 + hand_below(&h, 12),
                k = 1 + 2 * hand_below(&h, 2);
        struct glet_node window = {0};
        int64_t oh, ow;
        random_window(&h, &window, k, hw, &oh, 0);
        random_window(&h, &window, k, hw, &ow, 1);
        int x = hand_input(&h, (int64_t[]){n, in, hw, hw, 0});
        int w = hand_constant(&h, (int64_t[]){out, in / group, k, k, 0});
        int bias = hand_constant(&h, (int64_t[]){out, 0});
        int y = hand_node(&h, GLET_OP_CONV, (int[]){x, w, bias}, 3, (int64_t[]){n, out, oh, ow, 0});
        struct glet_node *node = hand_last(&h);
        memcpy(node->kernel, window.kernel, sizeof node->kernel);
        memcpy(node->strides, window.strides, sizeof node->strides);
        memcpy(node->dilations, window.dilations, sizeof node->dilations);
        memcpy(node->pads_begin, window.pads_begin, sizeof node->pads_begin);
        memcpy(node->pads_end, window.pads_end, sizeof node->pads_end);
        node->group = group;
        node->has_bias = true;
        float *wanted = conv_reference(&h, node);
        /* z = relu(1x1(y) + y), y alone is an output too in half of the cases */
        int w2 = hand_constant(&h, (int64_t[]){out, out, 1, 1, 0});
        int z = hand_node(&h, GLET_OP_CONV, (int[]){y, w2, y}, 3, (int64_t[]){n, out, oh, ow, 0});
        struct glet_node *second = hand_last(&h);
        second->has_residual = true;
        second->activation.kind = GLET_ACT_RELU;
        for (int i = 0; i < 2; i++)
            second->kernel[i] = second->strides[i] = second->dilations[i] = 1;
        hand_output(&h, z);
        bool both = seed % 2 == 0;
        if (both)
            hand_output(&h, y);
        struct glet_node plain = *second;
        plain.has_residual = false;
        plain.input_count = 2;
        h.data[y] = wanted; /* the second reference reads it; freed with the graph */
        float *wanted_z = conv_reference(&h, &plain), *got[2] = {0};
        int64_t count = glet_tensor_elements(&h.tensors[y]);
        for (int64_t i = 0; i < count; i++)
            wanted_z[i] = fmaxf(wanted_z[i] + wanted[i], 0.0F);
        hand_run(&h, 1 + (int)(seed % 3 == 0), got);
        if (hand_error(got[0], wanted_z, count) > TOLERANCE ||
            (both && hand_error(got[1], wanted, count) > TOLERANCE))
            fail_msg("seed %d: error %g", (int)seed, hand_error(got[0], wanted_z, count));
        free(got[0]);
        free(got[1]);
        free(wanted_z);
        hand_free(&h);
    }
}

/* Random products: layers, batched, broadcast, transposed; bias, residual, scale. */
static void products(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct hand h;
        hand_init(&h, seed);
        int64_t batch = 1 + hand_below(&h, 3), m = 1 + hand_below(&h, 20);
        int64_t k = 1 + hand_below(&h, 40), n = 1 + hand_below(&h, 40);
        bool layer = hand_below(&h, 2), ta = !layer && hand_below(&h, 2), tb = hand_below(&h, 2);
        bool bias = hand_below(&h, 2), residual = hand_below(&h, 2);
        int a = hand_input(&h, (int64_t[]){batch, ta ? k : m, ta ? m : k, 0});
        int b = layer ? hand_constant(&h, (int64_t[]){tb ? n : k, tb ? k : n, 0})
                      : hand_input(&h, (int64_t[]){hand_below(&h, 2) ? batch : 1, tb ? n : k,
                                                   tb ? k : n, 0});
        int inputs[4] = {a, b}, count = 2;
        int bias_tensor = hand_constant(&h, (int64_t[]){n, 0});
        int residual_tensor = hand_input(&h, (int64_t[]){batch, m, n, 0});
        if (bias)
            inputs[count++] = bias_tensor;
        if (residual)
            inputs[count++] = residual_tensor;
        int y = hand_node(&h, GLET_OP_MATMUL, inputs, count, (int64_t[]){batch, m, n, 0});
        struct glet_node *node = hand_last(&h);
        node->trans_a = ta;
        node->trans_b = tb;
        node->has_bias = bias;
        node->has_residual = residual;
        node->alpha = seed % 4 == 0 ? 0.5F : 1.0F;
        node->activation.kind = seed % 3 == 0 ? GLET_ACT_GELU_ERF : GLET_ACT_NONE;
        hand_output(&h, y);
        float *wanted = malloc((size_t)(batch * m * n) * sizeof(float)), *got[1];
        const struct glet_tensor *bt = &h.tensors[b];
        int64_t b_step = bt->rank == 3 && bt->dims[0] > 1 ? k * n : 0;
        for (int64_t i = 0; i < batch; i++)
            for (int64_t r = 0; r < m; r++)
                for (int64_t c = 0; c < n; c++) {
                    double sum = 0.0;
                    for (int64_t p = 0; p < k; p++)
                        sum += (double)h.data[a][i * m * k + (ta ? p * m + r : r * k + p)] *
                               (double)h.data[b][i * b_step + (tb ? c * k + p : p * n + c)];
                    sum *= (double)node->alpha;
                    sum += bias ? (double)h.data[bias_tensor][c] : 0.0;
                    sum += residual ? (double)h.data[residual_tensor][(i * m + r) * n + c] : 0.0;
                    if (node->activation.kind == GLET_ACT_GELU_ERF)
                        sum = 0.5 * sum * (1.0 + erf(sum * 0.70710678118654752));
                    wanted[(i * m + r) * n + c] = (float)sum;
                }
        hand_run(&h, 1 + (int)(seed % 2), got);
        if (hand_error(got[0], wanted, batch * m * n) > TOLERANCE)
            fail_msg("seed %d: error %g", (int)seed, hand_error(got[0], wanted, batch * m * n));
        free(got[0]);
        free(wanted);
        hand_free(&h);
    }
}

/* The path for a single row: sizes that are no multiple of a panel, both orders of the weights. */
static void single_rows(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct hand h;
        hand_init(&h, seed);
        int64_t k = 200 + hand_below(&h, 50), n = 300 + hand_below(&h, 100);
        bool tb = seed % 2;
        int a = hand_input(&h, (int64_t[]){1, k, 0});
        int w = hand_constant(&h, (int64_t[]){tb ? n : k, tb ? k : n, 0});
        int bias = hand_constant(&h, (int64_t[]){n, 0});
        int y = hand_node(&h, GLET_OP_MATMUL, (int[]){a, w, bias}, seed % 3 ? 3 : 2,
                          (int64_t[]){1, n, 0});
        hand_last(&h)->trans_b = tb;
        hand_last(&h)->has_bias = seed % 3 != 0;
        hand_last(&h)->activation.kind = seed % 4 == 0 ? GLET_ACT_RELU : GLET_ACT_NONE;
        hand_output(&h, y);
        float *got[1], *wanted = malloc((size_t)n * sizeof *wanted);
        for (int64_t c = 0; c < n; c++) {
            double sum = seed % 3 ? (double)h.data[bias][c] : 0.0;
            for (int64_t p = 0; p < k; p++)
                sum += (double)h.data[a][p] * (double)h.data[w][tb ? c * k + p : p * n + c];
            wanted[c] = (float)(seed % 4 == 0 ? fmax(sum, 0.0) : sum);
        }
        hand_run(&h, 1 + (int)(seed % 2), got);
        assert_true(hand_error(got[0], wanted, n) < TOLERANCE);
        free(got[0]);
        free(wanted);
        hand_free(&h);
    }
}

/* Parts written in place, a growing chain of concatenations, and a part that is also an output. */
static void concatenations(void **state)
{
    (void)state;
    struct hand h;
    hand_init(&h, 7);
    const int64_t dims[] = {1, 16, 6, 6, 0};
    int x = hand_input(&h, dims), parts[4], joined = -1;
    for (int i = 0; i < 4; i++) {
        int w = hand_constant(&h, (int64_t[]){16, i == 0 ? 16 : 16 * i, 1, 1, 0});
        parts[i] = hand_node(&h, GLET_OP_CONV,
                             (int[]){i == 0   ? x
                                     : i == 1 ? parts[0]
                                              : joined,
                                     w},
                             2, dims);
        for (int k = 0; k < 2; k++)
            hand_last(&h)->kernel[k] = hand_last(&h)->strides[k] = 1;
        if (i > 0) {
            joined =
                hand_node(&h, GLET_OP_CONCAT, parts, i + 1, (int64_t[]){1, 16 * (i + 1), 6, 6, 0});
            hand_last(&h)->axis = 1;
        }
    }
    hand_output(&h, joined);
    hand_output(&h, parts[1]);
    float *got[2], all[64 * 36];
    hand_run(&h, 1, got);
    for (int i = 0; i < 4; i++) { /* every part from what stands before it in the result */
        const float *in = i == 0 ? h.data[x] : all;
        const float *w = h.tensors[h.nodes[h.tensors[parts[i]].producer].inputs[1]].data;
        int channels = i == 0 ? 16 : 16 * i;
        for (int m = 0; m < 16; m++)
            for (int p = 0; p < 36; p++) {
                double sum = 0.0;
                for (int c = 0; c < channels; c++)
                    sum += (double)in[c * 36 + p] * (double)w[m * channels + c];
                all[(16 * i + m) * 36 + p] = (float)sum;
            }
    }
    assert_true(hand_error(got[0], all, 64 * 36) < TOLERANCE);
    assert_true(hand_error(got[1], all + 16 * 36, 16 * 36) < TOLERANCE);
    free(got[0]);
    free(got[1]);
    hand_free(&h);
}

static void attention_row(double *out, const struct hand *h, int q, int k, int v, int mask,
                          const int64_t *shape, int64_t b, int64_t head, int64_t i)
{
    int64_t heads = shape[1], s = shape[2], d = shape[3], width = heads * d;
    double *score = calloc((size_t)s, sizeof *score), most = -1e300, total = 0.0;
    for (int64_t j = 0; j < s; j++) {
        for (int64_t c = 0; c < d; c++)
            score[j] += (double)h->data[q][(b * s + i) * width + head * d + c] *
                        (double)h->data[k][(b * s + j) * width + head * d + c];
        score[j] = score[j] * 0.25 + (double)h->data[mask][b * s + j];
        most = fmax(most, score[j]);
    }
    for (int64_t j = 0; j < s; j++)
        total += score[j] = exp(score[j] - most);
    for (int64_t c = 0; c < d; c++)
        for (int64_t j = 0; j < s; j++)
            out[c] += score[j] / total * (double)h->data[v][(b * s + j) * width + head * d + c];
    free(score);
}

static void attention(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct hand h;
        hand_init(&h, seed);
        int64_t batch = 1 + hand_below(&h, 2), heads = 1 + hand_below(&h, 3);
        int64_t s = 1 + hand_below(&h, 70), d = 8 * (1 + hand_below(&h, 8)), width = heads * d;
        const int64_t dims[] = {batch, s, width, 0};
        int q = hand_input(&h, dims), k = hand_input(&h, dims), v = hand_input(&h, dims);
        int mask = hand_input(&h, (int64_t[]){batch, 1, 1, s, 0});
        int y = hand_node(&h, GLET_OP_ATTENTION, (int[]){q, k, v, mask}, 4, dims);
        hand_last(&h)->heads = (int)heads;
        hand_last(&h)->has_mask = true;
        hand_last(&h)->alpha = 0.25F;
        hand_output(&h, y);
        float *got[1], *wanted = malloc((size_t)(batch * s * width) * sizeof(float));
        for (int64_t b = 0; b < batch; b++)
            for (int64_t head = 0; head < heads; head++)
                for (int64_t i = 0; i < s; i++) {
                    double row[64] = {0};
                    attention_row(row, &h, q, k, v, mask, (int64_t[]){batch, heads, s, d}, b, head,
                                  i);
                    for (int64_t c = 0; c < d; c++)
                        wanted[(b * s + i) * width + head * d + c] = (float)row[c];
                }
        hand_run(&h, 1 + (int)(seed % 2), got);
        double error = hand_error(got[0], wanted, batch * s * width);
        if (error > TOLERANCE)
            fail_msg("seed %d: error %g", (int)seed, error);
        free(got[0]);
        free(wanted);
        hand_free(&h);
    }
}

/* Outputs that are an input, a view of one, and the same tensor twice. */
static void aliased_outputs(void **state)
{
    (void)state;
    struct hand h;
    hand_init(&h, 3);
    int x = hand_input(&h, (int64_t[]){2, 6, 0});
    int view = hand_view(&h, x, (int64_t[]){3, 4, 0});
    int y = hand_node(&h, GLET_OP_UNARY, &x, 1, (int64_t[]){2, 6, 0});
    hand_last(&h)->activation.kind = GLET_ACT_NEG;
    hand_output(&h, x);
    hand_output(&h, view);
    hand_output(&h, y);
    hand_output(&h, y);
    float *got[4];
    hand_run(&h, 1, got);
    for (int i = 0; i < 12; i++) {
        assert_true(got[0][i] == h.data[x][i] && got[1][i] == h.data[x][i]);
        assert_true(got[2][i] == -h.data[x][i] && got[3][i] == -h.data[x][i]);
    }
    for (int i = 0; i < 4; i++)
        free(got[i]);
    hand_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions), cmocka_unit_test(products),
        cmocka_unit_test(single_rows),  cmocka_unit_test(concatenations),
        cmocka_unit_test(attention),    cmocka_unit_test(aliased_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
