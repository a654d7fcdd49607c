/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_SIM_STATE_H
#define GLET_SIM_STATE_H

/* Inside of simulate.h: the world that a plan is served in. sim_build.c makes it, simulate.c runs
   it, sim_app.c lets apps fan out in it. */

#include "common/arrivals.h"
#include "common/sched/sched_door.h"
#include "planner/simulate/event_heap.h"
#include "planner/simulate/simulate.h"

struct glet_sim_let {
    struct glet_sched_let *sched;
    struct glet_sched_share *shares; /* what it was made of: execution times by size */
    struct glet_sched_batch batch;
    bool busy;
    uint64_t due_us; /* when its batch ends, or it wants to look again; UINT64_MAX = never */
    uint64_t start_us, busy_us;
    uint64_t rows, room;
};

struct glet_sim_place { /* where a way leads */
    size_t let, share;
};

struct glet_sim_model {
    struct glet_sim *sim;
    struct glet_sched_door door;
    struct glet_sched_way *ways;
    struct glet_sim_place *places; /* of the ways */
    double capacity_rps;
    int burst; /* batches of its ways */
    uint64_t slo_us;
};

struct glet_sim_source { /* arrivals of a stream */
    struct glet_arrivals arrivals;
    size_t model;                        /* of a model's stream */
    const struct glet_workload_app *app; /* of an app's, else NULL */
};

struct glet_sim_job; /* an app request (sim_app.c) */

struct glet_sim_request {
    size_t model;
    size_t stream; /* whose own request it is; of a call the app's */
    uint64_t arrival_us;
    struct glet_sim_job *job; /* NULL = a model's own request */
    size_t stage;
    struct glet_sim_request *next_free;
};

enum glet_sim_end { GLET_SIM_ANSWERED, GLET_SIM_OVER_RATE, GLET_SIM_OVERLOADED, GLET_SIM_LATE };

struct glet_sim {
    const struct glet_simulate_options *options;
    const struct glet_workload *workload;
    struct glet_simulation *out;
    uint64_t warmup_us, stop_us, now_us;
    struct glet_sim_let *lets;
    size_t let_count;
    size_t offered; /* the gpu-let that a request was offered to last: the one that took it */
    struct glet_sim_model *models;   /* as in the workload */
    struct glet_sim_source *sources; /* as out->streams */
    struct glet_event_heap heap;     /* numbers below stream_count are sources, the rest gpu-lets */
    struct glet_sim_request *free;   /* requests that have ended */
    struct glet_sim_request **blocks;
    size_t block_count, block_capacity;
};

/* sim_build.c */
GLET_MUST_CHECK
int glet_sim_build(struct glet_sim *sim, const struct glet_plan *plan,
                   const struct glet_problem *problem, struct glet_error *err);
void glet_sim_fini(struct glet_sim *sim);

/* simulate.c: a request of a model begins now. It may end at once, refused. */
GLET_MUST_CHECK
int glet_sim_submit(struct glet_sim *sim, struct glet_sim_request request, struct glet_error *err);
/* Counts the end of what arrived then. */
void glet_sim_record(struct glet_sim *sim, size_t stream, uint64_t arrival_us,
                     enum glet_sim_end end);

/* sim_app.c: an app request begins; one of its calls has ended. */
GLET_MUST_CHECK
int glet_sim_begin_job(struct glet_sim *sim, size_t stream, size_t index, struct glet_error *err);
GLET_MUST_CHECK
int glet_sim_end_call(struct glet_sim *sim, const struct glet_sim_request *request,
                      enum glet_sim_end end, struct glet_error *err);

#endif
