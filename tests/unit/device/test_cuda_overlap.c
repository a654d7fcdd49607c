/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two batches of one gpu-let on their way at once: what is enqueued where and in which order, that
 * every order which streams and events allow gives the right outputs, that copies then cost no time
 * between batches, and that a call that fails costs one batch.
 */
#include "common/random.h"
#include "runtime/device/cuda/cuda_partition.h"
#include "tests/doubles/cuda/fake_cuda.h"
#include "tests/unit/check.h"
#include "tests/unit/device/fake_cuda_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXECUTORS = 2, BATCH = 3, FLOATS = 5 };

/* A gpu-let of two models, entered and built; nothing may be made from then on. */
struct setting {
    struct glet_device *device;
    struct glet_partition_set *set;
    struct glet_partition *let;
    struct glet_model models[EXECUTORS];
    struct glet_executor *executors[EXECUTORS];
};

static void open_setting(struct setting *s, const struct fake_cuda_config *config)
{
    struct glet_error err;
    *s = (struct setting){0};
    fake_cuda_configure(config);
    CHECK_OK(glet_device_open("cuda:0", &s->device, &err), &err);
    CHECK_OK(glet_partitions_create(s->device, (int[]){4}, 1, &s->set, &err), &err);
    s->let = glet_partition_at(s->set, 0);
    CHECK_OK(glet_partition_enter(s->let, &err), &err);
    for (int i = 0; i < EXECUTORS; i++) {
        s->models[i].floats = FLOATS;
        s->models[i].weight_bytes = 64;
        CHECK_OK(glet_executor_build(s->let, &s->models[i], BATCH, &s->executors[i], &err), &err);
        assert_int_equal(glet_executor_depth(s->executors[i]), 2);
    }
    glet_partition_count_anew(s->let);
    fake_cuda_serving(true);
}

static void close_setting(struct setting *s)
{
    fake_cuda_serving(false);
    for (int i = 0; i < EXECUTORS; i++)
        glet_executor_free(s->executors[i]);
    glet_partition_leave(s->let);
    glet_partitions_free(s->set);
    glet_device_close(s->device);
    assert_string_equal(fake_cuda_breach(), "");
    assert_string_equal(fake_cuda_live(), "");
}

static const struct glet_cuda_site *site_of(const struct setting *s)
{
    return &((const struct glet_cuda_partition *)s->let)->site;
}

/* Batch `number` holds numbers of its own. */
static int begin(struct glet_executor *executor, int number, int used, struct glet_error *err)
{
    float *in = glet_executor_input(executor, 0);
    for (int k = 0; k < used * FLOATS; k++)
        in[k] = (float)(1000 * number + k);
    return glet_executor_begin(executor, used, err);
}

static bool is_right(struct glet_executor *executor, int number, int used)
{
    const float *out = glet_executor_output(executor, 0);
    for (int k = 0; k < used * FLOATS; k++)
        if (out[k] != (float)(1000 * number + k + 1))
            return false;
    return true;
}

/* --- what is enqueued --- */

/* One call per line, streams by what they are for, events by the order in which they appear. */
static void write_trace(char *text, size_t size, const struct glet_cuda_site *site,
                        const struct fake_cuda_call *calls, size_t count)
{
    CUevent events[26];
    size_t event_count = 0, used = 0;
    for (size_t i = 0; i < count; i++) {
        const struct fake_cuda_call *call = &calls[i];
        const char *where = !call->stream                    ? "host"
                            : call->stream == site->stream   ? "net"
                            : call->stream == site->copy_in  ? "in"
                            : call->stream == site->copy_out ? "out"
                                                             : "elsewhere";
        size_t e = 0;
        while (call->event && e < event_count && events[e] != call->event)
            e++;
        if (call->event && e == event_count)
            events[event_count++] = call->event;
        if (i > 0 && !call->stream && !calls[i - 1].stream && call->event == calls[i - 1].event)
            continue; /* asked again */
        used += (size_t)snprintf(text + used, size - used, "%s: %s", where, call->function);
        if (call->event)
            used += (size_t)snprintf(text + used, size - used, " %c", (char)('a' + e));
        used += (size_t)snprintf(text + used, size - used, "\n");
    }
}

static void test_order(void **state)
{
    (void)state;
    static const char wanted[] = /* the first alone, */
        "net: HtoDAsync\n"
        "net: record a\n"
        "net: graph\n"
        "net: record b\n"
        "net: DtoHAsync\n"
        "net: record c\n"
        /* the second beside it, */
        "in: wait d\n"
        "in: HtoDAsync\n"
        "in: record e\n"
        "net: wait e\n"
        "net: DtoDAsync\n"
        "net: record d\n"
        "net: record f\n"
        "net: graph\n"
        "net: record g\n"
        "net: wait c\n"
        "net: DtoDAsync\n"
        "net: record h\n"
        "out: wait h\n"
        "out: DtoHAsync\n"
        "out: record i\n"
        /* the end of the first, */
        "host: wait c\n"
        /* the third beside the second, */
        "in: wait d\n"
        "in: HtoDAsync\n"
        "in: record e\n"
        "net: wait e\n"
        "net: DtoDAsync\n"
        "net: record d\n"
        "net: record a\n"
        "net: graph\n"
        "net: record b\n"
        "net: wait i\n"
        "net: DtoDAsync\n"
        "net: record h\n"
        "out: wait h\n"
        "out: DtoHAsync\n"
        "out: record c\n"
        /* and their ends. */
        "host: wait i\n"
        "host: wait c\n";
    struct setting s;
    struct glet_error err;
    struct fake_cuda_call calls[64];
    char text[2048];
    open_setting(&s, NULL);
    struct glet_executor *executor = s.executors[0];
    fake_cuda_trace(calls, COUNT_OF(calls));
    CHECK_OK(begin(executor, 1, 3, &err), &err);
    CHECK_OK(begin(executor, 2, 2, &err), &err);
    CHECK_OK(glet_executor_finish(executor, &err), &err);
    assert_true(is_right(executor, 1, 3));
    CHECK_OK(begin(executor, 3, 1, &err), &err);
    CHECK_OK(glet_executor_finish(executor, &err), &err);
    assert_true(is_right(executor, 2, 2));
    CHECK_OK(glet_executor_finish(executor, &err), &err);
    assert_true(is_right(executor, 3, 1));
    write_trace(text, sizeof text, site_of(&s), calls, fake_cuda_trace(NULL, 0));
    assert_string_equal(text, wanted);
    close_setting(&s);
}

/* Who runs batches one by one may fill the inputs once. */
static void test_one_by_one(void **state)
{
    (void)state;
    struct setting s;
    struct glet_error err;
    open_setting(&s, NULL);
    struct glet_executor *executor = s.executors[0];
    CHECK_OK(begin(executor, 7, BATCH, &err), &err);
    CHECK_OK(begin(executor, 8, BATCH, &err), &err);
    for (int number = 7; number <= 8; number++) {
        CHECK_OK(glet_executor_finish(executor, &err), &err);
        assert_true(is_right(executor, number, BATCH));
    }
    for (int i = 0; i < 3; i++) {
        CHECK_OK(glet_executor_run(executor, BATCH, &err), &err);
        assert_true(is_right(executor, 8, BATCH));
    }
    close_setting(&s);
}

/* --- every order that is allowed --- */

struct flight {
    struct glet_executor *executor;
    int number, used;
};

static void step_at_random(const struct glet_cuda_site *site, struct glet_random *random)
{
    const CUstream streams[] = {site->stream, site->copy_in, site->copy_out};
    for (uint64_t steps = glet_random_below(random, 40); steps > 0; steps--)
        (void)fake_cuda_step(streams[glet_random_below(random, 3)]);
}

/* Thirty batches of both models; how many failed, of those that are not fine. */
static int run_at_random(uint64_t seed, bool faulty)
{
    enum { BATCHES = 30, CALLS = 17 * BATCHES };
    struct glet_random random = glet_random_seeded(seed);
    struct setting s;
    struct glet_error err;
    struct flight flights[2] = {0};
    int flying = 0, failed = 0;
    open_setting(&s, NULL);
    if (faulty)
        fake_cuda_fail(NULL, 1 + (long)glet_random_below(&random, CALLS), CUDA_ERROR_LAUNCH_FAILED,
                       false);
    for (int number = 1; number <= BATCHES || flying > 0;) {
        if (flying < 2 && number <= BATCHES && glet_random_below(&random, 4) > 0) {
            struct flight f = {s.executors[glet_random_below(&random, EXECUTORS)], number,
                               1 + (int)glet_random_below(&random, BATCH)};
            if (begin(f.executor, f.number, f.used, &err) == 0)
                flights[flying++] = f;
            else
                failed++;
            number++;
        } else if (flying > 0) {
            if (glet_executor_finish(flights[0].executor, &err) < 0)
                failed++;
            else if (!is_right(flights[0].executor, flights[0].number, flights[0].used))
                fail_msg("seed %d: batch %d has wrong outputs", (int)seed, flights[0].number);
            flights[0] = flights[1];
            flying--;
        }
        step_at_random(site_of(&s), &random);
    }
    close_setting(&s);
    return failed;
}

static void test_any_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++)
        assert_int_equal(run_at_random(seed, false), 0);
}

/* What a failed batch has left behind disturbs none of those after it. */
static void test_any_order_after_a_fault(void **state)
{
    (void)state;
    int failed = 0;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        int now = run_at_random(seed, true);
        assert_in_range(now, 0, 1);
        failed += now;
    }
    assert_true(failed > 200);
}

/* --- time --- */

static double run_for_ms(struct glet_executor *executor, int batches, bool overlap)
{
    struct glet_error err;
    double start_ms = fake_cuda_now_ms();
    int begun = 0;
    for (int ended = 0; ended < batches; ended++) {
        while (begun < batches && begun - ended < (overlap ? 2 : 1))
            CHECK_OK(begin(executor, begun++, BATCH, &err), &err);
        CHECK_OK(glet_executor_finish(executor, &err), &err);
        assert_true(is_right(executor, ended, BATCH));
    }
    return fake_cuda_now_ms() - start_ms;
}

/* One by one, a batch takes the copies' time and the net's; overlapped, the net's. */
static void test_time(void **state)
{
    (void)state;
    enum { BATCHES = 100 };
    const double net_ms = FAKE_CUDA_KERNEL_MS, copy_ms = 0.4 * net_ms;
    struct setting s;
    struct glet_partition_use use;
    open_setting(&s, &(struct fake_cuda_config){.copy_ms = copy_ms});
    double serial_ms = run_for_ms(s.executors[0], BATCHES, false);
    double overlapped_ms = run_for_ms(s.executors[0], BATCHES, true);
    printf("%d batches: %.3f ms one by one, %.3f ms overlapped, of which %.3f ms in the net\n",
           BATCHES, serial_ms, overlapped_ms, BATCHES * net_ms);
    CHECK_NEAR(serial_ms, BATCHES * (2 * copy_ms + net_ms), 1e-9);
    /* The first is copied in, and out before the second may begin to compute; the last is copied
       out. */
    CHECK_NEAR(overlapped_ms, BATCHES * net_ms + 3 * copy_ms, 1e-9);
    glet_partition_achieved(s.let, &use);
    CHECK_NEAR(use.busy_ms, 2 * BATCHES * net_ms, 1e-3); /* the net alone, not twice */
    close_setting(&s);
}

/* --- faults --- */

/* Four batches, two at a time; how many failed, -1 when outputs are wrong. */
static int run_four(struct glet_executor *executor)
{
    struct glet_error err;
    struct flight flights[2] = {0};
    int flying = 0, failed = 0;
    for (int number = 1; number <= 4 || flying > 0;) {
        if (flying < 2 && number <= 4) {
            bool begun = begin(executor, number, BATCH, &err) == 0;
            if (begun)
                flights[flying++] = (struct flight){executor, number, BATCH};
            failed += !begun;
            number++;
            continue;
        }
        if (glet_executor_finish(executor, &err) < 0)
            failed++;
        else if (!is_right(executor, flights[0].number, BATCH))
            return -1;
        flights[0] = flights[1];
        flying--;
    }
    return failed;
}

static void test_one_fault_fails_one_batch(void **state)
{
    (void)state;
    struct setting s;
    int failed = 0;
    open_setting(&s, NULL);
    long calls = fake_cuda_calls(), nth = 0;
    assert_int_equal(run_four(s.executors[0]), 0);
    calls = fake_cuda_calls() - calls;
    close_setting(&s);
    for (nth = 1; nth <= calls; nth++) {
        open_setting(&s, NULL);
        fake_cuda_fail(NULL, nth, CUDA_ERROR_LAUNCH_FAILED, false);
        int now = run_four(s.executors[0]);
        if (now < 0 || now > 1)
            fail_msg("call %ld of %ld fails: %d batches failed (-1: wrong outputs)", nth, calls,
                     now);
        failed += now;
        if (run_four(s.executors[0]) != 0 || run_four(s.executors[1]) != 0)
            fail_msg("call %ld of %ld fails: and so does what comes after", nth, calls);
        close_setting(&s);
    }
    printf("%d of %ld calls failed a batch\n", failed, calls);
    assert_true(failed >= calls - 4); /* of the time of a batch nobody says that it is unknown */
}

/* The gpu-let's own stream first, then what is still queued for copies: the latest that this may
   come. */
static void run_copies_last(const struct glet_cuda_site *site)
{
    while (fake_cuda_step(site->stream))
        ;
    while (fake_cuda_step(site->copy_in) || fake_cuda_step(site->copy_out))
        ;
}

static void run_after_failure(const struct setting *s, struct glet_executor *executor)
{
    struct glet_error err;
    CHECK_OK(begin(executor, 9, BATCH, &err), &err);
    run_copies_last(site_of(s));
    CHECK_OK(glet_executor_finish(executor, &err), &err);
    assert_true(is_right(executor, 9, BATCH));
}

/* All but the copies out. */
static void run_up_to_copies_out(const struct glet_cuda_site *site)
{
    while (fake_cuda_step(site->stream) || fake_cuda_step(site->copy_in))
        ;
}

/* Copies of a batch that failed do not come late, into memory that is in use again. */
static void test_nothing_of_a_failed_batch_is_left(void **state)
{
    (void)state;
    struct setting s;
    struct glet_error err;
    bool begun = false;
    for (long nth = 1; !begun; nth++) { /* as it begins, beside one of the other model */
        open_setting(&s, NULL);
        CHECK_OK(begin(s.executors[0], 1, BATCH, &err), &err);
        fake_cuda_fail(NULL, nth, CUDA_ERROR_LAUNCH_FAILED, false);
        begun = begin(s.executors[1], 2, BATCH, &err) == 0;
        fake_cuda_fail(NULL, 0, CUDA_SUCCESS, false);
        run_up_to_copies_out(site_of(&s));
        CHECK_OK(glet_executor_finish(s.executors[0], &err), &err);
        assert_true(is_right(s.executors[0], 1, BATCH));
        if (begun)
            CHECK_OK(glet_executor_finish(s.executors[1], &err), &err);
        run_after_failure(&s, s.executors[1]);
        close_setting(&s);
    }
    open_setting(&s, NULL); /* and as somebody waits for it */
    CHECK_OK(begin(s.executors[0], 1, BATCH, &err), &err);
    CHECK_OK(begin(s.executors[0], 2, BATCH, &err), &err);
    CHECK_OK(glet_executor_finish(s.executors[0], &err), &err);
    run_up_to_copies_out(site_of(&s));
    fake_cuda_fail("cuEventQuery", 1, CUDA_ERROR_LAUNCH_FAILED, false);
    CHECK_FAILS(glet_executor_finish(s.executors[0], &err), &err, GLET_ERR_DEVICE,
                "cuEventQuery: unspecified launch failure (CUDA error 719)");
    run_after_failure(&s, s.executors[0]);
    close_setting(&s);
}

/* From some call on everything fails: every batch says so, and nothing is left. */
static void test_lost_device(void **state)
{
    (void)state;
    for (long nth = 1; nth < 60; nth++) {
        struct setting s;
        open_setting(&s, NULL);
        fake_cuda_fail(NULL, nth, CUDA_ERROR_ILLEGAL_ADDRESS, true);
        assert_true(run_four(s.executors[0]) >= 1);
        assert_int_equal(run_four(s.executors[0]), 4);
        close_setting(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_any_order_after_a_fault),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_one_fault_fails_one_batch),
        cmocka_unit_test(test_nothing_of_a_failed_batch_is_left),
        cmocka_unit_test(test_lost_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
