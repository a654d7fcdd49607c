/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "common/random.h"
#include "planner/solve/space/pattern.h"
#include "tests/unit/check.h"

static int all_sizes[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static void counts_maximal_patterns(void **state)
{
    (void)state;
    struct glet_problem_type type = {
        .units = 16, .max_gpulets = 8, .sizes_units = all_sizes, .size_count = 16};
    struct glet_patterns patterns;
    glet_patterns_init(&patterns, &type, 1000);
    assert_int_equal(patterns.count, 186);
    assert_true(patterns.complete);
    glet_patterns_fini(&patterns);
    glet_patterns_init(&patterns, &type, 50);
    assert_int_equal(patterns.count, 50);
    assert_false(patterns.complete);
    glet_patterns_fini(&patterns);
}

static void keeps_to_layouts(void **state)
{
    (void)state;
    int sizes[] = {1, 2, 3, 4, 7}, a[] = {7}, b[] = {4, 3}, c[] = {3, 2, 1, 1};
    struct glet_problem_layout layouts[] = {{a, 1}, {b, 2}, {c, 4}};
    struct glet_problem_type type = {.units = 7,
                                     .max_gpulets = 7,
                                     .sizes_units = sizes,
                                     .size_count = 5,
                                     .layouts = layouts,
                                     .layout_count = 3};
    int64_t price[] = {1, 4, 5, 6, 10};
    int16_t uses[5];
    struct glet_patterns patterns;
    glet_patterns_init(&patterns, &type, 100);
    assert_int_equal(patterns.count, 3);
    assert_int_equal(glet_pattern_best(&type, price, uses), 11);
    assert_int_equal(uses[3], 1); /* 4 + 3 */
    assert_int_equal(uses[2], 1);
    glet_patterns_fini(&patterns);
}

/* The knapsack finds what the best listed pattern is worth. */
static void knapsack_equals_enumeration(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(7);
    for (int round = 0; round < 300; round++) {
        struct glet_problem_type type = {.units = 1 + (int)glet_random_below(&random, 16),
                                         .sizes_units = all_sizes};
        type.max_gpulets = 1 + (int)glet_random_below(&random, 8);
        type.size_count = type.units;
        int64_t price[16], best = 0;
        for (int s = 0; s < 16; s++)
            price[s] = (s ? price[s - 1] : 0) + (int64_t)glet_random_below(&random, 50);
        struct glet_patterns patterns;
        glet_patterns_init(&patterns, &type, 100000);
        for (int p = 0; p < patterns.count; p++) {
            int64_t value = 0;
            for (int s = 0; s < type.size_count; s++)
                value += patterns.uses[p * type.size_count + s] * price[s];
            best = value > best ? value : best;
        }
        assert_int_equal(glet_pattern_best(&type, price, NULL), best);
        int64_t beside = 0; /* of any size that is taken first */
        for (int s = 0; s < type.size_count; s++) {
            int64_t value = price[s] + glet_pattern_best_beside(&type, s, price, NULL);
            beside = value > beside ? value : beside;
        }
        assert_int_equal(beside, best);
        glet_patterns_fini(&patterns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_maximal_patterns),
        cmocka_unit_test(keeps_to_layouts),
        cmocka_unit_test(knapsack_equals_enumeration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
