/* SPDX-License-Identifier: Apache-2.0 */
/* No two buffers that live together overlap; the arena is never below the bound, nor far above. */
#include "runtime/engine/memory_plan.h"
#include "tests/unit/check.h"

#include <stdlib.h>

static void check_plan(struct glet_memory_block *blocks, size_t count, size_t alignment)
{
    struct glet_error err = {0};
    size_t total, sum = 0;
    CHECK_OK(glet_memory_plan(blocks, count, alignment, &total, &err), &err);
    for (size_t i = 0; i < count; i++) {
        sum += (blocks[i].size_bytes + alignment - 1) / alignment * alignment;
        assert_int_equal(blocks[i].offset_bytes % alignment, 0);
        assert_true(blocks[i].offset_bytes + blocks[i].size_bytes <= total);
        for (size_t j = 0; j < i; j++) {
            bool together = blocks[i].first_step <= blocks[j].last_step &&
                            blocks[j].first_step <= blocks[i].last_step;
            bool apart = blocks[i].offset_bytes + blocks[i].size_bytes <= blocks[j].offset_bytes ||
                         blocks[j].offset_bytes + blocks[j].size_bytes <= blocks[i].offset_bytes;
            assert_true(!together || apart || !blocks[i].size_bytes || !blocks[j].size_bytes);
        }
    }
    assert_true(total >= glet_memory_plan_lower_bound(blocks, count, alignment));
    assert_true(total <= sum);
}

static void random_lifetimes(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 300; round++) {
        struct glet_memory_block blocks[60];
        size_t count = (size_t)(rand() % 60);
        for (size_t i = 0; i < count; i++) {
            int first = rand() % 50;
            blocks[i] = (struct glet_memory_block){.size_bytes = (size_t)(rand() % 5000),
                                                   .first_step = first,
                                                   .last_step = first + rand() % 8};
        }
        check_plan(blocks, count, 64);
    }
}

/* A chain of layers needs the two largest neighbours, and gets little more. */
static void chain_is_near_the_bound(void **state)
{
    (void)state;
    struct glet_error err = {0};
    struct glet_memory_block blocks[20];
    for (int i = 0; i < 20; i++)
        blocks[i] = (struct glet_memory_block){
            .size_bytes = (size_t)(64 * (1 + i * 7 % 11)), .first_step = i, .last_step = i + 1};
    size_t total;
    CHECK_OK(glet_memory_plan(blocks, 20, 64, &total, &err), &err);
    assert_true(total <= glet_memory_plan_lower_bound(blocks, 20, 64) * 5 / 4);
}

static void nothing_to_place(void **state)
{
    (void)state;
    struct glet_error err = {0};
    size_t total = 1;
    CHECK_OK(glet_memory_plan(NULL, 0, 64, &total, &err), &err);
    assert_int_equal(total, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_lifetimes),
        cmocka_unit_test(chain_is_near_the_bound),
        cmocka_unit_test(nothing_to_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
