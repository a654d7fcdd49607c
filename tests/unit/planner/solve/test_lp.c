/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "common/clock.h"
#include "common/random.h"
#include "planner/solve/space/lp_glpk.h"
#include "tests/unit/check.h"

/* min x + y, 2 x + y >= 3, x + 3 y >= 4: x = 1, y = 1. */
static struct glet_lp *small(void)
{
    struct glet_lp *lp = glet_lp_new();
    int rows[2] = {0, 1};
    glet_lp_add_rows(lp, 2);
    glet_lp_row_at_least(lp, 0, 3);
    glet_lp_row_at_least(lp, 1, 4);
    glet_lp_add_col(lp, 1, 2, rows, (double[]){2, 1});
    glet_lp_add_col(lp, 1, 2, rows, (double[]){1, 3});
    return lp;
}

static void solves_and_prices(void **state)
{
    (void)state;
    struct glet_lp *lp = small();
    assert_int_equal(glet_lp_solve(lp), 0);
    CHECK_NEAR(glet_lp_objective(lp), 2, 1e-9);
    CHECK_NEAR(3 * glet_lp_dual(lp, 0) + 4 * glet_lp_dual(lp, 1), 2, 1e-9);
    int rows[2] = {0, 1};
    glet_lp_add_col(lp, 1, 2, rows, (double[]){3, 4}); /* one of these is enough */
    assert_int_equal(glet_lp_solve(lp), 0);
    CHECK_NEAR(glet_lp_objective(lp), 1, 1e-9);
    CHECK_NEAR(glet_lp_value(lp, 2), 1, 1e-9);
    glet_lp_free(lp);
}

static void says_infeasible(void **state)
{
    (void)state;
    struct glet_lp *lp = small();
    int row = glet_lp_add_rows(lp, 1);
    glet_lp_row_at_most(lp, row, 0.5);
    int rows[3] = {0, 1, row};
    glet_lp_set_col(lp, 0, 1, 3, rows, (double[]){2, 1, 1});
    glet_lp_set_col(lp, 1, 1, 3, rows, (double[]){1, 3, 1});
    assert_int_equal(glet_lp_solve(lp), -1);
    glet_lp_free(lp);
}

static void finds_integers(void **state)
{
    (void)state;
    struct glet_lp *lp = glet_lp_new();
    int row = glet_lp_add_rows(lp, 1);
    glet_lp_row_at_least(lp, row, 7);
    glet_lp_add_col(lp, 1, 1, &row, (double[]){3}); /* 7 / 3: three of them */
    glet_lp_add_col(lp, 0.9, 1, &row, (double[]){2});
    double x[2];
    struct glet_ilp_options options = {.node_limit = 100, .stop_at = 0, .cuts = true};
    assert_int_equal(glet_lp_solve_integer(lp, &options, x), GLET_ILP_OPTIMAL);
    CHECK_NEAR(x[0] + 0.9 * x[1], 2.8, 1e-9); /* 3 + 2 + 2 */
    double start[2] = {0, 4};
    options.incumbent = start;
    options.stop_at = 3.6; /* the incumbent is good enough */
    assert_int_not_equal(glet_lp_solve_integer(lp, &options, x), GLET_ILP_NONE);
    assert_true(x[0] + 0.9 * x[1] <= 3.6 + 1e-9);
    glet_lp_free(lp);
}

static int misuse(void *context)
{
    struct glet_lp *lp = context;
    int rows[2] = {0, 0}; /* a duplicate row is fatal for the library */
    glet_lp_add_col(lp, 1, 2, rows, (double[]){1, 1});
    return 0;
}

static void survives_the_library(void **state)
{
    (void)state;
    /* static: the library's memory is gone, so the program can only be kept, not freed */
    static struct glet_lp *volatile lost;
    struct glet_error err = {0};
    lost = small();
    assert_int_equal(glet_lp_guard(misuse, lost, NULL, &err), -1);
    assert_int_equal(err.code, GLET_ERR_INTERNAL);
    solves_and_prices(NULL);
}

/* Takes the simplex a quarter of a second or so. */
static struct glet_lp *long_program(void)
{
    enum { ROWS = 250, COLS = 1500 };
    struct glet_random random = glet_random_seeded(1);
    struct glet_lp *lp = glet_lp_new();
    glet_lp_add_rows(lp, ROWS);
    for (int r = 0; r < ROWS; r++)
        glet_lp_row_at_least(lp, r, 1);
    for (int c = 0; c < COLS; c++) {
        int rows[ROWS], count = 0;
        double values[ROWS];
        for (int r = 0; r < ROWS; r++)
            if (c == r || glet_random_uniform(&random) < 0.2) {
                rows[count] = r;
                values[count++] = glet_random_uniform(&random);
            }
        glet_lp_add_col(lp, 1 + glet_random_uniform(&random), count, rows, values);
    }
    return lp;
}

struct timed {
    int status;
    double spent_s;
    double objective;
};

static int solve_long(void *context)
{
    struct timed *timed = context;
    struct glet_lp *lp = long_program();
    uint64_t start_us = glet_clock_us();
    timed->status = glet_lp_solve(lp);
    timed->spent_s = (double)(glet_clock_us() - start_us) / 1e6;
    timed->objective = timed->status == 0 ? glet_lp_objective(lp) : 0;
    glet_lp_free(lp);
    return 0;
}

static void ends_soon_when_halted(void **state)
{
    (void)state;
    struct glet_error err = {0};
    struct glet_halt never = {0}, soon = {0};
    struct timed whole, watched, halted, again;
    CHECK_OK(glet_lp_guard(solve_long, &whole, NULL, &err), &err);
    CHECK_OK(glet_lp_guard(solve_long, &watched, &never, &err), &err);
    assert_true(whole.status == 0 && watched.status == 0);
    assert_true(whole.objective == watched.objective);
    soon.deadline_us = (int64_t)glet_clock_us() + (int64_t)(whole.spent_s * 0.1e6);
    CHECK_OK(glet_lp_guard(solve_long, &halted, &soon, &err), &err);
    assert_int_equal(halted.status, -1); /* it had begun and did not come to its end */
    CHECK_OK(glet_lp_guard(solve_long, &again, NULL, &err), &err); /* the library is as before */
    assert_true(again.status == 0 && again.objective == whole.objective);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(solves_and_prices),    cmocka_unit_test(ends_soon_when_halted),
        cmocka_unit_test(says_infeasible),      cmocka_unit_test(finds_integers),
        cmocka_unit_test(survives_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
