/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch that is waited for instead of computed. When it begins, the moments are fixed at which it
 * will be there, have computed, and be back:
 *
 *     copy in    after the one before; as much of the whole batch's as rows are used
 *     compute    after its copy and the compute before: the median that the profile has, or in one
 *                batch of a hundred its 99th percentile, as much longer as whatever the other
 *                partitions compute at the time it starts makes it
 *     copy out   after its compute and the copy before
 *
 * To finish it is to sleep until then, so it costs no CPU time. What neighbours begin later in its
 * time counts for them and not for it. Copies of different partitions do not wait for each other.
 */
#include "common/clock.h"
#include "common/memory.h"
#include "runtime/device/replay/replay_device.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SLOW_RATIO 0.01 /* of the batches take slow_ms */

struct executor {
    struct glet_executor base;
    struct glet_replay_partition *partition;
    const struct glet_model *model;
    struct glet_replay_times times;
    void *
        *inputs[GLET_REPLAY_DEPTH]; /* staging memory: nobody reads it, but requests are written */
    struct {
        uint64_t end_us, computed_us;
    } batches[GLET_REPLAY_DEPTH];
    int oldest; /* slot of the batch to finish next; the one that begins next takes the other */
    int begun;  /* and not finished: then there is no oldest, and that slot is the next */
};

static int make_blocks(size_t count, const struct glet_model *model,
                       const struct glet_model_io *(*io)(const struct glet_model *, size_t),
                       int batch, void ***out, struct glet_error *err)
{
    void **blocks = *out = glet_alloc(count + 1, sizeof *blocks, err);
    for (size_t i = 0; blocks && i < count; i++) {
        blocks[i] = glet_alloc((size_t)batch, io(model, i)->bytes, err);
        if (!blocks[i])
            return -1;
        /* Touches every page now, and not while serving. */
        memset(blocks[i], 0, (size_t)batch * io(model, i)->bytes);
    }
    return blocks ? 0 : -1;
}

static void free_blocks(void **blocks)
{
    for (size_t i = 0; blocks && blocks[i]; i++)
        free(blocks[i]);
    free(blocks);
}

/* As binding the model would, whose weights may not be there. */
static int check_batch(const struct glet_model *model, int batch, struct glet_error *err)
{
    for (size_t i = 0; i < glet_model_input_count(model); i++) {
        int64_t fixed = glet_model_input(model, i)->dims[0];
        if (fixed != GLET_DIM_BATCH && fixed != batch)
            return glet_error_set(err, GLET_ERR_RANGE, "a batch of %d: the model's is %" PRId64,
                                  batch, fixed);
    }
    return 0;
}

int glet_replay_executor_build(struct glet_partition *base, struct glet_model *model, int batch,
                               struct glet_executor **out, struct glet_error *err)
{
    struct glet_replay_partition *partition = (struct glet_replay_partition *)base;
    struct glet_replay_times times;
    if (glet_replay_times_find(partition->device->profile, partition->device->gpu,
                               glet_model_name(model), base->units, batch, &times, err) < 0 ||
        check_batch(model, batch, err) < 0)
        return -1;
    struct executor *executor = glet_alloc(1, sizeof *executor, err);
    if (!executor)
        return -1;
    executor->base = (struct glet_executor){.ops = base->ops,
                                            .batch = batch,
                                            .depth = times.overlaps ? GLET_REPLAY_DEPTH : 1,
                                            .activation_mib = times.activation_mib,
                                            .input_count = glet_model_input_count(model),
                                            .output_count = glet_model_output_count(model)};
    executor->partition = partition;
    executor->model = model;
    executor->times = times;
    int rc = make_blocks(executor->base.output_count, model, glet_model_output, batch,
                         &executor->base.outputs, err);
    for (int slot = 0; rc == 0 && slot < executor->base.depth; slot++)
        rc = make_blocks(executor->base.input_count, model, glet_model_input, batch,
                         &executor->inputs[slot], err);
    if (rc < 0) {
        glet_replay_executor_free(&executor->base);
        return -1;
    }
    executor->base.inputs = executor->inputs[0];
    *out = &executor->base;
    return 0;
}

void glet_replay_executor_free(struct glet_executor *base)
{
    struct executor *executor = (struct executor *)base;
    free_blocks(base->outputs);
    for (int slot = 0; slot < GLET_REPLAY_DEPTH; slot++)
        free_blocks(executor->inputs[slot]);
    free(executor);
}

bool glet_replay_executor_feed(struct glet_executor *base, size_t i, int first, int rows,
                               const void *memory)
{
    const struct executor *executor = (const struct executor *)base;
    (void)first, (void)memory;
    return glet_model_input(executor->model, i)->bytes * (size_t)rows > GLET_CUDA_MOST_COPIED_BYTES;
}

static int next_slot(const struct executor *executor)
{
    return (executor->oldest + executor->begun) % executor->base.depth;
}

static uint64_t whole_us(double ms)
{
    return ms > 0 ? (uint64_t)llround(ms * 1000) : 0;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The harshest of what the others compute at that time. Under the lock. */
static double slowdown(const struct glet_replay_partition *partition,
                       const struct glet_replay_times *times, uint64_t at_us)
{
    const struct glet_replay_device *device = partition->device;
    double factor = 1;
    for (const struct glet_replay_partition *other = device->partitions; other; other = other->next)
        for (int i = 0; i < GLET_REPLAY_DEPTH && other != partition; i++) {
            const struct glet_replay_run *run = &other->runs[i];
            if (run->start_us <= at_us && at_us < run->end_us)
                factor = fmax(
                    factor, glet_replay_slowdown(device->profile, device->gpu, times, &run->times));
        }
    return factor;
}

int glet_replay_executor_begin(struct glet_executor *base, int used, struct glet_error *err)
{
    struct executor *executor = (struct executor *)base;
    struct glet_replay_partition *partition = executor->partition;
    const struct glet_replay_times *times = &executor->times;
    int slot = next_slot(executor);
    (void)err;
    double copies_ratio = (double)used / base->batch;
    bool slow = glet_random_uniform(&partition->random) < SLOW_RATIO;
    double alone_ms = slow ? times->slow_ms : times->typical_ms;
    uint64_t now_us = glet_clock_us();
    partition->arrived_us =
        later(now_us, partition->arrived_us) + whole_us(times->copy_in_ms * copies_ratio);
    uint64_t start_us = later(partition->arrived_us, partition->free_us);
    pthread_mutex_lock(&partition->device->lock);
    double took_ms = alone_ms * slowdown(partition, times, start_us);
    uint64_t compute_us = whole_us(took_ms - times->copy_in_ms - times->copy_out_ms);
    partition->free_us = start_us + compute_us;
    partition->runs[partition->run_count++ % GLET_REPLAY_DEPTH] =
        (struct glet_replay_run){*times, start_us, partition->free_us};
    pthread_mutex_unlock(&partition->device->lock);
    partition->left_us =
        later(partition->free_us, partition->left_us) + whole_us(times->copy_out_ms * copies_ratio);
    executor->batches[slot].computed_us = compute_us;
    executor->batches[slot].end_us = partition->left_us;
    executor->begun++;
    base->inputs = executor->inputs[next_slot(executor)];
    return 0;
}

int glet_replay_executor_finish(struct glet_executor *base, struct glet_error *err)
{
    struct executor *executor = (struct executor *)base;
    int slot = executor->oldest;
    (void)err;
    if (--executor->begun > 0)
        executor->oldest = (slot + 1) % base->depth;
    base->inputs = executor->inputs[next_slot(executor)];
    glet_clock_sleep_until_us(executor->batches[slot].end_us);
    atomic_fetch_add_explicit(&executor->partition->busy_us, executor->batches[slot].computed_us,
                              memory_order_relaxed);
    return 0;
}
