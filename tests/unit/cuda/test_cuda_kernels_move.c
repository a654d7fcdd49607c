/* SPDX-License-Identifier: Apache-2.0 */
/* Movement: gathering and padding. */
#include "tests/unit/cuda/kernel_table.h"

#include <string.h>

/* Indices of a request may be anything. */
static void gathers(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t outer = 1 + table_below(&t, 3), axis = 1 + table_below(&t, 9),
                inner = 1 + table_below(&t, 20), count = 1 + table_below(&t, 12);
        int64_t indices[12];
        for (int i = 0; i < count; i++)
            indices[i] = table_below(&t, 4) ? table_below(&t, (int)(2 * axis)) - axis
                                            : (table_below(&t, 2) ? INT64_MAX - i : INT64_MIN + i);
        memcpy(t.bases[1], indices, sizeof indices);
        table_place(&t, 3, (int64_t[]){outer, axis, inner});
        table_place(&t, 1, &count)->dtype = GLET_INT64;
        table_place(&t, 3, (int64_t[]){outer, count, inner});
        t.step.kind = GLET_CUDA_GATHER;
        table_run(&t);
        for (int64_t i = 0; i < outer * count * inner; i++) {
            int64_t from = indices[i / inner % count];
            if (from < -axis || from >= axis)
                continue;
            from = from < 0 ? from + axis : from;
            table_expect(
                &t, seed, "gather", table_result(&t, 2, i),
                (double)t.values[0][(i / inner / count * axis + from) * inner + i % inner]);
        }
        table_end(&t);
    }
}

static void pads(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t in[4], out[4];
        for (int i = 0; i < 4; i++) {
            in[i] = 2 + table_below(&t, 4);
            t.node.pads_begin[i] = table_below(&t, (int)in[i]);
            out[i] = in[i] + t.node.pads_begin[i] + table_below(&t, (int)in[i]);
        }
        t.node.mode = (int)(seed % 3);
        t.node.alpha = 0.5F;
        struct glet_cuda_place *x = table_place(&t, 4, in), *y = table_place(&t, 4, out);
        t.step.kind = GLET_CUDA_PAD;
        table_run(&t);
        for (int64_t i = 0; i < out[0] * out[1] * out[2] * out[3]; i++) {
            int64_t at[4], rest = i;
            bool outside = false;
            for (int d = 3; d >= 0; d--) {
                at[d] = rest % out[d] - t.node.pads_begin[d];
                rest /= out[d];
                if (at[d] >= 0 && at[d] < in[d])
                    continue;
                outside = true;
                if (t.node.mode == 1)
                    at[d] = at[d] < 0 ? -at[d] : 2 * (in[d] - 1) - at[d];
                else
                    at[d] = at[d] < 0 ? 0 : in[d] - 1;
            }
            double wanted = outside && t.node.mode == 0
                                ? 0.5
                                : (double)t.values[0][place_at(x, at[0], at[1], at[2], at[3])];
            table_expect(&t, seed, "pad", table_result(&t, 1, y->offset + i), wanted);
        }
        table_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gathers),
        cmocka_unit_test(pads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
