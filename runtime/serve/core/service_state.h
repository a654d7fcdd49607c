/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_SERVICE_STATE_H
#define GLET_SERVICE_STATE_H

/*
 * Inside of a service: shared by the files of this folder only.
 *
 * Locks, always taken in this order:
 *   change     one plan change or rebuild at a time: pool, devices, plan (writing), units (writing)
 *   topology   what exists now: units and retired units (reading), plan (reading), folding of
 *              counters. Held for microseconds, but for a stats call; never on the request path
 *   slot       one per model: its door, that is its bucket and its ways to gpu-lets
 *   worker     one per gpu-let: its queues and batcher
 *
 * A request takes slot, then worker. Because an offer is made under the slot's lock, no request can
 * reach a gpu-let after the slots have been given other ways: that is all a plan switch needs.
 */

#include "common/sched/sched_door.h"
#include "runtime/serve/control.h"
#include "runtime/serve/core/counters.h"
#include "runtime/serve/core/pool.h"
#include "runtime/serve/core/worker.h"

#include <pthread.h>
#include <stdatomic.h>

enum { GLET_MAX_SLOTS = 1024 };

struct glet_place { /* where a way leads */
    struct glet_worker *worker;
    size_t share;
};

struct glet_routes { /* of one model under one plan */
    struct glet_sched_way *ways;
    struct glet_place *places;
    size_t count;
    bool planned;               /* the model is in the plan */
    double rate_rps;            /* planned */
    double capacity_rps, burst; /* of its bucket */
    uint64_t slo_us;
    int max_rows;
};

struct glet_past { /* what gpu-lets of one GPU have counted, for as long as its model's slot */
    char gpu[GLET_NAME_BYTES];
    struct glet_counters counters;
    struct glet_past *next;
};

struct glet_slot { /* a model, for as long as the service lives */
    char *name;
    struct glet_model_io *inputs, *outputs; /* own copies, with own names */
    size_t input_count, output_count;
    struct glet_past *past; /* of gpu-lets that are gone; under the topology lock */
    _Atomic uint64_t refused[GLET_OUTCOME_COUNT];
    _Atomic uint64_t open; /* requests taken and not yet answered */
    _Atomic bool planned, ready;
    _Atomic int max_rows;
    pthread_mutex_t lock;
    struct glet_routes routes; /* under lock */
    struct glet_sched_door door;
};

struct glet_unit { /* one GPU of the plan, built */
    size_t device;
    char gpu[GLET_NAME_BYTES]; /* its id in the plan */
    struct glet_partition_set *set;
    struct glet_worker **workers; /* one per gpu-let */
    size_t count;
    struct glet_loaded **loaded; /* the models it holds on to */
    size_t loaded_count;
    int *units; /* sizes of its gpu-lets */
    uint64_t built_us;
    uint64_t verified_blocks; /* of the isolation check; 0 = not checked */
    struct glet_unit *next;   /* among the retired */
};

struct glet_device_slot {
    const char *spec;
    char id[GLET_NAME_BYTES]; /* of the plan's GPU that it is for; empty = any */
    struct glet_device *device;
};

struct glet_pins {
    _Atomic(struct glet_device *) device; /* that pins; NULL: none is open that can */
    _Atomic size_t bytes;
    _Atomic bool told; /* the log, that something was not pinned */
};

struct glet_service {
    struct glet_service_options options;
    struct glet_device_slot *devices;
    size_t device_count;
    struct glet_pool pool;
    struct glet_pins pins;

    struct glet_slot *slots[GLET_MAX_SLOTS]; /* entries below slot_count never change */
    _Atomic size_t slot_count;
    _Atomic bool draining, unready;
    _Atomic bool stopping, unwatched; /* for the repairer, for the supervisor */

    pthread_mutex_t change;
    pthread_cond_t lost; /* a gpu-let was lost; with change */
    bool has_lost;

    pthread_mutex_t topology;
    struct glet_plan *plan;
    size_t *gpus;             /* numbers of this node's GPUs in the plan */
    struct glet_unit **units; /* one for each */
    size_t unit_count;
    struct glet_unit *retired;
    struct glet_plan_info info;
    struct glet_service_events events;

    pthread_t supervisor, repairer;
    bool has_supervisor, has_repairer;
};

/* service.c: one that serves nothing and has opened nothing. options as in control.h. */
GLET_MUST_CHECK
struct glet_service *glet_service_new(const struct glet_service_options *options,
                                      struct glet_error *err);

/* node_slice.c: which GPUs of the plan are ours, and on which device each */
GLET_MUST_CHECK
int glet_node_gpus(const struct glet_service *service, const struct glet_plan *plan,
                   size_t **gpus_out, size_t *count_out, struct glet_error *err);
/* The device for one GPU of the plan: opened, held against the plan, and marked as taken, of
   service->device_count. *device_out is written also where it does not fit. */
GLET_MUST_CHECK
int glet_assign_device(struct glet_service *service, const struct glet_plan *plan,
                       const struct glet_plan_gpu *gpu, bool *taken, size_t *device_out,
                       struct glet_error *err);
GLET_MUST_CHECK
int glet_assign_devices(struct glet_service *service, const struct glet_plan *plan,
                        const size_t *gpus, size_t count, size_t *devices_out,
                        struct glet_error *err);
/* The model's file, owned by the caller. */
GLET_MUST_CHECK
char *glet_model_path(const struct glet_service *service, const struct glet_plan *plan,
                      const struct glet_plan_model *model, struct glet_error *err);

/* service_pin.c: this device may pin, if it can. */
void glet_pins_use(struct glet_pins *pins, struct glet_device *device);

/* slot.c */
GLET_MUST_CHECK
struct glet_slot *glet_slot_new(const char *name, const struct glet_model *model,
                                struct glet_error *err);
void glet_slot_free(struct glet_slot *slot);
/* Is the model's interface the one that clients of this slot know? */
bool glet_slot_matches(const struct glet_slot *slot, const struct glet_model *model);
/* The past of a GPU, NULL when there is none. Topology lock or change lock. */
struct glet_past *glet_slot_past(const struct glet_slot *slot, const char *gpu);
/* Makes one, for batches up to `batch`. Change lock; takes the topology lock. */
GLET_MUST_CHECK
int glet_slot_make_past(struct glet_service *service, struct glet_slot *slot, const char *gpu,
                        int batch, struct glet_error *err);
/* Swaps the routes; the old ones are left in *routes for the caller to free. */
void glet_slot_route(struct glet_slot *slot, struct glet_routes *routes, bool by_completion);
void glet_routes_free(struct glet_routes *routes);
/* No request goes to this worker any more. */
void glet_slot_close_ways(struct glet_slot *slot, const struct glet_worker *worker);

/* unit.c */
struct glet_unit_plan {
    struct glet_service *service;
    const struct glet_plan *plan;
    const struct glet_plan_gpu *gpu;
    size_t gpu_number, device;
    const int *slots;                  /* of each model of the plan; -1 = not here */
    struct glet_loaded *const *loaded; /* of each model of the plan */
    bool beside_others;                /* build gpu-lets one after the other: others are serving */
};
GLET_MUST_CHECK
int glet_unit_build(const struct glet_unit_plan *plan, struct glet_unit **out,
                    struct glet_error *err);
bool glet_unit_same(const struct glet_unit *unit, const struct glet_unit_plan *plan);
bool glet_unit_healthy(const struct glet_unit *unit);
/* Tells its workers to end, and waits until each has, or hangs. */
void glet_unit_stop(struct glet_unit *unit);
bool glet_unit_over(const struct glet_unit *unit);
/* Frees what is over; puts its models back into the pool. */
void glet_unit_free(struct glet_unit *unit, struct glet_pool *pool);

/* submit.c */
void glet_worker_left(void *service, struct glet_worker *worker, const char *why);
void glet_worker_answered(void *service, int slot);

/* change.c: under the change lock */
GLET_MUST_CHECK
int glet_apply_plan(struct glet_service *service, struct glet_plan *plan, struct glet_error *err);
GLET_MUST_CHECK int glet_rebuild_lost(struct glet_service *service, struct glet_error *err);
/* Frees retired units that have come to their end. */
void glet_reap(struct glet_service *service);

#endif
