/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service over a device made of sleep(): answers, refusals, plan changes and faults. Run under
 * the thread sanitizer as well. What is asserted are counts, not times.
 */
#include "common/clock.h"
#include "tests/unit/check.h"
#include "tests/unit/serve/serve_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Two models, three gpu-lets; generous SLOs, since sanitizers and busy machines are slow. */
static const char plan_text[] =
    "schema: gpulet-plan/1\n"
    "objective: min-gpus\n"
    "models:\n"
    "  - {name: a, file: a.onnx, slo_ms: 2000, percentile: 99, rate_rps: 500, planned_rps: 600}\n"
    "  - {name: b, file: b.onnx, slo_ms: 2000, percentile: 99, rate_rps: 200, planned_rps: 200}\n"
    "gpus:\n"
    "  - id: gpu0\n"
    "    type: fake\n"
    "    units: 10\n"
    "    gpulets:\n"
    "      - units: %d\n"
    "        duty_cycle_ms: 13\n"
    "        models:\n"
    "          - {name: a, batch: 8, rate_rps: 400, exec_ms: 2.1, factor: 1, latency_bound_ms: "
    "15.1}\n"
    "          - {name: b, batch: 4, rate_rps: 200, exec_ms: 3, factor: 1, latency_bound_ms: 16}\n"
    "      - units: 2\n"
    "        duty_cycle_ms: 10\n"
    "        models:\n"
    "          - {name: a, batch: 4, rate_rps: 200, exec_ms: 1.3, factor: 1, latency_bound_ms: "
    "11.3}\n";

static struct glet_plan *make_plan(int units)
{
    char text[sizeof plan_text + 16];
    snprintf(text, sizeof text, plan_text, units);
    return serve_plan(text);
}

static const char *models_dir(void)
{
    static char dir[128];
    serve_file("a.onnx", "bytes 16\nfixed_us 300\nrow_us 20\nbuild_us 300\n");
    snprintf(dir, sizeof dir, "%s", serve_file("b.onnx", "bytes 32\nfixed_us 400\nrow_us 50\n"));
    *strrchr(dir, '/') = '\0';
    return dir;
}

static struct glet_service *open_service(double hang_s)
{
    static const char *const devices[] = {"fake"};
    struct glet_service_options options = {
        .devices = devices, .device_count = 1, .models_dir = models_dir(), .hang_s = hang_s};
    struct glet_error err = {0};
    struct glet_service *service = NULL;
    CHECK_OK(glet_service_open(&options, make_plan(5), &service, &err), &err);
    assert_true(glet_service_ready(service));
    return service;
}

static struct load two_models(struct glet_service *service, double ratio)
{
    struct load load = {.service = service, .model_count = 2, .slo_us = 2000000};
    load.models[0].name = "a";
    load.models[0].rate_rps = 500 * ratio;
    load.models[0].rows = 1;
    load.models[1].name = "b";
    load.models[1].rate_rps = 150 * ratio;
    load.models[1].rows = 1;
    return load;
}

static void check_all_done(const struct load *load)
{
    for (size_t i = 0; i < load->model_count; i++) {
        const struct load_model *model = &load->models[i];
        assert_true(model->submitted > 0);
        assert_int_equal(model->outcomes[GLET_DONE], model->submitted);
        assert_int_equal(model->wrong + model->twice + model->over_slo, 0);
    }
}

/* What is counted by batch size and by GPU is what is counted in all. */
static void check_sums(const struct glet_service *service, int model)
{
    struct glet_model_stats all = {0}, gpu = {0}, none = {0};
    assert_true(glet_service_stats(service, model, NULL, &all));
    assert_true(glet_service_stats(service, model, "gpu0", &gpu));
    assert_false(glet_service_stats(service, model, "gpu9", &none));
    assert_int_equal(gpu.outcomes[GLET_DONE], all.outcomes[GLET_DONE]);
    assert_int_equal(gpu.compute_ns, all.compute_ns);
    assert_int_equal(none.executions, 0);
    assert_true(all.input_ns > 0 && all.input_ns <= all.queue_ns + all.outcomes[GLET_DONE] * 1000);
    struct glet_batch_stats batch;
    uint64_t executions = 0, rows = 0, compute_ns = 0;
    for (int n = 1; glet_service_batch_stats(service, model, "gpu0", n, &batch); n++) {
        executions += batch.executions;
        rows += batch.executions * (uint64_t)n;
        compute_ns += batch.compute_ns;
    }
    assert_int_equal(executions, all.executions);
    assert_int_equal(rows, all.rows);
    assert_true(compute_ns <= all.compute_ns + all.executions * 1000);
}

static void every_request_gets_its_own_answer(void **state)
{
    (void)state;
    struct glet_service *service = open_service(0);
    struct load load = two_models(service, 1);
    load.models[0].rows = 2;
    load.models[0].rate_rps = 200;
    load_start(&load);
    usleep(500000);
    load_stop(&load);
    check_all_done(&load);
    struct glet_model_stats stats = {0};
    (void)glet_service_stats(service, 0, NULL, &stats);
    assert_int_equal(stats.outcomes[GLET_DONE], load.models[0].submitted);
    assert_int_equal(stats.rows, 2 * load.models[0].submitted);
    assert_true(stats.executions > 0 && stats.executions <= stats.rows);
    assert_int_equal(stats.queue_depth + stats.in_flight, 0);
    check_sums(service, 0);
    glet_service_close(service);
    serve_nothing_is_left();
}

static void fifty_plan_changes_under_load_lose_nothing(void **state)
{
    (void)state;
    struct glet_service *service = open_service(0);
    struct load load = two_models(service, 1);
    struct glet_error err = {0};
    load_start(&load);
    for (int i = 0; i < 50; i++) {
        CHECK_OK(glet_service_change(service, make_plan(5 + (i + 1) % 2), &err), &err);
        assert_true(glet_service_ready(service));
        assert_true(glet_fake_counts.executors <= 10); /* all of one plan */
        assert_int_equal(glet_fake_counts.sets, 1);
        assert_int_equal(glet_fake_counts.models, 2);
    }
    load_stop(&load);
    check_all_done(&load);
    struct glet_model_stats stats = {0};
    (void)glet_service_stats(service, 0, NULL, &stats);
    assert_int_equal(stats.outcomes[GLET_DONE], load.models[0].submitted);
    check_sums(service, 0);
    check_sums(service, 1);
    struct glet_plan_info info;
    glet_service_plan_info(service, &info);
    assert_int_equal(info.generation, 51);
    assert_int_equal(info.change.models_built, 2);
    assert_int_equal(info.change.gpus_built, 1);
    assert_true(info.change.prepare_ms > 0 && info.change.swap_ms >= 0);
    assert_true(info.change.drain_ms >= 0); /* and not NaN: it is over */
    glet_service_close(service);
    serve_nothing_is_left();
}

/* Three gpu-lets' shares: batches of 8 and 4, twice: powers of two, or one executor for all sizes.
 */
static void small_batches_are_built_as_the_device_needs(void **state)
{
    (void)state;
    const char *dir = models_dir();
    serve_file("a.onnx", "bytes 16\nfixed_us 8000\n");
    serve_file("b.onnx", "bytes 16\nfixed_us 8000\n");
    static const char *const devices[] = {"fake"};
    struct glet_service_options options = {
        .devices = devices, .device_count = 1, .models_dir = dir};
    struct glet_error err = {0};
    struct glet_service *service = NULL;
    CHECK_OK(glet_service_open(&options, make_plan(5), &service, &err), &err);
    assert_int_equal(glet_fake_counts.executors, 4 + 3 + 3);
    glet_service_close(service);
    serve_nothing_is_left();
    serve_file("a.onnx", "bytes 16\nrow_us 2000\nskips 1\n");
    CHECK_OK(glet_service_open(&options, make_plan(5), &service, &err), &err);
    assert_int_equal(glet_fake_counts.executors, 1 + 3 + 1);
    for (int rows = 1; rows <= 8; rows++)
        assert_int_equal(load_once(service, "a", rows, 1, NULL), GLET_DONE);
    glet_service_close(service);
    serve_nothing_is_left();
}

static void the_same_plan_again_rebuilds_nothing(void **state)
{
    (void)state;
    struct glet_service *service = open_service(0);
    struct glet_error err = {0};
    uint64_t runs = glet_fake_counts.runs;
    CHECK_OK(glet_service_change(service, make_plan(5), &err), &err);
    assert_int_equal(glet_fake_counts.runs, runs); /* no trial run */
    glet_service_close(service);
    serve_nothing_is_left();
}

static void a_wrong_plan_changes_nothing(void **state)
{
    (void)state;
    struct glet_service *service = open_service(0);
    struct load load = two_models(service, 0.5);
    load_start(&load);
    struct glet_error err = {0};
    struct glet_plan *plan = make_plan(6);
    plan->gpus[0].lets[0].units = 9;
    CHECK_FAILS(glet_service_change(service, plan, &err), &err, GLET_ERR_INPUT,
                "gpu0: its gpu-lets need 11 units, but the device here has 10");
    plan = make_plan(6);
    strcpy(plan->gpus[0].type, "abc");
    CHECK_FAILS(glet_service_change(service, plan, &err), &err, GLET_ERR_INPUT,
                "gpu0: planned for a 'abc', but the device here is a 'fake'");
    plan = make_plan(6);
    strcpy(plan->models[0].name, "c"); /* there is no c.onnx, but `file` is a.onnx: not here */
    assert_int_equal(glet_service_change(service, plan, &err), -1);
    glet_fake_faults.fail_builds = 1;
    assert_int_equal(glet_service_change(service, make_plan(6), &err), -1);
    assert_int_equal(err.code, GLET_ERR_DEVICE);
    serve_file("a.onnx", "bytes 20\n");
    CHECK_FAILS(glet_service_change(service, make_plan(6), &err), &err, GLET_ERR_INPUT,
                "model a: its inputs and outputs differ from those that clients of this server "
                "know");
    models_dir();
    load_stop(&load);
    check_all_done(&load);
    struct glet_service_events events;
    glet_service_events(service, &events);
    assert_int_equal(events.plan_changes, 0);
    assert_int_equal(events.plan_rejects, 5);
    assert_true(glet_service_ready(service));
    glet_service_close(service);
    serve_nothing_is_left();
}

static void wait_rebuilt(struct glet_service *service, uint64_t times)
{
    load_wait_rebuilt(service, times);
    assert_true(glet_service_ready(service));
}

static void a_failing_device_costs_no_answer(void **state)
{
    (void)state;
    struct glet_service *service = open_service(0);
    struct load load = two_models(service, 0.5);
    load_start(&load);
    for (int i = 0; i < 10; i++) {
        usleep(100000);
        glet_fake_faults.fail_runs = 1;
        wait_rebuilt(service, (uint64_t)i + 1);
    }
    load_stop(&load);
    for (size_t i = 0; i < load.model_count; i++) {
        struct load_model *model = &load.models[i];
        uint64_t answered = 0;
        for (int k = 0; k < GLET_OUTCOME_COUNT; k++)
            answered += model->outcomes[k];
        assert_int_equal(answered, model->submitted);
        assert_int_equal(model->wrong + model->twice + model->retry_missing, 0);
        assert_int_equal(model->outcomes[GLET_FAILED] + model->outcomes[GLET_LATE], 0);
        assert_true(model->outcomes[GLET_DONE] > model->submitted / 2);
    }
    /* Model a has another gpu-let to go to, so nothing of it was refused. */
    assert_int_equal(load.models[0].outcomes[GLET_DONE], load.models[0].submitted);
    glet_service_close(service);
    serve_nothing_is_left();
}

static void a_hanging_device_is_noticed_and_replaced(void **state)
{
    (void)state;
    struct glet_service *service = open_service(0.3);
    struct load load = two_models(service, 0.3);
    load_start(&load);
    usleep(100000);
    glet_fake_faults.release = false;
    glet_fake_faults.hang_runs = 1;
    wait_rebuilt(service, 1);
    usleep(100000);
    load_stop(&load);
    for (size_t i = 0; i < load.model_count; i++) {
        struct load_model *model = &load.models[i];
        assert_int_equal(model->outcomes[GLET_DONE] + model->outcomes[GLET_REFUSED_LOAD],
                         model->submitted);
        assert_int_equal(model->wrong + model->twice, 0);
        assert_true(model->outcomes[GLET_DONE] > 0);
    }
    assert_int_equal(glet_fake_counts.sets, 2); /* the hung one cannot go */
    glet_fake_faults.release = true;
    for (int i = 0; glet_fake_counts.sets > 1; i++) {
        assert_true(i < 10000);
        usleep(1000);
    }
    glet_service_close(service);
    serve_nothing_is_left();
    assert_true(load_free_kept() <= 1); /* only one request alone is read in place */
}

static void refused_data_costs_only_its_sender(void **state)
{
    (void)state;
    struct glet_service *service = open_service(0);
    struct load load = two_models(service, 0.5);
    load_start(&load);
    char message[128];
    for (int i = 0; i < 50; i++) {
        assert_int_equal(load_once(service, "a", 1, 255, message), GLET_INVALID);
        assert_string_equal(message, "a value is out of range");
    }
    load_stop(&load);
    check_all_done(&load);
    glet_service_close(service);
    serve_nothing_is_left();
}

static void draining_refuses_and_finishes(void **state)
{
    (void)state;
    struct glet_service *service = open_service(0);
    struct load load = two_models(service, 1);
    load_start(&load);
    usleep(100000);
    glet_service_unready(service);
    assert_false(glet_service_ready(service));
    assert_int_equal(load_once(service, "a", 1, 0, NULL), GLET_DONE);
    assert_true(glet_service_drain(service, 10));
    assert_int_equal(load_once(service, "a", 1, 0, NULL), GLET_REFUSED_DRAIN);
    load_stop(&load);
    for (size_t i = 0; i < load.model_count; i++)
        assert_int_equal(load.models[i].outcomes[GLET_DONE] +
                             load.models[i].outcomes[GLET_REFUSED_DRAIN],
                         load.models[i].submitted);
    glet_service_close(service);
    serve_nothing_is_left();
}

/* A rebuild takes as long as it takes; the end does not wait for it, and no change begins any more. */
static void draining_waits_for_a_rebuild_but_not_for_ever(void **state)
{
    (void)state;
    struct glet_service *service = open_service(0);
    struct glet_error err = {0};
    serve_file("a.onnx", "bytes 16\nbuild_us 100000\n"); /* eight executors */
    CHECK_OK(glet_service_change(service, make_plan(6), &err), &err);
    atomic_store(&glet_fake_faults.fail_runs, 1);
    assert_int_equal(load_once(service, "a", 1, 0, NULL), GLET_DONE); /* by the other gpu-let */
    while (glet_fake_counts.sets < 2)
        usleep(1000);
    assert_false(glet_service_drain(service, 0.05));
    CHECK_FAILS(glet_service_change(service, make_plan(5), &err), &err, GLET_ERR_DEVICE,
                "shutting down"); /* waits for its turn */
    assert_true(glet_service_drain(service, 60));
    struct glet_service_events events;
    glet_service_events(service, &events);
    assert_int_equal(events.rebuilds, 1);
    glet_service_close(service);
    serve_nothing_is_left();
}

static void overload_is_refused_and_never_late(void **state)
{
    (void)state;
    static const char *const devices[] = {"fake"};
    const char *dir = models_dir();
    serve_file("a.onnx", "bytes 16\nfixed_us 2000\nrow_us 4000\n");
    struct glet_service_options options = {
        .devices = devices, .device_count = 1, .models_dir = dir};
    struct glet_error err = {0};
    struct glet_service *service = NULL;
    struct glet_plan *plan = make_plan(5);
    plan->gpus[0].lets[0].models[0].exec_ms = 40;
    plan->gpus[0].lets[1].models[0].exec_ms = 20;
    plan->models[0].slo_ms = 300;
    CHECK_OK(glet_service_open(&options, plan, &service, &err), &err);
    struct load load = two_models(service, 0.5);
    load.models[0].rate_rps = 2000; /* of at most some 400 */
    load_start(&load);
    usleep(1500000);
    load_stop(&load);
    const struct load_model *model = &load.models[0];
    uint64_t refused = model->outcomes[GLET_REFUSED_RATE] + model->outcomes[GLET_REFUSED_LOAD];
    assert_true(refused > 0);
    assert_true(model->outcomes[GLET_DONE] > 0);
    assert_int_equal(
        model->outcomes[GLET_FAILED] + model->wrong + model->twice + model->retry_missing, 0);
    /* b is within its plan: it is not refused for a's sake. */
    assert_int_equal(load.models[1].outcomes[GLET_DONE], load.models[1].submitted);
    glet_service_close(service);
    serve_nothing_is_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_gets_its_own_answer),
        cmocka_unit_test(fifty_plan_changes_under_load_lose_nothing),
        cmocka_unit_test(small_batches_are_built_as_the_device_needs),
        cmocka_unit_test(the_same_plan_again_rebuilds_nothing),
        cmocka_unit_test(a_wrong_plan_changes_nothing),
        cmocka_unit_test(a_failing_device_costs_no_answer),
        cmocka_unit_test(a_hanging_device_is_noticed_and_replaced),
        cmocka_unit_test(refused_data_costs_only_its_sender),
        cmocka_unit_test(draining_refuses_and_finishes),
        cmocka_unit_test(draining_waits_for_a_rebuild_but_not_for_ever),
        cmocka_unit_test(overload_is_refused_and_never_late),
    };
    return cmocka_run_group_tests(tests, serve_tests_begin, serve_tests_end);
}
