/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_PARTITION_H
#define GLET_CUDA_PARTITION_H

/* Insides of the CUDA device, for the files of this folder and for what measures GPUs. */

#include "runtime/device/cuda/driver/api.h"
#include "runtime/device/cuda/driver/nvml.h"
#include "runtime/device/cuda/net/cuda_net.h"
#include "runtime/device/device_ops.h"

#include <stdatomic.h>
#include <stdint.h>

/*
 * The one split of a device into units. Its groups are kept for as long as the device is open and
 * every set of gpu-lets is made of them: two splits would not be disjoint, and groups of different
 * splits cannot be joined.
 */
struct glet_cuda_split {
    CUdevResource *units; /* NULL: the driver or the device has no green contexts */
    CUdevResource all;    /* the device, unsplit: for a gpu-let that is all of it */
    int unit_count;
    int unit_sms;            /* SMs of a unit */
    CUdevResource remainder; /* SMs that no unit has */
    int remainder_sms;       /* 0 = none */
};

struct glet_cuda_device {
    struct glet_device base;
    const struct glet_cuda_api *api;
    CUdevice device;
    CUcontext primary; /* retained; serves nothing where there are green contexts */
    bool has_primary;
    bool shares_page_tables; /* the process's, and so pins nothing */
    struct glet_cuda_split split;
    struct glet_cuda_store *store;
    struct glet_nvml *nvml; /* NULL: no NVML */
};

struct glet_cuda_partition {
    struct glet_partition base;
    struct glet_cuda_device *device;
    CUgreenCtx green; /* NULL: the whole device, through the primary context */
    struct glet_cuda_site site;
    bool site_is_open;
    int begun;                     /* batches begun and not finished; the worker's */
    atomic_int worker;             /* thread id of the worker, 0 = none */
    atomic_uint_fast64_t busy_ns;  /* between the events around its graphs */
    atomic_uint_fast64_t slice_ns; /* longest graph, where gpu-lets take turns */
    atomic_int seen_sms;           /* by the isolation check; 0 = not checked */
};

struct glet_cuda_partition_set {
    struct glet_partition_set base;
    struct glet_cuda_device *device;
    struct glet_cuda_partition *partitions;
};

/* Splits the device with the primary context current. Leaves split->units NULL, without an error,
   where there are no green contexts. */
GLET_MUST_CHECK
int glet_cuda_split_open(const struct glet_cuda_api *api, CUdevice device,
                         struct glet_cuda_split *split, struct glet_error *err);
void glet_cuda_split_close(struct glet_cuda_split *split);

/*
 * Which gpu-let of a set gets the SMs that no unit has: the largest (the first of equals) of a set
 * that uses every unit; -1 = none. A set that leaves units unused leaves them unused, too, so that
 * a profile of n units is one of n units.
 */
int glet_cuda_remainder_owner(const int *units, size_t count, int unit_count);

int glet_cuda_partitions_create(struct glet_device *device, const int *units, size_t count,
                                struct glet_partition_set **out, struct glet_error *err);
void glet_cuda_partitions_free(struct glet_partition_set *set);
struct glet_partition *glet_cuda_partition_at(struct glet_partition_set *set, size_t index);
int glet_cuda_partition_enter(struct glet_partition *partition, struct glet_error *err);
void glet_cuda_partition_leave(struct glet_partition *partition);
void glet_cuda_partition_achieved(const struct glet_partition *partition,
                                  struct glet_partition_use *use_out);
void glet_cuda_partition_count_anew(struct glet_partition *partition);

/* Device memory that one more gpu-let costs before any model is in it. */
GLET_MUST_CHECK
int glet_cuda_context_mib(struct glet_cuda_device *device, double *mib_out, struct glet_error *err);

int glet_cuda_executor_build(struct glet_partition *partition, struct glet_model *model, int batch,
                             struct glet_executor **out, struct glet_error *err);
void glet_cuda_executor_free(struct glet_executor *executor);
bool glet_cuda_executor_feed(struct glet_executor *executor, size_t i, int first, int rows,
                             const void *memory);
int glet_cuda_executor_begin(struct glet_executor *executor, int used, struct glet_error *err);
int glet_cuda_executor_finish(struct glet_executor *executor, struct glet_error *err);
/* What a run replays, for timing it apart from the copies. On the worker's thread. */
CUgraphExec glet_cuda_executor_graph(const struct glet_executor *executor);

int glet_cuda_executor_cool(struct glet_executor *executor, struct glet_error *err);
int glet_cuda_executor_replay(struct glet_executor *executor, int runs, bool cold, double *ms_out,
                              struct glet_error *err);
int glet_cuda_executor_utilisation(struct glet_executor *executor, struct glet_utilisation *out,
                                   struct glet_error *err);
int glet_cuda_executor_steps(struct glet_executor *executor, struct glet_step_time **out,
                             size_t *count_out, struct glet_error *err);

int glet_cuda_partitions_verify(struct glet_partition_set *set, uint64_t *blocks_out,
                                struct glet_error *err);

#endif
