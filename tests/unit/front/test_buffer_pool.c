/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/check.h"

#include "common/random.h"
#include "runtime/serve/front/buffer_pool.h"
#include "runtime/serve/service.h"

#include <string.h>
#include <unistd.h>

/* --- a service that pins --- */

struct glet_service {
    bool refuses;
    unsigned takes_us;
    int asked, pinned; /* calls; blocks now */
    size_t bytes;
};

bool glet_service_pin(struct glet_service *service, void *memory, size_t bytes, bool writable)
{
    assert_int_equal((uintptr_t)memory % 4096, 0);
    assert_true(writable);
    service->asked++;
    usleep(service->takes_us);
    if (service->refuses)
        return false;
    service->pinned++;
    service->bytes += bytes;
    return true;
}

void glet_service_unpin(struct glet_service *service, void *memory, size_t bytes)
{
    assert_int_equal((uintptr_t)memory % 4096, 0);
    *(volatile char *)memory = 0; /* it is still there */
    service->pinned--;
    service->bytes -= bytes;
}

/* --- */

static void test_budget(void **state)
{
    (void)state;
    struct glet_buffer_budget budget = {.limit_bytes = 20000};
    struct glet_buffer_pool pool, other;
    glet_buffer_pool_init(&pool, &budget, NULL);
    glet_buffer_pool_init(&other, &budget, NULL);
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
    glet_buffer_pool_init(&pool, &budget, NULL);
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
    glet_buffer_pool_init(&pool, &budget, NULL);
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
        glet_buffer_pool_init(&pool, &budget, NULL);
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

/* Only what is large and comes back again, once it has; until it is freed. */
static void test_pinned_when_kept(void **state)
{
    (void)state;
    enum { LARGE = 600000, SMALL = 100000 };
    struct glet_service service = {0};
    struct glet_buffer_budget budget = {.limit_bytes = (size_t)1 << 30};
    struct glet_buffer_pool pool;
    glet_buffer_pool_init(&pool, &budget, &service);
    for (int turn = 0; turn < 5; turn++) {
        char *large = glet_buffer_take(&pool, LARGE), *small = glet_buffer_take(&pool, SMALL);
        assert_int_equal(glet_buffer_pinned(large), turn >= 2);
        assert_false(glet_buffer_pinned(small));
        memset(large, turn, LARGE);
        glet_buffer_give(&pool, large);
        glet_buffer_give(&pool, small);
        assert_int_equal(service.asked, turn >= 1);
    }
    assert_int_equal(service.pinned, 1);
    assert_true(service.bytes >= LARGE);
    void *burst[3];
    for (size_t i = 0; i < COUNT_OF(burst); i++)
        burst[i] = glet_buffer_take(&pool, LARGE);
    for (size_t i = 0; i < COUNT_OF(burst); i++)
        glet_buffer_give(&pool, burst[i]);
    assert_int_equal(service.pinned, 1); /* the others are not needed again */
    glet_buffer_pool_trim(&pool);
    glet_buffer_pool_trim(&pool);
    assert_int_equal(service.pinned, 0);
    assert_int_equal(service.bytes, 0);
    glet_buffer_pool_fini(&pool);
}

/* A driver that takes its time gets a tenth of the thread's, also as buffers go. */
static void test_a_little_at_a_time(void **state)
{
    (void)state;
    enum { COUNT = 20, TAKES_US = 50000 };
    struct glet_service service = {.takes_us = TAKES_US};
    struct glet_buffer_budget budget = {.limit_bytes = (size_t)1 << 30};
    struct glet_buffer_pool pool;
    void *held[COUNT];
    glet_buffer_pool_init(&pool, &budget, &service);
    for (int turn = 0; turn < 4; turn++) {
        for (size_t i = 0; i < COUNT; i++)
            held[i] = glet_buffer_take(&pool, 600000);
        for (size_t i = 0; i < COUNT; i++)
            glet_buffer_give(&pool, held[i]);
    }
    assert_int_equal(service.asked, 1);
    service.takes_us = 0;
    usleep(9 * TAKES_US + TAKES_US);
    for (int turn = 0; service.pinned < COUNT; turn++) {
        assert_true(turn < 1000);
        for (size_t i = 0; i < COUNT; i++)
            held[i] = glet_buffer_take(&pool, 600000);
        for (size_t i = 0; i < COUNT; i++)
            glet_buffer_give(&pool, held[i]);
        usleep(100);
    }
    glet_buffer_pool_trim(&pool); /* all were needed */
    static const int left[] = {12, 4, 0};
    for (size_t i = 0; i < COUNT_OF(left); i++) {
        glet_buffer_pool_trim(&pool);
        assert_int_equal(service.pinned, left[i]);
    }
    glet_buffer_pool_fini(&pool);
}

static void test_not_pinned_again(void **state)
{
    (void)state;
    struct glet_service service = {.refuses = true};
    struct glet_buffer_budget budget = {.limit_bytes = (size_t)1 << 30};
    struct glet_buffer_pool pool;
    glet_buffer_pool_init(&pool, &budget, &service);
    for (int turn = 0; turn < 5; turn++) {
        void *buffer = glet_buffer_take(&pool, 600000);
        assert_false(glet_buffer_pinned(buffer));
        glet_buffer_give(&pool, buffer);
    }
    assert_int_equal(service.asked, 1);
    glet_buffer_pool_fini(&pool);
    service.refuses = false;
    glet_buffer_pool_init(&pool, &budget, &service);
    for (int turn = 0; turn < 2; turn++)
        glet_buffer_give(&pool, glet_buffer_take(&pool, 600000));
    assert_int_equal(service.pinned, 1);
    glet_buffer_pool_fini(&pool);
    assert_int_equal(service.pinned, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_any_sizes),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_pinned_when_kept),
        cmocka_unit_test(test_a_little_at_a_time),
        cmocka_unit_test(test_not_pinned_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
