/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters over a fake libcupti (GPULET_LIBCUPTI names it): the order of calls, every failure, and
 * that whatever happens nothing is left open and the profiler is told to estimate instead.
 */
#include "runtime/device/cuda/driver/gpu_counters.h"
#include "tests/doubles/fake_cupti.h"
#include "tests/unit/check.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static struct glet_error err;
static struct glet_fake_cupti *fake;
static int launches;
static CUresult launch_code;

static CUresult CUDAAPI launch(CUgraphExec graph, CUstream stream)
{
    (void)graph, (void)stream;
    launches++;
    return launch_code;
}

static CUresult CUDAAPI synchronize(CUstream stream)
{
    (void)stream;
    return CUDA_SUCCESS;
}

static CUresult CUDAAPI error_string(CUresult code, const char **text)
{
    (void)code;
    *text = "the graph failed";
    return CUDA_SUCCESS;
}

int glet_cuda_failed(const struct glet_cuda_api *api, CUresult code, const char *call,
                     struct glet_error *e)
{
    const char *text;
    (void)api->cuGetErrorString(code, &text);
    return glet_error_set(e, GLET_ERR_DEVICE, "%s: %s", call, text);
}

static const struct glet_cuda_api api = {
    .cuGraphLaunch = launch, .cuStreamSynchronize = synchronize, .cuGetErrorString = error_string};

static int read_counters(struct glet_utilisation *out)
{
    const struct glet_cuda_cupti *cupti;
    launches = 0;
    CHECK_OK(glet_cuda_cupti_open(&cupti, &err), &err);
    return glet_cuda_counters_read(&api, cupti, NULL, 0, NULL, NULL, 7, out, &err);
}

static int set_up(void **state)
{
    (void)state;
    void *library = dlopen(getenv("GPULET_LIBCUPTI"), RTLD_NOW);
    fake = library ? dlsym(library, "glet_fake_cupti") : NULL;
    assert_non_null(fake);
    *fake = (struct glet_fake_cupti){.passes = 1, .percent = {40, 70}};
    launch_code = CUDA_SUCCESS;
    return 0;
}

static void check_nothing_left(void)
{
    assert_int_equal(fake->hosts, 0);
    assert_int_equal(fake->enabled, 0);
    assert_int_equal(fake->violations, 0);
}

static void test_reading(void **state)
{
    (void)state;
    struct glet_utilisation got;
    for (int again = 0; again < 2; again++) {
        CHECK_OK(read_counters(&got), &err);
        CHECK_NEAR(got.l2_ratio, 0.4, 1e-12);
        CHECK_NEAR(got.dram_ratio, 0.7, 1e-12);
        assert_int_equal(launches, 7);
        check_nothing_left();
    }
    fake->percent[1] = 100.4; /* a little above the peak */
    CHECK_OK(read_counters(&got), &err);
    CHECK_NEAR(got.dram_ratio, 1, 0);
    fake->percent[0] = NAN;
    assert_int_equal(read_counters(&got), -1);
    assert_int_equal(err.code, GLET_ERR_UNSUPPORTED);
    check_nothing_left();
}

/* Each call fails once: always "unsupported", never a leak. */
static void test_every_failure(void **state)
{
    (void)state;
    static const char *const calls[] = {"cuptiProfilerInitialize",
                                        "cuptiDeviceGetChipName",
                                        "cuptiProfilerHostInitialize",
                                        "cuptiProfilerHostConfigAddMetrics",
                                        "cuptiProfilerHostGetConfigImageSize",
                                        "cuptiProfilerHostGetConfigImage",
                                        "cuptiProfilerHostGetNumOfPasses",
                                        "cuptiRangeProfilerEnable",
                                        "cuptiRangeProfilerGetCounterDataSize",
                                        "cuptiRangeProfilerCounterDataImageInitialize",
                                        "cuptiRangeProfilerSetConfig",
                                        "cuptiRangeProfilerStart",
                                        "cuptiRangeProfilerPushRange",
                                        "cuptiRangeProfilerDecodeData",
                                        "cuptiProfilerHostEvaluateToGpuValues"};
    struct glet_utilisation got;
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        fake->fail_call = calls[i];
        fake->fail_code = CUPTI_ERROR_NOT_SUPPORTED;
        char wanted[120];
        snprintf(wanted, sizeof wanted, "%s: as the test asked", calls[i]);
        CHECK_FAILS(read_counters(&got), &err, GLET_ERR_UNSUPPORTED, wanted);
        check_nothing_left();
    }
}

/* A driver that keeps its counters says so when the profiler starts: one line, with the way out. */
static void test_counters_that_may_not_be_read(void **state)
{
    (void)state;
    struct glet_utilisation got;
    fake->fail_call = "cuptiRangeProfilerStart";
    fake->fail_code = CUPTI_ERROR_INSUFFICIENT_PRIVILEGES;
    CHECK_FAILS(read_counters(&got), &err, GLET_ERR_UNSUPPORTED,
                "the driver keeps its counters from this user (root may read them, or "
                "NVreg_RestrictProfilingToAdminUsers=0)");
    check_nothing_left();
}

static void test_a_chip_that_needs_replays(void **state)
{
    (void)state;
    struct glet_utilisation got;
    fake->passes = 3;
    CHECK_FAILS(read_counters(&got), &err, GLET_ERR_UNSUPPORTED,
                "FAKE100 needs 3 passes for two counters");
    assert_int_equal(launches, 0);
    check_nothing_left();
}

/* A graph that fails is the device's failure, not a want of counters. */
static void test_a_graph_that_fails(void **state)
{
    (void)state;
    struct glet_utilisation got;
    launch_code = CUDA_ERROR_ILLEGAL_ADDRESS;
    CHECK_FAILS(read_counters(&got), &err, GLET_ERR_DEVICE, "cuGraphLaunch: the graph failed");
    check_nothing_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_reading, set_up),
        cmocka_unit_test_setup(test_every_failure, set_up),
        cmocka_unit_test_setup(test_counters_that_may_not_be_read, set_up),
        cmocka_unit_test_setup(test_a_chip_that_needs_replays, set_up),
        cmocka_unit_test_setup(test_a_graph_that_fails, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
