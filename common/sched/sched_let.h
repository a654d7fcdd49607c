/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_SCHED_LET_H
#define GLET_SCHED_LET_H

/*
 * What one gpu-let does next: the batcher and the admission rule. The runtime's worker and the
 * planner's simulator run this same code.
 *
 * The plan promises that a request waits at most one duty cycle and then runs:
 * sum exec <= D, batch >= rate x D, D + exec <= SLO. That holds because the models take turns and a
 * turn is at most one planned batch, whoever asks for how much. On top of it the gpu-let never
 * idles while a request waits: turns of models without requests are skipped, partial batches leave
 * at once, and a turn is moved forward when that saves a deadline and costs none.
 *
 * Two classes of request. *Planned* ones are within their model's planned rate
 * (common/sched/sched_bucket.h). *Excess* ones run only in rows that a batch leaves free, or when
 * no planned request waits and the other models are not using what the plan gave them; of each
 * model at most one batch of them waits.
 *
 * Pure: times are parameters and must not go back by more than the caller's own jitter; no
 * allocation after glet_sched_let_new(); not shared between threads (the caller locks).
 */

#include "common/error.h"
#include "common/sched/sched_queue.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GLET_SCHED_MAX_SIZES = 16 };

struct glet_sched_size { /* an executor */
    int batch;
    uint64_t exec_us;   /* what the plan allows, or measured, copies included; > 0 */
    uint64_t copy_us;   /* of that, what is no compute, where a device does it beside the compute of
                         another batch; 0 = it takes one batch at a time */
    uint64_t gather_us; /* of that, what the caller does itself, as it is expected */
};

struct glet_sched_share {                               /* one model of the gpu-let */
    struct glet_sched_size sizes[GLET_SCHED_MAX_SIZES]; /* ascending; the last is the planned one */
    size_t size_count;                                  /* >= 1 */
    size_t queue_capacity;                              /* requests; >= 1 */
    double rate_rps;                                    /* what the plan sends here; >= 0 */
};

enum glet_sched_class { GLET_SCHED_PLANNED, GLET_SCHED_EXCESS };

enum glet_sched_verdict {
    GLET_SCHED_ACCEPTED,
    GLET_SCHED_FULL,    /* the queue, or the room for excess */
    GLET_SCHED_TOO_LATE /* the predicted completion is past the deadline */
};

enum glet_sched_step {
    GLET_SCHED_IDLE, /* nothing waits */
    GLET_SCHED_LATE, /* batch->items can no longer be in time and have left the queue */
    GLET_SCHED_RUN,  /* run batch->items now, then call glet_sched_let_end() */
};

struct glet_sched_batch {
    size_t share; /* which model */
    size_t size;  /* which executor: index into its sizes */
    int rows;     /* sum over the items, <= the executor's batch */
    size_t count;
    struct glet_sched_item *items; /* the caller's; room for glet_sched_let_room() of them */
};

struct glet_sched_let;

/* Models in the order of their turns. GLET_ERR_NOMEM. */
GLET_MUST_CHECK
struct glet_sched_let *glet_sched_let_new(const struct glet_sched_share *shares, size_t count,
                                          struct glet_error *err);
void glet_sched_let_free(struct glet_sched_let *let); /* NULL is accepted */

/* Items that a batch may hold. */
size_t glet_sched_let_room(const struct glet_sched_let *let);

/* When the item would be answered, were it taken now; counts what waits already, not what comes. */
uint64_t glet_sched_let_predict(const struct glet_sched_let *let, uint64_t now_us, size_t share,
                                const struct glet_sched_item *item, enum glet_sched_class kind);

/* Takes the item if it can be in time; *completion_us_out (may be NULL) is the prediction. */
enum glet_sched_verdict glet_sched_let_offer(struct glet_sched_let *let, uint64_t now_us,
                                             size_t share, const struct glet_sched_item *item,
                                             enum glet_sched_class kind,
                                             uint64_t *completion_us_out);

/*
 * The next step of an idle gpu-let; or of one whose batch still runs, from glet_sched_let_next_us()
 * on: what is given out then runs after that one, and takes copy_us less. Call again after
 * GLET_SCHED_LATE.
 */
enum glet_sched_step glet_sched_let_next(struct glet_sched_let *let, uint64_t now_us,
                                         struct glet_sched_batch *batch);

/* While one batch runs: when to ask for the next, so that it is copied when that one has computed.
   UINT64_MAX = not before the end of a batch. */
uint64_t glet_sched_let_next_us(const struct glet_sched_let *let);

/* How long the caller took for its part of the copies of the oldest batch that was given out, before
   glet_sched_let_end(): not every request is in the same place. Without it, as was expected. */
void glet_sched_let_gathered(struct glet_sched_let *let, uint64_t gathered_us);

/* The oldest batch that was given out to run has ended; its time refines the predictions.
   computed_us: of that, what the device computed; looked at only where it has a copy_us. */
void glet_sched_let_end(struct glet_sched_let *let, uint64_t now_us, uint64_t computed_us);

/* Another planned rate for a model; what is queued stays. */
void glet_sched_let_replan(struct glet_sched_let *let, size_t share, double rate_rps);

/* Takes out any waiting item (a gpu-let that goes away); false when none waits. */
bool glet_sched_let_evacuate(struct glet_sched_let *let, size_t *share_out,
                             struct glet_sched_item *item_out);

/* Requests waiting, of one model and class. */
size_t glet_sched_let_waiting(const struct glet_sched_let *let, size_t share,
                              enum glet_sched_class kind);

/* When to call glet_sched_let_next() again although nothing arrived: excess that must not run yet
   may soon. UINT64_MAX = only when something arrives. */
uint64_t glet_sched_let_wake_us(const struct glet_sched_let *let, uint64_t now_us);

/* Current estimate of an executor's time: the plan's at first, then what runs really took. */
uint64_t glet_sched_let_exec_us(const struct glet_sched_let *let, size_t share, size_t size);

/* Turns that came round to the first model again; one per duty cycle under full load. */
uint64_t glet_sched_let_rounds(const struct glet_sched_let *let);

#endif
