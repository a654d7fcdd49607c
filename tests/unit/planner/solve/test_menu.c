/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/exact/menu.h"
#include "tests/support/planner/fixture.h"
#include "tests/unit/check.h"

/* Two models that share one whole GPU: 8 + 8 + 8 * 8 gpu-lets, of which few outdo the others. */
static void a_menu_that_was_cut_short_is_none(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    int d = fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 1, 1000);
    for (int m = 0; m < 2; m++) {
        fixture_model(&f, m ? "b" : "a", 1e6, 1000);
        fixture_curve(&f, d, m, 8, 10, 5, 1);
    }
    fixture_stock(&f, "g", 1, 1, NULL);
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    assert_null(glet_menu_new(p, 40, NULL)); /* thinned, 40 would be enough */
    struct glet_menu *menu = glet_menu_new(p, 80, NULL);
    assert_non_null(menu);
    assert_true(menu->alone[0][0].count < 40);
    glet_menu_free(menu);
    glet_problem_free(p);
    fixture_free(&f);
}

/* Where a gpu-let of two sizes can have neighbours, and that of the whole GPU has none. */
static void pairs_are_known_of_their_victims(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    int d = fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 2, 1000);
    for (int m = 0; m < 2; m++) {
        fixture_model(&f, m ? "b" : "a", 1e6, 1000);
        fixture_curve(&f, d, m, 4, 5, 5, 1);
        fixture_curve(&f, d, m, 4, 10, 4, 1);
        fixture_util(&f, d, m, 0.5, 0.5);
    }
    fixture_interference(&f, d, 1, 0.1, 0.1, 0.1, 0.1, 0);
    fixture_corun(&f, d, (int[]){0, 2, 5}, (int[]){1, 3, 5}, 1.05, 1.5);
    fixture_stock(&f, "g", 1, 1, NULL);
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_menu *menu = glet_menu_new(p, 1000, NULL);
    assert_non_null(menu);
    assert_int_equal(menu->shared[0][1].count, 0);
    int paired = 0;
    for (int i = 0; i < menu->shared[0][0].count; i++) {
        const struct glet_entry *entry = &menu->shared[0][0].list[i];
        paired += entry->paired;
        if (entry->atom.count == 1 && entry->atom.model[0] == 0 && entry->atom.batch[0] == 2)
            CHECK_NEAR(entry->mildest_ratio[0], 1.05, 1e-12);
        if (entry->atom.count == 1 && entry->atom.model[0] == 1)
            CHECK_NEAR(entry->mildest_ratio[0], entry->atom.batch[0] == 3 ? 1.2 : 0, 1e-12);
    }
    assert_int_equal(paired, 2 + 4 + 4 - 1);
    glet_menu_free(menu);
    glet_problem_free(p);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_menu_that_was_cut_short_is_none),
        cmocka_unit_test(pairs_are_known_of_their_victims),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
