/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/serve/core/counters.h"

#include "common/clock.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

static uint64_t value(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

int glet_counters_init(struct glet_counters *counters, int batch, struct glet_error *err)
{
    *counters = (struct glet_counters){0};
    if (glet_counters_enlarge(counters, batch, err) < 0)
        return -1;
    counters->total_us = glet_histogram_new(err);
    counters->queue_us = counters->total_us ? glet_histogram_new(err) : NULL;
    counters->compute_us = counters->queue_us ? glet_histogram_new(err) : NULL;
    if (counters->compute_us)
        return 0;
    glet_counters_fini(counters);
    return -1;
}

int glet_counters_enlarge(struct glet_counters *counters, int batch, struct glet_error *err)
{
    size_t count = (size_t)batch;
    if (count <= counters->batch_count)
        return 0;
    struct glet_batch_counters *batches = glet_alloc(count, sizeof *batches, err);
    if (!batches)
        return -1;
    if (counters->batch_count)
        memcpy(batches, counters->batches, counters->batch_count * sizeof *batches);
    free(counters->batches);
    counters->batches = batches;
    counters->batch_count = count;
    return 0;
}

void glet_counters_fini(struct glet_counters *counters)
{
    free(counters->batches);
    counters->batches = NULL;
    glet_histogram_free(counters->total_us);
    glet_histogram_free(counters->queue_us);
    glet_histogram_free(counters->compute_us);
    counters->total_us = counters->queue_us = counters->compute_us = NULL;
}

void glet_counters_done(struct glet_counters *counters, const struct glet_request *request,
                        uint64_t slo_deadline_us)
{
    uint64_t arrival_us = request->arrival_us;
    uint64_t start_us = request->start_us > arrival_us ? request->start_us : arrival_us;
    uint64_t end_us = request->end_us > start_us ? request->end_us : start_us;
    glet_count(&counters->outcomes[GLET_DONE], 1);
    if (end_us > slo_deadline_us)
        glet_count(&counters->slo_violations, 1);
    glet_count(&counters->queue_ns, (start_us - arrival_us) * 1000);
    glet_count(&counters->compute_ns, (end_us - start_us) * 1000);
    glet_histogram_record(counters->total_us, end_us - arrival_us);
    glet_histogram_record(counters->queue_us, start_us - arrival_us);
    glet_histogram_record(counters->compute_us, end_us - start_us);
}

void glet_counters_batch(struct glet_counters *counters, int rows, size_t requests,
                         const struct glet_batch_times *times)
{
    struct glet_batch_counters *batch = &counters->batches[rows - 1];
    glet_count(&counters->executions, 1);
    glet_count(&counters->rows, (uint64_t)rows);
    glet_count(&counters->input_ns, times->input_ns * requests);
    glet_count(&counters->output_ns, times->output_ns * requests);
    glet_count(&batch->executions, 1);
    glet_count(&batch->input_ns, times->input_ns);
    glet_count(&batch->compute_ns, times->compute_ns);
    glet_count(&batch->output_ns, times->output_ns);
    atomic_store_explicit(&counters->last_done_unix_ms, glet_clock_unix_ms(), memory_order_relaxed);
}

void glet_counters_read(const struct glet_counters *counters, struct glet_model_stats *stats)
{
    for (int i = 0; i < GLET_OUTCOME_COUNT; i++)
        stats->outcomes[i] += value(&counters->outcomes[i]);
    stats->slo_violations += value(&counters->slo_violations);
    stats->executions += value(&counters->executions);
    stats->rows += value(&counters->rows);
    stats->queue_ns += value(&counters->queue_ns);
    stats->compute_ns += value(&counters->compute_ns);
    stats->input_ns += value(&counters->input_ns);
    stats->output_ns += value(&counters->output_ns);
    stats->fail_ns += value(&counters->fail_ns);
    if (value(&counters->last_done_unix_ms) > stats->last_done_unix_ms)
        stats->last_done_unix_ms = value(&counters->last_done_unix_ms);
    if (stats->total_us)
        glet_histogram_merge(stats->total_us, counters->total_us);
    if (stats->queue_us)
        glet_histogram_merge(stats->queue_us, counters->queue_us);
    if (stats->compute_us)
        glet_histogram_merge(stats->compute_us, counters->compute_us);
}

void glet_counters_read_batch(const struct glet_counters *counters, int rows,
                              struct glet_batch_stats *stats)
{
    if ((size_t)rows > counters->batch_count)
        return;
    const struct glet_batch_counters *batch = &counters->batches[rows - 1];
    stats->executions += value(&batch->executions);
    stats->input_ns += value(&batch->input_ns);
    stats->compute_ns += value(&batch->compute_ns);
    stats->output_ns += value(&batch->output_ns);
}

void glet_counters_fold(struct glet_counters *into, const struct glet_counters *from)
{
    for (int i = 0; i < GLET_OUTCOME_COUNT; i++)
        glet_count(&into->outcomes[i], value(&from->outcomes[i]));
    glet_count(&into->slo_violations, value(&from->slo_violations));
    glet_count(&into->executions, value(&from->executions));
    glet_count(&into->rows, value(&from->rows));
    glet_count(&into->queue_ns, value(&from->queue_ns));
    glet_count(&into->compute_ns, value(&from->compute_ns));
    glet_count(&into->input_ns, value(&from->input_ns));
    glet_count(&into->output_ns, value(&from->output_ns));
    glet_count(&into->fail_ns, value(&from->fail_ns));
    for (size_t i = 0; i < from->batch_count; i++) {
        struct glet_batch_counters *sum = &into->batches[i];
        const struct glet_batch_counters *more = &from->batches[i];
        glet_count(&sum->executions, value(&more->executions));
        glet_count(&sum->input_ns, value(&more->input_ns));
        glet_count(&sum->compute_ns, value(&more->compute_ns));
        glet_count(&sum->output_ns, value(&more->output_ns));
    }
    if (value(&from->last_done_unix_ms) > value(&into->last_done_unix_ms))
        atomic_store_explicit(&into->last_done_unix_ms, value(&from->last_done_unix_ms),
                              memory_order_relaxed);
    glet_histogram_merge(into->total_us, from->total_us);
    glet_histogram_merge(into->queue_us, from->queue_us);
    glet_histogram_merge(into->compute_us, from->compute_us);
}
