/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points of a profile on the fake driver, whose kernels take an eighth of a millisecond: both
 * latencies, counters over the fake libcupti and without any, sensors, and nothing left over.
 */
#include "profiles/measure.h"
#include "runtime/device/device.h"
#include "tests/doubles/cuda/fake_cuda.h"
#include "tests/doubles/fake_cupti.h"
#include "tests/unit/check.h"
#include "tests/unit/device/fake_cuda_net.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static struct glet_error err;
static struct glet_fake_cupti *cupti;
static struct glet_device *device;
static struct glet_model model = {.floats = 8, .weight_bytes = 64};
static volatile sig_atomic_t stop;

static int set_up(void **state)
{
    (void)state;
    void *library = dlopen(getenv("GPULET_LIBCUPTI"), RTLD_NOW);
    cupti = library ? dlsym(library, "glet_fake_cupti") : NULL;
    assert_non_null(cupti);
    *cupti = (struct glet_fake_cupti){.passes = 1, .percent = {40, 70}};
    stop = 0;
    unsetenv(FAKE_CUPTI_COUNTED);
    fake_cuda_configure(NULL);
    CHECK_OK(glet_device_open("cuda:0", &device, &err), &err);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    glet_device_forget_model(device, &model);
    glet_device_close(device);
    assert_string_equal(fake_cuda_breach(), "");
    assert_string_equal(fake_cuda_live(), "");
    assert_int_equal(cupti->hosts, 0);
    assert_int_equal(cupti->enabled, 0);
    assert_int_equal(cupti->violations, 0);
    return 0;
}

static int measure(struct glet_measurement *out)
{
    const struct glet_measure_options options = {.max_ms = 100, .stop = &stop};
    return glet_measure_point(device, &model, 4, 3, &options, out, &err);
}

static int count(struct glet_utilisation *out)
{
    struct glet_partition_set *set;
    struct glet_executor *executor;
    const int units = 3;
    CHECK_OK(glet_partitions_create(device, &units, 1, &set, &err), &err);
    struct glet_partition *partition = glet_partition_at(set, 0);
    CHECK_OK(glet_partition_enter(partition, &err), &err);
    CHECK_OK(glet_executor_build(partition, &model, 4, &executor, &err), &err);
    int rc = glet_executor_utilisation(executor, out, &err);
    glet_executor_free(executor);
    glet_partition_leave(partition);
    glet_partitions_free(set);
    return rc;
}

static void test_point(void **state)
{
    (void)state;
    struct glet_measurement m;
    CHECK_OK(measure(&m), &err);
    assert_true(m.samples >= 3 && m.p50_ms > 0 && m.p99_ms >= m.p50_ms);
    CHECK_NEAR(m.device_p50_ms, FAKE_CUDA_KERNEL_MS, 1e-6);
    CHECK_NEAR(m.device_p99_ms, FAKE_CUDA_KERNEL_MS, 1e-6);
    CHECK_NEAR(m.clock_mhz, 1755, 0);
    assert_non_null(strstr(m.flags, "throttled")); /* this GPU says so */
    CHECK_NEAR(m.achieved_units, 3, 0);
    assert_true(isnan(m.wall_ratio));
}

static void test_counters(void **state)
{
    (void)state;
    struct glet_utilisation u;
    CHECK_OK(count(&u), &err);
    CHECK_NEAR(u.l2_ratio, 0.4, 1e-12);
    CHECK_NEAR(u.dram_ratio, 0.7, 1e-12);
}

static void test_without_counters(void **state)
{
    (void)state;
    struct glet_utilisation u;
    cupti->fail_call = "cuptiRangeProfilerStart";
    cupti->fail_code = CUPTI_ERROR_INSUFFICIENT_PRIVILEGES;
    assert_int_equal(count(&u), -1);
    assert_int_equal(err.code, GLET_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "keeps its counters from this user"));
}

/* Not every CUPTI counts for a green context; the primary one counts the same. */
static void test_counters_of_the_primary_context(void **state)
{
    (void)state;
    struct glet_utilisation u;
    cupti->refused_contexts = 1;
    CHECK_OK(count(&u), &err);
    assert_int_equal(cupti->refused_contexts, 0);
    CHECK_NEAR(u.l2_ratio, 0.4, 1e-12);
}

static void test_peaks(void **state)
{
    (void)state;
    const struct glet_device_info *info = glet_device_info(device);
    CHECK_NEAR(info->l2_mib, 50, 0);
    CHECK_NEAR(info->dram_gb_per_s, 3352.3, 0.1);
    CHECK_NEAR(info->l2_gb_per_s, 16727.0, 0.1);
}

/* A failure of the GPU in the middle of a measurement. */
static void test_failures(void **state)
{
    (void)state;
    struct glet_measurement m;
    static const char *const calls[] = {"cuGraphLaunch", "cuEventSynchronize",
                                        "cuEventElapsedTime"};
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        CHECK_OK(measure(&m), &err);
        long of_a_point = fake_cuda_calls_of(calls[i]);
        fake_cuda_fail(calls[i], of_a_point / 2 + 1, CUDA_ERROR_ECC_UNCORRECTABLE, true);
        (void)measure(&m);
        fake_cuda_fail(NULL, 0, CUDA_SUCCESS, false);
    }
    stop = 1;
    assert_int_equal(measure(&m), -1);
    assert_int_equal(err.code, GLET_ERR_UNDECIDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_point, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_counters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_counters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_counters_of_the_primary_context, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_peaks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failures, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
