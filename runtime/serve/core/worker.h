/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_WORKER_H
#define GLET_WORKER_H

/*
 * One gpu-let: a thread that owns a partition, its executors, and the queues and batcher of
 * common/sched/sched_let.h.
 *
 * States: building -> serving -> stopping -> ended, or serving -> lost (the device failed under it,
 * or it hangs) -> ended. A lost worker hands out what it held and takes nothing any more.
 */

#include "common/error.h"
#include "common/sched/sched_let.h"
#include "runtime/device/device.h"
#include "runtime/serve/core/counters.h"
#include "runtime/serve/service.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct glet_worker;

/* A request's service_word: when its SLO ends, times two, plus one when a batch of it failed. */
static inline uint64_t glet_request_slo_us(const struct glet_request *request)
{
    return request->service_word / 2;
}

struct glet_worker_share {
    struct glet_model *model; /* borrowed, outlives the worker */
    int slot;                 /* the service's number of this model */
    const char *gpu;          /* for the requests it answers; outlives them */
    int batch;
    double rate_rps, exec_ms;
    uint64_t slo_us; /* sizes the queue only: each request carries its own */
};

struct glet_worker_plan {
    const char *name; /* of the thread, at most 15 characters; copied */
    struct glet_partition *partition;
    const struct glet_worker_share *shares; /* copied */
    size_t share_count;
    bool planned_batch_only;
    uint64_t hang_us;
    /*
     * The worker takes nothing any more: it is lost (why says how), or it has stopped (why is
     * NULL). Called once, without locks, on the worker's thread or, for a hang, on the
     * supervisor's. glet_worker_take() then hands out the requests that it leaves behind.
     */
    void (*left)(void *user, struct glet_worker *worker, const char *why);
    /* A request of this model has been answered; called without locks, after done(). */
    void (*answered)(void *user, int slot);
    void *user;
};

/* Starts the thread, which builds the executors. */
GLET_MUST_CHECK
int glet_worker_start(const struct glet_worker_plan *plan, struct glet_worker **out,
                      struct glet_error *err);

/* Waits until it serves; -1 with the thread's error when it could not build. */
GLET_MUST_CHECK int glet_worker_wait(struct glet_worker *worker, struct glet_error *err);

/* As glet_sched_let_offer() / _predict(); GLET_SCHED_FULL / UINT64_MAX unless serving. Any thread.
 */
enum glet_sched_verdict glet_worker_offer(struct glet_worker *worker, size_t share,
                                          const struct glet_sched_item *item,
                                          enum glet_sched_class kind, uint64_t now_us,
                                          uint64_t *completion_us_out);
uint64_t glet_worker_predict(struct glet_worker *worker, size_t share,
                             const struct glet_sched_item *item, enum glet_sched_class kind,
                             uint64_t now_us);

/* True when the running batch is past its limit: the worker is then lost. ran_us: since the last
   call; time in which this process did not run is nobody's hang. Supervisor only. */
bool glet_worker_check(struct glet_worker *worker, uint64_t ran_us);

/* The next request that a worker left behind, or NULL. *slot_out is its model; *ran_out says that
   it was in a batch that ran, and may be why it failed. */
struct glet_request *glet_worker_take(struct glet_worker *worker, int *slot_out, bool *ran_out);

/* Serves what waits, then ends. glet_worker_over() turns true once the thread has freed its
   executors; a hung one may never. glet_worker_free() needs that, and joins. */
void glet_worker_stop(struct glet_worker *worker);
bool glet_worker_over(struct glet_worker *worker);
void glet_worker_free(struct glet_worker *worker); /* NULL is accepted */

/* Another plan with the same partition, models and batches: new rates. */
void glet_worker_replan(struct glet_worker *worker, size_t share, double rate_rps);

bool glet_worker_serving(const struct glet_worker *worker);
bool glet_worker_lost(const struct glet_worker *worker);
size_t glet_worker_waiting(struct glet_worker *worker, size_t share); /* requests */
uint64_t glet_worker_rounds(struct glet_worker *worker);
double glet_worker_activation_mib(const struct glet_worker *worker); /* once it serves */
const struct glet_counters *glet_worker_counters(const struct glet_worker *worker, size_t share);
size_t glet_worker_share_count(const struct glet_worker *worker);
const struct glet_worker_share *glet_worker_share(const struct glet_worker *worker, size_t share);

#endif
