/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/baseline/baseline.h"
#include "planner/solve/solve.h"
#include "tests/unit/planner/solve/fleet_problem.h"

#include <string.h>

static void solve(const struct glet_problem *problem, const struct glet_solve_options *options,
                  struct glet_solve_result *out)
{
    struct glet_error err = {0};
    CHECK_OK(glet_solve(problem, options, out, &err), &err);
}

static void meets_the_limits(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct glet_fleet fleet;
        struct glet_problem *problem = fleet_problem(&fleet, 30, 30, seed);
        struct glet_solve_options options = {.effort = GLET_EFFORT_DEFAULT, .max_moves = -1};
        struct glet_solve_result result;
        solve(problem, &options, &result);
        assert_true(result.found);
        assert_true(result.bound.gpus <= result.solution.gpu_count);
        assert_true(result.solution.gpu_count <= result.bound.gpus + 2);
        for (int which = 0; which < GLET_BASELINE_IDEAL; which++) {
            struct glet_boxes boxes = {0};
            if (which != GLET_BASELINE_GPULET &&
                glet_baseline_run(problem, (enum glet_baseline)which, 0, NULL, &boxes))
                assert_true(result.solution.gpu_count <= boxes.count);
            glet_boxes_free(&boxes);
        }
        glet_solve_result_fini(&result);
        glet_problem_free(problem);
        glet_fleet_free(&fleet);
    }
}

static void repeats_itself(void **state)
{
    (void)state;
    struct glet_fleet fleet;
    struct glet_problem *problem = fleet_problem(&fleet, 40, 20, 9);
    struct glet_solve_options options = {.effort = GLET_EFFORT_DEFAULT, .max_moves = -1};
    struct glet_solve_result a, b;
    solve(problem, &options, &a);
    solve(problem, &options, &b);
    glet_solution_sort(problem, &a.solution);
    glet_solution_sort(problem, &b.solution);
    assert_int_equal(a.solution.gpu_count, b.solution.gpu_count);
    for (int i = 0; i < a.solution.gpu_count; i++) {
        const struct glet_gpu *x = &a.solution.gpus[i], *y = &b.solution.gpus[i];
        assert_int_equal(x->let_count, y->let_count);
        for (int l = 0; l < x->let_count; l++) {
            assert_int_equal(x->lets[l].size, y->lets[l].size);
            assert_true(x->lets[l].duty_cycle_ms == y->lets[l].duty_cycle_ms);
        }
    }
    glet_solve_result_fini(&a);
    glet_solve_result_fini(&b);
    glet_problem_free(problem);
    glet_fleet_free(&fleet);
}

/* Stopped before it starts: nothing or something, but never a wrong plan or bound. */
static void stops_when_told(void **state)
{
    (void)state;
    struct glet_fleet fleet;
    struct glet_problem *problem = fleet_problem(&fleet, 60, 40, 3);
    volatile sig_atomic_t flag = 1;
    struct glet_solve_options options = {.effort = GLET_EFFORT_MAX, .stop = &flag, .max_moves = -1};
    struct glet_solve_result result;
    solve(problem, &options, &result);
    assert_true(result.limit_hit);
    assert_false(result.infeasible);
    if (result.found)
        assert_true(result.bound.gpus <= result.solution.gpu_count);
    glet_solve_result_fini(&result);
    flag = 0;
    options.time_limit_s = 0.2;
    solve(problem, &options, &result);
    assert_true(result.limit_hit || result.found);
    if (result.found)
        assert_true(glet_solution_feasible(problem, &result.solution));
    glet_solve_result_fini(&result);
    glet_problem_free(problem);
    glet_fleet_free(&fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meets_the_limits),
        cmocka_unit_test(repeats_itself),
        cmocka_unit_test(stops_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
