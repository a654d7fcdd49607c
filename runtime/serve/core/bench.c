/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/serve/core/bench.h"

#include "common/clock.h"

#include <string.h>

/* A warm-up run that took longer than this counts as the measurement as well: its page faults are
   lost in it, and starting must not take minutes on a small share. */
enum { LONG_RUN_US = 20000, RUNS = 4 };

struct times { /* the shortest of a few runs: what disturbs a run only makes it longer */
    uint64_t took_us, copy_us, gather_us; /* in all; gathering and not computing; gathering */
};

static uint64_t busy_us(const struct glet_partition *partition)
{
    struct glet_partition_use use;
    glet_partition_achieved(partition, &use);
    return (uint64_t)(use.busy_ms * 1000);
}

/* What bringing that many rows to the device takes of the thread, each a request of its own. Staging
   memory is read as any other that is pinned. */
static uint64_t gather_us(struct glet_executor *executor, const struct glet_model *model, int rows)
{
    uint64_t start_us = glet_clock_us();
    for (size_t i = 0; i < glet_model_input_count(model); i++) {
        unsigned char *staging = glet_executor_input(executor, i);
        size_t bytes = glet_model_input(model, i)->bytes;
        for (int row = 0; row < rows; row++, staging += bytes)
            if (!glet_executor_feed(executor, i, row, 1, staging))
                memset(staging, 0, bytes);
    }
    return glet_clock_us() - start_us;
}

static int measure(const struct glet_partition *partition, struct glet_executor *executor,
                   const struct glet_model *model, int rows, struct times *times,
                   struct glet_error *err)
{
    bool overlaps = glet_executor_depth(executor) > 1;
    *times = (struct times){UINT64_MAX, overlaps ? UINT64_MAX : 0, 0};
    for (int run = 0; run < RUNS; run++) {
        uint64_t gathered_us = overlaps ? gather_us(executor, model, rows) : 0;
        uint64_t start_us = glet_clock_us(), busy_before_us = busy_us(partition);
        if (glet_executor_run(executor, rows, err) < 0)
            return glet_error_context(err, "trial run of %d in a batch of %d", rows,
                                      glet_executor_batch(executor));
        uint64_t run_us = glet_clock_us() - start_us + 1;
        uint64_t computed_us = busy_us(partition) - busy_before_us;
        times->took_us = run_us < times->took_us ? run_us : times->took_us;
        uint64_t copy_us = gathered_us + (run_us > computed_us ? run_us - computed_us : 0);
        if (copy_us < times->copy_us) {
            times->copy_us = copy_us;
            times->gather_us = gathered_us;
        }
        if (run_us > LONG_RUN_US && (run > 0 || !overlaps)) /* one says too little of copies */
            break;
    }
    return 0;
}

/* Where unused rows are computed, one row takes as long as all; where they are skipped, little more
   than 1 / batch of it. Halfway between is neither's noise. */
static bool skips_unused_rows(double one_ratio, int batch)
{
    return one_ratio <= (1 + 1.0 / batch) / 2;
}

static bool batch_is_free(const struct glet_model *model)
{
    for (size_t i = 0; i < glet_model_input_count(model); i++)
        if (glet_model_input(model, i)->dims[0] != GLET_DIM_BATCH)
            return false;
    return true;
}

static void set_size(struct glet_bench *bench, struct glet_executor *executor, int batch,
                     double ratio, uint64_t exec_us, const struct times *times)
{
    size_t i = bench->count++;
    uint64_t planned_us = (uint64_t)(ratio * (double)exec_us);
    bench->executors[i] = executor;
    bench->sizes[i].batch = batch;
    bench->sizes[i].exec_us = planned_us > 0 ? planned_us : 1;
    bench->sizes[i].copy_us = times->copy_us;
    bench->sizes[i].gather_us = times->gather_us;
}

/* Sizes that are row counts of one executor, as many as there is room for; between one row and all
   the time is taken to be linear. */
static void set_row_counts(struct glet_bench *bench, struct glet_executor *full, int batch,
                           double one_ratio, uint64_t exec_us, const struct times *whole)
{
    int count = batch < GLET_SCHED_MAX_SIZES ? batch : GLET_SCHED_MAX_SIZES;
    for (int i = 1; i <= count; i++) {
        int rows = (batch * i + count - 1) / count;
        double ratio = one_ratio + (1 - one_ratio) * (rows - 1) / (batch - 1);
        struct times part = {.copy_us = (uint64_t)(ratio * (double)whole->copy_us),
                             .gather_us = (uint64_t)(ratio * (double)whole->gather_us)};
        set_size(bench, full, rows, ratio, exec_us, &part);
    }
}

static int set_powers_of_two(struct glet_bench *bench, struct glet_partition *partition,
                             struct glet_model *model, struct glet_executor *full,
                             const struct times *full_times, uint64_t exec_us,
                             struct glet_error *err)
{
    int batch = glet_executor_batch(full);
    for (int b = 1; b < batch && bench->count + 1 < GLET_SCHED_MAX_SIZES; b *= 2) {
        struct glet_executor *executor = NULL;
        struct times times;
        if (glet_executor_build(partition, model, b, &executor, err) < 0)
            return -1;
        double ratio = 1;
        int failed = measure(partition, executor, model, b, &times, err);
        if (failed == 0 && times.took_us < full_times->took_us)
            ratio = (double)times.took_us / (double)full_times->took_us;
        /* A smaller batch must not look slower than a larger one: noise. */
        for (size_t i = bench->count; i-- > 0;)
            if ((double)bench->sizes[i].exec_us > ratio * (double)exec_us)
                bench->sizes[i].exec_us = (uint64_t)(ratio * (double)exec_us) + 1;
        bench->activation_mib += glet_executor_activation_mib(executor);
        set_size(bench, executor, b, ratio, exec_us, &times);
        if (failed)
            return -1;
    }
    set_size(bench, full, batch, 1, exec_us, full_times);
    return 0;
}

int glet_bench_build(struct glet_bench *bench, struct glet_partition *partition,
                     struct glet_model *model, int batch, uint64_t exec_us, bool planned_batch_only,
                     struct glet_error *err)
{
    struct glet_executor *full = NULL;
    struct times whole, one;
    *bench = (struct glet_bench){0};
    if (glet_executor_build(partition, model, batch, &full, err) < 0)
        return -1;
    bench->activation_mib = glet_executor_activation_mib(full);
    if (measure(partition, full, model, batch, &whole, err) < 0)
        goto fail;
    if (planned_batch_only || batch == 1) {
        set_size(bench, full, batch, 1, exec_us, &whole);
        return 0;
    }
    if (measure(partition, full, model, 1, &one, err) < 0)
        goto fail;
    double one_ratio = (double)one.took_us / (double)whole.took_us;
    if (skips_unused_rows(one_ratio, batch)) {
        set_row_counts(bench, full, batch, one_ratio, exec_us, &whole);
    } else if (!batch_is_free(model)) {
        set_size(bench, full, batch, 1, exec_us, &whole);
    } else if (set_powers_of_two(bench, partition, model, full, &whole, exec_us, err) < 0) {
        goto fail;
    }
    return 0;
fail:
    if (bench->count == 0 || bench->executors[bench->count - 1] != full)
        glet_executor_free(full);
    glet_bench_free(bench);
    return -1;
}

void glet_bench_free(struct glet_bench *bench)
{
    for (size_t i = 0; i < bench->count; i++)
        if (i + 1 == bench->count || bench->executors[i] != bench->executors[i + 1])
            glet_executor_free(bench->executors[i]);
    bench->count = 0;
}
