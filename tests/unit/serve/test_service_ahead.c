/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service over a device that takes the next batch before it has ended the last one: answers,
 * plan changes and faults while two batches are on their way.
 */
#include "tests/unit/check.h"
#include "tests/unit/serve/serve_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 8 };

/* Two gpu-lets of one model, and a burst that none of them is refused for. */
static const char plan_text[] =
    "schema: gpulet-plan/1\n"
    "objective: min-gpus\n"
    "models:\n"
    "  - {name: a, file: a.onnx, slo_ms: 5000, percentile: 99, rate_rps: 6000, planned_rps: 6000}\n"
    "gpus:\n"
    "  - id: gpu0\n"
    "    type: fake\n"
    "    units: 10\n"
    "    gpulets:\n"
    "      - units: %d\n"
    "        duty_cycle_ms: 2.5\n"
    "        models:\n"
    "          - {name: a, batch: 8, rate_rps: 3000, exec_ms: 2.4, factor: 1, latency_bound_ms: "
    "4.9}\n"
    "      - units: 3\n"
    "        duty_cycle_ms: 2.5\n"
    "        models:\n"
    "          - {name: a, batch: 8, rate_rps: 3000, exec_ms: 2.4, factor: 1, latency_bound_ms: "
    "4.9}\n";

/* One gpu-let whose batches are long, of two rows or of the planned four. */
static const char slow_plan_text[] =
    "schema: gpulet-plan/1\n"
    "objective: min-gpus\n"
    "models:\n"
    "  - {name: a, file: a.onnx, slo_ms: 5000, percentile: 99, rate_rps: 100, planned_rps: 100}\n"
    "gpus:\n"
    "  - id: gpu0\n"
    "    type: fake\n"
    "    units: 10\n"
    "    gpulets:\n"
    "      - units: 5\n"
    "        duty_cycle_ms: 30\n"
    "        models:\n"
    "          - {name: a, batch: 4, rate_rps: 100, exec_ms: 24, factor: 1, latency_bound_ms: "
    "54}\n";

static struct glet_plan *make_plan(int units)
{
    char text[sizeof plan_text + 16];
    snprintf(text, sizeof text, plan_text, units);
    return serve_plan(text);
}

static struct glet_service *open_with(const char *model, struct glet_plan *plan, double hang_s)
{
    struct glet_service *service = serve_open(model, plan, 0, hang_s);
    glet_fake_counts.ahead = 0;
    return service;
}

static struct glet_service *open_service(double hang_s)
{
    return open_with("bytes 16\nfixed_us 2400\ncopy_us 300\ndepth 2\n", make_plan(5), hang_s);
}

static void close_service(struct glet_service *service)
{
    glet_service_close(service);
    serve_nothing_is_left();
}

/* More than the gpu-lets can do. */
static struct load overload(struct glet_service *service)
{
    struct load load = {.service = service, .model_count = 1, .slo_us = 5000000};
    load.models[0].name = "a";
    load.models[0].rate_rps = 1000;
    load.models[0].rows = BATCH;
    return load;
}

static void check_all_done(const struct load *load)
{
    const struct load_model *model = &load->models[0];
    assert_true(model->submitted > 0);
    assert_int_equal(model->outcomes[GLET_DONE], model->submitted);
    assert_int_equal(model->wrong + model->twice + model->over_slo, 0);
}

static void most_batches_begin_before_the_last_has_ended(void **state)
{
    (void)state;
    struct glet_service *service = open_service(0);
    struct load load = overload(service);
    load_start(&load);
    usleep(500000);
    load_stop(&load);
    check_all_done(&load);
    struct glet_model_stats stats = {0};
    (void)glet_service_stats(service, 0, NULL, &stats);
    assert_int_equal(stats.executions, load.models[0].submitted);
    assert_int_equal(stats.rows, BATCH * load.models[0].submitted);
    assert_true(glet_fake_counts.ahead * 2 > stats.executions);
    /* Batches that wait for each other in the device are not timed twice. */
    assert_true(stats.compute_ns <= 2 * 5000000000u);
    assert_true(stats.compute_ns / stats.executions >= 2300000);
    close_service(service);
}

/* Single requests, of which the plan covers less than half, and the device cannot do all. */
static void excess_keeps_the_device_busy_as_well(void **state)
{
    (void)state;
    struct glet_service *service = open_with("bytes 16\nfixed_us 16000\ncopy_us 4000\ndepth 2\n",
                                             serve_plan(slow_plan_text), 0);
    struct load load = overload(service);
    load.models[0].rate_rps = 400; /* of 100 that are planned and 250 that it can do */
    load.models[0].rows = 1;
    load_start(&load);
    usleep(2000000);
    load_stop(&load);
    const struct load_model *model = &load.models[0];
    struct glet_model_stats stats = {0};
    (void)glet_service_stats(service, 0, NULL, &stats);
    assert_int_equal(model->outcomes[GLET_DONE] + model->outcomes[GLET_REFUSED_RATE] +
                         model->outcomes[GLET_REFUSED_LOAD],
                     model->submitted);
    assert_int_equal(stats.rows, model->outcomes[GLET_DONE]);
    printf("%.2f of the batches given out ahead, %.2f rows in each of 4\n",
           (double)glet_fake_counts.ahead / (double)stats.executions,
           (double)stats.rows / (double)stats.executions);
    assert_true(glet_fake_counts.ahead * 4 > stats.executions * 3);
    assert_true(stats.rows * 10 > stats.executions * 35);
    close_service(service);
}

/* Two rows alone, and four more while they run: those begin before these have ended. */
static void a_batch_that_fills_while_another_runs_begins_then(void **state)
{
    (void)state;
    struct glet_service *service = open_with("bytes 16\nfixed_us 16000\ncopy_us 4000\ndepth 2\n",
                                             serve_plan(slow_plan_text), 0);
    struct load one = overload(service), four = overload(service);
    one.models[0].rate_rps = four.models[0].rate_rps = 19;
    one.models[0].rows = 2;
    four.models[0].rows = 4;
    load_start(&one);
    usleep(4000);
    load_start(&four);
    usleep(1000000);
    load_stop(&one);
    load_stop(&four);
    check_all_done(&one);
    check_all_done(&four);
    struct glet_model_stats stats = {0};
    (void)glet_service_stats(service, 0, NULL, &stats);
    /* each by itself, but for a few that a busy machine brings together */
    unsigned long submitted = (unsigned long)(one.models[0].submitted + four.models[0].submitted);
    assert_in_range(stats.executions, submitted - submitted / 10, submitted);
    assert_true(glet_fake_counts.ahead >= 3);
    close_service(service);
}

static void plan_changes_lose_nothing(void **state)
{
    (void)state;
    struct glet_service *service = open_service(0);
    struct load load = overload(service);
    struct glet_error err = {0};
    load.models[0].rate_rps = 500;
    load_start(&load);
    for (int i = 0; i < 20; i++)
        CHECK_OK(glet_service_change(service, make_plan(5 + (i + 1) % 2), &err), &err);
    load_stop(&load);
    check_all_done(&load);
    close_service(service);
}

/* Each fault loses a gpu-let; the batch beside the failed one is answered, the failed one's request
   by the other gpu-let. */
static void a_failing_batch_fails_alone(void **state)
{
    (void)state;
    _Atomic int *const faults[] = {&glet_fake_faults.fail_runs,
                                   &glet_fake_faults.fail_begins_ahead};
    struct glet_service *service = open_service(0);
    struct load load = overload(service);
    load_start(&load);
    for (int i = 0; i < 6; i++) {
        usleep(50000);
        atomic_store(faults[i % 2], 1);
        load_wait_rebuilt(service, (uint64_t)i + 1);
    }
    load_stop(&load);
    check_all_done(&load);
    assert_true(glet_fake_counts.ahead > 10);
    close_service(service);
    assert_int_equal(glet_fake_counts.abandoned, 0);
}

/* A hang costs both batches that the device has; their requests go to the other gpu-let. */
static void a_hanging_device_gives_up_both_batches(void **state)
{
    (void)state;
    _Atomic int *const faults[] = {&glet_fake_faults.hang_runs,
                                   &glet_fake_faults.hang_begins_ahead};
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        struct glet_service *service = open_service(0.3);
        struct load load = overload(service);
        load_start(&load);
        usleep(100000);
        glet_fake_faults.release = false;
        atomic_store(faults[i], 1);
        load_wait_rebuilt(service, 1);
        load_stop(&load);
        check_all_done(&load);
        glet_fake_faults.release = true;
        for (int k = 0; glet_fake_counts.sets > 1; k++) {
            assert_true(k < 10000);
            usleep(1000);
        }
        close_service(service);
        assert_int_equal(atomic_exchange(&glet_fake_counts.abandoned, 0), i == 0 ? 1 : 2);
        assert_int_equal(load_free_kept(), 2); /* which it may still read in place */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(most_batches_begin_before_the_last_has_ended),
        cmocka_unit_test(excess_keeps_the_device_busy_as_well),
        cmocka_unit_test(a_batch_that_fills_while_another_runs_begins_then),
        cmocka_unit_test(plan_changes_lose_nothing),
        cmocka_unit_test(a_failing_batch_fails_alone),
        cmocka_unit_test(a_hanging_device_gives_up_both_batches),
    };
    return cmocka_run_group_tests(tests, serve_tests_begin, serve_tests_end);
}
