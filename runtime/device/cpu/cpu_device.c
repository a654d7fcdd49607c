/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU as a device: a number of cores, cut in tenths. Enforcement, switching and batching are as
 * on a GPU; what a CPU does not show is a knee (latency is linear in batch and in cores) or
 * interference, so that its profiles carry the mechanism "cpu" and say nothing about GPUs.
 */
#include "common/memory.h"
#include "runtime/device/cpu/cpu_facts.h"
#include "runtime/device/cpu/cpu_partition.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void close_device(struct glet_device *base)
{
    struct glet_cpu_device *device = (struct glet_cpu_device *)base;
    glet_cpu_packs_free(device->packs);
    for (int i = 0; i < device->core_count; i++)
        glet_cpu_core_free(device->cores[i]);
    free(device->cores);
    glet_cpu_facts_free(base->facts, base->fact_count);
    free(device);
}

static void forget_model(struct glet_device *base, const struct glet_model *model)
{
    glet_cpu_packs_forget(((struct glet_cpu_device *)base)->packs, model);
}

static const struct glet_device_ops ops = {
    .close = close_device,
    .forget_model = forget_model,
    .partitions_create = glet_cpu_partitions_create,
    .partitions_free = glet_cpu_partitions_free,
    .partition_at = glet_cpu_partition_at,
    .enter = glet_cpu_partition_enter,
    .leave = glet_cpu_partition_leave,
    .achieved = glet_cpu_partition_achieved,
    .count_anew = glet_cpu_partition_count_anew,
    .build = glet_cpu_executor_build,
    .executor_free = glet_cpu_executor_free,
    .lend = glet_cpu_executor_lend,
    .begin = glet_cpu_executor_begin,
    .finish = glet_cpu_executor_finish,
};

/* Whether nice 19 can be taken back: root, or a limit that allows it. */
static bool may_renice(void)
{
    struct rlimit limit;
    return geteuid() == 0 || (getrlimit(RLIMIT_NICE, &limit) == 0 && limit.rlim_cur >= 20);
}

/* The cores asked for, all of which this process must be allowed to use. */
static int pick_cores(const struct glet_device_spec *spec, cpu_set_t *cores, struct glet_error *err)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0) {
        glet_error_errno(err, errno, "cannot find out which cores may be used");
        err->code = GLET_ERR_DEVICE;
        return -1;
    }
    *cores = spec->all_cores ? allowed : spec->cores;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, cores) && !CPU_ISSET(cpu, &allowed))
            return glet_error_set(err, GLET_ERR_DEVICE, "core %zu: this process may not use it",
                                  cpu);
    return 0;
}

static int open_cores(struct glet_cpu_device *device, const cpu_set_t *cores,
                      struct glet_error *err)
{
    device->cores = glet_alloc((size_t)CPU_COUNT(cores), sizeof *device->cores, err);
    if (!device->cores)
        return -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET((size_t)cpu, cores)) {
            if (glet_cpu_core_new(cpu, &device->cores[device->core_count], err) < 0)
                return -1;
            device->core_count++;
        }
    return 0;
}

int glet_cpu_device_open(const struct glet_device_spec *spec, struct glet_device **out,
                         struct glet_error *err)
{
    cpu_set_t cores;
    if (pick_cores(spec, &cores, err) < 0)
        return -1;
    struct glet_cpu_device *device = glet_alloc(1, sizeof *device, err);
    if (!device)
        return -1;
    device->base.ops = &ops;
    device->may_renice = may_renice();
    if (open_cores(device, &cores, err) < 0 || glet_cpu_packs_new(&device->packs, err) < 0 ||
        glet_cpu_facts_read(&cores, &device->base.facts, &device->base.fact_count, err) < 0) {
        close_device(&device->base);
        return -1;
    }
    struct glet_device_info *info = &device->base.info;
    strcpy(info->gpu, "cpu");
    strcpy(info->mechanism, "cpu");
    info->sm_count = device->core_count;
    info->units = device->core_count * GLET_CPU_UNITS_PER_CORE;
    info->max_gpulets = info->units;
    info->memory_mib = glet_cpu_memory_mib();
    *out = &device->base;
    return 0;
}
