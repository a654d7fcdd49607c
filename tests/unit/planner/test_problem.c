/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From workload and profile to tables, with numbers worked out by hand. */
#include "planner/model/interference.h"
#include "planner/model/latency.h"
#include "planner/model/unserveable.h"
#include "tests/support/planner/fixture.h"
#include "tests/unit/check.h"

#include <string.h>

static struct glet_error err;

static void cells_interpolate_in_batch(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    int d = fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 4, 1000);
    int m = fixture_model(&f, "m", 10, 100);
    int a = fixture_row(&f, d, m, 2, 5, 10), b = fixture_row(&f, d, m, 6, 5, 30);
    f.profile->latency[a].activation_mib = 4;
    f.profile->latency[b].p99_ms = 34; /* where there is a p99, it counts */
    fixture_stock(&f, "g", 1, 1, NULL);
    f.workload->options.latency_factor = 2;
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    assert_int_equal(p->types[0].size_count, 1);
    assert_int_equal(glet_problem_find_size(&p->types[0], 5), 0);
    assert_null(glet_problem_cell(p, 0, m, 0, 1)); /* nothing is extrapolated */
    assert_null(glet_problem_cell(p, 0, m, 0, 7));
    CHECK_NEAR(glet_problem_cell(p, 0, m, 0, 2)->latency_ms, 20, 1e-12);
    CHECK_NEAR(glet_problem_cell(p, 0, m, 0, 3)->latency_ms, 2 * (10 + 24. / 4), 1e-12);
    CHECK_NEAR(glet_problem_cell(p, 0, m, 0, 6)->latency_ms, 68, 1e-12);
    CHECK_NEAR(glet_problem_cell(p, 0, m, 0, 5)->activation_mib, 1, 1e-12); /* 4 -> unknown = 0 */
    glet_problem_free(p);
    fixture_free(&f);
}

static void sizes_are_profiled_and_allowed(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    int d = fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 2, 1000);
    int m = fixture_model(&f, "m", 10, 100);
    for (int units = 2; units <= 12; units += 2) /* 12 is more than the device has */
        fixture_row(&f, d, m, 1, units, 10);
    fixture_stock(&f, "g", 3, 1, "n1");
    fixture_stock(&f, "g", 2, 1, "n2");
    fixture_stock(&f, "g", 1, 7, "n3"); /* another price is another type */
    int allowed[] = {4, 6, 7};
    f.workload->options.sizes_units = allowed;
    f.workload->options.size_count = 3;
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    assert_int_equal(p->type_count, 2);
    assert_int_equal(p->types[0].count, 5);
    assert_int_equal(p->types[0].stock_count, 2);
    assert_int_equal(p->types[0].size_count, 2);
    assert_int_equal(p->types[0].sizes_units[0], 4);
    assert_int_equal(p->types[0].sizes_units[1], 6);
    assert_true(glet_problem_sizes_fit(&p->types[0], (int[]){4, 6}, 2));
    assert_false(glet_problem_sizes_fit(&p->types[0], (int[]){6, 6}, 2));
    assert_false(glet_problem_sizes_fit(&p->types[0], (int[]){2, 2, 2}, 3)); /* max_gpulets */
    glet_problem_free(p);
    f.workload->options.sizes_units = NULL;
    f.workload->options.size_count = 0;
    fixture_free(&f);
}

static void layouts_restrict_patterns(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    int d = fixture_device(&f, "mig", GLET_MECHANISM_MIG, 7, 7, 1000);
    fixture_layout(&f, d, (int[]){7, 0});
    fixture_layout(&f, d, (int[]){4, 2, 1, 0});
    fixture_layout(&f, d, (int[]){3, 3, 0});
    int m = fixture_model(&f, "m", 10, 100);
    for (int units = 1; units <= 7; units++)
        fixture_row(&f, d, m, 1, units, 10);
    fixture_stock(&f, "mig", 1, 1, NULL);
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    const struct glet_problem_type *t = &p->types[0];
    assert_int_equal(t->size_count, 5); /* 1 2 3 4 7: 5 and 6 are in no layout */
    assert_true(glet_problem_sizes_fit(t, (int[]){1, 4}, 2));
    assert_true(glet_problem_sizes_fit(t, (int[]){2, 1, 4}, 3));
    assert_false(glet_problem_sizes_fit(t, (int[]){4, 3}, 2));
    assert_false(glet_problem_sizes_fit(t, (int[]){1, 1}, 2));
    assert_false(glet_problem_sizes_fit(t, (int[]){3, 3, 1}, 3));
    glet_problem_free(p);
    fixture_free(&f);
}

static void a_model_without_a_profile_is_undecided(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    struct glet_problem *p = NULL;
    int d = fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 4, 1000);
    int m = fixture_model(&f, "known", 10, 100);
    fixture_row(&f, d, m, 1, 10, 5);
    fixture_model(&f, "unknown", 10, 100);
    fixture_stock(&f, "g", 1, 1, NULL);
    fixture_done(&f);
    memset(&err, 0, sizeof err);
    CHECK_FAILS(glet_problem_new(f.workload, f.profile, GLET_MIN_GPUS, &p, &err), &err,
                GLET_ERR_UNDECIDED,
                "models[1].name: model 'unknown' has no profile at an allowed size on any of the "
                "GPU types");
    assert_int_equal(err.line, 4);
    assert_string_equal(err.file, "workload.yaml");
    f.workload->models[1].rate_rps = 0; /* without demand nothing needs to be known */
    CHECK_OK(glet_problem_new(f.workload, f.profile, GLET_MIN_GPUS, &p, &err), &err);
    glet_problem_free(p);
    fixture_free(&f);
}

static void an_unknown_gpu_type_is_undecided(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    struct glet_problem *p = NULL;
    fixture_model(&f, "m", 10, 100);
    fixture_stock(&f, "other", 1, 1, NULL);
    CHECK_FAILS(glet_problem_new(f.workload, f.profile, GLET_MIN_GPUS, &p, &err), &err,
                GLET_ERR_UNDECIDED, "gpus[0].type: the profile knows nothing about 'other'");
    fixture_free(&f);
}

static struct fixture pair_of_models(void)
{
    struct fixture f = fixture_new();
    int d = fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 4, 1000);
    for (int m = 0; m < 2; m++) {
        fixture_model(&f, m ? "b" : "a", 10, 100);
        for (int units = 4; units <= 6; units += 2)
            fixture_curve(&f, d, m, 4, units, 1, 1);
    }
    fixture_util(&f, d, 0, 0.5, 0.25);
    fixture_util(&f, d, 1, 0.2, 0.8);
    fixture_stock(&f, "g", 4, 1, NULL);
    return f;
}

static void the_linear_model_by_hand(void **state)
{
    (void)state;
    struct fixture f = pair_of_models();
    fixture_interference(&f, 0, 0.9, 0.1, 0.4, 0.3, 0.2, 0.05);
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_point a = {0, 0, 2}, b = {1, 1, 3};
    /* 0.9 + 0.1*0.5 + 0.4*0.2 + 0.3*0.25 + 0.2*0.8 + 0.05 */
    CHECK_NEAR(glet_interference_pair(p, 0, a, b), 1.315, 1e-12);
    CHECK_NEAR(glet_interference_pair(p, 0, b, a), 0.9 + .02 + .2 + .24 + .05 + .05, 1e-12);
    CHECK_NEAR(glet_interference_mildest(p, 0, a), 1.075 + 0.24, 1e-12);
    assert_true(glet_interference_harshest(p, 0, a) >= glet_interference_mildest(p, 0, a));
    glet_problem_free(p);
    fixture_free(&f);
}

static void a_measured_pair_replaces_the_model(void **state)
{
    (void)state;
    struct fixture f = pair_of_models();
    fixture_interference(&f, 0, 0.9, 0.1, 0.4, 0.3, 0.2, 0.05);
    fixture_corun(&f, 0, (int[]){0, 2, 4}, (int[]){1, 3, 6}, 1.5, 1.01);
    fixture_corun(&f, 0, (int[]){1, 3, 6}, (int[]){0, 2, 4}, 1.02, 1.4); /* measured twice */
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_point a = {0, 0, 2}, b = {1, 1, 3};
    CHECK_NEAR(glet_interference_pair(p, 0, a, b), 1.5, 0);
    CHECK_NEAR(glet_interference_pair(p, 0, b, a), 1.02, 0);
    CHECK_NEAR(glet_interference_harshest(p, 0, a), 1.5, 0);
    CHECK_NEAR(glet_interference_mildest(p, 0, b), 1.02, 0);
    a.batch = 3; /* not that pair: the model again */
    CHECK_NEAR(glet_interference_pair(p, 0, a, b), 1.315, 1e-12);
    glet_problem_free(p);
    fixture_free(&f);
}

static void an_unknown_utilisation_counts_as_the_worst(void **state)
{
    (void)state;
    struct fixture f = pair_of_models();
    fixture_util(&f, 0, 1, NAN, NAN);
    fixture_interference(&f, 0, 1, 0, 0.4, 0, -0.2, 0);
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    CHECK_NEAR(
        glet_interference_pair(p, 0, (struct glet_point){0, 0, 1}, (struct glet_point){1, 0, 1}),
        1.4, 1e-12);
    glet_problem_free(p);
    f.workload->options.interference = false;
    p = fixture_problem(&f, GLET_MIN_GPUS);
    assert_false(p->types[0].interferes);
    CHECK_NEAR(
        glet_interference_pair(p, 0, (struct glet_point){0, 0, 1}, (struct glet_point){1, 0, 1}), 1,
        0);
    glet_problem_free(p);
    fixture_free(&f);
}

static void an_app_leaves_its_stages_what_the_others_need(void **state)
{
    (void)state;
    struct fixture f = pair_of_models();
    int app = fixture_app(&f, "chain", 5, 30);
    fixture_stage(&f, app, 0, -1, 1);
    fixture_stage(&f, app, 1, 0, 2);
    f.workload->models[0].slo_ms = 0;
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    /* the fastest bound of either model is 2 x (1 + 1) ms */
    CHECK_NEAR(p->models[0].limit_ms, 26, 1e-12);
    CHECK_NEAR(p->models[1].limit_ms, 26, 1e-12); /* less than its own 100 */
    CHECK_NEAR(p->models[0].demand_rps, 15, 1e-12);
    CHECK_NEAR(p->models[1].demand_rps, 20, 1e-12);
    assert_true(p->models[0].in_app);
    glet_problem_free(p);
    fixture_free(&f);
}

static void unserveable_names_the_best_latency(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    int d = fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 4, 1000);
    int m = fixture_model(&f, "m", 10, 50);
    fixture_row(&f, d, m, 1, 5, 40);
    fixture_row(&f, d, m, 1, 10, 25);
    fixture_stock(&f, "g", 1, 1, NULL);
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_unserveable why;
    char text[300];
    assert_false(glet_unserveable(p, m, &why)); /* 2 L = SLO is feasible */
    p->models[m].limit_ms = p->models[m].slo_ms = 49.9;
    assert_true(glet_unserveable(p, m, &why));
    assert_int_equal(why.reason, GLET_UNSERVEABLE_LATENCY);
    glet_unserveable_text(p, &why, text, sizeof text);
    assert_string_equal(text, "m cannot be served: its best reachable latency is 50 ms (2 x 25 ms "
                              "at batch 1 in 10 of 10 units of g), its SLO is 49.9 ms");
    p->models[m].limit_ms = p->models[m].slo_ms = 50;
    p->models[m].memory_mib = 2000;
    assert_true(glet_unserveable(p, m, &why));
    assert_int_equal(why.reason, GLET_UNSERVEABLE_MEMORY);
    p->models[m].memory_mib = 0;
    p->types[0].count = 0;
    assert_true(glet_unserveable(p, m, &why));
    assert_int_equal(why.reason, GLET_UNSERVEABLE_STOCK);
    glet_unserveable_text(p, &why, text, sizeof text);
    assert_string_equal(text,
                        "m cannot be served: no GPU in stock can run it; g, with count 0, would "
                        "reach 50 ms (2 x 25 ms at batch 1 in 10 of 10 units of g)");
    p->models[m].demand_rps = 0;
    assert_false(glet_unserveable(p, m, &why));
    glet_problem_free(p);
    fixture_free(&f);
}

static void the_fast_type_is_out_of_stock(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    int fast = fixture_device(&f, "fast", GLET_MECHANISM_MPS, 10, 4, 1000);
    int slow = fixture_device(&f, "slow", GLET_MECHANISM_MPS, 10, 4, 1000);
    int m = fixture_model(&f, "m", 10, 50);
    fixture_row(&f, fast, m, 1, 10, 25);
    fixture_row(&f, slow, m, 1, 10, 30);
    fixture_stock(&f, "fast", 0, 1, NULL);
    fixture_stock(&f, "slow", 4, 1, NULL);
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_unserveable why;
    char text[400];
    assert_true(glet_unserveable(p, m, &why));
    assert_int_equal(why.reason, GLET_UNSERVEABLE_STOCK);
    glet_unserveable_text(p, &why, text, sizeof text);
    assert_string_equal(text,
                        "m cannot be served: its limit is 50 ms, and the GPUs in stock reach 60 "
                        "ms (2 x 30 ms at batch 1 in 10 of 10 units of slow) at best; fast, "
                        "with count 0, would reach 50 ms (2 x 25 ms at batch 1 in 10 of 10 "
                        "units of fast)");
    f.workload->gpus[0].mark = (struct glet_mark){7, 3};
    assert_int_equal(glet_unserveable_mark(p, &why).line, 7);
    glet_problem_free(p);
    fixture_free(&f);
}

static void the_fastest_batch_need_not_be_the_last(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    int d = fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 4, 1000);
    int m = fixture_model(&f, "m", 10, 100);
    fixture_row(&f, d, m, 1, 10, 10);
    fixture_row(&f, d, m, 2, 10, 12);
    fixture_row(&f, d, m, 3, 10, 45);
    fixture_row(&f, d, m, 4, 10, 40);
    fixture_stock(&f, "g", 1, 1, NULL);
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_choice best = glet_latency_fastest(p, m, 0, -1, 100);
    assert_int_equal(best.batch, 2);
    CHECK_NEAR(best.rate_rps, 2000. / 12, 1e-9);
    assert_int_equal(glet_latency_fastest(p, m, 0, 0, 19).type, -1);
    glet_problem_free(p);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_interpolate_in_batch),
        cmocka_unit_test(sizes_are_profiled_and_allowed),
        cmocka_unit_test(layouts_restrict_patterns),
        cmocka_unit_test(a_model_without_a_profile_is_undecided),
        cmocka_unit_test(an_unknown_gpu_type_is_undecided),
        cmocka_unit_test(the_linear_model_by_hand),
        cmocka_unit_test(a_measured_pair_replaces_the_model),
        cmocka_unit_test(an_unknown_utilisation_counts_as_the_worst),
        cmocka_unit_test(an_app_leaves_its_stages_what_the_others_need),
        cmocka_unit_test(unserveable_names_the_best_latency),
        cmocka_unit_test(the_fast_type_is_out_of_stock),
        cmocka_unit_test(the_fastest_batch_need_not_be_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
