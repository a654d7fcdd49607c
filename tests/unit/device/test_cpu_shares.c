/* SPDX-License-Identifier: Apache-2.0 */
/* How units become cores and pieces: by hand, and properties over random sets. */
#include "common/random.h"
#include "runtime/device/cpu/cores/shares.h"
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

static struct glet_cpu_share shares[64];

static void cut(int cores, const int *units, size_t count)
{
    struct glet_error err;
    CHECK_OK(glet_cpu_shares_cut(cores, units, count, shares, &err), &err);
}

static void test_by_hand(void **state)
{
    (void)state;
    cut(2, (int[]){20}, 1);
    assert_int_equal(shares[0].core_count, 2);
    assert_int_equal(shares[0].piece_count, 0);
    cut(2, (int[]){15, 5}, 2);
    assert_int_equal(shares[0].core_count, 1);
    assert_int_equal(shares[0].pieces[0].core, 1);
    assert_int_equal(shares[0].pieces[0].tenths, 5);
    assert_int_equal(shares[1].core_count, 0);
    assert_int_equal(shares[1].pieces[0].core, 1);
    /* Only one of three can be whole: 7 + 3 and 4 + 6. */
    cut(2, (int[]){7, 4, 3, 6}, 4);
    assert_int_equal(shares[0].pieces[0].core, shares[2].pieces[0].core);
    assert_int_equal(shares[1].pieces[0].core, shares[3].pieces[0].core);
    /* First fit, largest first, would fail here: 5 5, 4 3 3, and 6 4, not 6 4, 5 5, 3 3 .. */
    cut(3, (int[]){5, 4, 3, 3, 6, 5, 4}, 7);
    for (int i = 0; i < 7; i++)
        assert_int_equal(shares[i].piece_count, 1);
}

static void test_must_straddle(void **state)
{
    (void)state;
    cut(2, (int[]){6, 6, 8}, 3);
    int pieces = 0;
    for (int i = 0; i < 3; i++)
        pieces += shares[i].piece_count;
    assert_int_equal(pieces, 4); /* one of them is cut, once */
    assert_int_equal(shares[2].piece_count, 1);
}

static void test_refused(void **state)
{
    (void)state;
    struct glet_error err;
    CHECK_FAILS(glet_cpu_shares_cut(2, (int[]){15, 6}, 2, shares, &err), &err, GLET_ERR_RANGE,
                "21 units do not fit into the 20 of 2 cores");
    assert_int_equal(glet_cpu_shares_cut(2, (int[]){0}, 1, shares, &err), -1);
    assert_int_equal(glet_cpu_shares_cut(1, (int[]){2000000000, 2000000000}, 2, shares, &err), -1);
}

/* Brute force over all ways to put fractions on cores: can it be done without a split? */
static bool can_pack(const int *fractions, int count, int *left, int cores)
{
    if (count == 0)
        return true;
    for (int core = 0; core < cores; core++) {
        if (left[core] < fractions[0])
            continue;
        left[core] -= fractions[0];
        bool done = can_pack(fractions + 1, count - 1, left, cores);
        left[core] += fractions[0];
        if (done)
            return true;
    }
    return false;
}

static void check_cut(int cores, const int *units, int count)
{
    int used[8] = {0}, fractions[8], fraction_count = 0, whole = 0, split = 0;
    for (int i = 0; i < count; i++) {
        int sum = 10 * shares[i].core_count;
        for (int k = 0; k < shares[i].core_count; k++)
            used[shares[i].first_core + k] += 10;
        for (int k = 0; k < shares[i].piece_count; k++) {
            assert_in_range(shares[i].pieces[k].tenths, 1, 9);
            used[shares[i].pieces[k].core] += shares[i].pieces[k].tenths;
            sum += shares[i].pieces[k].tenths;
        }
        assert_int_equal(sum, units[i]);
        split += shares[i].piece_count > 1;
        whole += units[i] / 10;
        if (units[i] % 10)
            fractions[fraction_count++] = units[i] % 10;
    }
    for (int core = 0; core < cores; core++)
        assert_in_range(used[core], 0, 10);
    int left[8] = {10, 10, 10, 10, 10, 10, 10, 10};
    if (can_pack(fractions, fraction_count, left, cores - whole))
        assert_int_equal(split, 0);
}

static void test_random_sets(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(42);
    for (int round = 0; round < 3000; round++) {
        int cores = 1 + (int)glet_random_below(&random, 4), units[8], count = 0;
        int left = 10 * cores;
        while (count < 7 && left > 0) {
            int size = 1 + (int)glet_random_below(&random, (uint32_t)(left < 14 ? left : 14));
            units[count++] = size;
            left -= size;
        }
        cut(cores, units, (size_t)count);
        check_cut(cores, units, count);
    }
}

static void test_rows(void **state)
{
    (void)state;
    struct glet_cpu_share share = {.core_count = 1, .piece_count = 1, .pieces = {{1, 5}}};
    assert_int_equal(glet_cpu_share_piece_rows(&share, 1), 0);
    assert_int_equal(glet_cpu_share_piece_rows(&share, 2), 0);
    assert_int_equal(glet_cpu_share_piece_rows(&share, 3), 1);
    assert_int_equal(glet_cpu_share_piece_rows(&share, 30), 10);
    share.core_count = 0;
    assert_int_equal(glet_cpu_share_piece_rows(&share, 30), 0);
    share = (struct glet_cpu_share){.core_count = 2};
    assert_int_equal(glet_cpu_share_piece_rows(&share, 30), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand), cmocka_unit_test(test_must_straddle),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_random_sets),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
