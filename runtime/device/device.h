/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_DEVICE_H
#define GLET_DEVICE_H

/*
 * The one interface behind which every kind of device is partitioned and run: CPU (cores and tenths
 * of a core) and CUDA (green contexts, MIG).
 *
 * Life of a plan: open the device; create its partitions as one set (green contexts of one split
 * are disjoint only together); load each model once; build an executor per (partition, model,
 * batch); run. Everything is built before serving: glet_executor_run() allocates nothing, loads
 * nothing and takes no lock but the partition's own arbiter.
 *
 * Threads: a partition belongs to one worker thread at a time. glet_partition_enter() makes the
 * calling thread that worker (pins it, or makes the green context current); executors are built and
 * run on that thread only. Different partitions run side by side. A second set of partitions may
 * exist beside the first while a new plan is being prepared; while both have work, the two share
 * the hardware as it comes, so the hand-over should be short.
 */

#include "common/error.h"
#include "runtime/engine/model.h"

#include <stddef.h>
#include <stdint.h>

struct glet_device;
struct glet_partition_set;
struct glet_partition;
struct glet_executor;

struct glet_device_info {
    char gpu[64];       /* the type's name in a profile: "h200", "cpu" */
    char mechanism[16]; /* as in devices.csv */
    int sm_count;       /* SMs; cores on the CPU */
    int units;          /* whole device in partition units */
    int max_gpulets;
    double memory_mib;  /* usable */
    double context_mib; /* charged per gpu-let */
};

/*
 * spec: "auto" or NULL (the best there is), "cpu" (all cores this process may run on), "cpu:0-3,6"
 * (those cores), "cuda:0", or "cuda:MIG-<uuid>" (device_spec.h). Fails with GLET_ERR_USAGE for a
 * malformed spec and GLET_ERR_DEVICE when the device is not there.
 */
GLET_MUST_CHECK
int glet_device_open(const char *spec, struct glet_device **out, struct glet_error *err);
void glet_device_close(struct glet_device *device); /* NULL is accepted; sets must be gone */
const struct glet_device_info *glet_device_info(const struct glet_device *device);

/* Drops what the device keeps of a model (packed weights); none of its executors may be left. Call
   it before glet_model_free(). */
void glet_device_forget_model(struct glet_device *device, const struct glet_model *model);

/* Facts about the machine for profiles (driver, library versions, processor, ...), in order. */
struct glet_device_fact {
    const char *key, *value;
};
const struct glet_device_fact *glet_device_facts(const struct glet_device *device, size_t *count);

/*
 * Cuts the device into count partitions of units[i] > 0 units, sum <= info->units, all at once.
 * The set owns its partitions, and is freed only after their executors are.
 * GLET_ERR_RANGE: they do not fit; GLET_ERR_DEVICE: the device gave less than was asked for.
 */
GLET_MUST_CHECK
int glet_partitions_create(struct glet_device *device, const int *units, size_t count,
                           struct glet_partition_set **out, struct glet_error *err);
void glet_partitions_free(struct glet_partition_set *set); /* NULL is accepted */
struct glet_partition *glet_partition_at(struct glet_partition_set *set, size_t index);
int glet_partition_units(const struct glet_partition *partition);

/* Makes the calling thread this partition's worker / ends that. */
GLET_MUST_CHECK int glet_partition_enter(struct glet_partition *partition, struct glet_error *err);
void glet_partition_leave(struct glet_partition *partition);

struct glet_partition_use {
    double busy_ms;          /* compute time received since the partition was created, in unit-ms /
                                units: 1000 per second of full use of its share */
    double achieved_units;   /* read back, never assumed: on CUDA the SMs of the green context in
                                units; on the CPU the share measured while work was waiting */
    double longest_slice_ms; /* longest stretch that could not be preempted; 0 where preemptive */
};
/* Safe from any thread at any time. */
void glet_partition_achieved(const struct glet_partition *partition,
                             struct glet_partition_use *use_out);

/*
 * Builds what runs `model` at `batch` in the partition. The model is borrowed and outlives the
 * executor; its packed weights are shared by all executors of one device. On the worker's thread.
 */
GLET_MUST_CHECK
int glet_executor_build(struct glet_partition *partition, struct glet_model *model, int batch,
                        struct glet_executor **out, struct glet_error *err);
void glet_executor_free(struct glet_executor *executor); /* on the worker's thread; NULL accepted */

int glet_executor_batch(const struct glet_executor *executor);
double glet_executor_activation_mib(const struct glet_executor *executor);

/*
 * Staging memory of input or output i, owned by the executor, in the model's own type and row-major
 * layout with the batch outermost: batch x glet_model_input(model, i)->bytes. Pinned on CUDA. The
 * caller fills inputs before a run and reads outputs after it.
 */
void *glet_executor_input(struct glet_executor *executor, size_t i);
const void *glet_executor_output(struct glet_executor *executor, size_t i);

/*
 * Runs one batch and returns when the outputs are there. `used` <= batch says how many rows carry a
 * request; rows beyond it may be skipped or computed and are never read.
 * GLET_ERR_DEVICE: the device failed; the partition must be rebuilt.
 */
GLET_MUST_CHECK
int glet_executor_run(struct glet_executor *executor, int used, struct glet_error *err);

#endif
