/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The simulator against what queueing theory and arithmetic say. */
#include "common/random.h"
#include "planner/simulate/event_heap.h"
#include "planner/simulate/simulate.h"
#include "planner/solution.h"
#include "tests/support/planner/fixture.h"
#include "tests/unit/check.h"

#include <math.h>
#include <stdlib.h>

static struct glet_error err;

/* One GPU of 10 units with a gpu-let of 10; models are given a batch each, exec 1 + batch ms. */
struct world {
    struct fixture f;
    struct glet_problem *problem;
    struct glet_plan *plan;
    struct glet_simulation result;
};

static struct world world_begin(void)
{
    struct world w = {.f = fixture_new()};
    fixture_device(&w.f, "g", GLET_MECHANISM_MPS, 10, 2, 500);
    fixture_stock(&w.f, "g", 1, 1, NULL);
    return w;
}

static int world_model(struct world *w, const char *name, double rate_rps, double slo_ms)
{
    int model = fixture_model(&w->f, name, rate_rps, slo_ms);
    fixture_curve(&w->f, 0, model, 16, 10, 1, 1);
    return model;
}

/* One gpu-let with these batches, in the models' order; 0 leaves a model out. */
static void world_plan(struct world *w, const int *batches)
{
    struct glet_solution s;
    w->problem = fixture_problem(&w->f, GLET_MIN_GPUS);
    glet_solution_init(&s);
    struct glet_let *let = glet_gpu_add_let(glet_solution_add_gpu(&s, 0), 0);
    for (int m = 0; m < w->problem->model_count; m++)
        if (batches[m] > 0)
            glet_let_add_slot(let, m, batches[m]);
    CHECK_OK(glet_solution_to_plan(w->problem, &s, &(struct glet_bound){1, 1, 0}, &w->plan, &err),
             &err);
    glet_solution_fini(&s);
}

static void world_run(struct world *w, double duration_s, double scale, uint64_t seed)
{
    struct glet_simulate_options options = {
        .duration_s = duration_s, .warmup_s = 1, .rate_scale = scale, .seed = seed};
    glet_simulation_fini(&w->result);
    CHECK_OK(glet_simulate(w->plan, w->problem, &options, &w->result, &err), &err);
    for (size_t i = 0; i < w->result.stream_count; i++) {
        const struct glet_simulate_stream *s = &w->result.streams[i];
        assert_int_equal(s->offered, s->answered + s->over_rate + s->overloaded + s->late);
        assert_int_equal(glet_histogram_count(s->latency_us), s->answered);
        assert_true(s->in_slo <= s->answered);
    }
}

static void world_free(struct world *w)
{
    glet_simulation_fini(&w->result);
    glet_plan_free(w->plan);
    glet_problem_free(w->problem);
    fixture_free(&w->f);
}

static void test_heap_sorts(void **state)
{
    (void)state;
    uint64_t seed = 20261125;
    print_message("seed %ju\n", (uintmax_t)seed);
    struct glet_random random = glet_random_seeded(seed);
    struct glet_event_heap heap = {0};
    struct glet_event event, last = {0};
    for (int round = 0; round < 200; round++) {
        size_t count = glet_random_below(&random, 60);
        for (size_t i = 0; i < count; i++) {
            event = (struct glet_event){glet_random_below(&random, 20), i};
            CHECK_OK(glet_event_heap_push(&heap, event, &err), &err);
        }
        size_t popped = 0;
        for (last = (struct glet_event){0}; glet_event_heap_pop(&heap, &event); popped++) {
            assert_true(event.at_us > last.at_us ||
                        (event.at_us == last.at_us && (popped == 0 || event.number > last.number)));
            last = event;
        }
        assert_int_equal(popped, count);
    }
    glet_event_heap_fini(&heap);
}

/* Batches of one, 2 ms each: an M/D/1 queue, whose mean wait is rho x s / (2 (1 - rho)). */
static void test_poisson_is_an_m_d_1_queue(void **state)
{
    (void)state;
    for (int percent = 20; percent <= 80; percent += 30) {
        struct world w = world_begin();
        double rho = percent / 100.0;
        world_model(&w, "a", 500 * rho, 10000);
        world_plan(&w, (int[]){1});
        world_run(&w, 2000, 1, 7);
        const struct glet_simulate_stream *s = &w.result.streams[0];
        double mean_ms = glet_histogram_mean_us(s->latency_us) / 1000;
        double expected_ms = 2 + rho * 2 / (2 * (1 - rho));
        assert_int_equal(s->answered, s->offered);
        assert_true(fabs(mean_ms / expected_ms - 1) < 0.03);
        assert_true(fabs(w.result.lets[0].busy_ratio - rho) < 0.01);
        world_free(&w);
    }
}

/* Even arrivals at the planned rate: what the plan promises holds for every request. */
static void test_even_arrivals_keep_the_promise(void **state)
{
    (void)state;
    struct world w = world_begin();
    int a = world_model(&w, "a", 200, 60), b = world_model(&w, "b", 300, 40);
    w.f.workload->models[a].arrival = w.f.workload->models[b].arrival = GLET_ARRIVAL_UNIFORM;
    world_plan(&w, (int[]){6, 6}); /* 7 + 7 ms a round */
    world_run(&w, 100, 1, 1);
    for (int i = 0; i < 2; i++) {
        const struct glet_simulate_stream *s = &w.result.streams[i];
        assert_int_equal(s->in_slo, s->offered);
        assert_true(glet_histogram_max_us(s->latency_us) <= 21000);
        assert_true(glet_simulate_error(s) == 0);
        assert_true(glet_simulate_meets_slo(s));
    }
    world_free(&w);
}

/* Twice the planned rate: the model keeps its planned rate, and its neighbour its SLO. */
static void test_overload_is_refused(void **state)
{
    (void)state;
    struct world w = world_begin();
    int a = world_model(&w, "a", 400, 60);
    world_model(&w, "b", 100, 60);
    world_plan(&w, (int[]){8, 2}); /* 9 + 3 ms a round: up to 666 and 166 requests/s */
    w.f.workload->models[a].rate_rps *= 2;
    world_run(&w, 200, 1, 3);
    const struct glet_simulate_stream *s = w.result.streams;
    assert_true((double)s[0].in_slo / 200 > 0.9 * 400);
    assert_true(s[0].over_rate > 0 && !glet_simulate_meets_slo(&s[0]));
    assert_true(glet_simulate_attainment(&s[1]) > 0.99);
    world_free(&w);
}

static void test_an_app_waits_for_its_stages(void **state)
{
    (void)state;
    struct world w = world_begin();
    int a = world_model(&w, "a", 0, 0), b = world_model(&w, "b", 0, 0);
    int app = fixture_app(&w.f, "chain", 0.5, 100);
    fixture_stage(&w.f, app, a, -1, 1);
    fixture_stage(&w.f, app, b, 0, 2);
    fixture_stage(&w.f, app, b, 0, 1);
    world_plan(&w, (int[]){1, 4});
    world_run(&w, 2000, 1, 5);
    const struct glet_simulate_stream *s = &w.result.streams[0];
    assert_int_equal(w.result.stream_count, 1);
    assert_true(s->is_app && s->offered > 900);
    /* a alone 2 ms, then three calls of b in one batch of four: 5 ms */
    assert_int_equal(glet_histogram_percentile_us(s->latency_us, 50) / 100, 70);
    assert_int_equal(s->answered, s->offered);
    world_free(&w);
}

static void test_a_model_without_a_gpulet_is_refused(void **state)
{
    (void)state;
    struct world w = world_begin();
    world_model(&w, "a", 50, 60);
    int b = world_model(&w, "b", 0, 60);
    world_plan(&w, (int[]){2, 0});
    w.f.workload->models[b].rate_rps = 20;
    world_run(&w, 50, 1, 1);
    assert_int_equal(w.result.streams[1].overloaded, w.result.streams[1].offered);
    assert_true(w.result.streams[1].offered > 800);
    assert_int_equal(w.result.streams[0].in_slo, w.result.streams[0].offered);
    world_free(&w);
}

static void test_a_trace_and_the_scale_of_rates(void **state)
{
    (void)state;
    struct world w = world_begin();
    int a = world_model(&w, "a", 1, 60);
    struct glet_workload_model *model = &w.f.workload->models[a];
    world_plan(&w, (int[]){2});
    model->arrival = GLET_ARRIVAL_TRACE;
    model->trace_s = calloc(3, sizeof *model->trace_s);
    assert_non_null(model->trace_s);
    for (int i = 0; i < 3; i++)
        model->trace_s[i] = i; /* one a second, repeated */
    model->trace_count = 3;
    world_run(&w, 60, 1, 1);
    assert_int_equal(w.result.streams[0].offered, 60);
    world_run(&w, 60, 2, 1);
    assert_int_equal(w.result.streams[0].offered, 120);
    world_free(&w);
}

static void test_the_seed_decides(void **state)
{
    (void)state;
    struct world w = world_begin();
    world_model(&w, "a", 400, 30);
    world_plan(&w, (int[]){8});
    uint64_t seen[3];
    for (int i = 0; i < 3; i++) {
        world_run(&w, 20, 1, i < 2 ? 1 : 2);
        seen[i] = glet_histogram_sum_us(w.result.streams[0].latency_us);
    }
    assert_int_equal(seen[0], seen[1]);
    assert_int_not_equal(seen[0], seen[2]);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap_sorts),
        cmocka_unit_test(test_poisson_is_an_m_d_1_queue),
        cmocka_unit_test(test_even_arrivals_keep_the_promise),
        cmocka_unit_test(test_overload_is_refused),
        cmocka_unit_test(test_an_app_waits_for_its_stages),
        cmocka_unit_test(test_a_model_without_a_gpulet_is_refused),
        cmocka_unit_test(test_a_trace_and_the_scale_of_rates),
        cmocka_unit_test(test_the_seed_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
