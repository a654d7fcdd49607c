/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gpu-lets as green contexts: SMs that a stream's kernels run on and no others.
 *
 * The device is split once into the smallest groups that the driver makes, and a gpu-let is a union
 * of groups: the driver's split makes equal groups only, but a descriptor may join several of one
 * split, and that gives unequal gpu-lets that are disjoint by construction. Two independent splits
 * would both begin at the first SM, without an error from anybody. A second set of gpu-lets (the
 * next plan, built while this one serves) is therefore made of the same groups: it overlaps the
 * first in time, as device.h allows, and is disjoint in itself.
 *
 * What the driver gave is read back and compared, since a driver may round. Streams come after
 * their green context and go before it: destroying the context does not destroy them.
 *
 * A gpu-let has three streams, and streams that share one of the driver's hardware queues wait for
 * each other's work. There are as many as CUDA_DEVICE_MAX_CONNECTIONS says, 32 at most, for
 * computing and as many for copying. So all streams that compute are made before any that copies:
 * a driver that hands out queues in turn gives each gpu-let one that computes for no other. Which
 * queue a stream gets is not documented: `gpu_checks queues` looks (tests/gpu).
 *
 * Where there are no green contexts, one gpu-let is the whole device, through the primary context.
 * More than one would not be kept apart, which glet_device_allow_temporal() permits knowingly.
 *
 * Supported: drivers since CUDA 12.4. Source: CUDA driver API manual, green contexts.
 */
#include "runtime/device/cuda/cuda_partition.h"

#include "common/log.h"
#include "common/memory.h"

#include <stdlib.h>
#include <unistd.h>

int glet_cuda_split_open(const struct glet_cuda_api *api, CUdevice device,
                         struct glet_cuda_split *split, struct glet_error *err)
{
    *split = (struct glet_cuda_split){0};
    if (!glet_cuda_has_green_contexts(api))
        return 0;
    CUdevResource all = {0};
    CUresult code = api->cuDeviceGetDevResource(device, &all, CU_DEV_RESOURCE_TYPE_SM);
    if (code == CUDA_ERROR_NOT_SUPPORTED)
        return 0;
    if (code != CUDA_SUCCESS)
        return glet_cuda_failed(api, code, "cuDeviceGetDevResource", err);
    /* Drivers before CUDA 13 do not tell the least size; they round what is asked for up to it. */
    unsigned count = 0, least = all.sm.minSmPartitionSize > 0 ? all.sm.minSmPartitionSize : 1;
    /* A dry run, which drivers are known to refuse; then there is room for the most there can be. */
    if (api->cuDevSmResourceSplitByCount(NULL, &count, &all, NULL, 0, least) != CUDA_SUCCESS)
        count = all.sm.smCount / least;
    if (count == 0)
        return glet_error_set(err, GLET_ERR_DEVICE, "the driver makes no groups of %u of %u SMs",
                              least, all.sm.smCount);
    split->units = glet_alloc(count, sizeof *split->units, err);
    if (!split->units)
        return -1;
    if (GLET_CUDA_TRY(api, err, cuDevSmResourceSplitByCount, split->units, &count, &all,
                      &split->remainder, 0, least) < 0) {
        glet_cuda_split_close(split);
        return -1;
    }
    split->all = all;
    split->unit_count = (int)count;
    split->unit_sms = (int)split->units[0].sm.smCount;
    if (split->remainder.type == CU_DEV_RESOURCE_TYPE_SM)
        split->remainder_sms = (int)split->remainder.sm.smCount;
    return 0;
}

void glet_cuda_split_close(struct glet_cuda_split *split)
{
    free(split->units);
    *split = (struct glet_cuda_split){0};
}

int glet_cuda_remainder_owner(const int *units, size_t count, int unit_count)
{
    size_t largest = 0;
    int sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += units[i];
        if (units[i] > units[largest])
            largest = i;
    }
    return sum == unit_count ? (int)largest : -1;
}

/*
 * What describes `count` units from `first` on, and the remainder. All of the device is described by
 * its own resource, unsplit. A driver may refuse to join the remainder to groups, because it is not
 * aligned as they are; then its SMs stay idle, which is better than no gpu-let.
 */
static int describe(const struct glet_cuda_partition *partition, int first, bool with_remainder,
                    CUdevResourceDesc *out, struct glet_error *err)
{
    const struct glet_cuda_split *split = &partition->device->split;
    const struct glet_cuda_api *api = partition->device->api;
    size_t count = (size_t)partition->base.units;
    CUdevResource all = split->all;
    if (partition->base.units == split->unit_count &&
        api->cuDevResourceGenerateDesc(out, &all, 1) == CUDA_SUCCESS)
        return 0;
    GLET_CLEANUP(glet_cleanup_free)
    CUdevResource *resources = glet_alloc(count + 1, sizeof *resources, err);
    if (!resources)
        return -1;
    for (size_t i = 0; i < count; i++)
        resources[i] = split->units[(size_t)first + i];
    resources[count] = split->remainder;
    if (with_remainder) {
        if (api->cuDevResourceGenerateDesc(out, resources, (unsigned)count + 1) == CUDA_SUCCESS)
            return 0;
        glet_log_warning("the driver joins the SMs that no unit has to no gpu-let: %d stay idle",
                         split->remainder_sms);
    }
    return GLET_CUDA_TRY(api, err, cuDevResourceGenerateDesc, out, resources, (unsigned)count);
}

static int make_green(struct glet_cuda_partition *partition, int first, bool with_remainder,
                      struct glet_error *err)
{
    const struct glet_cuda_device *device = partition->device;
    CUdevResourceDesc description;
    if (describe(partition, first, with_remainder, &description, err) < 0 ||
        GLET_CUDA_TRY(device->api, err, cuGreenCtxCreate, &partition->green, description,
                      device->device, CU_GREEN_CTX_DEFAULT_STREAM) < 0)
        return -1;
    return GLET_CUDA_TRY(device->api, err, cuCtxFromGreenCtx, &partition->site.context,
                         partition->green);
}

static int read_back(struct glet_cuda_partition *partition, struct glet_error *err)
{
    const struct glet_cuda_device *device = partition->device;
    CUdevResource got;
    if (GLET_CUDA_TRY(device->api, err, cuGreenCtxGetDevResource, partition->green, &got,
                      CU_DEV_RESOURCE_TYPE_SM) < 0)
        return -1;
    int planned_sms = partition->base.units * device->split.unit_sms;
    partition->site.sm_count = (int)got.sm.smCount;
    if (partition->site.sm_count < planned_sms)
        return glet_error_set(err, GLET_ERR_DEVICE,
                              "a gpu-let of %d units should have %d SMs, the driver gave it %d",
                              partition->base.units, planned_sms, partition->site.sm_count);
    return 0;
}

static int make_stream(const struct glet_cuda_partition *partition, CUstream *out,
                       struct glet_error *err)
{
    const struct glet_cuda_api *api = partition->device->api;
    CUgreenCtx owner = NULL;
    CUcontext before;
    if (!partition->green) {
        if (glet_cuda_enter(api, partition->site.context, &before, err) < 0)
            return -1;
        int rc = GLET_CUDA_TRY(api, err, cuStreamCreate, out, CU_STREAM_NON_BLOCKING);
        glet_cuda_leave(api, before);
        return rc;
    }
    if (GLET_CUDA_TRY(api, err, cuGreenCtxStreamCreate, out, partition->green,
                      CU_STREAM_NON_BLOCKING, 0) < 0 ||
        GLET_CUDA_TRY(api, err, cuStreamGetGreenCtx, *out, &owner) < 0)
        return -1;
    return owner == partition->green
               ? 0
               : glet_error_set(err, GLET_ERR_DEVICE,
                                "the driver made a stream outside its green context");
}

/* With the stream that computes; the others follow when every gpu-let of the set has that one. */
static int open_partition(struct glet_cuda_partition *partition, int first, bool with_remainder,
                          struct glet_error *err)
{
    struct glet_cuda_device *device = partition->device;
    struct glet_cuda_site *site = &partition->site;
    site->api = device->api;
    site->store = device->store;
    site->context = device->primary;
    site->sm_count = site->device_sms = device->base.info.sm_count;
    if (device->split.units &&
        (make_green(partition, first, with_remainder, err) < 0 || read_back(partition, err) < 0))
        return -1;
    return make_stream(partition, &site->stream, err);
}

static int open_copies(struct glet_cuda_partition *partition, struct glet_error *err)
{
    struct glet_cuda_site *site = &partition->site;
    if (make_stream(partition, &site->copy_in, err) < 0)
        return -1;
    return make_stream(partition, &site->copy_out, err);
}

static void close_partition(struct glet_cuda_partition *partition)
{
    const struct glet_cuda_api *api = partition->device->api;
    const struct glet_cuda_site *site = &partition->site;
    const CUstream streams[] = {site->stream, site->copy_in, site->copy_out};
    CUcontext before = NULL;
    struct glet_error ignored;
    if (site->stream) {
        bool entered = glet_cuda_enter(api, site->context, &before, &ignored) == 0;
        for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++)
            if (streams[i])
                (void)api->cuStreamDestroy(streams[i]);
        if (entered)
            glet_cuda_leave(api, before);
    }
    if (partition->green)
        (void)api->cuGreenCtxDestroy(partition->green);
}

void glet_cuda_partitions_free(struct glet_partition_set *base)
{
    struct glet_cuda_partition_set *set = (struct glet_cuda_partition_set *)base;
    for (size_t i = 0; i < set->base.count; i++)
        close_partition(&set->partitions[i]);
    free(set->partitions);
    free(set);
}

int glet_cuda_partitions_create(struct glet_device *base, const int *units, size_t count,
                                struct glet_partition_set **out, struct glet_error *err)
{
    struct glet_cuda_device *device = (struct glet_cuda_device *)base;
    struct glet_cuda_partition_set *set = glet_alloc(1, sizeof *set, err);
    if (!set)
        return -1;
    set->base.ops = base->ops;
    set->device = device;
    set->partitions = glet_alloc(count, sizeof *set->partitions, err);
    int rc = set->partitions ? 0 : -1, first = 0;
    int bonus = device->split.remainder_sms > 0
                    ? glet_cuda_remainder_owner(units, count, device->split.unit_count)
                    : -1;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct glet_cuda_partition *partition = &set->partitions[set->base.count++];
        partition->base = (struct glet_partition){base->ops, units[i]};
        partition->device = device;
        rc = open_partition(partition, first, (int)i == bonus, err);
        first += units[i];
    }
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = open_copies(&set->partitions[i], err);
    if (rc < 0) {
        glet_cuda_partitions_free(&set->base);
        return -1;
    }
    *out = &set->base;
    return 0;
}

struct glet_partition *glet_cuda_partition_at(struct glet_partition_set *set, size_t index)
{
    return &((struct glet_cuda_partition_set *)set)->partitions[index].base;
}

int glet_cuda_partition_enter(struct glet_partition *base, struct glet_error *err)
{
    struct glet_cuda_partition *partition = (struct glet_cuda_partition *)base;
    int nobody = 0;
    /* A green context must not be current to two threads, and the driver does not look. */
    if (!atomic_compare_exchange_strong(&partition->worker, &nobody, (int)gettid()))
        return glet_error_set(err, GLET_ERR_INTERNAL, "the partition has a worker already");
    int rc = GLET_CUDA_TRY(partition->device->api, err, cuCtxSetCurrent, partition->site.context);
    if (rc == 0)
        rc = glet_cuda_site_open(&partition->site, err);
    partition->site_is_open = rc == 0;
    if (rc < 0)
        glet_cuda_partition_leave(base);
    return rc;
}

void glet_cuda_partition_leave(struct glet_partition *base)
{
    struct glet_cuda_partition *partition = (struct glet_cuda_partition *)base;
    if (atomic_load(&partition->worker) != (int)gettid())
        return;
    if (partition->site_is_open)
        glet_cuda_site_close(&partition->site);
    partition->site_is_open = false;
    (void)partition->device->api->cuCtxSetCurrent(NULL);
    atomic_store(&partition->worker, 0);
}

void glet_cuda_partition_achieved(const struct glet_partition *base,
                                  struct glet_partition_use *use_out)
{
    const struct glet_cuda_partition *partition = (const struct glet_cuda_partition *)base;
    const struct glet_device_info *info = &partition->device->base.info;
    double sms_per_unit = partition->device->split.units ? partition->device->split.unit_sms
                                                         : (double)info->sm_count / info->units;
    *use_out = (struct glet_partition_use){
        .busy_ms = (double)atomic_load(&partition->busy_ns) / 1e6,
        .achieved_units = partition->site.sm_count / sms_per_unit,
        .longest_slice_ms = (double)atomic_load(&partition->slice_ns) / 1e6,
        .sm_count = partition->site.sm_count,
        .seen_sms = atomic_load(&partition->seen_sms),
    };
}

void glet_cuda_partition_count_anew(struct glet_partition *base)
{
    struct glet_cuda_partition *partition = (struct glet_cuda_partition *)base;
    atomic_store(&partition->busy_ns, 0);
    atomic_store(&partition->slice_ns, 0);
}

static int open_trial(struct glet_cuda_partition *partition, struct glet_cuda_device *device,
                      int unit, struct glet_error *err)
{
    *partition = (struct glet_cuda_partition){.base = {device->base.ops, 1}, .device = device};
    if (open_partition(partition, unit, false, err) < 0 || open_copies(partition, err) < 0 ||
        GLET_CUDA_TRY(device->api, err, cuCtxSetCurrent, partition->site.context) < 0 ||
        glet_cuda_site_open(&partition->site, err) < 0)
        return -1;
    partition->site_is_open = true;
    return 0;
}

static void close_trial(struct glet_cuda_partition *partition)
{
    if (!partition->device)
        return;
    (void)partition->device->api->cuCtxSetCurrent(partition->site.context);
    if (partition->site_is_open)
        glet_cuda_site_close(&partition->site);
    (void)partition->device->api->cuCtxSetCurrent(NULL);
    close_partition(partition);
}

/* The first gpu-let also pays for what all share, so the second one is weighed. */
int glet_cuda_context_mib(struct glet_cuda_device *device, double *mib_out, struct glet_error *err)
{
    struct glet_cuda_partition trials[2] = {0};
    size_t free_bytes[2], total_bytes;
    int rc = 0, other = device->split.unit_count > 1;
    for (int i = 0; rc == 0 && i < 2; i++) {
        rc = open_trial(&trials[i], device, i ? other : 0, err);
        if (rc == 0)
            rc = GLET_CUDA_TRY(device->api, err, cuMemGetInfo, &free_bytes[i], &total_bytes);
    }
    for (int i = 2; i-- > 0;)
        close_trial(&trials[i]);
    if (rc == 0)
        *mib_out =
            free_bytes[0] > free_bytes[1] ? (double)(free_bytes[0] - free_bytes[1]) / (1 << 20) : 0;
    return rc;
}
