/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/device/cuda_cut.h"

#include "tests/unit/check.h"

struct glet_device *open_device(const struct fake_cuda_config *config, const char *spec)
{
    struct glet_error err;
    struct glet_device *device = NULL;
    fake_cuda_configure(config);
    CHECK_OK(glet_device_open(spec, &device, &err), &err);
    return device;
}

struct glet_partition_set *cut(struct glet_device *device, const int *units, size_t count)
{
    struct glet_error err;
    struct glet_partition_set *set = NULL;
    CHECK_OK(glet_partitions_create(device, units, count, &set, &err), &err);
    return set;
}

void check_clean(void)
{
    assert_string_equal(fake_cuda_breach(), "");
    assert_string_equal(fake_cuda_live(), "");
}

void close_device(struct glet_device *device)
{
    glet_device_close(device);
    check_clean();
}

int sms_of(struct glet_partition_set *set, size_t i)
{
    struct glet_partition_use use;
    glet_partition_achieved(glet_partition_at(set, i), &use);
    return use.sm_count;
}
