/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_WORKER_STATE_H
#define GLET_WORKER_STATE_H

/* Inside of a worker: shared by its three files only. */

#include "runtime/serve/core/bell.h"
#include "runtime/serve/core/bench.h"
#include "runtime/serve/core/worker.h"

#include <pthread.h>
#include <stdatomic.h>

enum glet_worker_state {
    GLET_WORKER_BUILDING,
    GLET_WORKER_BROKEN, /* could not build */
    GLET_WORKER_SERVING,
    GLET_WORKER_STOPPING,
    GLET_WORKER_LOST,
};

/*
 * Where the thread is with its batches: a serial number, times four, plus one of these. The
 * supervisor may take them over only while the thread is inside an executor, and only from that
 * very stay in it.
 */
enum { GLET_PHASE_FREE, GLET_PHASE_INSIDE, GLET_PHASE_TAKEN };

enum { GLET_FLIGHTS = 2 }; /* as many as any device has use for */

struct glet_flight { /* a batch that has left the queue */
    struct glet_sched_batch batch;
    size_t taken;                 /* of its items: answered one by one, or by glet_worker_take() */
    bool left;                    /* its requests have no answer yet */
    bool begun;                   /* and not finished, by the executor */
    bool lent;                    /* the executor reads inputs in place */
    uint64_t gather_ns, begin_ns; /* how long its inputs were copied; when it began */
};

struct glet_worker {
    struct glet_worker_plan plan;
    char name[16];
    struct glet_worker_share *shares;
    struct glet_bench *benches;
    struct glet_counters *counters;
    double activation_mib;

    pthread_t thread;
    bool has_lock, has_thread;
    pthread_mutex_t lock; /* guards from here to the next blank line */
    pthread_cond_t built; /* for glet_worker_wait() */
    enum glet_worker_state state;
    struct glet_error build_error;
    struct glet_sched_let *sched;
    bool idle; /* it sleeps, and wants to know of any request */

    struct glet_bell wake;                    /* for the thread: something to do */
    struct glet_flight flights[GLET_FLIGHTS]; /* the thread's; the supervisor's once TAKEN */
    size_t first, flying;                     /* the oldest; how many */
    size_t depth;                             /* how many may be */
    uint64_t end_ns;                          /* of the last one that ended */
    uint64_t busy_us;                         /* that the partition has computed until then */
    _Atomic uint64_t phase, inside_limit_us;
    uint64_t watched_phase, watched_us; /* the supervisor's: since when it sees the thread there */
    _Atomic bool serving, lost, over;
};

void *glet_worker_main(void *worker);

enum glet_run_result { GLET_RUN_DONE, GLET_RUN_TAKEN, GLET_RUN_FAILED };

/* Gives the batch to its executor / waits for the oldest one that has been given, and answers its
   requests. What was TAKEN is the supervisor's; of what FAILED the requests are left. */
enum glet_run_result glet_flight_begin(struct glet_worker *worker, struct glet_flight *flight,
                                       struct glet_error *err);
enum glet_run_result glet_flight_end(struct glet_worker *worker, struct glet_flight *flight,
                                     struct glet_error *err);

/* The answer to requests that were dropped from the queue. */
void glet_answer_late(struct glet_worker *worker, const struct glet_sched_batch *batch);

/* The end of serving, whatever the reason: no offer is taken after this. */
void glet_worker_leave(struct glet_worker *worker, const char *why);

#endif
