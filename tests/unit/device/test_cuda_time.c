/* SPDX-License-Identifier: Apache-2.0 */
/* How candidates are timed, over a driver whose graphs take what the test says: the first replay is
 * never the result, the shortest of the others is, and what is far from its rival runs once. */
#include "runtime/device/cuda/libs/timing.h"
#include "tests/unit/check.h"

static struct glet_error err;
static double replays_ms[8];
static int replays, enqueued, fail_call, calls;

static CUresult next(void)
{
    return ++calls == fail_call ? CUDA_ERROR_LAUNCH_FAILED : CUDA_SUCCESS;
}

static CUresult CUDAAPI begin_capture(CUstream stream, CUstreamCaptureMode mode)
{
    (void)stream, (void)mode;
    return next();
}

static CUresult CUDAAPI end_capture(CUstream stream, CUgraph *graph)
{
    (void)stream;
    *graph = NULL;
    return next();
}

static CUresult CUDAAPI instantiate(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
    (void)graph, (void)flags;
    *exec = NULL;
    return next();
}

static CUresult CUDAAPI destroy(CUgraphExec exec)
{
    (void)exec;
    return CUDA_SUCCESS;
}

static CUresult CUDAAPI record(CUevent event, CUstream stream)
{
    (void)event, (void)stream;
    return next();
}

static CUresult CUDAAPI wait_event(CUevent event)
{
    (void)event;
    return next();
}

static CUresult CUDAAPI wait_stream(CUstream stream)
{
    (void)stream;
    return next();
}

static CUresult CUDAAPI launch(CUgraphExec graph, CUstream stream)
{
    (void)graph, (void)stream;
    replays++;
    return next();
}

static CUresult CUDAAPI elapsed(float *ms, CUevent start, CUevent end)
{
    (void)start, (void)end;
    *ms = (float)replays_ms[replays - 1];
    return next();
}

int glet_cuda_failed(const struct glet_cuda_api *api, CUresult code, const char *call,
                     struct glet_error *e)
{
    (void)api;
    return glet_error_set(e, GLET_ERR_DEVICE, "%s: %d", call, (int)code);
}

static int enqueue(void *context, struct glet_error *e)
{
    (void)context, (void)e;
    enqueued++;
    return 0;
}

/* Graphs of `count` replays of these lengths; four runs are in each. */
static int time_it(double rival_ms, double *ms_out)
{
    static const struct glet_cuda_api api = {.cuStreamBeginCapture = begin_capture,
                                             .cuStreamEndCapture = end_capture,
                                             .cuGraphInstantiate = instantiate,
                                             .cuGraphExecDestroy = destroy,
                                             .cuEventRecord = record,
                                             .cuEventSynchronize = wait_event,
                                             .cuStreamSynchronize = wait_stream,
                                             .cuGraphLaunch = launch,
                                             .cuEventElapsedTime = elapsed};
    struct glet_cuda_handles handles = {.cudnn = NULL};
    const struct glet_cuda_site site = {.api = &api, .handles = &handles};
    replays = enqueued = calls = 0;
    return glet_cuda_time(&site, enqueue, NULL, rival_ms, ms_out, &err);
}

static void set_replays(double a, double b, double c, double d)
{
    replays_ms[0] = a, replays_ms[1] = b, replays_ms[2] = c, replays_ms[3] = d;
}

static void test_shortest_after_the_first(void **state)
{
    (void)state;
    double ms;
    set_replays(0.5, 8, 4, 6);
    CHECK_OK(time_it(0, &ms), &err);
    CHECK_NEAR(ms, 1, 1e-6);
    assert_int_equal(enqueued, 5); /* once alone, four times in the graph */
    assert_int_equal(replays, 4);
}

static void test_far_from_the_rival(void **state)
{
    (void)state;
    double ms;
    set_replays(8.1, 4, 4, 4);
    CHECK_OK(time_it(1, &ms), &err);
    assert_int_equal(replays, 1);
    assert_true(ms > 1);
    set_replays(7.9, 3, 4, 4); /* slow the first time, and faster in the end */
    CHECK_OK(time_it(1, &ms), &err);
    assert_int_equal(replays, 4);
    CHECK_NEAR(ms, 0.75, 1e-6);
}

static void test_failures(void **state)
{
    (void)state;
    double ms;
    set_replays(4, 4, 4, 4);
    CHECK_OK(time_it(0, &ms), &err);
    int all = calls - 1; /* the last wait is for order only */
    for (fail_call = 1; fail_call <= all; fail_call++)
        assert_int_equal(time_it(0, &ms), -1);
    fail_call = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shortest_after_the_first),
        cmocka_unit_test(test_far_from_the_rival),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
