/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Stocks of one type around what a fleet needs. What the solver then says is held against searches
 * that it did not make: at other demands, and without a limit.
 */
#include "planner/solve/solve.h"
#include "tests/unit/planner/solve/fleet_problem.h"

#define MODELS 24

static struct glet_solve_result solve(const struct glet_problem *problem, enum glet_effort effort)
{
    struct glet_solve_options options = {.effort = effort, .max_moves = -1, .explain = true};
    struct glet_solve_result result;
    struct glet_error err = {0};
    CHECK_OK(glet_solve(problem, &options, &result, &err), &err);
    return result;
}

static struct glet_solve_result solve_at(struct glet_problem *problem, int count, double scale,
                                         enum glet_effort effort)
{
    for (int m = 0; m < problem->model_count; m++)
        problem->models[m].demand_rps *= scale;
    problem->types[0].count = count;
    struct glet_solve_result result = solve(problem, effort);
    for (int m = 0; m < problem->model_count; m++)
        problem->models[m].demand_rps /= scale;
    return result;
}

/*
 * The stock is `count`; a plan for all of the demands takes `enough`, and at least `least`. Returns
 * whether there is a shortfall.
 */
static bool check_shortfall(struct glet_problem *problem, int count, int least, int enough)
{
    struct glet_solve_result result = solve_at(problem, count, 1, GLET_EFFORT_FAST);
    if (result.found) { /* between the ends a limit may make it search longer */
        assert_true(count >= least);
        glet_solve_result_fini(&result);
        return false;
    }
    assert_true(result.explained);
    assert_int_equal(result.infeasible, count < least);
    assert_in_range(result.gpus_enough, least, enough + enough / 10); /* a rough count */
    assert_in_range(result.open.gpus, result.infeasible ? count + 1 : least, enough);
    assert_true(result.scale > 0.9 * count / enough);
    assert_true(result.scale < result.scale_bound);
    assert_int_equal(result.scale_bound < 1, result.infeasible);

    /* A search at other demands may need a GPU more. */
    struct glet_solve_result at =
        solve_at(problem, count, result.scale * (1 - 1.0 / count), GLET_EFFORT_FAST);
    assert_true(at.found);
    glet_solve_result_fini(&at);
    at = solve_at(problem, GLET_COUNT_UNLIMITED, result.scale_bound * (1 + 1e-6), GLET_EFFORT_FAST);
    assert_true(at.bound.gpus > count);
    glet_solve_result_fini(&at);
    glet_solve_result_fini(&result);
    return true;
}

static void says_by_how_much(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct glet_fleet fleet;
        struct glet_problem *problem = fleet_problem(&fleet, MODELS, MODELS, seed);
        struct glet_solve_result any = solve_at(problem, GLET_COUNT_UNLIMITED, 1, GLET_EFFORT_FAST);
        int least = any.bound.gpus, enough = any.solution.gpu_count;
        assert_false(any.explained);
        assert_true(check_shortfall(problem, least - 1, least, enough));
        assert_true(check_shortfall(problem, least * 2 / 3, least, enough));
        glet_solve_result_fini(&any);
        glet_problem_free(problem);
        glet_fleet_free(&fleet);
    }
}

/* A limit that the plan without limits keeps takes nothing away; a few GPUs less decide nothing. */
static void finds_what_just_suffices(void **state)
{
    (void)state;
    struct glet_fleet fleet;
    struct glet_problem *problem = fleet_problem(&fleet, 100, 100, 1);
    struct glet_solve_result any = solve(problem, GLET_EFFORT_DEFAULT);
    problem->types[0].count = any.solution.gpu_count;
    struct glet_solve_result limited = solve(problem, GLET_EFFORT_DEFAULT);
    assert_true(limited.found);
    assert_int_equal(limited.bound.gpus, any.bound.gpus);
    assert_true(check_shortfall(problem, any.bound.gpus, any.bound.gpus, any.solution.gpu_count));
    glet_solve_result_fini(&any);
    glet_solve_result_fini(&limited);
    glet_problem_free(problem);
    glet_fleet_free(&fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_by_how_much),
        cmocka_unit_test(finds_what_just_suffices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
