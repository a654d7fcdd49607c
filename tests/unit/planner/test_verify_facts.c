/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the verifier computes by itself, held against numbers worked out by hand: the plans here are
 * written down field by field, without the planner's own evaluation.
 */
#include "planner/verify/verify.h"
#include "tests/support/planner/fixture.h"
#include "tests/unit/check.h"

#include <string.h>

static struct glet_error err;

#define UNITS 10

static char name_a[] = "a", name_b[] = "b", type[] = "gpu", first_gpu[] = "gpu0",
            second_gpu[] = "gpu1", near[] = "near", far[] = "far", away[] = "away";

/*
 * Two GPUs, each with a in 4 units and b in 6. a: batches 4 to 8, 2 ms + 1 ms per request; b the
 * same from batch 2 on. Both of 100 MiB, with 3 MiB per request, in contexts of 7.
 */
struct world {
    struct fixture f;
    struct glet_plan plan;
    struct glet_plan_model models[2];
    struct glet_plan_gpu gpus[2];
    struct glet_plan_let lets[2][2];
    struct glet_plan_let_model slots[2][2];
};

enum { A, B };

static double plain_ms(int batch)
{
    return 2 + batch;
}

/* Makes a slot consistent for this batch and factor, at the full rate that it can carry. */
static void put(struct world *w, int gpu, int let, int batch, double factor)
{
    struct glet_plan_let_model *slot = &w->slots[gpu][let];
    slot->batch = batch;
    slot->factor = factor;
    slot->exec_ms = plain_ms(batch) * factor;
    slot->latency_bound_ms = 2 * slot->exec_ms;
    w->lets[gpu][let].duty_cycle_ms = slot->exec_ms;
    slot->rate_rps = 1000 * batch / slot->exec_ms;
}

static void add_rows(struct fixture *f, int device)
{
    for (int m = A; m <= B; m++)
        for (int batch = m == A ? 4 : 2; batch <= 8; batch++)
            for (int units = 4; units <= 6; units += 2) {
                int row = fixture_row(f, device, m, batch, units, plain_ms(batch));
                f->profile->latency[row].activation_mib = 3 * batch;
            }
}

/* In place: the plan's pointers lead into the world. */
static void world_init(struct world *w, enum glet_mechanism mechanism)
{
    memset(w, 0, sizeof *w);
    w->f = fixture_new();
    fixture_device(&w->f, "another", mechanism, UNITS, 2, 1000);
    fixture_device(&w->f, "gpu", mechanism, UNITS, 2, 1000);
    fixture_model(&w->f, "a", 100, 100);
    fixture_model(&w->f, "b", 100, 100);
    for (int d = 0; d < 2; d++) {
        w->f.profile->devices[d].context_mib = 7;
        add_rows(&w->f, d);
    }
    w->f.profile->models[A].memory_mib = w->f.profile->models[B].memory_mib = 100;
    fixture_stock(&w->f, "gpu", 2, 1, NULL);
    fixture_done(&w->f);
    w->plan =
        (struct glet_plan){.models = w->models, .model_count = 2, .gpus = w->gpus, .gpu_count = 2};
    for (int m = A; m <= B; m++)
        w->models[m] = (struct glet_plan_model){.name = m == A ? name_a : name_b,
                                                .slo_ms = w->f.workload->models[m].slo_ms,
                                                .percentile = w->f.workload->models[m].percentile,
                                                .rate_rps = 1e6};
    for (int g = 0; g < 2; g++) {
        w->gpus[g] = (struct glet_plan_gpu){.id = g ? second_gpu : first_gpu,
                                            .type = type,
                                            .units = UNITS,
                                            .lets = w->lets[g],
                                            .let_count = 2};
        for (int i = 0; i < 2; i++) {
            w->lets[g][i] = (struct glet_plan_let){
                .units = i == A ? 4 : 6, .models = &w->slots[g][i], .model_count = 1};
            w->slots[g][i].model = (size_t)i;
            put(w, g, i, 4, 1);
        }
    }
}

static void expect_none(struct world *w)
{
    struct glet_verdict v;
    CHECK_OK(glet_verify(w->f.workload, w->f.profile, &w->plan, &v, &err), &err);
    if (v.count)
        fail_msg("%s: %s", v.violations[0].where, v.violations[0].what);
    glet_verdict_fini(&v);
}

/* The first violation, and how many there are. */
static void expect(struct world *w, size_t count, const char *where, const char *what)
{
    struct glet_verdict v;
    CHECK_OK(glet_verify(w->f.workload, w->f.profile, &w->plan, &v, &err), &err);
    assert_int_equal(v.count, count);
    assert_string_equal(v.violations[0].where, where);
    assert_string_equal(v.violations[0].what, what);
    glet_verdict_fini(&v);
}

static void interference_is_worked_out_again(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, GLET_MECHANISM_MPS);
    fixture_interference(&w.f, 0, 9, 9, 9, 9, 9, 9); /* another GPU's */
    fixture_interference(&w.f, 1, 1.01, 0.1, 0.2, 0.3, 0.4, 0.05);
    fixture_util(&w.f, 1, A, 0.5, 0.1);
    fixture_util(&w.f, 1, B, 0.3, 0.2);
    double a = 1.01 + 0.1 * 0.5 + 0.2 * 0.3 + 0.3 * 0.1 + 0.4 * 0.2 + 0.05; /* 1.28 */
    double b = 1.01 + 0.1 * 0.3 + 0.2 * 0.5 + 0.3 * 0.2 + 0.4 * 0.1 + 0.05; /* 1.29 */
    for (int g = 0; g < 2; g++) {
        put(&w, g, A, 4, a);
        put(&w, g, B, 4, b);
    }
    expect_none(&w);

    w.slots[1][A].factor = 1.27;
    expect(&w, 1, "gpus[1].gpulets[0].models[0]", "factor is 1.27, interference makes it 1.28");
    w.slots[1][A].factor = a;

    w.gpus[1].let_count = 1; /* a alone has no neighbour */
    put(&w, 1, A, 4, 1);
    expect_none(&w);
    w.gpus[1].let_count = 2;

    fixture_util(&w.f, 1, B, NAN, NAN); /* then it counts as 1 */
    double beside_unknown = 1.01 + 0.1 * 0.5 + 0.2 + 0.3 * 0.1 + 0.4 + 0.05;
    double unknown = 1.01 + 0.1 + 0.2 * 0.5 + 0.3 + 0.4 * 0.1 + 0.05;
    for (int g = 0; g < 2; g++) {
        put(&w, g, A, 4, beside_unknown);
        put(&w, g, B, 4, unknown);
    }
    expect_none(&w);

    w.f.workload->options.interference = false;
    for (int g = 0; g < 2; g++)
        for (int i = 0; i < 2; i++)
            put(&w, g, i, 4, 1);
    expect_none(&w);
    fixture_free(&w.f);
}

/* A pair counts where GPU, batches and sizes are those that were measured, either way round. */
static void measured_pairs_come_first(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, GLET_MECHANISM_MPS);
    fixture_interference(&w.f, 1, 1.5, 0, 0, 0, 0, 0);
    fixture_corun(&w.f, 0, (int[]){A, 4, 4}, (int[]){B, 4, 6}, 7, 7); /* another GPU */
    fixture_corun(&w.f, 1, (int[]){A, 5, 4}, (int[]){B, 4, 6}, 7, 7); /* other batches */
    fixture_corun(&w.f, 1, (int[]){A, 4, 4}, (int[]){B, 5, 6}, 7, 7);
    fixture_corun(&w.f, 1, (int[]){A, 4, 6}, (int[]){B, 4, 6}, 7, 7); /* other sizes */
    fixture_corun(&w.f, 1, (int[]){A, 4, 4}, (int[]){B, 4, 4}, 7, 7);
    fixture_corun(&w.f, 1, (int[]){B, 4, 4}, (int[]){A, 4, 6}, 7, 7); /* other models there */
    for (int g = 0; g < 2; g++)
        for (int i = 0; i < 2; i++)
            put(&w, g, i, 4, 1.5); /* never measured: the model's word */
    expect_none(&w);

    fixture_corun(&w.f, 1, (int[]){B, 4, 6}, (int[]){A, 4, 4}, 1.2, 1.1);
    for (int g = 0; g < 2; g++) {
        put(&w, g, A, 4, 1.1);
        put(&w, g, B, 4, 1.2);
    }
    expect_none(&w);

    fixture_corun(&w.f, 1, (int[]){A, 4, 4}, (int[]){B, 4, 6}, 1.3, 1.0); /* the worst counts */
    for (int g = 0; g < 2; g++)
        put(&w, g, A, 4, 1.3);
    expect_none(&w);
    fixture_free(&w.f);
}

/* Two contexts, weights of both models, 3 MiB for each of the 4 + 4 requests. */
static void memory_adds_up(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, GLET_MECHANISM_MPS);
    w.f.profile->devices[1].memory_mib = 14 + 200 + 24;
    expect_none(&w);
    w.gpus[0].memory_mib = 300; /* what a plan says of itself may be more */
    expect_none(&w);
    w.gpus[0].memory_mib = 237;
    expect(&w, 1, "gpus[0].memory_mib", "says 237 MiB, its gpu-lets need 238");
    w.gpus[0].memory_mib = 0;
    w.f.profile->devices[1].memory_mib = 237;
    expect(&w, 2, "gpus[0]", "needs 238 MiB, a gpu has 237");
    for (size_t i = 0; i < w.f.profile->latency_count; i++)
        if (w.f.profile->latency[i].batch == 5)
            w.f.profile->latency[i].p50_ms = NAN; /* 5 is between 4 and 6: 15 MiB */
    put(&w, 0, A, 5, 1);
    put(&w, 1, A, 5, 1);
    expect(&w, 2, "gpus[0]", "needs 241 MiB, a gpu has 237");
    fixture_free(&w.f);
}

static void times_are_compared_with_every_slo(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, GLET_MECHANISM_MPS);
    for (int m = A; m <= B; m++) {
        w.f.workload->models[m].slo_ms = w.models[m].slo_ms = 12; /* a round and a batch of 6 ms */
        expect_none(&w);
        w.f.workload->models[m].slo_ms = 11.5;
        expect(&w, 2, m == A ? "gpus[0].gpulets[0].models[0]" : "gpus[0].gpulets[1].models[0]",
               m == A ? "duty_cycle + exec is 12 ms, the SLO of a is 11.5 ms"
                      : "duty_cycle + exec is 12 ms, the SLO of b is 11.5 ms");
        w.f.workload->models[m].slo_ms = 0; /* none of its own */
        expect_none(&w);
    }
    w.slots[0][A].exec_ms *= 1 + 5e-7; /* as a person may have typed it */
    expect_none(&w);
    w.slots[0][A].exec_ms = plain_ms(4);
    w.slots[0][B].rate_rps *= 1.5;
    expect(&w, 1, "gpus[0].gpulets[1].models[0]",
           "6 requests arrive in a duty cycle of 6 ms, the batch is 4");
    fixture_free(&w.f);
}

static void sizes_add_up(void **state)
{
    (void)state;
    struct world w;
    int sizes[] = {6, 4};
    world_init(&w, GLET_MECHANISM_MPS);
    w.f.workload->options.sizes_units = sizes;
    w.f.workload->options.size_count = 2;
    expect_none(&w);
    w.lets[1][A].units = 6;
    expect(&w, 1, "gpus[1]", "the gpu-lets take 12 of 10 units");
    w.lets[1][A].units = 4;
    w.f.workload->options.size_count = 1;
    expect(&w, 2, "gpus[0].gpulets[0]", "4 units is not one of options.sizes");
    w.f.workload->options.sizes_units = NULL;
    w.f.workload->options.size_count = 0;
    fixture_free(&w.f);
}

/* Processes have their own copy of the weights; green contexts of one process share it. */
static void weights_are_shared_within_a_process(void **state)
{
    (void)state;
    static const struct {
        enum glet_mechanism mechanism;
        bool same;
        double needs_mib;
    } all[] = {{GLET_MECHANISM_MPS, true, 14 + 200 + 24},
               {GLET_MECHANISM_MIG, true, 14 + 200 + 24},
               {GLET_MECHANISM_GREEN_CONTEXT, true, 14 + 100 + 24},
               {GLET_MECHANISM_GREEN_CONTEXT, false, 14 + 200 + 24}};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        struct world w;
        world_init(&w, all[i].mechanism);
        if (all[i].same)
            w.slots[0][B].model = A;
        w.plan.gpu_count = 1;
        w.f.workload->models[B].rate_rps = 0;
        w.f.profile->devices[1].memory_mib = all[i].needs_mib;
        expect_none(&w);
        w.f.profile->devices[1].memory_mib -= 1;
        char what[80];
        snprintf(what, sizeof what, "needs %g MiB, a gpu has %g", all[i].needs_mib,
                 all[i].needs_mib - 1);
        expect(&w, 1, "gpus[0]", what);
        fixture_free(&w.f);
    }
}

/* A batch below, above or beyond those that were profiled has no latency; one between has. */
static void only_profiled_batches_count(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, GLET_MECHANISM_MPS);
    for (size_t i = 0; i < w.f.profile->latency_count; i++)
        if (w.f.profile->latency[i].batch == 6)
            w.f.profile->latency[i].p50_ms = NAN; /* a gap */
    for (int batch = 4; batch <= 8; batch++) {
        put(&w, 0, A, batch, 1);
        expect_none(&w);
    }
    put(&w, 0, A, 3, 1); /* the smallest of all rows' */
    expect(&w, 1, "gpus[0].gpulets[0].models[0]", "a has no profile on gpu at batch 3 in 4 units");
    put(&w, 0, A, 9, 1);
    expect(&w, 1, "gpus[0].gpulets[0].models[0]", "a has no profile on gpu at batch 9 in 4 units");
    put(&w, 0, A, 4, 1);
    put(&w, 0, B, 1, 1); /* there are rows of other models before b's */
    expect(&w, 1, "gpus[0].gpulets[1].models[0]", "b has no profile on gpu at batch 1 in 6 units");
    put(&w, 0, B, 4, 1);
    w.lets[1][A].units = 3;
    expect(&w, 1, "gpus[1].gpulets[0].models[0]", "a has no profile on gpu at batch 4 in 3 units");
    fixture_free(&w.f);
}

/* Every size of a layout is there once. */
static void a_layout_is_used_up(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, GLET_MECHANISM_MIG);
    fixture_layout(&w.f, 1, (int[]){4, 2, 2, 0});
    fixture_layout(&w.f, 1, (int[]){2, 6, 4, 0});
    expect_none(&w);
    w.lets[1][B].units = 4;
    expect(&w, 1, "gpus[1]", "the sizes of the gpu-lets are in no layout of gpu");
    fixture_layout(&w.f, 1, (int[]){4, 4, 0});
    expect_none(&w);
    fixture_free(&w.f);
}

static void nodes_have_a_stock_of_their_own(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, GLET_MECHANISM_MPS);
    w.f.workload->gpus[0].count = 0;
    fixture_stock(&w.f, "gpu", 1, 1, "near");
    fixture_stock(&w.f, "gpu", 1, 1, "far");
    fixture_stock(&w.f, "another", 5, 1, "near");
    w.gpus[0].node = near;
    expect_none(&w);
    w.gpus[1].node = far;
    expect_none(&w);
    w.gpus[1].node = near;
    expect(&w, 1, "gpus[0]", "type gpu: 1 GPU is on nodes that do not have them");
    w.gpus[0].node = near;
    w.gpus[1].node = away;
    expect(&w, 1, "gpus[0]", "type gpu: 1 GPU is on nodes that do not have them");
    w.gpus[0].type = w.f.profile->devices[0].gpu; /* another */
    expect(&w, 1, "gpus[1]", "type gpu: 1 GPU is on nodes that do not have them");
    w.gpus[0].type = type;
    w.gpus[0].node = away;
    expect(&w, 1, "gpus[0]", "type gpu: 2 GPUs are on nodes that do not have them");
    w.f.workload->gpus[0].count = 1; /* of any node */
    expect(&w, 1, "gpus[0]", "type gpu: 1 GPU is on nodes that do not have them");
    w.f.workload->gpus[0].count = 2;
    expect_none(&w);
    w.f.workload->gpus[0].count = -1; /* any number */
    expect_none(&w);
    w.f.workload->gpus[0].count = 0;
    w.f.workload->gpus[1].count = 0;
    w.gpus[1].node = NULL;
    expect(&w, 1, "gpus[0]", "type gpu: 2 GPUs are used, the workload has 1");
    fixture_free(&w.f);
}

static void expect_survives(struct world *w, size_t count, const char *where, const char *what)
{
    struct glet_verdict v = {0};
    CHECK_OK(glet_verify_survive(w->f.workload, &w->plan, &v, &err), &err);
    assert_int_equal(v.count, count);
    if (count) {
        assert_string_equal(v.violations[0].where, where);
        assert_string_equal(v.violations[0].what, what);
    }
    glet_verdict_fini(&v);
}

/* Each gpu-let carries 4 requests in 6 ms, whatever rate it is given. */
static void one_gpu_may_fail(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, GLET_MECHANISM_MPS);
    double rate_rps = 4000 / plain_ms(4);
    for (int m = A; m <= B; m++)
        w.f.workload->models[m].rate_rps = rate_rps;
    for (int g = 0; g < 2; g++)
        for (int i = 0; i < 2; i++)
            w.slots[g][i].rate_rps = rate_rps / 2;
    expect_none(&w);
    expect_survives(&w, 0, NULL, NULL);
    w.f.workload->models[A].rate_rps = 667;
    expect_survives(&w, 2, "gpus[0]",
                    "without gpu0 the others can serve 666.666667 requests per second of a, its "
                    "demand is 667");
    w.f.workload->models[A].rate_rps = rate_rps;
    w.slots[1][B].model = A; /* two gpu-lets of a there, none of b */
    expect_survives(&w, 1, "gpus[0]",
                    "without gpu0 the others can serve 0 requests per second of b, its demand is "
                    "666.666667");
    w.slots[1][B].model = B;
    w.plan.objective = GLET_MAX_RATE;
    w.plan.certificate.scale = 0.5;
    w.f.workload->models[A].rate_rps = 2 * rate_rps;
    expect_survives(&w, 0, NULL, NULL);
    w.plan.certificate.scale = 0.51;
    expect_survives(&w, 2, "gpus[0]",
                    "without gpu0 the others can serve 666.666667 requests per second of a, its "
                    "demand is 680");
    fixture_free(&w.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interference_is_worked_out_again),
        cmocka_unit_test(measured_pairs_come_first),
        cmocka_unit_test(memory_adds_up),
        cmocka_unit_test(times_are_compared_with_every_slo),
        cmocka_unit_test(sizes_add_up),
        cmocka_unit_test(weights_are_shared_within_a_process),
        cmocka_unit_test(only_profiled_batches_count),
        cmocka_unit_test(a_layout_is_used_up),
        cmocka_unit_test(nodes_have_a_stock_of_their_own),
        cmocka_unit_test(one_gpu_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
