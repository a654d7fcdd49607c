/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_DEVICE_OPS_H
#define GLET_DEVICE_OPS_H

/*
 * What a kind of device implements. Only runtime/device/ includes this; everybody else calls
 * device.h, whose functions check their arguments once for all kinds and forward to these.
 *
 * Each kind's structs begin with the ones below.
 */

#include "runtime/device/device.h"
#include "runtime/device/device_spec.h"

struct glet_device_ops {
    void (*close)(struct glet_device *device);
    void (*forget_model)(struct glet_device *device, const struct glet_model *model);
    void (*allow_temporal)(struct glet_device *device); /* NULL: shares are always enforced */
    /* NULL: whatever the model can be bound to. */
    int (*check)(const struct glet_device *device, const char *model, int units, int batch,
                 struct glet_error *err);
    /* NULL, both: it reads staging memory only. */
    bool (*pin)(struct glet_device *device, void *memory, size_t bytes, bool writable);
    void (*unpin)(struct glet_device *device, void *memory);
    /* Fills in what is known. NULL: nothing is. */
    void (*sample)(const struct glet_device *device, struct glet_device_sample *sample_out);
    int (*partitions_create)(struct glet_device *device, const int *units, size_t count,
                             struct glet_partition_set **out, struct glet_error *err);
    void (*partitions_free)(struct glet_partition_set *set);
    struct glet_partition *(*partition_at)(struct glet_partition_set *set, size_t index);
    int (*verify)(struct glet_partition_set *set, uint64_t *blocks_out,
                  struct glet_error *err); /* NULL: there are no SMs */
    int (*enter)(struct glet_partition *partition, struct glet_error *err);
    void (*leave)(struct glet_partition *partition);
    void (*achieved)(const struct glet_partition *partition, struct glet_partition_use *use_out);
    void (*count_anew)(struct glet_partition *partition);
    int (*build)(struct glet_partition *partition, struct glet_model *model, int batch,
                 struct glet_executor **out, struct glet_error *err);
    void (*executor_free)(struct glet_executor *executor);
    bool (*lend)(struct glet_executor *executor, size_t i, const void *data,
                 int used); /* NULL: never */
    bool (*feed)(struct glet_executor *executor, size_t i, int first, int rows,
                 const void *memory); /* NULL: never */
    int (*begin)(struct glet_executor *executor, int used, struct glet_error *err);
    int (*finish)(struct glet_executor *executor, struct glet_error *err);
    /* These may be NULL: no cache that is shared and no clock of its own, no counters, no steps. */
    int (*cool)(struct glet_executor *executor, struct glet_error *err);
    int (*replay)(struct glet_executor *executor, int runs, bool cold, double *ms_out,
                  struct glet_error *err);
    int (*utilisation)(struct glet_executor *executor, struct glet_utilisation *out,
                       struct glet_error *err);
    int (*steps)(struct glet_executor *executor, struct glet_step_time **out, size_t *count_out,
                 struct glet_error *err);
};

struct glet_device {
    const struct glet_device_ops *ops;
    struct glet_device_info info;
    struct glet_device_fact *facts;
    size_t fact_count;
};

struct glet_partition_set {
    const struct glet_device_ops *ops;
    size_t count;
};

struct glet_partition {
    const struct glet_device_ops *ops;
    int units;
};

struct glet_executor {
    const struct glet_device_ops *ops;
    int batch;
    int depth; /* batches begun at once */
    int begun; /* and not finished */
    double activation_mib;
    size_t input_count, output_count;
    void **inputs, **outputs; /* staging memory: of the next batch, of the last finished one */
};

/*
 * Rows of at most so many bytes are not fed to a GPU: to enqueue a copy takes a thread some
 * microseconds, in which it copies about as much by itself; and what is 64 KB or less a driver may
 * read by itself, at once (CUDA C++ Programming Guide, "Concurrent Execution between Host and
 * Device"), which memory that another process can take away does not allow.
 */
enum { GLET_CUDA_MOST_COPIED_BYTES = 64 << 10 };

GLET_MUST_CHECK
int glet_cpu_device_open(const struct glet_device_spec *spec, struct glet_device **out,
                         struct glet_error *err);

GLET_MUST_CHECK
int glet_replay_device_open(const struct glet_device_spec *spec, struct glet_device **out,
                            struct glet_error *err);

/* runtime/device/cuda, or no_cuda.c where that is not built. */
bool glet_cuda_device_present(void); /* a driver, and a GPU that it knows */
GLET_MUST_CHECK
int glet_cuda_device_open(const struct glet_device_spec *spec, struct glet_device **out,
                          struct glet_error *err);

#endif
