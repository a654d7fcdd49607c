/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every rule of the verifier: a correct plan passes, and each way to break it is named. */
#include "planner/solution.h"
#include "planner/verify/verify.h"
#include "tests/support/planner/fixture.h"
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

static struct glet_error err;

struct world {
    struct fixture f;
    struct glet_plan *plan;
};

/* One GPU of 10 units: a and b share 4 units, a runs alone in 6; an app goes a -> b. */
static struct world world_new(void)
{
    struct world w = {.f = fixture_new()};
    int d = fixture_device(&w.f, "g", GLET_MECHANISM_MPS, 10, 2, 500);
    w.f.profile->devices[d].context_mib = 10;
    for (int m = 0; m < 2; m++) {
        fixture_model(&w.f, m ? "b" : "a", m ? 200 : 600, 40);
        for (int batch = 1; batch <= 8; batch += 7) {
            fixture_row(&w.f, d, m, batch, 4, 1 + batch);
            fixture_row(&w.f, d, m, batch, 6, 0.5 + 0.5 * batch);
        }
        w.f.profile->models[m].memory_mib = 100;
    }
    fixture_util(&w.f, d, 0, 0.5, 0.1);
    fixture_util(&w.f, d, 1, 0.3, 0.2);
    fixture_interference(&w.f, d, 1, 0.1, 0.2, 0.1, 0.1, 0);
    fixture_stock(&w.f, "g", 1, 1, "n");
    int app = fixture_app(&w.f, "chain", 10, 70);
    fixture_stage(&w.f, app, 0, -1, 1);
    fixture_stage(&w.f, app, 1, 0, 1);
    struct glet_problem *p = fixture_problem(&w.f, GLET_MIN_GPUS);
    struct glet_solution s;
    glet_solution_init(&s);
    struct glet_gpu *gpu = glet_solution_add_gpu(&s, 0);
    struct glet_let *let = glet_gpu_add_let(gpu, 0);
    glet_let_add_slot(let, 0, 5); /* between two profiled batches */
    glet_let_add_slot(let, 1, 5);
    let = glet_gpu_add_let(gpu, 1);
    glet_let_add_slot(let, 0, 8);
    CHECK_OK(glet_solution_to_plan(p, &s, &(struct glet_bound){1, 1, 0}, &w.plan, &err), &err);
    glet_solution_fini(&s);
    glet_problem_free(p);
    return w;
}

static void world_free(struct world *w)
{
    glet_plan_free(w->plan);
    fixture_free(&w->f);
}

/* The verifier finds this rule broken, once, and nothing else. */
static void expect(struct world *w, enum glet_rule rule, const char *where)
{
    struct glet_verdict v;
    CHECK_OK(glet_verify(w->f.workload, w->f.profile, w->plan, &v, &err), &err);
    for (size_t i = 0; i < v.count; i++)
        if (v.violations[i].rule != rule)
            fail_msg("%s: %s: %s", glet_rule_name(v.violations[i].rule), v.violations[i].where,
                     v.violations[i].what);
    assert_int_not_equal(v.count, 0);
    assert_string_equal(v.violations[0].where, where);
    glet_verdict_fini(&v);
}

static void a_correct_plan_passes(void **state)
{
    (void)state;
    struct world w = world_new();
    struct glet_verdict v;
    CHECK_OK(glet_verify(w.f.workload, w.f.profile, w.plan, &v, &err), &err);
    assert_int_equal(v.count, 0);
    glet_verdict_fini(&v);
    world_free(&w);
}

#define SLOT(gpulet, k) (&w.plan->gpus[0].lets[gpulet].models[k])

static void each_mistake_is_named(void **state)
{
    (void)state;
    struct world w = world_new();
    struct glet_plan_gpu *gpu = &w.plan->gpus[0];

    SLOT(0, 0)->exec_ms *= 1.01;
    SLOT(0, 0)->latency_bound_ms = gpu->lets[0].duty_cycle_ms + 4.5 * SLOT(0, 0)->factor;
    expect(&w, GLET_RULE_EXEC, "gpus[0].gpulets[0].models[0]");
    SLOT(0, 0)->exec_ms /= 1.01;

    SLOT(1, 1)->factor = 1.5;
    expect(&w, GLET_RULE_EXEC, "gpus[0].gpulets[1].models[1]");
    SLOT(1, 1)->factor = SLOT(1, 1)->exec_ms / 6;

    SLOT(1, 0)->latency_bound_ms += 1;
    expect(&w, GLET_RULE_LATENCY, "gpus[0].gpulets[1].models[0]");
    SLOT(1, 0)->latency_bound_ms -= 1;

    w.f.workload->models[1].slo_ms = SLOT(1, 1)->latency_bound_ms * (1 - 1e-6);
    expect(&w, GLET_RULE_LATENCY, "gpus[0].gpulets[1].models[1]");
    w.f.workload->models[1].slo_ms = SLOT(1, 1)->latency_bound_ms; /* equality holds */
    w.plan->models[1].slo_ms = w.f.workload->models[1].slo_ms;
    a_correct_plan_passes(NULL);

    w.f.workload->apps[0].slo_ms = 20;
    expect(&w, GLET_RULE_APP, "gpus");
    w.f.workload->apps[0].slo_ms = 70;

    w.plan->models[0].deadline_ms = 1; /* less than its bounds */
    expect(&w, GLET_RULE_APP, "models[0]");
    w.plan->models[0].deadline_ms = 69; /* more than b leaves of the app's SLO */
    expect(&w, GLET_RULE_APP, "gpus");
    w.plan->models[0].deadline_ms = 0;

    w.f.workload->models[0].rate_rps += 5;
    expect(&w, GLET_RULE_DEMAND, "models[0]");
    w.f.workload->models[0].rate_rps -= 5;

    w.plan->models[0].slo_ms *= 1.01; /* the runtime would let requests take longer */
    expect(&w, GLET_RULE_PROMISE, "models[0]");
    w.plan->models[0].slo_ms = 0;
    expect(&w, GLET_RULE_PROMISE, "models[0]");
    w.plan->models[0].slo_ms = w.f.workload->models[0].slo_ms;
    w.plan->models[1].percentile -= 1;
    expect(&w, GLET_RULE_PROMISE, "models[1]");
    w.plan->models[1].percentile += 1;
    w.plan->models[1].rate_rps *= 0.99;
    expect(&w, GLET_RULE_PROMISE, "models[1]");
    w.plan->models[1].rate_rps /= 0.99;

    w.f.workload->gpus[0].count = 0;
    expect(&w, GLET_RULE_STOCK, "gpus[0]");
    w.f.workload->gpus[0].count = 1;

    w.f.profile->devices[0].memory_mib = 319;
    expect(&w, GLET_RULE_MEMORY, "gpus[0]");
    w.f.profile->devices[0].memory_mib = 320; /* 2 contexts, 3 sets of weights */

    w.f.profile->devices[0].max_gpulets = 1;
    expect(&w, GLET_RULE_GPULETS, "gpus[0]");
    w.f.profile->devices[0].max_gpulets = 2;
    w.f.workload->options.max_gpulets_per_gpu = 1;
    expect(&w, GLET_RULE_GPULETS, "gpus[0]");
    w.f.workload->options.max_gpulets_per_gpu = 0;

    gpu->units = 9;
    expect(&w, GLET_RULE_SIZES, "gpus[0]");
    gpu->units = 10;
    world_free(&w);
}

static void sizes_and_layouts(void **state)
{
    (void)state;
    struct world w = world_new();
    int allowed[] = {4};
    w.f.workload->options.sizes_units = allowed;
    w.f.workload->options.size_count = 1;
    expect(&w, GLET_RULE_SIZES, "gpus[0].gpulets[0]");
    w.f.workload->options.sizes_units = NULL;
    w.f.workload->options.size_count = 0;
    fixture_layout(&w.f, 0, (int[]){6, 6, 0});
    expect(&w, GLET_RULE_SIZES, "gpus[0]");
    fixture_layout(&w.f, 0, (int[]){2, 4, 6, 0});
    struct glet_verdict v;
    CHECK_OK(glet_verify(w.f.workload, w.f.profile, w.plan, &v, &err), &err);
    assert_int_equal(v.count, 0);
    glet_verdict_fini(&v);
    world_free(&w);
}

static void batches_rates_and_rounds(void **state)
{
    (void)state;
    struct world w = world_new();
    struct glet_plan_gpu *gpu = &w.plan->gpus[0];
    gpu->lets[1].duty_cycle_ms *= 0.9; /* shorter than the round; the bounds change with it */
    for (int k = 0; k < 2; k++)
        SLOT(1, k)->latency_bound_ms = gpu->lets[1].duty_cycle_ms + SLOT(1, k)->exec_ms;
    expect(&w, GLET_RULE_DUTY, "gpus[0].gpulets[1]");
    gpu->lets[1].duty_cycle_ms /= 0.9;
    for (int k = 0; k < 2; k++)
        SLOT(1, k)->latency_bound_ms = gpu->lets[1].duty_cycle_ms + SLOT(1, k)->exec_ms;
    SLOT(0, 0)->rate_rps = 8000 / gpu->lets[0].duty_cycle_ms * 1.001;
    expect(&w, GLET_RULE_BATCH, "gpus[0].gpulets[0].models[0]");
    world_free(&w);
}

static void unknown_names_and_points(void **state)
{
    (void)state;
    struct world w = world_new();
    struct glet_verdict v;
    SLOT(0, 0)->batch = 9;
    CHECK_OK(glet_verify(w.f.workload, w.f.profile, w.plan, &v, &err), &err);
    assert_int_equal(v.violations[0].rule, GLET_RULE_PROFILE);
    assert_string_equal(v.violations[0].where, "gpus[0].gpulets[0].models[0]");
    glet_verdict_fini(&v);
    SLOT(0, 0)->batch = 8;
    free(w.plan->gpus[0].node);
    w.plan->gpus[0].node = strdup("elsewhere");
    expect(&w, GLET_RULE_STOCK, "gpus[0]");
    w.f.workload->gpus[0].node[0] = 'm';
    free(w.plan->gpus[0].node);
    w.plan->gpus[0].node = NULL; /* any node */
    CHECK_OK(glet_verify(w.f.workload, w.f.profile, w.plan, &v, &err), &err);
    assert_int_equal(v.count, 0);
    glet_verdict_fini(&v);
    free(w.plan->gpus[0].type);
    w.plan->gpus[0].type = strdup("h100");
    CHECK_OK(glet_verify(w.f.workload, w.f.profile, w.plan, &v, &err), &err);
    assert_int_equal(v.violations[0].rule, GLET_RULE_NAMES);
    glet_verdict_fini(&v);
    world_free(&w);
}

static void max_rate_scales_demand(void **state)
{
    (void)state;
    struct world w = world_new();
    w.plan->objective = GLET_MAX_RATE;
    w.plan->certificate.scale = 1.01;
    struct glet_verdict v;
    CHECK_OK(glet_verify(w.f.workload, w.f.profile, w.plan, &v, &err), &err);
    assert_int_equal(v.count, 2); /* both models serve 1 x only */
    assert_int_equal(v.violations[0].rule, GLET_RULE_DEMAND);
    glet_verdict_fini(&v);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_correct_plan_passes),    cmocka_unit_test(each_mistake_is_named),
        cmocka_unit_test(sizes_and_layouts),        cmocka_unit_test(batches_rates_and_rounds),
        cmocka_unit_test(unknown_names_and_points), cmocka_unit_test(max_rate_scales_demand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
