/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COUNTERS_H
#define GLET_COUNTERS_H

/*
 * What one worker thread counts about one model. Only that thread writes, so nothing is locked or
 * contended; anyone may read or add up while it writes, and sees values that are recent.
 */

#include "common/error.h"
#include "common/histogram.h"
#include "runtime/serve/service.h"

#include <stdatomic.h>
#include <stdint.h>

struct glet_batch_counters { /* of batches with one number of rows */
    _Atomic uint64_t executions, input_ns, compute_ns, output_ns;
};

struct glet_counters {
    _Atomic uint64_t outcomes[GLET_OUTCOME_COUNT];
    _Atomic uint64_t slo_violations, executions, rows, last_done_unix_ms;
    _Atomic uint64_t queue_ns, compute_ns, input_ns, output_ns, fail_ns; /* over requests */
    struct glet_batch_counters *batches;                                 /* [rows - 1] */
    size_t batch_count;
    struct glet_histogram *total_us, *queue_us, *compute_us;
};

/* For batches of up to `batch` rows. */
GLET_MUST_CHECK
int glet_counters_init(struct glet_counters *counters, int batch, struct glet_error *err);
/* For larger ones, too; nobody may read meanwhile. */
GLET_MUST_CHECK
int glet_counters_enlarge(struct glet_counters *counters, int batch, struct glet_error *err);
void glet_counters_fini(struct glet_counters *counters);

/* One answered request; `deadline_us` is that of the SLO. */
void glet_counters_done(struct glet_counters *counters, const struct glet_request *request,
                        uint64_t slo_deadline_us);
/* One batch, before its requests are answered: `requests` of them with `rows` rows. */
struct glet_batch_times {
    uint64_t input_ns, compute_ns, output_ns;
};
void glet_counters_batch(struct glet_counters *counters, int rows, size_t requests,
                         const struct glet_batch_times *times);

/* Adds everything to a copy for readers / to counters that outlive these, and are as large. */
void glet_counters_read(const struct glet_counters *counters, struct glet_model_stats *stats);
void glet_counters_read_batch(const struct glet_counters *counters, int rows,
                              struct glet_batch_stats *stats);
void glet_counters_fold(struct glet_counters *into, const struct glet_counters *from);

/* Single writer: a plain increment that readers may see at any time. */
static inline void glet_count(_Atomic uint64_t *counter, uint64_t more)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + more, memory_order_relaxed);
}

#endif
