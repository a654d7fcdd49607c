/* SPDX-License-Identifier: Apache-2.0 */
/* device.h for every kind of device: checks what is common, then forwards to the kind. */
#include "runtime/device/device.h"

#include "common/clock.h"
#include "runtime/device/device_ops.h"

#include <assert.h>
#include <math.h>

int glet_device_open(const char *spec_text, struct glet_device **out, struct glet_error *err)
{
    struct glet_device_spec spec;
    if (glet_device_spec_parse(spec_text, &spec, err) < 0)
        return -1;
    if (spec.kind == GLET_DEVICE_CUDA)
        return glet_cuda_device_open(&spec, out, err);
    if (spec.kind == GLET_DEVICE_REPLAY)
        return glet_replay_device_open(&spec, out, err);
    if (!spec.best || !glet_cuda_device_present())
        return glet_cpu_device_open(&spec, out, err);
    struct glet_device_spec gpu = {
        .kind = GLET_DEVICE_CUDA, .index = 0, .precision = GLET_DEVICE_PRECISION};
    /* A GPU that cannot be used is not passed over in silence. */
    if (glet_cuda_device_open(&gpu, out, err) == 0)
        return 0;
    return err->hint[0] ? -1 : glet_error_hint(err, "--device cpu does without the GPU");
}

void glet_device_close(struct glet_device *device)
{
    if (device)
        device->ops->close(device);
}

const struct glet_device_info *glet_device_info(const struct glet_device *device)
{
    return &device->info;
}

const struct glet_device_fact *glet_device_facts(const struct glet_device *device, size_t *count)
{
    *count = device->fact_count;
    return device->facts;
}

void glet_device_forget_model(struct glet_device *device, const struct glet_model *model)
{
    device->ops->forget_model(device, model);
}

int glet_device_check(const struct glet_device *device, const char *model, int units, int batch,
                      struct glet_error *err)
{
    return device->ops->check ? device->ops->check(device, model, units, batch, err) : 0;
}

bool glet_device_can_pin(const struct glet_device *device)
{
    return device->ops->pin != NULL;
}

bool glet_device_pin(struct glet_device *device, void *memory, size_t bytes, bool writable)
{
    return device->ops->pin && device->ops->pin(device, memory, bytes, writable);
}

void glet_device_unpin(struct glet_device *device, void *memory)
{
    device->ops->unpin(device, memory);
}

void glet_device_allow_temporal(struct glet_device *device)
{
    if (device->ops->allow_temporal)
        device->ops->allow_temporal(device);
}

void glet_device_sample(const struct glet_device *device, struct glet_device_sample *sample_out)
{
    *sample_out = (struct glet_device_sample){NAN, NAN, NAN, NAN, NAN,           NAN,
                                              NAN, NAN, NAN, NAN, .throttle = -1};
    if (device->ops->sample)
        device->ops->sample(device, sample_out);
}

static int refuse_count(const struct glet_device_info *info, size_t count, struct glet_error *err)
{
    bool more = info->limit_reason[0] != '\0';
    glet_error_set(err, GLET_ERR_RANGE, "%zu partitions, %s takes at most %d%s%s", count, info->gpu,
                   info->max_gpulets, more ? ": " : "", info->limit_reason);
    return more ? glet_error_hint(err, GLET_DEVICE_TEMPORAL_HINT) : -1;
}

int glet_partitions_create(struct glet_device *device, const int *units, size_t count,
                           struct glet_partition_set **out, struct glet_error *err)
{
    long sum = 0;
    if (count == 0)
        return glet_error_set(err, GLET_ERR_RANGE, "no partitions");
    if (count > (size_t)device->info.max_gpulets)
        return refuse_count(&device->info, count, err);
    for (size_t i = 0; i < count; i++) {
        if (units[i] <= 0)
            return glet_error_set(err, GLET_ERR_RANGE, "a partition of %d units", units[i]);
        sum += units[i];
    }
    if (sum > device->info.units)
        return glet_error_set(err, GLET_ERR_RANGE, "partitions of %ld units, %s has %d", sum,
                              device->info.gpu, device->info.units);
    return device->ops->partitions_create(device, units, count, out, err);
}

void glet_partitions_free(struct glet_partition_set *set)
{
    if (set)
        set->ops->partitions_free(set);
}

struct glet_partition *glet_partition_at(struct glet_partition_set *set, size_t index)
{
    assert(index < set->count);
    return set->ops->partition_at(set, index);
}

static int can_verify(const struct glet_device_ops *ops, struct glet_error *err)
{
    return ops->verify ? 0
                       : glet_error_set(err, GLET_ERR_UNSUPPORTED,
                                        "isolation is a matter of SMs, and this device has none");
}

int glet_device_check_verify(const struct glet_device *device, struct glet_error *err)
{
    return can_verify(device->ops, err);
}

int glet_partitions_verify(struct glet_partition_set *set, uint64_t *blocks_out,
                           struct glet_error *err)
{
    return can_verify(set->ops, err) < 0 ? -1 : set->ops->verify(set, blocks_out, err);
}

int glet_partition_units(const struct glet_partition *partition)
{
    return partition->units;
}

int glet_partition_enter(struct glet_partition *partition, struct glet_error *err)
{
    return partition->ops->enter(partition, err);
}

void glet_partition_leave(struct glet_partition *partition)
{
    partition->ops->leave(partition);
}

void glet_partition_achieved(const struct glet_partition *partition,
                             struct glet_partition_use *use_out)
{
    partition->ops->achieved(partition, use_out);
}

void glet_partition_count_anew(struct glet_partition *partition)
{
    partition->ops->count_anew(partition);
}

int glet_executor_build(struct glet_partition *partition, struct glet_model *model, int batch,
                        struct glet_executor **out, struct glet_error *err)
{
    if (batch < 1)
        return glet_error_set(err, GLET_ERR_RANGE, "a batch of %d", batch);
    return partition->ops->build(partition, model, batch, out, err);
}

void glet_executor_free(struct glet_executor *executor)
{
    if (executor)
        executor->ops->executor_free(executor);
}

int glet_executor_batch(const struct glet_executor *executor)
{
    return executor->batch;
}

double glet_executor_activation_mib(const struct glet_executor *executor)
{
    return executor->activation_mib;
}

void *glet_executor_input(struct glet_executor *executor, size_t i)
{
    assert(i < executor->input_count);
    return executor->inputs[i];
}

const void *glet_executor_output(struct glet_executor *executor, size_t i)
{
    assert(i < executor->output_count);
    return executor->outputs[i];
}

bool glet_executor_lend(struct glet_executor *executor, size_t i, const void *data, int used)
{
    assert(i < executor->input_count);
    return executor->ops->lend && (uintptr_t)data % 64 == 0 &&
           executor->ops->lend(executor, i, data, used);
}

bool glet_executor_feed(struct glet_executor *executor, size_t i, int first, int rows,
                        const void *memory)
{
    assert(i < executor->input_count && first >= 0 && rows >= 1 && rows <= executor->batch - first);
    return executor->ops->feed && executor->ops->feed(executor, i, first, rows, memory);
}

int glet_executor_depth(const struct glet_executor *executor)
{
    return executor->depth;
}

int glet_executor_begin(struct glet_executor *executor, int used, struct glet_error *err)
{
    assert(used >= 1 && used <= executor->batch && executor->begun < executor->depth);
    int rc = executor->ops->begin(executor, used, err);
    if (rc == 0)
        executor->begun++;
    return rc;
}

int glet_executor_finish(struct glet_executor *executor, struct glet_error *err)
{
    assert(executor->begun > 0);
    int rc = executor->ops->finish(executor, err);
    executor->begun--;
    return rc;
}

int glet_executor_run(struct glet_executor *executor, int used, struct glet_error *err)
{
    assert(executor->begun == 0);
    return glet_executor_begin(executor, used, err) < 0 ? -1 : glet_executor_finish(executor, err);
}

int glet_executor_cool(struct glet_executor *executor, struct glet_error *err)
{
    assert(executor->begun == 0);
    if (!executor->ops->cool)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED,
                              "this device's caches cannot be emptied for a measurement");
    return executor->ops->cool(executor, err);
}

int glet_executor_replay(struct glet_executor *executor, int runs, bool cold, double *ms_out,
                         struct glet_error *err)
{
    assert(runs >= 1 && executor->begun == 0);
    if (executor->ops->replay)
        return executor->ops->replay(executor, runs, cold, ms_out, err);
    for (int i = 0; i < runs; i++) {
        if (cold && glet_executor_cool(executor, err) < 0)
            return -1;
        uint64_t start_ns = glet_clock_ns();
        if (glet_executor_run(executor, executor->batch, err) < 0)
            return -1;
        ms_out[i] = (double)(glet_clock_ns() - start_ns + 1) / 1e6;
    }
    return 0;
}

int glet_executor_utilisation(struct glet_executor *executor, struct glet_utilisation *out,
                              struct glet_error *err)
{
    if (!executor->ops->utilisation)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED,
                              "this device has no counters of its cache and memory");
    return executor->ops->utilisation(executor, out, err);
}

int glet_executor_steps(struct glet_executor *executor, struct glet_step_time **out,
                        size_t *count_out, struct glet_error *err)
{
    assert(executor->begun == 0);
    if (!executor->ops->steps)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED, "this device has no steps to time");
    return executor->ops->steps(executor, out, count_out, err);
}
