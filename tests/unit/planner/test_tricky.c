/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small cases in which planners go wrong, each with its answer worked out by hand. Every plan is
 * also checked by the verifier, and no bound may exceed its plan.
 */
#include "planner/model/unserveable.h"
#include "planner/solve/bound/bound.h"
#include "tests/unit/check.h"
#include "tests/unit/planner/solved.h"

static bool is_unserveable(struct fixture *f)
{
    struct glet_unserveable why;
    struct glet_problem *p = fixture_problem(f, GLET_MIN_GPUS);
    bool found = glet_unserveable(p, 0, &why);
    glet_problem_free(p);
    return found;
}

static void twice_the_latency_is_the_limit(void **state)
{
    (void)state;
    struct fixture f = ten();
    fixture_model(&f, "m", 10, 20);
    fixture_row(&f, 0, 0, 1, 10, 10);
    assert_false(is_unserveable(&f)); /* 2 L = SLO */
    f.workload->models[0].slo_ms = 19.999;
    assert_true(is_unserveable(&f));
    f.workload->models[0].slo_ms = 20;
    expect(&f, 1);
}

static void two_models(struct fixture *f, double ms, double slo_ms, double rate_rps)
{
    for (int m = 0; m < 2; m++) {
        fixture_model(f, m ? "b" : "a", rate_rps, slo_ms);
        fixture_row(f, 0, m, 1, 5, ms);
    }
}

static void feasible_only_alone(void **state)
{
    (void)state;
    struct fixture f = ten();
    two_models(&f, 10, 20, 60);
    fixture_util(&f, 0, 0, 1, 0);
    fixture_util(&f, 0, 1, 1, 0);
    fixture_interference(&f, 0, 1, 0, 0.1, 0, 0, 0); /* any neighbour: x 1.1 */
    expect(&f, 2);
    f = ten();
    two_models(&f, 10, 20, 60);
    expect(&f, 1);
}

static void a_pair_that_fits_at_no_batch(void **state)
{
    (void)state;
    struct fixture f = ten();
    for (int m = 0; m < 2; m++) {
        fixture_model(&f, m ? "b" : "a", 60, 30); /* too much to take turns */
        fixture_curve(&f, 0, m, 8, 5, 9, 1);
    }
    fixture_util(&f, 0, 0, 1, 0);
    fixture_util(&f, 0, 1, 1, 0);
    fixture_interference(&f, 0, 1, 0, 0.6, 0, 0, 0);
    expect(&f, 2); /* 2 x 10 x 1.6 > 30 */
}

static void a_neighbour_shrinks_the_batch(void **state)
{
    (void)state;
    struct fixture f = ten();
    for (int m = 0; m < 2; m++) {
        fixture_model(&f, m ? "b" : "a", 300, 30);
        fixture_curve(&f, 0, m, 8, 5, 7, 1);
    }
    fixture_util(&f, 0, 0, 1, 0);
    fixture_util(&f, 0, 1, 1, 0);
    fixture_interference(&f, 0, 1, 0, 0.25, 0, 0, 0);
    /* alone batch 8 (2 x 15 ms); beside the other 2 x (7 + 5) x 1.25 = 30: batch 5, 333/s;
       in turns 2 x (7 + 3) + (7 + 3) = 30: batch 3, 150/s */
    struct outcome o = solve(&f, GLET_MIN_GPUS);
    assert_int_equal(o.gpus, 1);
    assert_int_equal(o.plan->gpus[0].let_count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_true(o.plan->gpus[0].lets[i].models[0].batch <= 5);
    outcome_fini(&o);
    fixture_free(&f);
}

static void factors_below_one_clip(void **state)
{
    (void)state;
    struct fixture f = ten();
    two_models(&f, 10, 20, 60);
    fixture_util(&f, 0, 0, 1, 1);
    fixture_util(&f, 0, 1, 1, 1);
    fixture_interference(&f, 0, 0.5, 0, -0.2, 0, -0.1, 0);
    struct outcome o = solve(&f, GLET_MIN_GPUS);
    assert_int_equal(o.gpus, 1);
    CHECK_NEAR(o.plan->gpus[0].lets[0].models[0].factor, 1, 0);
    outcome_fini(&o);
    fixture_free(&f);
}

static void a_negative_aggressor_must_not_break_the_bound(void **state)
{
    (void)state;
    struct fixture f = ten();
    two_models(&f, 10, 22, 90.9);
    fixture_util(&f, 0, 0, 1, 0);
    fixture_util(&f, 0, 1, 1, 0);
    fixture_interference(&f, 0, 1.3, 0, -0.2, 0, 0, 0); /* 1.3 alone would be infeasible; 1.1 is */
    expect(&f, 1);
}

static void one_resident_has_factor_one(void **state)
{
    (void)state;
    struct fixture f = ten();
    fixture_model(&f, "m", 99, 20);
    fixture_row(&f, 0, 0, 1, 10, 10);
    fixture_util(&f, 0, 0, 1, 1);
    fixture_interference(&f, 0, 2, 1, 1, 1, 1, 1);
    expect(&f, 1);
}

/* One gpu-let serves exactly 100/s. */
static struct fixture exact(double rate_rps)
{
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 1, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    fixture_model(&f, "m", rate_rps, 20);
    fixture_row(&f, 0, 0, 1, 10, 10);
    return f;
}

static void rates_at_the_edges(void **state)
{
    (void)state;
    struct fixture f = exact(0);
    expect(&f, 0);
    f = exact(100);
    expect(&f, 1);
    f = exact(100 * (1 + 1e-12)); /* within the contract's slack */
    expect(&f, 1);
    f = exact(100 * (1 + 1e-6));
    expect(&f, 2);
    f = exact(300);
    expect(&f, 3);
}

/* Next to what the first row costs, the second is out of all proportion. */
static void a_latency_near_nothing(void **state)
{
    (void)state;
    struct fixture f = ten();
    fixture_model(&f, "m", 1e-6, 20);
    fixture_row(&f, 0, 0, 1, 2, 1e-6);
    fixture_row(&f, 0, 0, 2, 2, 10);
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_space space;
    struct glet_prices prices;
    glet_space_init(&space, p, 8);
    glet_prices_init(&prices, p);
    prices.sigma[0][0] = 0.2;
    double bound = glet_bound_evaluate(&space, (double[]){1}, 512, &prices);
    assert_true(bound > 0 && bound <= 1);
    glet_prices_fini(&prices, p);
    glet_space_fini(&space);
    glet_problem_free(p);
    expect(&f, 1);
}

/* A device that claims more gpu-lets than are ever planned on one GPU. */
static void more_gpulets_than_are_planned(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 64, 64, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    for (int m = 0; m < 2 * GLET_GPULETS_MAX; m++) {
        char name[16];
        snprintf(name, sizeof name, "m%02d", m);
        fixture_model(&f, name, 99, 20);
        fixture_row(&f, 0, m, 1, 1, 10);
    }
    expect(&f, 2);
}

static void a_tiny_rate_shares(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 1, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    for (int m = 0; m < 3; m++) {
        fixture_model(&f, m == 0 ? "a" : m == 1 ? "b" : "c", 1e-6, 100);
        fixture_row(&f, 0, m, 1, 10, 10);
    }
    struct outcome o = solve(&f, GLET_MIN_GPUS);
    assert_int_equal(o.gpus, 1);
    assert_int_equal(o.lets, 1);
    assert_int_equal(o.slots, 3);
    outcome_fini(&o);
    fixture_free(&f);
}

static void the_tail_shares_a_gpulet(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 1, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    fixture_model(&f, "a", 301, 40); /* 3.01 gpu-lets' worth */
    fixture_row(&f, 0, 0, 1, 10, 10);
    fixture_model(&f, "b", 45, 40);
    fixture_row(&f, 0, 1, 1, 10, 10);
    expect(&f, 4); /* the fourth carries the tail of a, and b */
}

static void a_tight_and_a_loose_slo_share_a_short_round(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 1, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    fixture_model(&f, "tight", 60, 20); /* round 15 + 5 = 20: equality */
    fixture_row(&f, 0, 0, 1, 10, 5);
    fixture_model(&f, "loose", 60, 1000);
    fixture_row(&f, 0, 1, 1, 10, 10);
    fixture_row(&f, 0, 1, 8, 10, 40); /* the better batch would make the round too long */
    expect(&f, 1);
}

static void shareable_in_pairs_but_not_all_three(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 1, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    for (int m = 0; m < 3; m++) {
        fixture_model(&f, m == 0 ? "a" : m == 1 ? "b" : "c", 10, 30);
        fixture_row(&f, 0, m, 1, 10, 10);
    }
    expect(&f, 2); /* two: 20 + 10 = 30; three: 30 + 10 > 30 */
}

static void more_than_twelve_models_in_a_gpulet(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 1, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    for (int m = 0; m < 14; m++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", m);
        fixture_model(&f, name, 5, 160);
        fixture_row(&f, 0, m, 1, 10, 10);
    }
    expect(&f, 1);
}

static void the_best_batch_is_not_the_last(void **state)
{
    (void)state;
    struct fixture f = exact(150);
    fixture_row(&f, 0, 0, 2, 10, 9);
    fixture_row(&f, 0, 0, 3, 10, 40);
    f.workload->models[0].slo_ms = 100;
    expect(&f, 1); /* batch 2: 222/s; batch 3: 75/s */
}

static void sizes_without_a_profile(void **state)
{
    (void)state;
    struct fixture f = ten();
    two_models(&f, 10, 20, 60);
    for (size_t i = 0; i < f.profile->latency_count; i++)
        f.profile->latency[i].units = i ? 6 : 5; /* 60 + 50 % */
    expect(&f, 2);
}

static void layouts_are_not_sums(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    int d = fixture_device(&f, "mig", GLET_MECHANISM_MIG, 8, 7, 1e6);
    fixture_layout(&f, d, (int[]){4, 3, 0}); /* no 4 + 4 */
    fixture_layout(&f, d, (int[]){3, 3, 0}); /* no 3 + 3 + 1 */
    fixture_stock(&f, "mig", GLET_COUNT_UNLIMITED, 1, NULL);
    for (int m = 0; m < 2; m++) {
        fixture_model(&f, m ? "b" : "a", 90, 20);
        fixture_row(&f, 0, m, 1, 4, 10);
    }
    expect(&f, 2);
}

static void a_model_larger_than_the_gpu(void **state)
{
    (void)state;
    struct fixture f = exact(10);
    f.profile->devices[0].memory_mib = 1000;
    f.profile->models[0].memory_mib = 1001;
    assert_true(is_unserveable(&f));
    fixture_free(&f);
}

static void the_aggregate_memory_fits_but_no_assignment_does(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 4, 1000);
    fixture_stock(&f, "g", 2, 1, NULL);
    for (int m = 0; m < 3; m++) { /* 3 x 600 <= 2 x 1000, but two of them never fit one GPU */
        fixture_model(&f, m == 0 ? "a" : m == 1 ? "b" : "c", 1, 500);
        fixture_row(&f, 0, m, 1, 2, 10);
        f.profile->models[m].memory_mib = 600;
    }
    expect(&f, -1);
}

static void weights_are_shared_where_address_spaces_are(void **state)
{
    (void)state;
    for (int mechanism = 0; mechanism < 2; mechanism++) {
        struct fixture f = fixture_new();
        fixture_device(&f, "g", mechanism ? GLET_MECHANISM_MPS : GLET_MECHANISM_GREEN_CONTEXT, 10,
                       4, 1000);
        fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
        fixture_model(&f, "m", 180, 20); /* one model in two gpu-lets */
        fixture_row(&f, 0, 0, 1, 5, 10);
        f.profile->models[0].memory_mib = 600;
        expect(&f, mechanism ? 2 : 1);
    }
}

static void stock_limits(void **state)
{
    (void)state;
    struct fixture f = exact(100);
    f.workload->gpus[0].count = 0;
    assert_true(is_unserveable(&f));
    fixture_free(&f);
    f = exact(250);
    f.workload->gpus[0].count = 2;
    struct outcome o = solve(&f, GLET_MIN_GPUS);
    assert_false(o.found);
    assert_true(o.infeasible);
    outcome_fini(&o);
    o = solve(&f, GLET_MAX_RATE);
    assert_true(o.found);
    CHECK_NEAR(o.scale, 0.8, 1e-6);
    assert_true(o.scale_bound >= o.scale * (1 - 1e-9));
    outcome_fini(&o);
    fixture_free(&f);
}

static void the_cheaper_type_cannot_meet_one_slo(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "a-fast", GLET_MECHANISM_MPS, 10, 1, 1e6);
    fixture_device(&f, "b-cheap", GLET_MECHANISM_MPS, 10, 1, 1e6);
    fixture_stock(&f, "a-fast", GLET_COUNT_UNLIMITED, 3, NULL);
    fixture_stock(&f, "b-cheap", GLET_COUNT_UNLIMITED, 1, NULL);
    fixture_model(&f, "tight", 100, 20);
    fixture_row(&f, 0, 0, 1, 10, 10);
    fixture_row(&f, 1, 0, 1, 10, 20);
    fixture_model(&f, "loose", 100, 200);
    fixture_row(&f, 0, 1, 1, 10, 10);
    fixture_row(&f, 1, 1, 1, 10, 20);
    struct outcome o = solve(&f, GLET_MIN_COST);
    CHECK_NEAR(o.cost, 3 + 2, 1e-9); /* loose: two cheap ones at 50/s rather than a fast one */
    assert_true(o.cost_bound <= o.cost + 1e-9);
    outcome_fini(&o);
    fixture_free(&f);
}

static void identical_models_and_single_sizes(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 2, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    two_models(&f, 10, 20, 500); /* ceil(1000 / 100) gpu-lets of half a GPU */
    expect(&f, 5);
}

static void the_bound_is_not_rounded_up_across_the_slack(void **state)
{
    (void)state;
    struct fixture f = exact(1000 * (1 + 1e-10)); /* ten GPUs, within the slack */
    struct outcome o = solve(&f, GLET_MIN_GPUS);
    assert_int_equal(o.gpus, 10);
    assert_int_equal(o.bound, 10);
    outcome_fini(&o);
    fixture_free(&f);
}

static void rates_scale_the_answer(void **state)
{
    (void)state;
    for (int lambda = 1; lambda <= 4; lambda++) {
        struct fixture f = exact(100.0 * lambda);
        expect(&f, lambda);
    }
    /* The bound of rates that no batch limits is a linear program: it scales with them. */
    double bound[2];
    for (int i = 0; i < 2; i++) {
        struct fixture f = ten();
        two_models(&f, 10, 20, i ? 5000 : 50000);
        struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
        struct glet_space space;
        struct glet_bound_options options = {.rounds = 60};
        glet_space_init(&space, p, 1);
        bound[i] = glet_bound_find(&space, (double[]){1}, &options, NULL);
        glet_space_fini(&space);
        glet_problem_free(p);
        fixture_free(&f);
    }
    CHECK_NEAR(bound[0], 10 * bound[1], 1e-6);
    CHECK_NEAR(bound[1], 50, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twice_the_latency_is_the_limit),
        cmocka_unit_test(feasible_only_alone),
        cmocka_unit_test(a_pair_that_fits_at_no_batch),
        cmocka_unit_test(a_neighbour_shrinks_the_batch),
        cmocka_unit_test(factors_below_one_clip),
        cmocka_unit_test(a_negative_aggressor_must_not_break_the_bound),
        cmocka_unit_test(one_resident_has_factor_one),
        cmocka_unit_test(rates_at_the_edges),
        cmocka_unit_test(a_latency_near_nothing),
        cmocka_unit_test(more_gpulets_than_are_planned),
        cmocka_unit_test(a_tiny_rate_shares),
        cmocka_unit_test(the_tail_shares_a_gpulet),
        cmocka_unit_test(a_tight_and_a_loose_slo_share_a_short_round),
        cmocka_unit_test(shareable_in_pairs_but_not_all_three),
        cmocka_unit_test(more_than_twelve_models_in_a_gpulet),
        cmocka_unit_test(the_best_batch_is_not_the_last),
        cmocka_unit_test(sizes_without_a_profile),
        cmocka_unit_test(layouts_are_not_sums),
        cmocka_unit_test(a_model_larger_than_the_gpu),
        cmocka_unit_test(the_aggregate_memory_fits_but_no_assignment_does),
        cmocka_unit_test(weights_are_shared_where_address_spaces_are),
        cmocka_unit_test(stock_limits),
        cmocka_unit_test(the_cheaper_type_cannot_meet_one_slo),
        cmocka_unit_test(identical_models_and_single_sizes),
        cmocka_unit_test(the_bound_is_not_rounded_up_across_the_slack),
        cmocka_unit_test(rates_scale_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
