/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_SERVICE_H
#define GLET_SERVICE_H

/*
 * What the protocol side (HTTP, codec, metrics) sees of the serving side (router, queues, batcher,
 * gpu-let workers). Neither knows the other's internals.
 *
 * Times are microseconds of the monotonic clock (common/clock.h).
 *
 * A plan change replaces what is behind a service, not the service: models keep their index for as
 * long as their name is in the plan; a model that leaves the plan keeps its index and is not ready.
 */

#include "common/error.h"
#include "common/histogram.h"
#include "runtime/device/device.h"
#include "runtime/engine/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct glet_service;

enum glet_outcome {
    GLET_DONE,          /* 200: outputs are filled */
    GLET_REFUSED_RATE,  /* 429: this model is over its own planned rate; another node will not help
                         */
    GLET_REFUSED_LOAD,  /* 503: queue full or the deadline cannot be met here; another may help */
    GLET_REFUSED_DRAIN, /* 503: shutting down */
    GLET_LATE,          /* 504: accepted, but dropped before compute: it would have been late */
    GLET_FAILED,        /* 500: the device failed */
    GLET_INVALID,       /* 400: the model refuses these values (an index out of range) */
    GLET_OUTCOME_COUNT
};

/*
 * One inference request. Everything the submitter fills stays valid until `done` is called, which
 * happens exactly once for every request that glet_service_submit() took, on any thread; it must be
 * short and must not block.
 */
struct glet_request {
    /* filled by the submitter */
    int model;
    int rows; /* batch dimension of the request, 1 .. glet_service_max_rows() */
    uint64_t arrival_us;
    uint64_t deadline_us; /* 0: arrival + the plan's SLO */
    int priority;         /* 0 = default; larger is more urgent */
    const void **inputs;  /* [inputs of the model]: rows x input bytes each */
    void **outputs;       /* [outputs of the model]: rows x output bytes each, to be filled */
    uint64_t shared;      /* bit i: input i is memory that another process may change, and take away
                             (shared_copy.h). It is copied, unless it is pinned; where that
                             fails, GLET_INVALID */
    uint64_t pinned;      /* bit i: input i lies in one block that glet_service_pin() took */
    void (*done)(struct glet_request *request);
    void *user;
    /* filled before done() */
    enum glet_outcome outcome;
    double retry_after_s;      /* refused: when it is worth trying again */
    uint64_t start_us, end_us; /* executor start and end; 0 when it never ran */
    int batch_rows;            /* rows of the batch it was part of */
    const char *gpu;   /* whose gpu-let answered it, by its id in the plan, valid as long as the
                        service; NULL: none did */
    char message[128]; /* empty when done */
    bool bad_input;    /* a shared input was no good: message says why */
    bool inputs_kept;  /* a device that hangs may read the inputs for ever: they may be read, but
                         neither freed, unmapped, unpinned nor written again */
    /* of the service */
    struct glet_request *next;
    uint64_t service_word;
};

/* Takes the request or completes it at once with a refusal (done() may run inside the call).
   Safe from any thread; allocates nothing. */
void glet_service_submit(struct glet_service *service, struct glet_request *request);

/*
 * Lets GPUs read `bytes` of memory, which begins at a page border, where they are: inputs in it cost
 * a gpu-let's thread no copy (glet_request's `pinned`). writable: whether its mapping is. It may wait
 * for the driver, so not while a request waits for it. false, and nothing has changed: no GPU here
 * reads memory in place, its driver would not pin this, or it is more than the service may pin. Any
 * thread; allocates nothing itself.
 */
bool glet_service_pin(struct glet_service *service, void *memory, size_t bytes, bool writable);
/* What glet_service_pin() took, before it is unmapped; no request may have inputs there. */
void glet_service_unpin(struct glet_service *service, void *memory, size_t bytes);
size_t glet_service_pinned_bytes(const struct glet_service *service); /* now */

size_t glet_service_model_count(const struct glet_service *service);
int glet_service_find_model(const struct glet_service *service, const char *name); /* -1 = none */
const char *glet_service_model_name(const struct glet_service *service, int model);
int glet_service_max_rows(const struct glet_service *service, int model);

/* Interface of a model; valid as long as the service. */
size_t glet_service_input_count(const struct glet_service *service, int model);
size_t glet_service_output_count(const struct glet_service *service, int model);
const struct glet_model_io *glet_service_input(const struct glet_service *service, int model,
                                               size_t i);
const struct glet_model_io *glet_service_output(const struct glet_service *service, int model,
                                                size_t i);

bool glet_service_ready(const struct glet_service *service);
bool glet_service_model_ready(const struct glet_service *service, int model);

/* Totals since the start; a consistent-enough copy, taken without stopping anyone. */
struct glet_model_stats {
    double slo_ms, planned_rps;
    uint64_t outcomes[GLET_OUTCOME_COUNT];
    uint64_t slo_violations;       /* done, but later than the SLO */
    uint64_t executions, rows;     /* batches run, rows in them */
    uint64_t queue_ns, compute_ns; /* summed over requests: arrival to start, start to end */
    uint64_t input_ns,
        output_ns;    /* likewise: gathering before the start, scattering after the end */
    uint64_t fail_ns; /* arrival to answer, of requests that were accepted and failed */
    uint64_t queue_depth, in_flight;
    uint64_t last_done_unix_ms;                              /* 0 = never */
    struct glet_histogram *total_us, *queue_us, *compute_us; /* caller's; may be NULL */
};
/* gpu: only what GPUs of that id in a plan have computed, since the start; false when none of them
   had the model. NULL: everything, refusals too; always true. */
bool glet_service_stats(const struct glet_service *service, int model, const char *gpu,
                        struct glet_model_stats *out);

struct glet_batch_stats {
    uint64_t executions;
    uint64_t input_ns, compute_ns, output_ns; /* summed over executions */
};
/* Batches of exactly `rows` rows; false when no batch so large or larger can have run. gpu as
   above. */
bool glet_service_batch_stats(const struct glet_service *service, int model, const char *gpu,
                              int rows, struct glet_batch_stats *out);

/* Plan changes that went live / were turned down, and gpu-lets rebuilt after a fault. */
struct glet_service_events {
    uint64_t plan_changes, plan_rejects, rebuilds;
};
void glet_service_events(const struct glet_service *service, struct glet_service_events *out);

/*
 * The plan being served, planned beside achieved. Each call copies; indices are those of the plan
 * at that moment, so a call that names something a new plan no longer has returns false.
 */
struct glet_plan_change { /* how a plan went live, by the monotonic clock */
    size_t models_built;  /* that have a gpu-let which was not there before */
    size_t gpus_built, gpus_kept;
    double prepare_ms; /* until everything is ready: models, partitions, executors, routes. The old
                          plan serves meanwhile */
    double swap_ms;    /* from then until every request goes to the new plan */
    double drain_ms;   /* from then until what the old plan had is answered and freed; NaN = it is
                          not yet */
};
struct glet_plan_info {
    char path[256];      /* the file; empty = none */
    char sha256[65];     /* of its bytes; empty = unknown */
    uint64_t generation; /* 1 = the first plan, +1 per change */
    uint64_t loaded_unix_ms;
    struct glet_plan_change change; /* from the plan before it; for the first, from none */
};
void glet_service_plan_info(const struct glet_service *service, struct glet_plan_info *out);

enum { GLET_NAME_BYTES = 256 }; /* of a name in a plan, as its reader takes it, with its end */

struct glet_gpu_stats {
    char id[GLET_NAME_BYTES], type[GLET_NAME_BYTES];
    int units;
    double sms; /* of the whole device; cores on a CPU */
    uint64_t memory_planned_bytes, memory_used_bytes, memory_total_bytes; /* 0 = unknown */
    bool replay;              /* nothing is computed: it takes a profile's times */
    bool temporal;            /* its gpu-lets are not kept apart, they take turns */
    uint64_t verified_blocks; /* of the isolation check, in each gpu-let; 0 = not checked */
};
size_t glet_service_gpu_count(const struct glet_service *service);
bool glet_service_gpu_stats(const struct glet_service *service, size_t gpu,
                            struct glet_gpu_stats *out);

/* What the GPU's sensors say now (device.h); not part of the above because it may take long. */
bool glet_service_gpu_sample(const struct glet_service *service, size_t gpu,
                             struct glet_device_sample *out);

struct glet_let_stats {
    size_t gpu;
    int units;
    double achieved_units, busy_ratio; /* of its share, since it serves */
    double duty_cycle_ms;
    uint64_t rounds;
    int sm_count;       /* SMs, read back; 0 = it has none */
    int seen_sms;       /* on which the isolation check saw it run; 0 = not checked */
    size_t share_count; /* models in it */
};
size_t glet_service_let_count(const struct glet_service *service);
bool glet_service_let_stats(const struct glet_service *service, size_t let,
                            struct glet_let_stats *out);

/* One model's part of one gpu-let. */
struct glet_share_stats {
    int model, batch;
    double planned_rps, exec_ms, latency_bound_ms;
    uint64_t executions, rows; /* since the start of its plan */
};
bool glet_service_share_stats(const struct glet_service *service, size_t let, size_t share,
                              struct glet_share_stats *out);

#endif
