/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/device/cuda/cuda_facts.h"

#include "common/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_FACTS = 16 };

/* Takes the value; NULL = out of memory, which err tells already. */
static int add(struct glet_cuda_device *device, const char *key, char *value)
{
    if (!value)
        return -1;
    device->base.facts[device->base.fact_count++] = (struct glet_device_fact){key, value};
    return 0;
}

static char *number(double value, struct glet_error *err)
{
    return isfinite(value) ? glet_format(err, "%.0f", value) : glet_strdup("unknown", err);
}

static int add_hardware(struct glet_cuda_device *device, const char *name, struct glet_error *err)
{
    const struct glet_cuda_api *api = device->api;
    int major = 0, minor = 0;
    if (GLET_CUDA_TRY(api, err, cuDeviceGetAttribute, &major,
                      CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device->device) < 0 ||
        GLET_CUDA_TRY(api, err, cuDeviceGetAttribute, &minor,
                      CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device->device) < 0 ||
        add(device, "gpu_name", glet_strdup(name, err)) < 0 ||
        add(device, "compute_capability", glet_format(err, "%d.%d", major, minor)) < 0 ||
        add(device, "sm_count", number(device->base.info.sm_count, err)) < 0 ||
        add(device, "unit_sms", number(device->split.unit_sms, err)) < 0)
        return -1;
    return add(device, "remainder_sms", number(device->split.remainder_sms, err));
}

static int add_software(struct glet_cuda_device *device, struct glet_error *err)
{
    const char *driver = device->nvml ? glet_nvml_driver(device->nvml) : "";
    int version = device->api->driver_version;
    if (add(device, "driver", glet_strdup(*driver ? driver : "unknown", err)) < 0)
        return -1;
    if (add(device, "cuda_driver", glet_format(err, "%d.%d", version / 1000, version % 1000 / 10)) <
        0)
        return -1;
    return add(device, "libraries", glet_strdup(glet_cuda_store_versions(device->store), err));
}

static int add_settings(struct glet_cuda_device *device, struct glet_error *err)
{
    struct glet_device_sample sample;
    glet_device_sample(&device->base, &sample);
    double clock_mhz = device->nvml ? glet_nvml_max_sm_clock_mhz(device->nvml) : NAN;
    if (add(device, "max_sm_clock_mhz", number(clock_mhz, err)) < 0)
        return -1;
    return add(device, "power_limit_w", number(sample.power_limit_w, err));
}

int glet_cuda_facts_read(struct glet_cuda_device *device, const char *name, const char *uuid,
                         const char *precision, struct glet_error *err)
{
    device->base.facts = glet_alloc(MAX_FACTS, sizeof *device->base.facts, err);
    if (!device->base.facts || add_hardware(device, name, err) < 0 ||
        add_software(device, err) < 0 || add_settings(device, err) < 0 ||
        add(device, "precision", glet_strdup(precision, err)) < 0)
        return -1;
    return add(device, "gpu_uuid", glet_strdup(uuid, err));
}

void glet_cuda_facts_free(struct glet_cuda_device *device)
{
    for (size_t i = 0; i < device->base.fact_count; i++)
        free((char *)(uintptr_t)device->base.facts[i].value);
    free(device->base.facts);
}
