/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_BENCH_H
#define GLET_BENCH_H

/*
 * The executors of one model in one gpu-let, built and warmed before serving, and timed for the
 * batcher's table: the planned batch, and smaller ones so that a few requests need not pay for a
 * full batch. Where a device skips the rows that carry no request, one executor serves all sizes;
 * otherwise there is one for each power of two.
 */

#include "common/error.h"
#include "common/sched/sched_let.h"
#include "runtime/device/device.h"

struct glet_bench {
    struct glet_executor *executors[GLET_SCHED_MAX_SIZES]; /* of each size; may repeat */
    struct glet_sched_size sizes[GLET_SCHED_MAX_SIZES];
    size_t count;
    double activation_mib;
};

/*
 * On the worker's thread. exec_us is the plan's time for `batch`; smaller batches get the same
 * share of it that they took of the measured time. copy_us of a size is what was measured, where the
 * device takes a second batch before it has ended the first: all that it did not compute, and how
 * long the inputs take to be gathered, which is its gather_us: of requests that are all in pinned
 * memory, and so of what the device does not read in place even then.
 */
GLET_MUST_CHECK
int glet_bench_build(struct glet_bench *bench, struct glet_partition *partition,
                     struct glet_model *model, int batch, uint64_t exec_us, bool planned_batch_only,
                     struct glet_error *err);
void glet_bench_free(struct glet_bench *bench); /* on the worker's thread */

#endif
