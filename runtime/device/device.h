/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_DEVICE_H
#define GLET_DEVICE_H

/*
 * The one interface behind which every kind of device is partitioned and run: CPU (cores and tenths
 * of a core), CUDA (green contexts, MIG), and the replay of a profile, which computes nothing.
 *
 * Life of a plan: open the device; create its partitions as one set (green contexts of one split
 * are disjoint only together); load each model once; build an executor per (partition, model,
 * batch); run. Everything is built before serving: a run allocates nothing, loads nothing and takes
 * no lock but the partition's own arbiter.
 *
 * Threads: a partition belongs to one worker thread at a time. glet_partition_enter() makes the
 * calling thread that worker (pins it, or makes the green context current); executors are built and
 * run on that thread only. Different partitions run side by side. A second set of partitions may
 * exist beside the first while a new plan is being prepared; while both have work, the two share
 * the hardware as it comes, so the hand-over should be short.
 */

#include "common/error.h"
#include "runtime/engine/model.h"

#include <stdbool.h>
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
    char limit_reason[160]; /* why not more gpu-lets, where there is more to it than units */
    double memory_mib;      /* usable */
    double context_mib;     /* charged per gpu-let */
    bool replay;            /* it takes a profile's times and answers zeros: nothing is computed */
    bool temporal;          /* partitions are not kept apart: they take turns on the whole device */
    double l2_mib;          /* these three: 0 = unknown */
    double l2_gb_per_s, dram_gb_per_s; /* peak, 10^9 bytes per second */
};

/*
 * spec: "auto" or NULL (the best there is), "cpu" (all cores this process may run on), "cpu:0-3,6"
 * (those cores), "cuda:0", "cuda:MIG-<uuid>" or "replay:FOLDER" (device_spec.h). Fails with
 * GLET_ERR_USAGE for a malformed spec, GLET_ERR_DEVICE when the device is not there, and as
 * glet_profile_csv_load() does where there is no profile to replay.
 */
GLET_MUST_CHECK
int glet_device_open(const char *spec, struct glet_device **out, struct glet_error *err);
void glet_device_close(struct glet_device *device); /* NULL is accepted; sets must be gone */
const struct glet_device_info *glet_device_info(const struct glet_device *device);

/*
 * Lets a device that cannot keep partitions apart (a CUDA driver without green contexts) be cut
 * into several all the same: info->temporal is then set. Without effect where shares are enforced.
 * Before the first set of partitions.
 */
void glet_device_allow_temporal(struct glet_device *device);
#define GLET_DEVICE_TEMPORAL_HINT "a newer driver, or --allow-temporal to let them take turns"

/*
 * Lets the device itself read `bytes` of the host's memory, which begins at a page border, so that
 * rows in it need no copy into staging memory (glet_executor_feed()). It counts for every device of
 * this kind in the process, also for one that is opened later. Its pages stay where they are, and
 * with us: what takes them from the mapping, like a file cut short, takes them not from the device,
 * which then reads what was there. writable: whether the mapping is. None of it may be pinned
 * already. It may wait for the driver. false: the memory is as it was, since this device cannot
 * (glet_device_can_pin()), or the driver would not. Any thread.
 */
bool glet_device_pin(struct glet_device *device, void *memory, size_t bytes, bool writable);
bool glet_device_can_pin(const struct glet_device *device);
/* What glet_device_pin() took, by the same device, before it is unmapped; no batch may read it. */
void glet_device_unpin(struct glet_device *device, void *memory);

/* Drops what the device keeps of a model (packed weights); none of its executors may be left. Call
   it before glet_model_free(). */
void glet_device_forget_model(struct glet_device *device, const struct glet_model *model);

/*
 * Whether the device could run the model at that batch in a partition of that size, as far as it can
 * tell without building it. GLET_ERR_INPUT: a replayed profile has no times of it.
 */
GLET_MUST_CHECK
int glet_device_check(const struct glet_device *device, const char *model, int units, int batch,
                      struct glet_error *err);

/* Whether glet_partitions_verify() can tell on this kind of device; else its GLET_ERR_UNSUPPORTED. */
GLET_MUST_CHECK
int glet_device_check_verify(const struct glet_device *device, struct glet_error *err);

/* Facts about the machine for profiles (driver, library versions, processor, ...), in order. */
struct glet_device_fact {
    const char *key, *value;
};
const struct glet_device_fact *glet_device_facts(const struct glet_device *device, size_t *count);

/* What the device's own sensors say now; NaN and -1 = unknown. Safe from any thread; may take some
   milliseconds. */
enum glet_throttle { /* why clocks are below what the GPU could do */
                     GLET_THROTTLE_POWER = 1,
                     GLET_THROTTLE_HEAT = 2,
                     GLET_THROTTLE_HARDWARE = 4, /* the board slows down for a reason of its own */
                     GLET_THROTTLE_SETTING = 8,  /* somebody set them lower */
};
struct glet_device_sample {
    double power_w, power_limit_w, energy_j, temperature_c;
    double sm_clock_mhz, memory_clock_mhz;
    double busy_ratio, memory_busy_ratio;     /* part of the last moments in which it worked */
    double memory_used_mib, memory_total_mib; /* by all programs */
    int throttle;                             /* of glet_throttle, joined by | */
};
void glet_device_sample(const struct glet_device *device, struct glet_device_sample *sample_out);

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

/*
 * Proves that partitions do not meet: runs blocks in all of them at once that tell which SM they
 * are on, for up to a second. Before any of them is entered. *blocks_out: how many, in each.
 * GLET_ERR_DEVICE names the SMs on which two partitions met, or the partition that ran on more than
 * it has; GLET_ERR_UNSUPPORTED: this kind of device has no SMs to look at.
 */
GLET_MUST_CHECK
int glet_partitions_verify(struct glet_partition_set *set, uint64_t *blocks_out,
                           struct glet_error *err);
int glet_partition_units(const struct glet_partition *partition);

/* Makes the calling thread this partition's worker / ends that. */
GLET_MUST_CHECK int glet_partition_enter(struct glet_partition *partition, struct glet_error *err);
void glet_partition_leave(struct glet_partition *partition);

struct glet_partition_use {
    double busy_ms;          /* compute time received, in unit-ms / units: 1000 per second of full
                                use of its share */
    double achieved_units;   /* read back, never assumed: on CUDA the SMs of the green context in
                                units; on the CPU the share measured while work was waiting, the
                                promised one before there was any */
    double longest_slice_ms; /* longest stretch that could not be preempted; 0 where preemptive */
    int sm_count;            /* SMs, read back; 0 on the CPU */
    int seen_sms;            /* on which glet_partitions_verify() saw it run; 0 = not verified */
};
/* What it received since it was created, or since glet_partition_count_anew(). Safe from any thread
   at any time. */
void glet_partition_achieved(const struct glet_partition *partition,
                             struct glet_partition_use *use_out);
/* Forgets what it received until now: the trial runs, which all gpu-lets make at once, say nothing
   of how it serves. From any thread, while nothing runs in the partition. */
void glet_partition_count_anew(struct glet_partition *partition);

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
 * input is of the batch that begins next, the output of the one that was finished last; beginning or
 * finishing one may change both. Batches that are begun and finished one by one have the same.
 */
void *glet_executor_input(struct glet_executor *executor, size_t i);
const void *glet_executor_output(struct glet_executor *executor, size_t i);

/*
 * Lets the next batch of `used` rows read input i at `data` instead of in its staging memory, which
 * saves a copy; `data` is only read, and only until that batch is finished. false where the input has to
 * be copied all the same: the device reads staging memory only, reads rows that carry no request,
 * or `data` is not aligned to 64 bytes.
 */
bool glet_executor_lend(struct glet_executor *executor, size_t i, const void *data, int used);

/*
 * Lets the next batch read `rows` rows of input i, from row `first` on, at `memory` instead of in its
 * staging memory. All of it lies in one block that glet_device_pin() took, or in that input's
 * staging memory of the same batch; it is only read, and only
 * until that batch is finished, or did not begin. Rows in ascending order; those that are not fed are
 * read in staging memory. false: they have to be copied there, since the device reads nothing else,
 * or they are so few bytes that it takes no longer. (Rows of one call are one copy: what is adjacent
 * of two calls may lie in two blocks, which no copy may span.)
 */
bool glet_executor_feed(struct glet_executor *executor, size_t i, int first, int rows,
                        const void *memory);

/*
 * Batches that executors of one partition may have begun and not finished, all together: 1, or 2
 * where a device copies the input of the next batch while one is computed, and its output while the
 * next one is. They end in the order in which they began.
 */
int glet_executor_depth(const struct glet_executor *executor);

/*
 * Begins a batch of what is in the inputs. `used` <= batch says how many rows carry a request; rows
 * beyond it may be skipped or computed and are never read.
 * GLET_ERR_DEVICE: the device failed, and nothing was begun; the partition must be rebuilt, and what
 * began before may still be finished.
 */
GLET_MUST_CHECK
int glet_executor_begin(struct glet_executor *executor, int used, struct glet_error *err);

/*
 * Waits for the oldest batch that was begun; then its outputs are there. However it ends, that
 * batch is over. GLET_ERR_DEVICE as above. GLET_ERR_INPUT, GLET_ERR_RANGE: a value that the model
 * cannot take, which only devices of depth 1 tell; the partition is as good as before.
 */
GLET_MUST_CHECK
int glet_executor_finish(struct glet_executor *executor, struct glet_error *err);

/* Begins one batch and finishes it; nothing may be begun before. */
GLET_MUST_CHECK
int glet_executor_run(struct glet_executor *executor, int used, struct glet_error *err);

/*
 * For profiles: empties the cache that executors share, so that the next run finds as much of its
 * weights and activations there as one that comes after other models (CUDA: writes twice the size
 * of the L2). GLET_ERR_UNSUPPORTED: this device cannot. GLET_ERR_NOMEM, GLET_ERR_DEVICE.
 */
GLET_MUST_CHECK
int glet_executor_cool(struct glet_executor *executor, struct glet_error *err);

/*
 * For profiles: runs whole batches back to back on what the last glet_executor_run() left on the
 * device, and writes how long each took by the device's own clock: its kernels alone, without
 * copies from and to the host (CUDA: events around replays of the graph). A device without such a
 * clock gives the wall-clock times of glet_executor_run(). cold: as if glet_executor_cool() came
 * before each, which is not in its time, and with its errors. ms_out: `runs` >= 1 values, > 0.
 */
GLET_MUST_CHECK
int glet_executor_replay(struct glet_executor *executor, int runs, bool cold, double *ms_out,
                         struct glet_error *err);

struct glet_utilisation {
    double l2_ratio, dram_ratio; /* of the whole device's peak bandwidth, 0 .. 1 */
};

/*
 * For profiles: what such a run takes of the device's cache and memory bandwidth, by hardware
 * counters. Counting disturbs: take no times meanwhile. GLET_ERR_UNSUPPORTED: the device has no
 * counters, or they may not be read; the message says which and what would permit it.
 */
GLET_MUST_CHECK
int glet_executor_utilisation(struct glet_executor *executor, struct glet_utilisation *out,
                              struct glet_error *err);

/* A part of a batch, timed alone and over and over: what fits into the cache is there. */
struct glet_step_time {
    const char *node; /* of the network; belongs to the executor */
    const char *kind; /* what it is: "conv", "gemm", "map", ... */
    char way[96];     /* who does it: libraries and kernels */
    char shape[64];
    double ms;
    double bytes, flop; /* that it cannot do with less than; flop: 0 = it has no products */
};

/*
 * For profiles: times every step of a batch on what the last glet_executor_run() left on the
 * device, which is not what a later run finds there. *out belongs to the caller: free().
 * GLET_ERR_UNSUPPORTED: this device has no steps. GLET_ERR_NOMEM, GLET_ERR_DEVICE.
 */
GLET_MUST_CHECK
int glet_executor_steps(struct glet_executor *executor, struct glet_step_time **out,
                        size_t *count_out, struct glet_error *err);

#endif
