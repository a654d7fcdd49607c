/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A GPU that is not there: it has the name, the units and the memory of one that was profiled, and
 * takes the time that the profile says. Its answers are zeros. Everything around it is real, so that
 * clients, plans, alerts and plan changes can be tried before the GPU exists.
 */
#include "runtime/device/replay/replay_device.h"

#include "common/memory.h"
#include "common/profile/profile_csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* Of the draws of slow batches; each partition has a stream of its own. */
enum { SEED = 1 };

struct set {
    struct glet_partition_set base;
    struct glet_replay_device *device;
    struct glet_replay_partition partitions[];
};

static void close_device(struct glet_device *base)
{
    struct glet_replay_device *device = (struct glet_replay_device *)base;
    glet_profile_free(device->profile);
    pthread_mutex_destroy(&device->lock);
    free(device);
}

static void forget_model(struct glet_device *base, const struct glet_model *model)
{
    (void)base, (void)model;
}

/* Nothing reads it, so any memory will do. */
static bool pin(struct glet_device *base, void *memory, size_t bytes, bool writable)
{
    (void)base, (void)memory, (void)bytes, (void)writable;
    return true;
}

static void unpin(struct glet_device *base, void *memory)
{
    (void)base, (void)memory;
}

static int check(const struct glet_device *base, const char *model, int units, int batch,
                 struct glet_error *err)
{
    const struct glet_replay_device *device = (const struct glet_replay_device *)base;
    struct glet_replay_times ignored;
    return glet_replay_times_find(device->profile, device->gpu, model, units, batch, &ignored, err);
}

static int partitions_create(struct glet_device *base, const int *units, size_t count,
                             struct glet_partition_set **out, struct glet_error *err)
{
    struct glet_replay_device *device = (struct glet_replay_device *)base;
    struct set *set = glet_alloc(1, sizeof *set + count * sizeof set->partitions[0], err);
    if (!set)
        return -1;
    set->base = (struct glet_partition_set){base->ops, count};
    set->device = device;
    struct glet_random seeds = glet_random_seeded(SEED);
    pthread_mutex_lock(&device->lock);
    for (size_t i = 0; i < count; i++) {
        struct glet_replay_partition *partition = &set->partitions[i];
        partition->base = (struct glet_partition){base->ops, units[i]};
        partition->device = device;
        partition->random = glet_random_split(&seeds, i);
        partition->next = device->partitions;
        device->partitions = partition;
    }
    pthread_mutex_unlock(&device->lock);
    *out = &set->base;
    return 0;
}

static void partitions_free(struct glet_partition_set *base)
{
    struct set *set = (struct set *)base;
    pthread_mutex_lock(&set->device->lock);
    struct glet_replay_partition **link = &set->device->partitions;
    while (*link) {
        if (*link >= set->partitions && *link < set->partitions + base->count)
            *link = (*link)->next;
        else
            link = &(*link)->next;
    }
    pthread_mutex_unlock(&set->device->lock);
    free(set);
}

static struct glet_partition *partition_at(struct glet_partition_set *base, size_t index)
{
    return &((struct set *)base)->partitions[index].base;
}

/* Linux lets a sleeping thread oversleep by 50 us unless it is asked not to. */
static int enter(struct glet_partition *base, struct glet_error *err)
{
    (void)base, (void)err;
    (void)prctl(PR_SET_TIMERSLACK, 1);
    return 0;
}

static void leave(struct glet_partition *base)
{
    (void)base;
}

static void achieved(const struct glet_partition *base, struct glet_partition_use *use_out)
{
    const struct glet_replay_partition *partition = (const struct glet_replay_partition *)base;
    uint64_t busy_us = atomic_load_explicit(&partition->busy_us, memory_order_relaxed);
    *use_out = (struct glet_partition_use){.busy_ms = (double)busy_us / 1000,
                                           .achieved_units = base->units};
}

static void count_anew(struct glet_partition *base)
{
    atomic_store(&((struct glet_replay_partition *)base)->busy_us, 0);
}

static const struct glet_device_ops ops = {
    .close = close_device,
    .forget_model = forget_model,
    .pin = pin,
    .unpin = unpin,
    .check = check,
    .partitions_create = partitions_create,
    .partitions_free = partitions_free,
    .partition_at = partition_at,
    .enter = enter,
    .leave = leave,
    .achieved = achieved,
    .count_anew = count_anew,
    .build = glet_replay_executor_build,
    .executor_free = glet_replay_executor_free,
    .feed = glet_replay_executor_feed,
    .begin = glet_replay_executor_begin,
    .finish = glet_replay_executor_finish,
};

static int pick_gpu(const struct glet_profile *profile, const char *name, size_t *out,
                    struct glet_error *err)
{
    int index = name[0] ? glet_profile_find_device(profile, name) : 0;
    if (profile->device_count == 0)
        return glet_error_set(err, GLET_ERR_INPUT, "%s: a profile of no GPU", profile->path);
    if (index < 0) {
        glet_error_set(err, GLET_ERR_INPUT, "%s: no profile of a '%s'", profile->path, name);
        return glet_error_hint(err, "it has one of '%s'", profile->devices[0].gpu);
    }
    if (!name[0] && profile->device_count > 1) {
        glet_error_set(err, GLET_ERR_USAGE, "%s: profiles of %zu GPUs", profile->path,
                       profile->device_count);
        return glet_error_hint(err, "say which one: replay:%s:%s", profile->path,
                               profile->devices[0].gpu);
    }
    *out = (size_t)index;
    return 0;
}

static void describe(const struct glet_profile_device *profiled, struct glet_device_info *info)
{
    snprintf(info->gpu, sizeof info->gpu, "%s", profiled->gpu);
    snprintf(info->mechanism, sizeof info->mechanism, "%s",
             glet_mechanism_name(profiled->mechanism));
    info->replay = true;
    info->sm_count = profiled->sm_count;
    info->units = profiled->units;
    info->max_gpulets = profiled->max_gpulets;
    info->memory_mib = profiled->memory_mib;
    info->context_mib = profiled->context_mib;
}

int glet_replay_device_open(const struct glet_device_spec *spec, struct glet_device **out,
                            struct glet_error *err)
{
    struct glet_replay_device *device = glet_alloc(1, sizeof *device, err);
    if (!device)
        return -1;
    device->base.ops = &ops;
    pthread_mutex_init(&device->lock, NULL);
    if (glet_profile_csv_load(spec->folder, &device->profile, err) < 0 ||
        pick_gpu(device->profile, spec->gpu, &device->gpu, err) < 0) {
        close_device(&device->base);
        return -1;
    }
    describe(&device->profile->devices[device->gpu], &device->base.info);
    *out = &device->base;
    return 0;
}
