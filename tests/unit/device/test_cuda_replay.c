/* SPDX-License-Identifier: Apache-2.0 */
/* Replay timing over a driver with a clock of its own: each graph takes the time that it is said
 * to, and events tell half microseconds. */
#include "runtime/device/cuda/graph_replay.h"
#include "tests/unit/check.h"

#include <math.h>
#include <stdlib.h>

static struct glet_error err;

static double graph_ms, now_ms, last_flush_ms;
static int launches, events_open, calls, fail_at, flushes;

static CUresult next(void)
{
    return ++calls == fail_at ? CUDA_ERROR_LAUNCH_FAILED : CUDA_SUCCESS;
}

static CUresult CUDAAPI event_create(CUevent *event, unsigned flags)
{
    CUresult code = next();
    assert_int_equal(flags & CU_EVENT_DISABLE_TIMING, 0);
    if (code != CUDA_SUCCESS)
        return code;
    *event = calloc(1, sizeof(double));
    events_open++;
    return CUDA_SUCCESS;
}

static CUresult CUDAAPI event_destroy(CUevent event)
{
    free(event);
    events_open--;
    return CUDA_SUCCESS;
}

static CUresult CUDAAPI event_record(CUevent event, CUstream stream)
{
    (void)stream;
    *(double *)(void *)event = now_ms;
    return next();
}

static CUresult CUDAAPI event_synchronize(CUevent event)
{
    (void)event;
    return next();
}

static CUresult CUDAAPI event_elapsed(float *ms, CUevent start, CUevent end)
{
    double exact_ms = *(double *)(void *)end - *(double *)(void *)start;
    *ms = (float)(floor(exact_ms / 0.0005 + 0.5) * 0.0005);
    return next();
}

static CUresult CUDAAPI launch(CUgraphExec graph, CUstream stream)
{
    (void)graph, (void)stream;
    launches++;
    now_ms += graph_ms;
    return next();
}

int glet_cuda_failed(const struct glet_cuda_api *api, CUresult code, const char *call,
                     struct glet_error *e)
{
    (void)api;
    return glet_error_set(e, GLET_ERR_DEVICE, "%s: %d", call, (int)code);
}

static CUresult CUDAAPI write_over(CUdeviceptr memory, unsigned char value, size_t bytes,
                                   CUstream stream)
{
    (void)value, (void)stream;
    assert_int_equal(memory, 0x1000);
    assert_int_equal(bytes, 64);
    flushes++;
    last_flush_ms = now_ms;
    now_ms += 3;
    return next();
}

static const struct glet_cuda_api api = {.cuMemsetD8Async = write_over,
                                         .cuEventCreate = event_create,
                                         .cuEventDestroy = event_destroy,
                                         .cuEventRecord = event_record,
                                         .cuEventSynchronize = event_synchronize,
                                         .cuEventElapsedTime = event_elapsed,
                                         .cuGraphLaunch = launch};

static void start(double ms)
{
    graph_ms = ms;
    now_ms = 12345;
    launches = calls = fail_at = flushes = 0;
}

/* Long graphs once per pair of events, short ones often enough for the events' resolution. */
static void test_times(void **state)
{
    (void)state;
    static const struct {
        double ms, tolerance_ratio;
        int most_repeats;
    } cases[] = {{25, 1e-4, 1},   {0.4, 2e-3, 1},    {0.051, 6e-3, 1},
                 {0.02, 0.01, 3}, {0.004, 0.01, 13}, {0.0012, 0.01, 64}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        double ms[32];
        start(cases[i].ms);
        CHECK_OK(glet_cuda_replay(&api, NULL, NULL, 32, NULL, ms, &err), &err);
        for (size_t k = 0; k < COUNT_OF(ms); k++)
            CHECK_NEAR(ms[k], cases[i].ms, cases[i].tolerance_ratio * cases[i].ms);
        assert_true(launches <= 2 * 4 + 1 + 32 * cases[i].most_repeats);
        assert_int_equal(events_open, 0);
    }
}

/* Faster than an event can tell: still a time above nothing. */
/* Cold, each replay stands alone between its events, and what is written before is not timed. */
static void test_cold(void **state)
{
    (void)state;
    static const struct glet_cuda_flush flush = {0x1000, 64};
    double ms[32];
    start(0.004);
    CHECK_OK(glet_cuda_replay(&api, NULL, NULL, 32, &flush, ms, &err), &err);
    for (size_t k = 0; k < COUNT_OF(ms); k++)
        CHECK_NEAR(ms[k], 0.004, 0.001);
    assert_int_equal(flushes, 32);
    assert_int_equal(launches, 4 + 32);
    assert_true(now_ms - last_flush_ms < 3.1); /* the last one came before the last replay */
    assert_int_equal(events_open, 0);
}

static void test_never_nothing(void **state)
{
    (void)state;
    double ms[4];
    start(0);
    CHECK_OK(glet_cuda_replay(&api, NULL, NULL, 4, NULL, ms, &err), &err);
    for (size_t k = 0; k < COUNT_OF(ms); k++)
        assert_true(ms[k] > 0);
}

static void test_every_failure(void **state)
{
    (void)state;
    double ms[3];
    start(0.02);
    CHECK_OK(glet_cuda_replay(&api, NULL, NULL, 3, NULL, ms, &err), &err);
    int last = calls;
    assert_true(last > 20);
    for (int n = 1; n <= last; n++) {
        start(0.02);
        fail_at = n;
        assert_int_equal(glet_cuda_replay(&api, NULL, NULL, 3, NULL, ms, &err), -1);
        assert_int_equal(err.code, GLET_ERR_DEVICE);
        assert_int_equal(events_open, 0);
        assert_int_equal(calls, n); /* nothing more was asked of the driver */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_cold),
        cmocka_unit_test(test_never_nothing),
        cmocka_unit_test(test_every_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
