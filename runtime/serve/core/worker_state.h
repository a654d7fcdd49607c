/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_WORKER_STATE_H
#define GLET_WORKER_STATE_H

/* Inside of a worker: shared by its two files only. */

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
 * Where the thread is with its batch: a serial number, times four, plus one of these. The
 * supervisor may take over a batch only while it is inside the executor, and only that very batch.
 */
enum { GLET_PHASE_FREE, GLET_PHASE_INSIDE, GLET_PHASE_TAKEN };

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
    bool idle;

    struct glet_bell wake;         /* for the thread: something to do */
    struct glet_sched_batch batch; /* the thread's; the supervisor's once the phase is TAKEN */
    size_t taken;                  /* of its items, by glet_worker_take() */
    bool batch_left;               /* the batch's requests have no answer yet */
    bool lent;                     /* the executor reads the batch's inputs in place */
    _Atomic uint64_t phase, inside_since_us, inside_limit_us;
    _Atomic bool serving, lost, over;
};

void *glet_worker_main(void *worker);

/* The end of serving, whatever the reason: no offer is taken after this. */
void glet_worker_leave(struct glet_worker *worker, const char *why);

#endif
