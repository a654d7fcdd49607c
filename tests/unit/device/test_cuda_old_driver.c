/* SPDX-License-Identifier: Apache-2.0 */
/* A driver from before green contexts, and no driver at all: in a process that has seen no other.
 */
#include "runtime/device/device.h"
#include "tests/doubles/cuda/fake_cuda.h"
#include "tests/unit/check.h"
#include "tests/unit/device/fake_cuda_net.h"

#include <stdlib.h>
#include <string.h>

static void test_no_driver(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_device *device;
    char *library = strdup(getenv("GPULET_LIBCUDA"));
    setenv("GPULET_LIBCUDA", "libno-such-driver.so", 1);
    assert_int_equal(glet_device_open("cuda:0", &device, &err), -1);
    assert_int_equal(err.code, GLET_ERR_DEVICE);
    assert_non_null(strstr(err.message, "no CUDA driver: libno-such-driver.so"));
    /* Then the best there is, is no GPU. */
    CHECK_FAILS(glet_device_open("auto", &device, &err), &err, GLET_ERR_DEVICE, "only GPUs here");
    setenv("GPULET_LIBCUDA", "libc.so.6", 1);
    CHECK_FAILS(glet_device_open("cuda:0", &device, &err), &err, GLET_ERR_DEVICE,
                "the CUDA driver lacks cuInit: it is too old");
    setenv("GPULET_LIBCUDA", library, 1);
    free(library);
}

static void test_old_driver(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_device *device;
    struct glet_partition_set *set;
    fake_cuda_configure(&(struct fake_cuda_config){.old = true, .driver_version = 12020});
    CHECK_OK(glet_device_open("cuda:0", &device, &err), &err);
    assert_int_equal(glet_device_info(device)->units, 16);
    CHECK_FAILS(glet_partitions_create(device, (int[]){8, 8}, 2, &set, &err), &err, GLET_ERR_RANGE,
                "2 partitions, h100 takes at most 1: the driver is of CUDA 12.2, and green "
                "contexts, which keep gpu-lets apart, came with 12.4");
    CHECK_OK(glet_partitions_create(device, (int[]){16}, 1, &set, &err), &err);
    glet_partitions_free(set);
    glet_device_allow_temporal(device);
    CHECK_OK(glet_partitions_create(device, (int[]){8, 8}, 2, &set, &err), &err);
    glet_partitions_free(set);
    glet_device_close(device);
    assert_string_equal(fake_cuda_breach(), "");
    assert_string_equal(fake_cuda_live(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_driver),
        cmocka_unit_test(test_old_driver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
