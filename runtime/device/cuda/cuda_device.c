/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A GPU, or an instance of one that somebody has cut by MIG, as a device.
 *
 * Opening it retains the primary context (without it every green context would pay for its
 * initialisation), splits the SMs into units once, and makes what all gpu-lets share: weights, the
 * kernel module, library choices. From then on nothing runs in the primary context where there are
 * green contexts, because it would run on every SM, those of gpu-lets included.
 *
 * MIG is found, never set: a process sees the instance that CUDA_VISIBLE_DEVICES names, which is
 * therefore set before the driver is opened where the user has not.
 */
#include "common/memory.h"
#include "runtime/device/cuda/cache_dir.h"
#include "runtime/device/cuda/cuda_facts.h"
#include "runtime/device/cuda/cuda_partition.h"
#include "runtime/device/cuda/driver/gpu_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Hardware queues, one per gpu-let (CUDA_DEVICE_MAX_CONNECTIONS): with more, two would share one
   and wait for each other. */
enum { MAX_GPULETS = 32 };

struct identity {
    char name[128], uuid[48];
    bool is_mig;
};

/* To free something. Of a GPU that is lost nothing can be made current, but the host's memory goes
   all the same. */
static CUcontext enter_primary(const struct glet_cuda_device *device)
{
    CUcontext before = NULL;
    struct glet_error ignored;
    if (glet_cuda_enter(device->api, device->primary, &before, &ignored) < 0)
        return NULL;
    return before;
}

static void close_device(struct glet_device *base)
{
    struct glet_cuda_device *device = (struct glet_cuda_device *)base;
    CUcontext before = NULL;
    struct glet_error ignored;
    /* Of a GPU that is lost nothing can be made current, but the host's memory goes all the same.
     */
    if (device->store) {
        (void)!glet_cuda_enter(device->api, device->primary, &before, &ignored);
        glet_cuda_store_free(device->store);
        glet_cuda_leave(device->api, before);
    }
    glet_cuda_split_close(&device->split);
    if (device->has_primary)
        (void)device->api->cuDevicePrimaryCtxRelease(device->device);
    glet_cuda_facts_free(device);
    glet_nvml_close(device->nvml);
    free(device);
}

static void forget_model(struct glet_device *base, const struct glet_model *model)
{
    struct glet_cuda_device *device = (struct glet_cuda_device *)base;
    CUcontext before = enter_primary(device);
    glet_cuda_store_forget(device->store, model);
    glet_cuda_leave(device->api, before);
}

static void allow_temporal(struct glet_device *base)
{
    struct glet_cuda_device *device = (struct glet_cuda_device *)base;
    if (device->split.units)
        return;
    base->info.temporal = true;
    base->info.max_gpulets = MAX_GPULETS;
}

/* Registered memory is every context's. A GPU that reaches it through the process's own page tables
   would not keep the pages. */
static bool pin(struct glet_device *base, void *memory, size_t bytes, bool writable)
{
    struct glet_cuda_device *device = (struct glet_cuda_device *)base;
    const struct glet_cuda_api *api = device->api;
    unsigned flags = CU_MEMHOSTREGISTER_PORTABLE | (writable ? 0 : CU_MEMHOSTREGISTER_READ_ONLY);
    CUcontext before;
    struct glet_error ignored;
    if (device->shares_page_tables || glet_cuda_enter(api, device->primary, &before, &ignored) < 0)
        return false;
    CUresult code = api->cuMemHostRegister(memory, bytes, flags);
    glet_cuda_leave(api, before);
    return code == CUDA_SUCCESS;
}

static void unpin(struct glet_device *base, void *memory)
{
    struct glet_cuda_device *device = (struct glet_cuda_device *)base;
    CUcontext before = NULL;
    struct glet_error ignored;
    (void)!glet_cuda_enter(device->api, device->primary, &before, &ignored);
    (void)device->api->cuMemHostUnregister(memory);
    glet_cuda_leave(device->api, before);
}

static void sample(const struct glet_device *base, struct glet_device_sample *sample_out)
{
    const struct glet_cuda_device *device = (const struct glet_cuda_device *)base;
    if (device->nvml)
        glet_nvml_sample(device->nvml, sample_out);
}

static const struct glet_device_ops ops = {
    .close = close_device,
    .forget_model = forget_model,
    .allow_temporal = allow_temporal,
    .pin = pin,
    .unpin = unpin,
    .sample = sample,
    .partitions_create = glet_cuda_partitions_create,
    .partitions_free = glet_cuda_partitions_free,
    .partition_at = glet_cuda_partition_at,
    .verify = glet_cuda_partitions_verify,
    .enter = glet_cuda_partition_enter,
    .leave = glet_cuda_partition_leave,
    .achieved = glet_cuda_partition_achieved,
    .count_anew = glet_cuda_partition_count_anew,
    .build = glet_cuda_executor_build,
    .executor_free = glet_cuda_executor_free,
    .feed = glet_cuda_executor_feed,
    .begin = glet_cuda_executor_begin,
    .finish = glet_cuda_executor_finish,
    .cool = glet_cuda_executor_cool,
    .replay = glet_cuda_executor_replay,
    .utilisation = glet_cuda_executor_utilisation,
    .steps = glet_cuda_executor_steps,
};

static int identify(const struct glet_cuda_api *api, CUdevice device, struct identity *out,
                    struct glet_error *err)
{
    CUuuid uuid;
    if (GLET_CUDA_TRY(api, err, cuDeviceGetName, out->name, sizeof out->name, device) < 0 ||
        GLET_CUDA_TRY(api, err, cuDeviceGetUuid, &uuid, device) < 0)
        return -1;
    out->is_mig = glet_cuda_name_is_mig(out->name);
    unsigned char bytes[16];
    memcpy(bytes, uuid.bytes, sizeof bytes);
    glet_cuda_uuid_text(out->is_mig ? "MIG-" : "GPU-", bytes, out->uuid);
    return 0;
}

static int find_mig(const struct glet_cuda_api *api, const char *uuid, int count, CUdevice *out,
                    struct glet_error *err)
{
    for (int i = 0; i < count; i++) {
        struct identity identity;
        if (GLET_CUDA_TRY(api, err, cuDeviceGet, out, i) < 0 ||
            identify(api, *out, &identity, err) < 0)
            return -1;
        if (identity.is_mig && strcasecmp(identity.uuid, uuid) == 0)
            return 0;
    }
    glet_error_set(err, GLET_ERR_DEVICE, "cuda:%s: this process does not see it", uuid);
    return glet_error_hint(err, "CUDA shows a process one MIG instance: CUDA_VISIBLE_DEVICES=%s",
                           uuid);
}

static int find_device(const struct glet_cuda_api *api, const struct glet_device_spec *spec,
                       CUdevice *out, struct glet_error *err)
{
    int count = 0;
    if (GLET_CUDA_TRY(api, err, cuDeviceGetCount, &count) < 0)
        return -1;
    if (spec->index < 0)
        return find_mig(api, spec->mig, count, out, err);
    if (spec->index >= count) {
        glet_error_set(err, GLET_ERR_DEVICE, "cuda:%d: there %s %d GPU%s", spec->index,
                       count == 1 ? "is" : "are", count, count == 1 ? "" : "s");
        return count > 0 ? glet_error_hint(err, "cuda:0 is the first") : -1;
    }
    return GLET_CUDA_TRY(api, err, cuDeviceGet, out, spec->index);
}

/* Units of a device that cannot be asked: SMs of the smallest green context that the driver's
   manual names for the architecture. */
static int assumed_unit_sms(int major)
{
    return major >= 9 ? 8 : major == 8 ? 4 : 2;
}

static void explain_whole(const struct glet_cuda_api *api, struct glet_device_info *info)
{
    if (glet_cuda_has_green_contexts(api))
        snprintf(info->limit_reason, sizeof info->limit_reason,
                 "this device has no green contexts, which keep gpu-lets apart");
    else
        snprintf(info->limit_reason, sizeof info->limit_reason,
                 "the driver is of CUDA %d.%d, and green contexts, which keep gpu-lets apart, came "
                 "with 12.4",
                 api->driver_version / 1000, api->driver_version % 1000 / 10);
}

static double attribute(const struct glet_cuda_device *device, CUdevice_attribute which)
{
    int value = 0; /* unknown to this driver */
    (void)device->api->cuDeviceGetAttribute(&value, which, device->device);
    return value;
}

/*
 * What an estimate of utilisation is held against where counters may not be read: DRAM moves two
 * words per clock and bus line, and an SM asks the L2 for at most 64 bytes per clock (CUDA C++
 * Programming Guide and Best Practices Guide, "Theoretical Bandwidth"; the L2's figure is the SMs'
 * side of it, so that a utilisation by it is on the low side).
 */
static void fill_peaks(struct glet_cuda_device *device)
{
    struct glet_device_info *info = &device->base.info;
    double memory_khz = attribute(device, CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
    double bus_bits = attribute(device, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
    double sm_khz = attribute(device, CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
    info->l2_mib = attribute(device, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE) / (1 << 20);
    info->dram_gb_per_s = 2 * memory_khz * 1e3 * bus_bits / 8 / 1e9;
    info->l2_gb_per_s = sm_khz * 1e3 * 64 * info->sm_count / 1e9;
}

static int fill_info(struct glet_cuda_device *device, const struct identity *identity,
                     struct glet_error *err)
{
    struct glet_device_info *info = &device->base.info;
    size_t free_bytes, total_bytes;
    int major = 0;
    if (GLET_CUDA_TRY(device->api, err, cuDeviceGetAttribute, &info->sm_count,
                      CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device->device) < 0 ||
        GLET_CUDA_TRY(device->api, err, cuDeviceGetAttribute, &major,
                      CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device->device) < 0 ||
        GLET_CUDA_TRY(device->api, err, cuMemGetInfo, &free_bytes, &total_bytes) < 0)
        return -1;
    glet_cuda_type_name(identity->name, info->gpu, sizeof info->gpu);
    fill_peaks(device);
    bool whole = !device->split.units;
    strcpy(info->mechanism, whole && identity->is_mig ? "mig" : "green_context");
    int units = whole ? info->sm_count / assumed_unit_sms(major) : device->split.unit_count;
    info->units = units > 0 ? units : 1;
    info->max_gpulets = whole ? 1 : info->units < MAX_GPULETS ? info->units : MAX_GPULETS;
    if (whole)
        explain_whole(device->api, info);
    info->memory_mib = (double)free_bytes / (1 << 20);
    device->shares_page_tables =
        attribute(device, CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES) != 0;
    return 0;
}

static enum glet_cuda_precision precision_of(const struct glet_device_spec *spec)
{
    return strcmp(spec->precision, "fp32") == 0   ? GLET_CUDA_FP32
           : strcmp(spec->precision, "tf32") == 0 ? GLET_CUDA_TF32
                                                  : GLET_CUDA_FP16;
}

/* With the primary context current. */
static int fill(struct glet_cuda_device *device, const struct glet_device_spec *spec,
                const struct identity *identity, struct glet_error *err)
{
    char cache_dir[4096];
    bool cached = glet_cuda_cache_dir(cache_dir);
    if (glet_cuda_split_open(device->api, device->device, &device->split, err) < 0 ||
        glet_cuda_store_new(device->api, device->device, precision_of(spec),
                            cached ? cache_dir : NULL, &device->store, err) < 0 ||
        fill_info(device, identity, err) < 0 ||
        glet_cuda_context_mib(device, &device->base.info.context_mib, err) < 0)
        return -1;
    device->nvml = glet_nvml_open(identity->uuid);
    return glet_cuda_facts_read(device, identity->name, identity->uuid, spec->precision, err);
}

static int open_device(struct glet_cuda_device *device, const struct glet_device_spec *spec,
                       struct glet_error *err)
{
    const struct glet_cuda_api *api = device->api;
    struct identity identity;
    CUcontext before;
    if (find_device(api, spec, &device->device, err) < 0 ||
        identify(api, device->device, &identity, err) < 0 ||
        GLET_CUDA_TRY(api, err, cuDevicePrimaryCtxRetain, &device->primary, device->device) < 0)
        return -1;
    device->has_primary = true;
    if (glet_cuda_enter(api, device->primary, &before, err) < 0)
        return -1;
    int rc = fill(device, spec, &identity, err);
    glet_cuda_leave(api, before);
    return rc;
}

bool glet_cuda_device_present(void)
{
    const struct glet_cuda_api *api;
    struct glet_error ignored;
    int count = 0;
    return glet_cuda_api_open(&api, &ignored) == 0 &&
           api->cuDeviceGetCount(&count) == CUDA_SUCCESS && count > 0;
}

int glet_cuda_device_open(const struct glet_device_spec *spec, struct glet_device **out,
                          struct glet_error *err)
{
    const struct glet_cuda_api *api;
    if (spec->index < 0)
        (void)setenv("CUDA_VISIBLE_DEVICES", spec->mig, 0);
    if (glet_cuda_api_open(&api, err) < 0)
        return -1;
    struct glet_cuda_device *device = glet_alloc(1, sizeof *device, err);
    if (!device)
        return -1;
    device->base.ops = &ops;
    device->api = api;
    if (open_device(device, spec, err) < 0) {
        close_device(&device->base);
        return -1;
    }
    *out = &device->base;
    return 0;
}
