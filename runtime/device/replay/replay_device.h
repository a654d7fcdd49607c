/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_REPLAY_DEVICE_H
#define GLET_REPLAY_DEVICE_H

/* Inside of the replay device: replay_device.c opens and cuts it, replay_executor.c waits. */

#include "common/random.h"
#include "runtime/device/device_ops.h"
#include "runtime/device/replay/replay_times.h"

#include <pthread.h>
#include <stdatomic.h>

/* Batches that a partition may have begun and not finished. */
enum { GLET_REPLAY_DEPTH = 2 };

struct glet_replay_run { /* the compute of a batch */
    struct glet_replay_times times;
    uint64_t start_us, end_us;
};

struct glet_replay_partition {
    struct glet_partition base;
    struct glet_replay_device *device;
    struct glet_replay_partition *next;             /* of all on the device */
    struct glet_replay_run runs[GLET_REPLAY_DEPTH]; /* the last ones; the device's lock */
    size_t run_count;                               /* that were begun, ever */
    uint64_t arrived_us, free_us, left_us; /* when the last copy in, compute, copy out ends */
    struct glet_random random;
    _Atomic uint64_t busy_us;
};

struct glet_replay_device {
    struct glet_device base;
    struct glet_profile *profile;
    size_t gpu; /* of the profile's devices */
    pthread_mutex_t lock;
    struct glet_replay_partition *partitions;
};

GLET_MUST_CHECK
int glet_replay_executor_build(struct glet_partition *partition, struct glet_model *model,
                               int batch, struct glet_executor **out, struct glet_error *err);
void glet_replay_executor_free(struct glet_executor *executor);
bool glet_replay_executor_feed(struct glet_executor *executor, size_t i, int first, int rows,
                               const void *memory);
int glet_replay_executor_begin(struct glet_executor *executor, int used, struct glet_error *err);
int glet_replay_executor_finish(struct glet_executor *executor, struct glet_error *err);

#endif
