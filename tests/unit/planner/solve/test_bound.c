/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "common/random.h"
#include "planner/solve/bound/bound.h"
#include "planner/solve/search/search.h"
#include "tests/support/planner/fixture.h"
#include "tests/unit/planner/solve/fleet_problem.h"

#include <math.h>

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
            prices.memory[0][GLET_SHARED].nu = round % 3 ? 0 : glet_random_uniform(&random) * 1e-9;
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

/* Models that need more GPUs each than leaving one out once cost: ten times
   the demand is ten times the bound. */
static void grows_with_the_largest_demands(void **state)
{
    (void)state;
    double bound[2], cost = 1;
    for (int i = 0; i < 2; i++) {
        struct glet_fleet fleet;
        struct glet_problem *problem = fleet_problem(&fleet, 3, i ? 200000 : 20000, 2);
        struct glet_space space;
        struct glet_bound_options options = {.rounds = 60};
        glet_space_init(&space, problem, 8);
        bound[i] = glet_bound_find(&space, &cost, &options, NULL);
        glet_space_fini(&space);
        glet_problem_free(problem);
        glet_fleet_free(&fleet);
    }
    assert_true(fabs(bound[1] / bound[0] - 10) < 0.01);
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

/* What fits one GPU pays no more than the GPU's memory is said to be worth. */
static void no_gpu_holds_more_than_its_worth(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(7);
    double tightest = 0;
    for (int round = 0; round < 20000; round++) {
        struct glet_memory_prices memory = {.nu = round % 3 ? 0 : glet_random_uniform(&random)};
        double left = 1, paid = 0;
        for (int k = GLET_MEMORY_CLASSES; k > 0; k--)
            memory.heavy[k] = (k < GLET_MEMORY_CLASSES ? memory.heavy[k + 1] : 0) +
                              (double)glet_random_below(&random, 3);
        for (int i = 0; i < 8; i++) {
            double part = 1.0 / (1 + (double)glet_random_below(&random, 6)), over = 1e-6;
            double mib = part + (glet_random_below(&random, 2) ? over : -over);
            if (mib > left)
                continue;
            left -= mib;
            paid += memory.heavy[glet_memory_class(mib, 1)] + memory.nu * mib;
        }
        double worth = glet_prices_memory_worth(&memory, 1);
        assert_true(paid <= worth);
        if (worth > 0)
            tightest = fmax(tightest, paid / worth);
    }
    assert_true(tightest > 0.999);
}

/*
 * Models with next to nothing to do whose weights keep all but `fit` of them off a GPU: the bound is
 * how many GPUs their weights need, which the sum of their memory falls short of.
 */
static double bound_of_heavy(enum glet_mechanism mechanism, int models, double weights_mib)
{
    struct fixture f = fixture_new();
    int device = fixture_device(&f, "x", mechanism, 16, 8, 1000);
    for (int m = 0; m < models; m++) {
        char name[16];
        snprintf(name, sizeof name, "m%02d", m);
        fixture_model(&f, name, 0.01, 100);
        for (int units = 1; units <= 16; units *= 2)
            fixture_row(&f, device, m, 1, units, 10);
        f.profile->models[m].memory_mib = weights_mib;
    }
    fixture_interference(&f, device, 1, 0.1, 0.5, 0.1, 0.5, 0);
    fixture_stock(&f, "x", GLET_COUNT_UNLIMITED, 1, NULL);
    struct glet_problem *problem = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_space space;
    struct glet_bound_options options = {.rounds = 60, .round_up = true};
    glet_space_init(&space, problem, 8);
    double cost = 1, bound = glet_bound_find(&space, &cost, &options, NULL);
    assert_true(cheapest_plan(&space) >= bound * (1 - 1e-9));
    glet_space_fini(&space);
    glet_problem_free(problem);
    fixture_free(&f);
    return bound;
}

static void weights_need_gpus(void **state)
{
    (void)state;
    static const enum glet_mechanism mechanisms[] = {GLET_MECHANISM_MPS,
                                                     GLET_MECHANISM_GREEN_CONTEXT};
    for (int i = 0; i < 2; i++)
        for (int fit = 1; fit <= GLET_MEMORY_CLASSES; fit++) {
            double bound = bound_of_heavy(mechanisms[i], 4 * fit, 1000.0 / (fit + 1) + 20);
            assert_true(bound > 3.999 && bound <= 4 * (1 + 1e-9));
        }
    assert_true(bound_of_heavy(GLET_MECHANISM_MPS, 10, 100) <= 1 + 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_prices_are_valid),
        cmocka_unit_test(grows_with_the_largest_demands),
        cmocka_unit_test(prices_are_the_certificate),
        cmocka_unit_test(no_gpu_holds_more_than_its_worth),
        cmocka_unit_test(weights_need_gpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
