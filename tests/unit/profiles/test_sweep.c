/* SPDX-License-Identifier: Apache-2.0 */
#include "profiles/sweep.h"
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

static struct glet_error err;

static void test_default_sizes(void **state)
{
    (void)state;
    int sizes[64];
    int count = glet_sweep_default_sizes(20, 10, sizes, 64);
    assert_int_equal(count, 9);
    assert_memory_equal(sizes, ((int[]){10, 5, 20, 2, 8, 6, 4, 3, 7}), sizeof(int) * 9);
    count = glet_sweep_default_sizes(640, 10, sizes, 64);
    for (int i = 0; i < count; i++) {
        assert_in_range(sizes[i], 1, 640);
        for (int k = 0; k < i; k++)
            assert_int_not_equal(sizes[i], sizes[k]);
    }
    assert_int_equal(sizes[2], 640);
    count = glet_sweep_default_sizes(16, 1, sizes, 64);
    assert_int_equal(count, 16);
    assert_memory_equal(sizes, ((int[]){16, 8, 4, 2, 1, 3}), sizeof(int) * 6);
    assert_int_equal(glet_sweep_default_sizes(16, 1, sizes, 3), 3);
    assert_int_equal(glet_sweep_default_sizes(1, 1, sizes, 64), 1);
}

static void test_order(void **state)
{
    (void)state;
    static const int batches[] = {1, 8, 4}, sizes[] = {10, 5};
    struct glet_sweep_point *points = NULL, *again = NULL, *other = NULL;
    size_t count = 0;
    CHECK_OK(glet_sweep_order(4, batches, 3, sizes, 2, 1, &points, &count, &err), &err);
    assert_int_equal(count, 24);
    /* Every point once, ranks ascending, the most useful point of every model first. */
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            assert_true(points[i].rank >= points[i - 1].rank);
        if (i < 4)
            assert_true(points[i].batch == 1 && points[i].units == 10);
        for (size_t k = 0; k < i; k++)
            assert_false(points[i].model == points[k].model && points[i].batch == points[k].batch &&
                         points[i].units == points[k].units);
    }
    CHECK_OK(glet_sweep_order(4, batches, 3, sizes, 2, 1, &again, &count, &err), &err);
    assert_memory_equal(points, again, count * sizeof *points);
    CHECK_OK(glet_sweep_order(4, batches, 3, sizes, 2, 2, &other, &count, &err), &err);
    assert_true(memcmp(points, other, count * sizeof *points) != 0);
    free(points);
    free(again);
    free(other);
}

static void test_allowance(void **state)
{
    (void)state;
    /* No budget: the full rules. */
    CHECK_NEAR(glet_sweep_allowance_ms(INFINITY, INFINITY, 10, NAN), 10000, 0);
    /* A long one: an equal part. */
    CHECK_NEAR(glet_sweep_allowance_ms(600000, 600000, 100, 5), 6000, 0);
    /* A short one: fewer points, but a second each; slow models get 20 runs. */
    CHECK_NEAR(glet_sweep_allowance_ms(60000, 60000, 1000, 5), 1000, 0);
    CHECK_NEAR(glet_sweep_allowance_ms(60000, 60000, 1000, 200), 4000, 0);
    /* A tiny one still gives ten points. */
    CHECK_NEAR(glet_sweep_allowance_ms(1000, 1000, 1000, NAN), 100, 0);
    assert_true(glet_sweep_allowance_ms(1000, -5, 0, NAN) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_sizes),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_allowance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
