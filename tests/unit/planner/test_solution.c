/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Evaluating, distributing and writing solutions, with numbers worked out by hand. */
#include "planner/model/gpu_memory.h"
#include "planner/solution.h"
#include "tests/support/planner/fixture.h"
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

static struct glet_error err;

/* Two models with L(b) = 1 + b in 4 units, 0.5 + b/2 in 6; weights 100 and 200 MiB. */
static struct fixture two_models(enum glet_mechanism mechanism)
{
    struct fixture f = fixture_new();
    int d = fixture_device(&f, "g", mechanism, 10, 4, 1000);
    f.profile->devices[d].context_mib = 10;
    for (int m = 0; m < 2; m++) {
        fixture_model(&f, m ? "b" : "a", 300, 40);
        fixture_curve(&f, d, m, 8, 4, 1, 1);
        fixture_curve(&f, d, m, 8, 6, 0.5, 0.5);
        f.profile->models[m].memory_mib = 100 * (m + 1);
    }
    fixture_stock(&f, "g", 2, 1.5, "n1");
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1.5, NULL);
    return f;
}

static struct glet_let *add_let(struct glet_gpu *gpu, int size, const int *pairs)
{
    struct glet_let *let = glet_gpu_add_let(gpu, size);
    for (; *pairs >= 0; pairs += 2)
        assert_non_null(glet_let_add_slot(let, pairs[0], pairs[1]));
    return let;
}

static void evaluation_adds_up(void **state)
{
    (void)state;
    struct fixture f = two_models(GLET_MECHANISM_MPS);
    fixture_util(&f, 0, 0, 0.5, 0);
    fixture_util(&f, 0, 1, 1, 0);
    fixture_interference(&f, 0, 1, 0, 0.2, 0, 0, 0);
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_solution s;
    glet_solution_init(&s);
    struct glet_gpu *gpu = glet_solution_add_gpu(&s, 0);
    add_let(gpu, 0, (int[]){0, 3, 1, 1, -1});
    assert_true(glet_gpu_evaluate(p, gpu));
    CHECK_NEAR(gpu->lets[0].duty_cycle_ms, 4 + 2, 1e-12); /* alone: factor 1 */
    add_let(gpu, 1, (int[]){1, 7, -1});
    assert_true(glet_gpu_evaluate(p, gpu));
    CHECK_NEAR(gpu->lets[0].slots[0].factor, 1.2, 1e-12);
    CHECK_NEAR(gpu->lets[0].duty_cycle_ms, 6 * 1.2, 1e-12);
    CHECK_NEAR(gpu->lets[1].slots[0].factor, 1.2, 1e-12); /* the worse of its two neighbours */
    CHECK_NEAR(gpu->lets[1].duty_cycle_ms, 4 * 1.2, 1e-12);
    CHECK_NEAR(glet_let_capacity_rps(&gpu->lets[1], 0), 7000 / 4.8, 1e-9);
    assert_true(glet_gpu_feasible(p, gpu));
    p->models[1].limit_ms = 9.6; /* 2 x 4.8, equality holds */
    assert_true(glet_gpu_feasible(p, gpu));
    p->models[1].limit_ms = 9.59;
    assert_false(glet_gpu_feasible(p, gpu));
    gpu->lets[1].slots[0].batch = 9; /* beyond the profile */
    assert_false(glet_gpu_evaluate(p, gpu));
    glet_solution_fini(&s);
    glet_problem_free(p);
    fixture_free(&f);
}

static double memory_of(enum glet_mechanism mechanism)
{
    struct fixture f = two_models(mechanism);
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_solution s;
    glet_solution_init(&s);
    struct glet_gpu *gpu = glet_solution_add_gpu(&s, 0);
    add_let(gpu, 0, (int[]){0, 1, 1, 1, -1});
    add_let(gpu, 1, (int[]){0, 1, -1});
    double mib = glet_memory_gpu_mib(p, gpu);
    glet_solution_fini(&s);
    glet_problem_free(p);
    fixture_free(&f);
    return mib;
}

static void memory_follows_the_mechanism(void **state)
{
    (void)state;
    CHECK_NEAR(memory_of(GLET_MECHANISM_MPS), 2 * 10 + 100 + 200 + 100, 1e-9);
    CHECK_NEAR(memory_of(GLET_MECHANISM_MIG), 420, 1e-9);
    CHECK_NEAR(memory_of(GLET_MECHANISM_GREEN_CONTEXT), 2 * 10 + 100 + 200, 1e-9);
    CHECK_NEAR(memory_of(GLET_MECHANISM_CPU), 320, 1e-9);
}

static void rates_follow_capacity_and_cover_demand(void **state)
{
    (void)state;
    struct fixture f = two_models(GLET_MECHANISM_MPS);
    f.workload->models[1].rate_rps = 0;
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_solution s;
    glet_solution_init(&s);
    struct glet_gpu *gpu = glet_solution_add_gpu(&s, 0);
    add_let(gpu, 0, (int[]){0, 1, -1});                          /* 500/s */
    add_let(gpu, 1, (int[]){0, 1, 1, 1, -1});                    /* 1 and 1 ms: 500/s each */
    add_let(glet_solution_add_gpu(&s, 0), 1, (int[]){1, 1, -1}); /* serves nobody */
    struct glet_plan *plan = NULL;
    CHECK_OK(glet_solution_to_plan(p, &s, &(struct glet_bound){1, 1.5, 0}, &plan, &err), &err);
    assert_int_equal(plan->gpu_count, 1);
    assert_int_equal(plan->gpus[0].let_count, 2);
    assert_int_equal(plan->gpus[0].lets[0].model_count, 1); /* b has no demand */
    assert_int_equal(plan->gpus[0].lets[0].units, 6);       /* sorted: largest first */
    CHECK_NEAR(plan->gpus[0].lets[0].models[0].rate_rps, 200, 1e-9);
    CHECK_NEAR(plan->gpus[0].lets[1].models[0].rate_rps, 100, 1e-9);
    assert_true(plan->models[0].planned_rps >= 300);
    CHECK_NEAR(plan->models[1].planned_rps, 0, 0);
    assert_string_equal(plan->gpus[0].node, "n1");
    assert_string_equal(plan->gpus[0].id, "gpu0");
    assert_int_equal(plan->certificate.gpus, 1);
    CHECK_NEAR(plan->certificate.gap_ratio, 0, 0);
    glet_plan_free(plan);
    glet_solution_fini(&s);
    glet_problem_free(p);
    fixture_free(&f);
}

static void nodes_fill_in_order(void **state)
{
    (void)state;
    struct fixture f = two_models(GLET_MECHANISM_MPS);
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_solution s;
    glet_solution_init(&s);
    for (int g = 0; g < 3; g++)
        add_let(glet_solution_add_gpu(&s, 0), 1, (int[]){0, 1, 1, 1, -1});
    assert_true(glet_solution_assign_nodes(p, &s));
    assert_int_equal(s.gpus[0].stock, 0);
    assert_int_equal(s.gpus[1].stock, 0);
    assert_int_equal(s.gpus[2].stock, 1); /* the unlimited entry */
    p->types[0].stock[1].count = 0;
    assert_false(glet_solution_assign_nodes(p, &s));
    CHECK_NEAR(glet_solution_cost(p, &s), 4.5, 1e-12);
    glet_solution_fini(&s);
    glet_problem_free(p);
    fixture_free(&f);
}

static void a_plan_reads_back(void **state)
{
    (void)state;
    struct fixture f = two_models(GLET_MECHANISM_MPS);
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_solution s, back;
    glet_solution_init(&s);
    add_let(glet_solution_add_gpu(&s, 0), 0, (int[]){0, 6, 1, 6, -1});
    struct glet_plan *plan = NULL, *again = NULL;
    CHECK_OK(glet_solution_to_plan(p, &s, &(struct glet_bound){1, 1.5, 0}, &plan, &err), &err);
    CHECK_OK(glet_solution_from_plan(p, plan, &back, &err), &err);
    CHECK_OK(glet_solution_to_plan(p, &back, &(struct glet_bound){1, 1.5, 0}, &again, &err), &err);
    assert_int_equal(again->gpus[0].lets[0].models[1].batch, 6);
    CHECK_NEAR(again->gpus[0].lets[0].duty_cycle_ms, 14, 1e-12);
    free(plan->models[0].name);
    plan->models[0].name = strdup("stranger");
    glet_solution_fini(&back);
    CHECK_FAILS(glet_solution_from_plan(p, plan, &back, &err), &err, GLET_ERR_INPUT,
                "the workload has no model 'stranger'");
    glet_plan_free(plan);
    glet_plan_free(again);
    glet_solution_fini(&s);
    glet_problem_free(p);
    fixture_free(&f);
}

static void an_infeasible_solution_is_our_bug(void **state)
{
    (void)state;
    struct fixture f = two_models(GLET_MECHANISM_MPS);
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_solution s;
    struct glet_plan *plan = NULL;
    glet_solution_init(&s);
    add_let(glet_solution_add_gpu(&s, 0), 0, (int[]){0, 1, -1}); /* nobody serves b */
    assert_int_equal(glet_solution_to_plan(p, &s, &(struct glet_bound){1, 1.5, 0}, &plan, &err),
                     -1);
    assert_int_equal(err.code, GLET_ERR_INTERNAL);
    glet_solution_fini(&s);
    glet_problem_free(p);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evaluation_adds_up),
        cmocka_unit_test(memory_follows_the_mechanism),
        cmocka_unit_test(rates_follow_capacity_and_cover_demand),
        cmocka_unit_test(nodes_fill_in_order),
        cmocka_unit_test(a_plan_reads_back),
        cmocka_unit_test(an_infeasible_solution_is_our_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
