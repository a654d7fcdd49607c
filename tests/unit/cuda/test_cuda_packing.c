/* SPDX-License-Identifier: Apache-2.0 */
/* What weights become on their way to a GPU. */
#include "tests/unit/cuda/kernel_table.h"

#include <string.h>

static void packing(void **state)
{
    (void)state;
    static const float big[] = {1e30F, -1e30F, INFINITY, 65504.0F, 1.0F, 2.0F, 3.0F, 4.0F};
    uint16_t out[16];
    float back[16];
    struct glet_cuda_weight w = {.data = big,
                                 .from = GLET_FLOAT32,
                                 .to = GLET_FLOAT16,
                                 .packing = GLET_CUDA_PACK_PLAIN,
                                 .count = 5,
                                 .bytes = 16};
    glet_cuda_weight_pack(&w, out);
    host_halves_to_floats(out, back, 8);
    static const float wanted[] = {65504.0F, -65504.0F, INFINITY, 65504.0F, 1.0F, 0.0F, 0.0F, 0.0F};
    for (int i = 0; i < 8; i++)
        assert_true(back[i] == wanted[i]);
    /* 2 x 2 x 1 x 2 to rows of 3 columns: [k][s][c] */
    struct glet_cuda_weight krsc = {.data = big,
                                    .from = GLET_FLOAT32,
                                    .to = GLET_FLOAT32,
                                    .packing = GLET_CUDA_PACK_KRSC,
                                    .count = 8,
                                    .k = 2,
                                    .c = 2,
                                    .r = 1,
                                    .s = 2,
                                    .rows = 2,
                                    .columns = 3,
                                    .bytes = 48};
    glet_cuda_weight_pack(&krsc, back);
    static const int from[12] = {0, 2, -1, 1, 3, -1, 4, 6, -1, 5, 7, -1};
    for (int i = 0; i < 12; i++)
        assert_true(back[i] == (from[i] < 0 ? 0.0F : big[from[i]]));
    /* 2 x 2 beside 2 x 1 */
    struct glet_cuda_weight beside = {.from = GLET_FLOAT32,
                                      .to = GLET_FLOAT32,
                                      .packing = GLET_CUDA_PACK_BESIDE,
                                      .count = 6,
                                      .rows = 2,
                                      .beside = {{big, 2}, {big + 4, 1}},
                                      .bytes = 24};
    glet_cuda_weight_pack(&beside, back);
    static const int side[6] = {0, 1, 4, 2, 3, 5};
    for (int i = 0; i < 6; i++)
        assert_true(back[i] == big[side[i]]);
    struct glet_cuda_weight other = beside;
    assert_true(glet_cuda_weight_same(&beside, &other));
    other.beside[1].data = big;
    assert_false(glet_cuda_weight_same(&beside, &other));
}

/* The fast conversion of weights against the general one, over the whole range of exponents. */
static void halves(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (int i = 0; i < 200000; i++) {
        float value, wanted;
        double wide;
        uint16_t got, general;
        random = random * 1664525u + 1013904223u;
        uint32_t bits = i < 1000 ? (uint32_t)i << 16 | 0x1000u : random;
        memcpy(&value, &bits, sizeof value);
        if (isnan(value))
            continue;
        wide = (double)value;
        struct glet_cuda_weight fast = {.data = &value,
                                        .from = GLET_FLOAT32,
                                        .to = GLET_FLOAT16,
                                        .packing = GLET_CUDA_PACK_PLAIN,
                                        .count = 1,
                                        .bytes = 2};
        struct glet_cuda_weight slow = fast;
        slow.data = &wide;
        slow.from = GLET_FLOAT64;
        glet_cuda_weight_pack(&fast, &got);
        glet_cuda_weight_pack(&slow, &general);
        host_halves_to_floats(&got, &wanted, 1);
        if (got != general)
            fail_msg("%g becomes %g", wide, (double)wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packing),
        cmocka_unit_test(halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
