/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels on random shapes against one-element-at-a-time references, on one and three threads. */
#include "runtime/device/cpu/kernels/kernels.h"
#include "runtime/device/cpu/kernels/team.h"
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 300, MAX_ELEMENTS = 40000 };
static float x[MAX_ELEMENTS], y[MAX_ELEMENTS], got[MAX_ELEMENTS];

static int below(int limit)
{
    return rand() % limit;
}

static int64_t count_of(int rank, const int64_t *dims)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    return count;
}

static int random_dims(int64_t *dims)
{
    int rank = 1 + below(4);
    for (int i = 0; i < rank; i++)
        dims[i] = 1 + below(rank > 2 ? 9 : 60);
    if (below(4) == 0)
        dims[rank - 1] = 1 + below(80);
    return rank;
}

static void fill(float *data, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        data[i] = (float)below(2001) * 0.001F - 1.0F;
}

/* Offset of a broadcast operand at the position of the result. */
static int64_t broadcast_offset(int64_t position, int rank, const int64_t *dims, int operand_rank,
                                const int64_t *operand_dims)
{
    int64_t offset = 0, stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        int64_t index = position % dims[i];
        position /= dims[i];
        int at = i - (rank - operand_rank);
        if (at >= 0) {
            if (operand_dims[at] != 1)
                offset += index * stride;
            stride *= operand_dims[at];
        }
    }
    return offset;
}

static void broadcasting(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t dims[4], a[4], b[4];
        int rank = random_dims(dims), a_rank = rank, b_rank = 1 + below(rank);
        for (int i = 0; i < rank; i++)
            a[i] = below(4) ? dims[i] : 1;
        for (int i = 0; i < b_rank; i++)
            b[i] = below(3) ? dims[rank - b_rank + i] : 1;
        fill(x, count_of(a_rank, a));
        fill(y, count_of(b_rank, b));
        struct glet_cpu_loop loop = glet_cpu_loop_new(rank, dims);
        glet_cpu_loop_broadcast(&loop, a_rank, a);
        glet_cpu_loop_broadcast(&loop, b_rank, b);
        glet_cpu_loop_simplify(&loop);
        unsigned char larger[MAX_ELEMENTS];
        glet_cpu_binary(&loop, GLET_SUB, GLET_FLOAT32, got, x, y);
        glet_cpu_binary(&loop, GLET_GREATER, GLET_FLOAT32, larger, x, y);
        for (int64_t i = 0; i < count_of(rank, dims); i++) {
            float p = x[broadcast_offset(i, rank, dims, a_rank, a)];
            float q = y[broadcast_offset(i, rank, dims, b_rank, b)];
            assert_true(got[i] == p - q);
            assert_int_equal(larger[i], p > q);
        }
    }
}

static void transpositions(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t dims[4], in_dims[4], strides[4], stride = 1;
        int perm[4] = {0, 1, 2, 3}, rank = random_dims(in_dims);
        for (int i = rank - 1; i > 0; i--) {
            int j = below(i + 1), swap = perm[i];
            perm[i] = perm[j];
            perm[j] = swap;
        }
        for (int i = rank - 1; i >= 0; i--) {
            strides[i] = stride;
            stride *= in_dims[i];
        }
        for (int i = 0; i < rank; i++)
            dims[i] = in_dims[perm[i]];
        struct glet_cpu_loop loop = glet_cpu_loop_new(rank, dims);
        loop.operands = 2;
        for (int i = 0; i < rank; i++)
            loop.strides[1][i] = strides[perm[i]];
        struct glet_cpu_loop simple = loop;
        glet_cpu_loop_simplify(&simple);
        fill(x, stride);
        glet_cpu_copy(&simple, sizeof(float), got, x);
        for (int64_t i = 0; i < stride; i++) {
            int64_t rest = i, from = 0;
            for (int k = rank - 1; k >= 0; k--) {
                from += rest % dims[k] * loop.strides[1][k];
                rest /= dims[k];
            }
            assert_true(got[i] == x[from]);
        }
    }
}

static void reductions(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t dims[4];
        int rank = random_dims(dims);
        uint32_t mask = (uint32_t)below(1 << rank);
        enum glet_op op = (enum glet_op)(GLET_OP_REDUCE_MEAN + below(4));
        int64_t count = count_of(rank, dims), out_count = 1, reduced = 1;
        for (int i = 0; i < rank; i++)
            *(mask >> i & 1 ? &reduced : &out_count) *= dims[i];
        fill(x, count);
        double sums[MAX_ELEMENTS / 8] = {0};
        float best[MAX_ELEMENTS / 8];
        bool seen[MAX_ELEMENTS / 8] = {0};
        if (out_count > MAX_ELEMENTS / 8)
            continue;
        for (int64_t i = 0; i < count; i++) {
            int64_t rest = i, at = 0, stride = 1;
            for (int k = rank - 1; k >= 0; k--) {
                if (!(mask >> k & 1)) {
                    at += rest % dims[k] * stride;
                    stride *= dims[k];
                }
                rest /= dims[k];
            }
            sums[at] += (double)x[i];
            bool better = op == GLET_OP_REDUCE_MAX ? x[i] > best[at] : x[i] < best[at];
            if (!seen[at] || better)
                best[at] = x[i];
            seen[at] = true;
        }
        glet_cpu_reduce(op, GLET_FLOAT32, got, x, rank, dims, mask);
        for (int64_t i = 0; i < out_count; i++) {
            double want = op == GLET_OP_REDUCE_MEAN  ? sums[i] / (double)reduced
                          : op == GLET_OP_REDUCE_SUM ? sums[i]
                                                     : (double)best[i];
            CHECK_NEAR((double)got[i], want, 1e-4);
        }
    }
}

static void gather_out_of_range(void **state)
{
    (void)state;
    const float table[] = {1, 2, 3, 4, 5, 6};
    const int64_t indices[] = {0, -1, 3, 2, INT64_MIN, INT64_MAX};
    float out[12];
    glet_cpu_gather(out, table, indices, GLET_INT64, 1, 3, 6, 2 * sizeof(float));
    const float want[] = {1, 2, 5, 6, 0, 0, 5, 6, 0, 0, 0, 0};
    assert_memory_equal(out, want, sizeof want);
}

static void padding(void **state)
{
    (void)state;
    const float in[] = {1, 2, 3}, value = 9;
    const float want[3][7] = {{9, 9, 1, 2, 3, 9, 9}, {3, 2, 1, 2, 3, 2, 1}, {1, 1, 1, 2, 3, 3, 3}};
    for (int mode = 0; mode < 3; mode++) {
        float out[7];
        const int64_t out_dims[] = {7}, in_dims[] = {3}, begin[] = {2};
        glet_cpu_pad(out, out_dims, in, in_dims, begin, 1, mode, sizeof(float), &value);
        assert_memory_equal(out, want[mode], sizeof out);
    }
}

static void conversions(void **state)
{
    (void)state;
    const float in[] = {0.0F,     -0.0F,         1.0F,  -2.5F,           65504.0F,
                        65520.0F, 5.9604645e-8F, 1e-9F, 0.333251953125F, INFINITY};
    const uint16_t half[] = {0, 0x8000, 0x3c00, 0xc100, 0x7bff, 0x7c00, 1, 0, 0x3555, 0x7c00};
    uint16_t out[10];
    float back[10];
    glet_cpu_convert(out, GLET_FLOAT16, in, GLET_FLOAT32, 10);
    assert_memory_equal(out, half, sizeof half);
    glet_cpu_convert(back, GLET_FLOAT32, half, GLET_FLOAT16, 10);
    for (int i = 0; i < 10; i++)
        if (i != 5 && i != 7)
            assert_true(back[i] == in[i]);
    for (uint32_t bits = 0; bits < 0x7c00; bits++) { /* every finite half survives the round trip */
        uint16_t h = (uint16_t)bits, again;
        float f;
        glet_cpu_convert(&f, GLET_FLOAT32, &h, GLET_FLOAT16, 1);
        glet_cpu_convert(&again, GLET_FLOAT16, &f, GLET_FLOAT32, 1);
        assert_int_equal(again, h);
    }
    const float odd[] = {NAN, 1e30F, -1e30F, -1.9F};
    const int64_t ints[] = {0, INT64_MAX, INT64_MIN, -1};
    int64_t converted[4];
    glet_cpu_convert(converted, GLET_INT64, odd, GLET_FLOAT32, 4);
    assert_memory_equal(converted, ints, sizeof ints);
}

static void integer_arithmetic(void **state)
{
    (void)state;
    const int64_t a[] = {7, -7, 7, INT64_MIN, 5, 2}, b[] = {3, 3, -3, -1, 0, 10};
    const int64_t quotient[] = {2, -2, -2, INT64_MIN, 0, 0}, modulo[] = {1, 2, -2, 0, 0, 2};
    int64_t out[6];
    const int64_t dims[] = {6};
    struct glet_cpu_loop loop = glet_cpu_loop_new(1, dims);
    glet_cpu_loop_broadcast(&loop, 1, dims);
    glet_cpu_loop_broadcast(&loop, 1, dims);
    glet_cpu_binary(&loop, GLET_DIV, GLET_INT64, out, a, b);
    assert_memory_equal(out, quotient, sizeof out);
    glet_cpu_binary(&loop, GLET_MOD, GLET_INT64, out, a, b);
    assert_memory_equal(out, modulo, sizeof out);
}

static int many_threads(void **state)
{
    struct glet_error err = {0};
    (void)state;
    return glet_cpu_team_use(3, &err);
}

static int one_thread(void **state)
{
    struct glet_error err = {0};
    (void)state;
    return glet_cpu_team_use(1, &err);
}

int main(void)
{
    srand(11);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broadcasting),
        cmocka_unit_test(transpositions),
        cmocka_unit_test(reductions),
        cmocka_unit_test_setup_teardown(broadcasting, many_threads, one_thread),
        cmocka_unit_test_setup_teardown(transpositions, many_threads, one_thread),
        cmocka_unit_test_setup_teardown(reductions, many_threads, one_thread),
        cmocka_unit_test(gather_out_of_range),
        cmocka_unit_test(padding),
        cmocka_unit_test(conversions),
        cmocka_unit_test(integer_arithmetic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
