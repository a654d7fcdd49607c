/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/check.h"

#include "common/random.h"
#include "runtime/serve/front/buffer_pool.h"

#include <string.h>

static void test_budget(void **state)
{
    (void)state;
    struct glet_buffer_budget budget = {.limit_bytes = 20000};
    struct glet_buffer_pool pool, other;
    glet_buffer_pool_init(&pool, &budget);
    glet_buffer_pool_init(&other, &budget);
    void *a = glet_buffer_take(&pool, 10000), *b = glet_buffer_take(&other, 8000);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(glet_buffer_take(&pool, 4096)); /* pools share it */
    glet_buffer_give(&other, b);
    b = glet_buffer_take(&pool, 4096);
    assert_non_null(b);
    glet_buffer_give(&pool, a);
    glet_buffer_give(&pool, b);
    glet_buffer_give(&pool, NULL);
    assert_int_equal(budget.used_bytes, 0);
    assert_null(glet_buffer_take(&pool, SIZE_MAX));
    assert_null(glet_buffer_take(&pool, SIZE_MAX / 2));
    assert_int_equal(budget.used_bytes, 0);
    glet_buffer_pool_fini(&pool);
    glet_buffer_pool_fini(&other);
}

/* Buffers of any size do not overlap, are aligned, and hold what was asked for. */
static void test_any_sizes(void **state)
{
    (void)state;
    struct glet_buffer_budget budget = {.limit_bytes = (size_t)1 << 30};
    struct glet_buffer_pool pool;
    struct glet_random random = glet_random_seeded(7);
    unsigned char *held[32] = {0};
    size_t sizes[32] = {0};
    glet_buffer_pool_init(&pool, &budget);
    for (int turn = 0; turn < 20000; turn++) {
        size_t i = glet_random_below(&random, COUNT_OF(held));
        if (held[i]) {
            for (size_t at = 0; at < sizes[i]; at += 997)
                assert_int_equal(held[i][at], (unsigned char)i);
            glet_buffer_give(&pool, held[i]);
            held[i] = NULL;
        } else {
            sizes[i] = glet_random_below(&random, (uint64_t)1 << glet_random_below(&random, 18));
            held[i] = glet_buffer_take(&pool, sizes[i]);
            assert_non_null(held[i]);
            assert_int_equal((uintptr_t)held[i] % 64, 0);
            memset(held[i], (int)i, sizes[i]);
        }
    }
    for (size_t i = 0; i < COUNT_OF(held); i++)
        glet_buffer_give(&pool, held[i]);
    assert_int_equal(budget.used_bytes, 0);
    glet_buffer_pool_fini(&pool);
}

static void test_reuse(void **state)
{
    (void)state;
    struct glet_buffer_budget budget = {.limit_bytes = (size_t)1 << 30};
    struct glet_buffer_pool pool;
    glet_buffer_pool_init(&pool, &budget);
    void *first = glet_buffer_take(&pool, 150528);
    glet_buffer_give(&pool, first);
    assert_ptr_equal(glet_buffer_take(&pool, 150000), first);
    glet_buffer_give(&pool, first);
    glet_buffer_pool_fini(&pool);
}

/* After a burst, what steady use does not need is gone; what it needs stays. */
static void test_trim(void **state)
{
    (void)state;
    static const size_t sizes[] = {5000, 600000}; /* of the heap, and mapped */
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        struct glet_buffer_budget budget = {.limit_bytes = (size_t)1 << 30};
        struct glet_buffer_pool pool;
        void *held[10];
        glet_buffer_pool_init(&pool, &budget);
        for (size_t i = 0; i < COUNT_OF(held); i++)
            held[i] = glet_buffer_take(&pool, sizes[s]);
        for (size_t i = 0; i < COUNT_OF(held); i++)
            glet_buffer_give(&pool, held[i]);
        glet_buffer_pool_trim(&pool); /* all were needed since the beginning */
        size_t one = pool.idle_bytes / COUNT_OF(held);
        assert_true(one >= sizes[s]);
        held[0] = glet_buffer_take(&pool, sizes[s]);
        held[1] = glet_buffer_take(&pool, sizes[s]);
        glet_buffer_give(&pool, held[0]);
        glet_buffer_pool_trim(&pool);
        assert_int_equal(pool.idle_bytes, one); /* and one in use */
        glet_buffer_give(&pool, held[1]);
        glet_buffer_pool_trim(&pool);
        assert_int_equal(pool.idle_bytes, one);
        glet_buffer_pool_trim(&pool);
        glet_buffer_pool_trim(&pool);
        assert_int_equal(pool.idle_bytes, 0);
        glet_buffer_pool_fini(&pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_any_sizes),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_trim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
