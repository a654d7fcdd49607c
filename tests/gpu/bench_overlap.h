/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_BENCH_OVERLAP_H
#define GLET_BENCH_OVERLAP_H

/*
 * What a gpu-let that always has a next batch gains by copying beside computing: the same batches,
 * gathered into staging memory and read out of it as a server does, one by one and as many at once
 * as the device takes.
 */

#include "runtime/device/device.h"

struct bench_overlap_side {
    uint64_t batches, wrong; /* wrong: other outputs than when they ran alone */
    double seconds, busy_s;  /* busy: computing */
};

struct bench_overlap {
    struct bench_overlap_side one_by_one, overlapped;
};

/* Runs for about `seconds`, both ways in turns. On the partition's worker thread. */
GLET_MUST_CHECK
int bench_overlap(struct glet_partition *partition, struct glet_executor *executor,
                  const struct glet_model *model, double seconds, struct bench_overlap *out,
                  struct glet_error *err);

#endif
