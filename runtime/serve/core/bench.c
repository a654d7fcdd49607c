/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/serve/core/bench.h"

#include "common/clock.h"

/* A warm-up run that took longer than this counts as the measurement as well: its page faults are
   lost in it, and starting must not take minutes on a small share. */
enum { LONG_RUN_US = 20000 };

static int measure(struct glet_executor *executor, uint64_t *took_us, struct glet_error *err)
{
    int rows = glet_executor_batch(executor);
    for (int run = 0; run < 2; run++) {
        uint64_t start_us = glet_clock_us();
        if (glet_executor_run(executor, rows, err) < 0)
            return glet_error_context(err, "trial run of batch %d", rows);
        *took_us = glet_clock_us() - start_us;
        if (*took_us > LONG_RUN_US)
            break;
    }
    return 0;
}

static bool batch_is_free(const struct glet_model *model)
{
    for (size_t i = 0; i < glet_model_input_count(model); i++)
        if (glet_model_input(model, i)->dims[0] != GLET_DIM_BATCH)
            return false;
    return true;
}

int glet_bench_build(struct glet_bench *bench, struct glet_partition *partition,
                     struct glet_model *model, int batch, uint64_t exec_us, bool planned_batch_only,
                     struct glet_error *err)
{
    *bench = (struct glet_bench){0};
    int batches[GLET_SCHED_MAX_SIZES];
    size_t count = 0;
    bool only = planned_batch_only || !batch_is_free(model);
    for (int b = 1; !only && b < batch && count + 1 < GLET_SCHED_MAX_SIZES; b *= 2)
        batches[count++] = b;
    batches[count++] = batch;
    uint64_t took_us[GLET_SCHED_MAX_SIZES] = {0};
    for (size_t i = 0; i < count; i++) {
        bench->count = i + 1;
        if (glet_executor_build(partition, model, batches[i], &bench->executors[i], err) < 0 ||
            measure(bench->executors[i], &took_us[i], err) < 0) {
            glet_bench_free(bench);
            return -1;
        }
    }
    uint64_t full_us = took_us[count - 1] ? took_us[count - 1] : 1;
    for (size_t i = count; i-- > 0;) {
        double ratio = (double)took_us[i] / (double)full_us;
        uint64_t planned_us = (uint64_t)(ratio * (double)exec_us) + 1;
        uint64_t most_us = i + 1 < count ? bench->sizes[i + 1].exec_us : exec_us ? exec_us : 1;
        bench->sizes[i].batch = batches[i];
        bench->sizes[i].exec_us = planned_us < most_us ? planned_us : most_us;
    }
    return 0;
}

void glet_bench_free(struct glet_bench *bench)
{
    for (size_t i = 0; i < bench->count; i++)
        glet_executor_free(bench->executors[i]);
    bench->count = 0;
}
