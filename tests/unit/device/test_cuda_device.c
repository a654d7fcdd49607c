/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CUDA device on a fake driver that enforces the real one's rules: what it says of itself, how it
 * is cut, and that the parts are apart. Every test ends with nothing broken and nothing left over.
 */
#include "runtime/device/cuda/cuda_partition.h"
#include "runtime/device/cuda/isolation.h"
#include "tests/unit/check.h"
#include "tests/unit/device/cuda_cut.h"
#include "tests/unit/device/fake_cuda_net.h"

#include <stdlib.h>
#include <string.h>

/* --- what the device says of itself --- */

static const char *fact(const struct glet_device *device, const char *key)
{
    size_t count;
    const struct glet_device_fact *facts = glet_device_facts(device, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(facts[i].key, key) == 0)
            return facts[i].value;
    return "no such fact";
}

static void test_info(void **state)
{
    (void)state;
    struct glet_device *device = open_device(NULL, "cuda:0");
    const struct glet_device_info *info = glet_device_info(device);
    assert_string_equal(info->gpu, "h100");
    assert_string_equal(info->mechanism, "green_context");
    assert_int_equal(info->sm_count, 132);
    assert_int_equal(info->units, 16);
    assert_int_equal(info->max_gpulets, 16);
    assert_false(info->temporal);
    CHECK_NEAR(info->context_mib, 24 + FAKE_NET_WORKSPACE_MIB, 0);
    CHECK_NEAR(info->memory_mib, 81920 - 400, 0);
    assert_string_equal(fact(device, "compute_capability"), "9.0");
    assert_string_equal(fact(device, "remainder_sms"), "4");
    assert_string_equal(fact(device, "libraries"), "kernels of the test");
    assert_string_equal(fact(device, "driver"), "580.65.06");
    assert_string_equal(fact(device, "cuda_driver"), "13.0");
    assert_string_equal(fact(device, "max_sm_clock_mhz"), "1980");
    assert_string_equal(fact(device, "power_limit_w"), "700");
    assert_string_equal(fact(device, "precision"), "fp16");
    assert_string_equal(fact(device, "gpu_uuid"), "GPU-00112233-4455-6677-8899-aabbccddee00");
    assert_string_equal(getenv("CUDA_DEVICE_MAX_CONNECTIONS"), "32");
    assert_string_equal(getenv("CUDA_MODULE_LOADING"), "EAGER");
    close_device(device);
}

static void test_auto_prefers_the_gpu(void **state)
{
    (void)state;
    struct glet_device *device = open_device(NULL, "auto");
    assert_string_equal(glet_device_info(device)->gpu, "h100");
    close_device(device);
}

static void test_sensors(void **state)
{
    (void)state;
    struct glet_device *device = open_device(NULL, "cuda:0");
    struct glet_device_sample s;
    glet_device_sample(device, &s);
    CHECK_NEAR(s.power_w, 312.5, 0);
    CHECK_NEAR(s.power_limit_w, 700, 0);
    CHECK_NEAR(s.energy_j, 123456789.012, 1e-6);
    CHECK_NEAR(s.sm_clock_mhz, 1755, 0);
    CHECK_NEAR(s.memory_clock_mhz, 2619, 0);
    CHECK_NEAR(s.busy_ratio, 0.75, 0);
    CHECK_NEAR(s.memory_busy_ratio, 0.25, 0);
    CHECK_NEAR(s.memory_used_mib, 1024, 0);
    CHECK_NEAR(s.memory_total_mib, 81920, 0);
    assert_int_equal(s.throttle, GLET_THROTTLE_POWER | GLET_THROTTLE_HEAT);
    assert_true(isnan(s.temperature_c)); /* this library cannot tell */
    close_device(device);
}

static void test_no_sensors(void **state)
{
    (void)state;
    struct glet_device_sample s;
    char *library = strdup(getenv("GPULET_LIBNVML"));
    setenv("GPULET_LIBNVML", "libno-such-library.so", 1);
    struct glet_device *device = open_device(NULL, "cuda:0");
    glet_device_sample(device, &s);
    assert_true(isnan(s.power_w) && isnan(s.memory_used_mib) && isnan(s.energy_j));
    assert_int_equal(s.throttle, -1);
    assert_string_equal(fact(device, "driver"), "unknown");
    assert_string_equal(fact(device, "power_limit_w"), "unknown");
    close_device(device);
    setenv("GPULET_LIBNVML", library, 1);
    free(library);
}

static void test_mig(void **state)
{
    (void)state;
    struct fake_cuda_config slice = {
        .name = "NVIDIA H100 80GB HBM3 MIG 2g.20gb", .sm_count = 32, .memory_mib = 20480};
    const char *spec = "cuda:MIG-00112233-4455-6677-8899-aabbccddee00:tf32";
    struct glet_device *device = open_device(&slice, spec);
    struct glet_device_sample s;
    assert_string_equal(glet_device_info(device)->gpu, "h100-mig-2g.20gb");
    assert_string_equal(glet_device_info(device)->mechanism, "green_context");
    assert_int_equal(glet_device_info(device)->units, 4);
    assert_string_equal(fact(device, "precision"), "tf32");
    glet_device_sample(device, &s);
    CHECK_NEAR(s.memory_total_mib, 20480, 0); /* of the instance */
    CHECK_NEAR(s.power_w, 312.5, 0);          /* of its GPU */
    close_device(device);

    slice.lacks_green = true;
    device = open_device(&slice, spec);
    assert_string_equal(glet_device_info(device)->mechanism, "mig");
    assert_int_equal(glet_device_info(device)->max_gpulets, 1);
    close_device(device);
}

static void test_not_there(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_device *device;
    fake_cuda_configure(&(struct fake_cuda_config){.device_count = 2});
    CHECK_FAILS(glet_device_open("cuda:2", &device, &err), &err, GLET_ERR_DEVICE,
                "cuda:2: there are 2 GPUs");
    CHECK_FAILS(glet_device_open("cuda:MIG-12345678-0000-0000-0000-000000000000", &device, &err),
                &err, GLET_ERR_DEVICE,
                "cuda:MIG-12345678-0000-0000-0000-000000000000: this process does not see it");
    check_clean();
}

/* --- partitions --- */

static void test_remainder_owner(void **state)
{
    (void)state;
    assert_int_equal(glet_cuda_remainder_owner((int[]){16}, 1, 16), 0);
    assert_int_equal(glet_cuda_remainder_owner((int[]){4, 8, 4}, 3, 16), 1);
    assert_int_equal(glet_cuda_remainder_owner((int[]){2, 7, 7}, 3, 16), 1);
    assert_int_equal(glet_cuda_remainder_owner((int[]){4, 8, 3}, 3, 16), -1);
    assert_int_equal(glet_cuda_remainder_owner((int[]){1}, 1, 16), -1);
}

/* Every die gets the units that it has, and each gpu-let the SMs that were planned. */
static void test_dies(void **state)
{
    (void)state;
    static const struct {
        struct fake_cuda_config die;
        int units, unit_sms, remainder_sms;
    } cases[] = {
        {{.sm_count = 132, .unit_sms = 8, .unit_count = 16}, 16, 8, 4},
        {{.sm_count = 132, .unit_sms = 8, .unit_count = 15}, 15, 8, 12},
        {{.sm_count = 108, .unit_sms = 4, .cc_major = 8}, 27, 4, 0},
        {{.sm_count = 108, .unit_sms = 2, .cc_major = 8}, 54, 2, 0},
        {{.sm_count = 148, .unit_sms = 8, .unit_count = 18, .cc_major = 10}, 18, 8, 4},
        {{.sm_count = 8, .unit_sms = 8}, 1, 8, 0},
    };
    for (size_t c = 0; c < COUNT_OF(cases); c++) {
        struct glet_device *device = open_device(&cases[c].die, "cuda:0");
        int units = glet_device_info(device)->units, sm = cases[c].unit_sms;
        assert_int_equal(units, cases[c].units);
        struct glet_partition_set *whole = cut(device, &units, 1);
        assert_int_equal(sms_of(whole, 0), units * sm + cases[c].remainder_sms);
        glet_partitions_free(whole);
        if (units >= 4) {
            int most = units - 3, parts[] = {1, most, 2};
            struct glet_partition_set *set = cut(device, parts, 3);
            assert_int_equal(sms_of(set, 0), sm);
            assert_int_equal(sms_of(set, 1), most * sm + cases[c].remainder_sms);
            assert_int_equal(sms_of(set, 2), 2 * sm);
            glet_partitions_free(set);
            set = cut(device, (int[]){1, 2}, 2); /* a profile's: no more than asked for */
            assert_int_equal(sms_of(set, 1), 2 * sm);
            glet_partitions_free(set);
        }
        close_device(device);
    }
}

/* SMs that the driver joins to no group: the whole device has them, halves do without. */
static void test_lone_remainder(void **state)
{
    (void)state;
    struct fake_cuda_config config = {.lone_remainder = true};
    struct glet_device *device = open_device(&config, "cuda:0");
    int units = glet_device_info(device)->units, halves[] = {units / 2, units - units / 2};
    struct glet_partition_set *set = cut(device, &units, 1);
    assert_int_equal(sms_of(set, 0), 132);
    glet_partitions_free(set);
    set = cut(device, halves, 2);
    assert_int_equal(sms_of(set, 0), 64);
    assert_int_equal(sms_of(set, 1), 64);
    glet_partitions_free(set);
    close_device(device);
}

/* A second set beside the first is made of the same split, and outlives it. */
static void test_two_sets(void **state)
{
    (void)state;
    struct glet_device *device = open_device(NULL, "cuda:0");
    struct glet_partition_set *old_set = cut(device, (int[]){10, 6}, 2);
    struct glet_partition_set *new_set = cut(device, (int[]){3, 3, 10}, 3);
    assert_int_equal(sms_of(old_set, 0), 84);
    assert_int_equal(sms_of(new_set, 2), 84);
    glet_partitions_free(old_set);
    assert_int_equal(sms_of(new_set, 0), 24);
    glet_partitions_free(new_set);
    assert_int_equal(fake_cuda_calls_of("cuDevSmResourceSplitByCount"), 2); /* asked, and made */
    close_device(device);
}

static void test_refused_sizes(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_partition_set *set;
    struct glet_device *device = open_device(NULL, "cuda:0");
    CHECK_FAILS(glet_partitions_create(device, (int[]){10, 7}, 2, &set, &err), &err, GLET_ERR_RANGE,
                "partitions of 17 units, h100 has 16");
    CHECK_FAILS(glet_partitions_create(device, (int[]){0}, 1, &set, &err), &err, GLET_ERR_RANGE,
                "a partition of 0 units");
    close_device(device);
}

/* Fewer SMs than planned is a failure of the device, found before anything serves. */
static void test_fewer_sms(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_device *device = NULL;
    fake_cuda_configure(&(struct fake_cuda_config){.missing_sms = 2});
    CHECK_FAILS(glet_device_open("cuda:0", &device, &err), &err, GLET_ERR_DEVICE,
                "a gpu-let of 1 units should have 8 SMs, the driver gave it 6");
    check_clean();
}

/* --- isolation --- */

static void test_isolation(void **state)
{
    (void)state;
    struct glet_error err;
    uint64_t blocks = 0;
    struct glet_partition_use use;
    struct glet_device *device = open_device(NULL, "cuda:0");
    struct glet_partition_set *set = cut(device, (int[]){9, 5, 2}, 3);
    CHECK_OK(glet_partitions_verify(set, &blocks, &err), &err);
    assert_true(blocks >= 1000000);
    for (size_t i = 0; i < 3; i++) {
        glet_partition_achieved(glet_partition_at(set, i), &use);
        assert_int_equal(use.seen_sms, use.sm_count);
    }
    glet_partitions_free(set);
    close_device(device);
}

static void test_isolation_fails(void **state)
{
    (void)state;
    struct glet_error err;
    uint64_t blocks = 0;
    struct glet_partition_use use;
    struct glet_device *device = open_device(&(struct fake_cuda_config){.leaks = true}, "cuda:0");
    struct glet_partition_set *set = cut(device, (int[]){9, 5, 2}, 3);
    CHECK_FAILS(glet_partitions_verify(set, &blocks, &err), &err, GLET_ERR_DEVICE,
                "gpu-lets 0 and 1 met on 1 SM: 0");
    glet_partition_achieved(glet_partition_at(set, 0), &use);
    assert_int_equal(use.seen_sms, 0);
    glet_partitions_free(set);
    close_device(device);
}

static void test_seen(void **state)
{
    (void)state;
    static struct glet_cuda_seen seen[2];
    struct glet_error err;
    uint32_t sms[40];
    for (uint32_t i = 0; i < 40; i++)
        sms[i] = i;
    seen[0].sm_limit = 40;
    seen[1].sm_limit = 40;
    CHECK_OK(glet_cuda_seen_add(&seen[0], sms, 40, &err), &err);
    CHECK_OK(glet_cuda_seen_apart(seen, 2, &err), &err);
    CHECK_OK(glet_cuda_seen_add(&seen[1], sms + 4, 20, &err), &err);
    assert_int_equal(glet_cuda_seen_sms(&seen[1]), 20);
    CHECK_FAILS(glet_cuda_seen_apart(seen, 2, &err), &err, GLET_ERR_DEVICE,
                "gpu-lets 0 and 1 met on 20 SMs: 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, "
                "18, 19 and 4 more");
    seen[0].sm_limit = 39;
    CHECK_FAILS(glet_cuda_seen_apart(seen, 1, &err), &err, GLET_ERR_DEVICE,
                "gpu-let 0 ran on 40 SMs, it has 39");
    sms[0] = 4000000000;
    CHECK_FAILS(glet_cuda_seen_add(&seen[0], sms, 1, &err), &err, GLET_ERR_DEVICE,
                "a block ran on SM 4000000000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_auto_prefers_the_gpu),
        cmocka_unit_test(test_sensors),
        cmocka_unit_test(test_no_sensors),
        cmocka_unit_test(test_mig),
        cmocka_unit_test(test_not_there),
        cmocka_unit_test(test_remainder_owner),
        cmocka_unit_test(test_dies),
        cmocka_unit_test(test_lone_remainder),
        cmocka_unit_test(test_two_sets),
        cmocka_unit_test(test_refused_sizes),
        cmocka_unit_test(test_fewer_sms),
        cmocka_unit_test(test_isolation),
        cmocka_unit_test(test_isolation_fails),
        cmocka_unit_test(test_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
