/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_PARTITION_H
#define GLET_CPU_PARTITION_H

/* Insides of the CPU device, shared by cpu_device.c, cpu_partition.c and cpu_executor.c only. */

#include "runtime/device/cpu/cores/core.h"
#include "runtime/device/cpu/cores/helper.h"
#include "runtime/device/cpu/cores/meter.h"
#include "runtime/device/cpu/cores/shares.h"
#include "runtime/device/cpu/net/cpu_net.h"
#include "runtime/device/device_ops.h"

#include <pthread.h>
#include <stdatomic.h>

struct glet_cpu_device {
    struct glet_device base;
    struct glet_cpu_core **cores;
    int core_count;
    struct glet_cpu_packs *packs;
    atomic_int live_sets;
    bool may_renice; /* a thread can lower its priority and have it back */
};

/* The pieces of shared cores of one partition, run by one thread. */
struct glet_cpu_fraction {
    struct glet_cpu_seat *seats[GLET_CPU_MAX_PIECES];
    int seat_count;
    int pinned;            /* index of the seat at whose core the thread is; -1 = elsewhere */
    pthread_mutex_t mutex; /* of the two below: they are read from any thread */
    struct glet_cpu_meter meter;
    uint64_t longest_slice_ns;
};

struct glet_cpu_partition {
    struct glet_partition base;
    struct glet_cpu_device *device;
    struct glet_cpu_share share;
    struct glet_cpu_fraction fraction;  /* seat_count 0 where the partition has whole cores only */
    struct glet_cpu_helper *helper;     /* runs the fraction beside whole cores; else NULL */
    cpu_set_t old_affinity;             /* of the worker, given back when it leaves */
    atomic_int worker;                  /* thread id of the worker, 0 = none */
    atomic_uint_fast64_t whole_busy_ns; /* run time on whole cores, times their number */
    atomic_uint_fast64_t base_run_ns, base_delay_ns; /* scheduler's counts when counting began */
};

struct glet_cpu_partition_set {
    struct glet_partition_set base;
    struct glet_cpu_device *device;
    struct glet_cpu_partition *partitions;
};

int glet_cpu_partitions_create(struct glet_device *device, const int *units, size_t count,
                               struct glet_partition_set **out, struct glet_error *err);
void glet_cpu_partitions_free(struct glet_partition_set *set);
struct glet_partition *glet_cpu_partition_at(struct glet_partition_set *set, size_t index);
int glet_cpu_partition_enter(struct glet_partition *partition, struct glet_error *err);
void glet_cpu_partition_leave(struct glet_partition *partition);
void glet_cpu_partition_achieved(const struct glet_partition *partition,
                                 struct glet_partition_use *use_out);
void glet_cpu_partition_count_anew(struct glet_partition *partition);

/* Runs all steps of the net in the fraction's slices, on the thread that owns the fraction. */
GLET_MUST_CHECK
int glet_cpu_fraction_run(struct glet_cpu_fraction *fraction, struct glet_cpu_net *net, int used,
                          struct glet_error *err);
/* Moves the calling thread to the fraction's first core. */
GLET_MUST_CHECK
int glet_cpu_fraction_pin(struct glet_cpu_fraction *fraction, struct glet_error *err);

int glet_cpu_executor_build(struct glet_partition *partition, struct glet_model *model, int batch,
                            struct glet_executor **out, struct glet_error *err);
void glet_cpu_executor_free(struct glet_executor *executor);
int glet_cpu_executor_begin(struct glet_executor *executor, int used, struct glet_error *err);
int glet_cpu_executor_finish(struct glet_executor *executor, struct glet_error *err);
bool glet_cpu_executor_lend(struct glet_executor *executor, size_t i, const void *data, int used);

#endif
