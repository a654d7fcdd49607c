/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_IMPORT_FOREIGN_H
#define GLET_PROFILES_IMPORT_FOREIGN_H

/*
 * Profiles that other tools have measured, from their CSV files, with trust "imported".
 *
 *   parvagpu        prof_data/MODEL.csv of ParvaGPU (SC'24): Mig instance, Batch size, Workload
 *                   Number, Throughput (of each process), Latency; or all models in one table:
 *                   model, mig_gpcs, batch, mps_procs, throughput_segment_rps, ... n processes of
 *                   batch b on a slice become one point of batch n x b, whose latency follows from
 *                   the throughput of all n together
 *   model-analyzer  Triton Model Analyzer's metrics-model-inference.csv: Model, Batch, Concurrency,
 *                   Throughput (infer/sec), p99 Latency (ms), ...
 *   perf-analyzer   perf_analyzer -f: Concurrency, Inferences/Second, ..., p50 latency, p99 latency
 *                   in microseconds; names neither model nor batch
 *
 * Only rows with one request at a time (Concurrency 1) are latencies of a batch; others contain
 * queueing and are left out. Of several rows for a point the fastest is taken, as its configuration
 * would be.
 */

#include "common/error.h"
#include "common/profile/profile.h"

enum glet_foreign_kind {
    GLET_FOREIGN_NONE, /* none of these formats */
    GLET_FOREIGN_PARVAGPU,
    GLET_FOREIGN_MODEL_ANALYZER,
    GLET_FOREIGN_PERF_ANALYZER,
};

struct glet_foreign_options {
    const char *gpu;       /* name of the device, not NULL */
    const char *model;     /* perf-analyzer: needed; NULL elsewhere: as in the file or its name */
    int batch;             /* perf-analyzer: needed, > 0 */
    int units;             /* size measured at; 0 = the whole device. Not for parvagpu */
    int gpu_units;         /* of the whole device; 0 = as `device`, else `units`, else 1 */
    double gpu_memory_mib; /* of the whole device; 0 = as `device`, else 0 */
    const struct glet_profile_device *device; /* as already known, or NULL */
};

/* The format of a file, by its header. */
GLET_MUST_CHECK
int glet_foreign_detect(const char *path, enum glet_foreign_kind *kind_out, struct glet_error *err);

/*
 * Reads path into a complete profile; the caller frees it. GLET_ERR_INPUT and GLET_ERR_RANGE with
 * the place, GLET_ERR_USAGE when an option is missing, GLET_ERR_UNDECIDED when no row is usable.
 */
GLET_MUST_CHECK
int glet_foreign_load(const char *path, enum glet_foreign_kind kind,
                      const struct glet_foreign_options *options, struct glet_profile **out,
                      struct glet_error *err);

#endif
