/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILE_H
#define GLET_PROFILE_H

/*
 * Measured facts about models on GPU types, as plain tables in memory: what the SQLite store and a
 * folder of CSVs both hold (devices, models, latency, interference, corun, meta, quality).
 *
 * Latencies in ms, memory in MiB, utilisations 0..1. An unknown number is NAN. Rows are sorted
 * (gpu, model, units, batch) and unique, so that the same facts have the same digest whatever they
 * were read from. Immutable after loading: safe to share between threads.
 */

#include "common/error.h"

#include <stddef.h>

enum glet_mechanism {
    GLET_MECHANISM_GREEN_CONTEXT,
    GLET_MECHANISM_MPS,
    GLET_MECHANISM_MIG,
    GLET_MECHANISM_CPU,
};

enum glet_trust { GLET_TRUST_MEASURED, GLET_TRUST_IMPORTED, GLET_TRUST_ESTIMATED };

struct glet_profile_layout { /* one allowed multiset of sizes of a MIG device */
    int *sizes_units;        /* descending */
    size_t size_count;
};

struct glet_profile_device {
    char *gpu;
    enum glet_mechanism mechanism;
    int sm_count;
    int units; /* the whole device */
    int max_gpulets;
    double memory_mib;
    double context_mib;                  /* charged per gpu-let */
    struct glet_profile_layout *layouts; /* NULL = any sizes that fit */
    size_t layout_count;
};

struct glet_profile_model {
    char *model;
    double memory_mib; /* once per GPU (green_context, cpu) or once per gpu-let (mps, mig) */
    double input_bytes, output_bytes; /* per request */
};

struct glet_profile_latency {
    size_t device, model; /* indices */
    int batch, units;
    double p50_ms;
    double p99_ms; /* NAN = unknown: p50_ms is used */
    double samples;
    enum glet_trust trust;
    double l2_util, dram_util; /* at this batch and size; NAN = unknown */
    double activation_mib;     /* once per model of a gpu-let; unknown = 0 */
};

struct glet_profile_interference { /* factor = max(1, constant + ... + margin), formats.md */
    size_t device;
    double constant, l2_self, l2_other, dram_self, dram_other, margin;
};

struct glet_profile_corun {
    size_t device;
    size_t model_a, model_b;
    int batch_a, units_a, batch_b, units_b;
    double slowdown_a, slowdown_b; /* >= 1 in theory; as measured */
};

struct glet_profile_meta {
    size_t device;
    char *key, *value;
};

/* How well a point of `latency` was measured; all but the key may be unknown. Not in the digest. */
struct glet_profile_quality {
    size_t device, model;
    int batch, units;
    double mean_ms;
    double cv_ratio;      /* standard deviation / mean */
    double ci_ratio;      /* half the 95 % confidence interval of the median / the median */
    double wall_ratio;    /* wall time / (CPU time / share): > 1 = somebody else had the core */
    double foreign_ratio; /* share of the cores that other processes used meanwhile */
    double p99_alone_ms;  /* before the wait for a neighbour's slice was added to p99_ms */
    double slice_ms;      /* longest stretch for which this point keeps a shared core */
    char *flags;          /* empty, or any of "drift;few;foreign;tail;throttled;unconverged" */
    char *model_sha256;   /* of the file that was measured; empty = unknown */
    char *machine;        /* digest of the machine facts that a remeasurement depends on */
    double device_p50_ms; /* of the kernels alone, by the device's own clock: without copies from */
    double device_p99_ms; /* and to the host and without the host's part */
    double clock_mhz;     /* of the device while it ran */
    double achieved_units; /* of the partition, as the device said */
};

struct glet_profile {
    char *path;
    char sha256[65]; /* of the canonical text of all tables but meta and quality */
    struct glet_profile_device *devices;
    size_t device_count;
    struct glet_profile_model *models;
    size_t model_count;
    struct glet_profile_latency *latency;
    size_t latency_count;
    struct glet_profile_interference *interference;
    size_t interference_count;
    struct glet_profile_corun *corun;
    size_t corun_count;
    struct glet_profile_meta *meta;
    size_t meta_count;
    struct glet_profile_quality *quality;
    size_t quality_count;
};

/* NULL is accepted. */
void glet_profile_free(struct glet_profile *profile);

/* Index of the device called gpu, or of the model called name; -1 = none. */
int glet_profile_find_device(const struct glet_profile *profile, const char *gpu);
int glet_profile_find_model(const struct glet_profile *profile, const char *name);

const char *glet_mechanism_name(enum glet_mechanism mechanism); /* "green_context", ... */
const char *glet_trust_name(enum glet_trust trust);             /* "measured", ... */

#endif
