/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "common/random.h"
#include "planner/solve/bound.h"
#include "planner/solve/search.h"
#include "tests/unit/planner/solve/fleet_problem.h"

static double cheapest_plan(struct glet_space *space)
{
    struct glet_search search;
    glet_search_init(&search, space->problem, space, GLET_EFFORT_DEFAULT, NULL);
    glet_search_run(&search);
    double cost = search.best_cost;
    glet_search_fini(&search);
    return cost;
}

/* Whatever the prices are, what they prove is below the cost of a plan that exists. */
static void any_prices_are_valid(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(11);
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct glet_fleet fleet;
        struct glet_problem *problem = fleet_problem(&fleet, 4, 3, seed);
        struct glet_space space;
        glet_space_init(&space, problem, 8);
        double plan = cheapest_plan(&space), cost = 1;
        struct glet_prices prices;
        glet_prices_init(&prices, problem);
        for (int round = 0; round < 60; round++) {
            for (int s = 0; s < problem->types[0].size_count; s++)
                prices.sigma[0][s] = (s + 1) / 16.0 * (0.5 + glet_random_uniform(&random));
            prices.nu[0] = round % 3 ? 0 : glet_random_uniform(&random) * 1e-9;
            glet_prices_round(&prices, problem);
            double linear = glet_bound_evaluate(&space, &cost, 0, &prices);
            double whole = glet_bound_evaluate(&space, &cost, 100, &prices);
            assert_true(linear <= whole * (1 + 1e-12));
            assert_true(whole <= plan);
        }
        glet_prices_fini(&prices, problem);
        glet_space_fini(&space);
        glet_problem_free(problem);
        glet_fleet_free(&fleet);
    }
}

/* The prices that were found prove the bound that was reported. */
static void prices_are_the_certificate(void **state)
{
    (void)state;
    struct glet_fleet fleet;
    struct glet_problem *problem = fleet_problem(&fleet, 20, 15, 5);
    struct glet_space space;
    struct glet_prices prices;
    struct glet_bound_options options = {.rounds = 60};
    double cost = 1;
    glet_space_init(&space, problem, 8);
    glet_prices_init(&prices, problem);
    double bound = glet_bound_find(&space, &cost, &options, &prices);
    assert_true(bound >= 15);
    CHECK_NEAR(glet_bound_evaluate(&space, &cost, 0, &prices), bound, 1e-12);
    glet_prices_fini(&prices, problem);
    glet_space_fini(&space);
    glet_problem_free(problem);
    glet_fleet_free(&fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_prices_are_valid),
        cmocka_unit_test(prices_are_the_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
