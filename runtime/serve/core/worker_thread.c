/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread of a gpu-let: build, then decide - run - answer, until told to stop or the device
 * fails. What running and answering are is in worker_flight.c.
 *
 * Where the device takes a second batch before it has ended the first, the thread gives it one just
 * in time to be copied (glet_sched_let_next_us()), and sleeps until then. When nothing waits then, it
 * waits for the end, and decides there, as it does on a device that takes one at a time.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/sched/sched_plan.h"
#include "runtime/serve/core/worker_state.h"

#include <string.h>

/* Waking up takes about so long: it is no use to sleep for less. */
enum { WAKE_US = 100 };

/* Sleeps until a ring or that time; *wants: offers are to ring. */
static void sleep_until(struct glet_worker *worker, uint64_t wake_us, bool *wants)
{
    uint32_t seen = glet_bell_seen(&worker->wake);
    *wants = true;
    pthread_mutex_unlock(&worker->lock);
    glet_bell_wait(&worker->wake, seen, wake_us);
    pthread_mutex_lock(&worker->lock);
    *wants = false;
}

/* While one batch runs: sleeps until it is time for the next. False when it is. */
static bool too_early(struct glet_worker *worker, uint64_t now_us)
{
    uint64_t next_us = glet_sched_let_next_us(worker->sched);
    bool nobody_rings;
    if (worker->flying >= worker->depth || next_us == UINT64_MAX || next_us <= now_us + WAKE_US)
        return false;
    sleep_until(worker, next_us - WAKE_US, &nobody_rings);
    return true;
}

/* The next batch, or what is late, or neither: then the oldest batch is to be ended, if there is
   one. */
static enum glet_sched_step decide(struct glet_worker *worker, uint64_t now_us)
{
    size_t next = (worker->first + worker->flying) % GLET_FLIGHTS;
    struct glet_sched_batch *batch = &worker->flights[next].batch;
    bool may = worker->flying == 0 || (worker->flying < worker->depth &&
                                       glet_sched_let_next_us(worker->sched) != UINT64_MAX);
    return may ? glet_sched_let_next(worker->sched, now_us, batch) : GLET_SCHED_IDLE;
}

/* Of the batch that has just ended, what the device computed. */
static uint64_t computed_us(struct glet_worker *worker)
{
    struct glet_partition_use use;
    uint64_t before_us = worker->busy_us;
    if (worker->depth == 1)
        return 0;
    glet_partition_achieved(worker->plan.partition, &use);
    worker->busy_us = (uint64_t)(use.busy_ms * 1000);
    return worker->busy_us > before_us ? worker->busy_us - before_us : 0;
}

/* Without the lock. Begins the batch that was decided on, or ends the oldest. */
static enum glet_run_result act(struct glet_worker *worker, enum glet_sched_step step,
                                struct glet_error *err)
{
    size_t next = (worker->first + worker->flying) % GLET_FLIGHTS;
    if (step == GLET_SCHED_RUN) {
        enum glet_run_result result = glet_flight_begin(worker, &worker->flights[next], err);
        worker->flying += result == GLET_RUN_DONE;
        return result;
    }
    if (step == GLET_SCHED_LATE) {
        glet_answer_late(worker, &worker->flights[next].batch);
        return GLET_RUN_DONE;
    }
    return glet_flight_end(worker, &worker->flights[worker->first], err);
}

/* After a failure: another batch that the device has may still be good. */
static enum glet_run_result end_the_other(struct glet_worker *worker)
{
    struct glet_error ignored;
    enum glet_run_result result = GLET_RUN_DONE;
    for (int i = 0; i < GLET_FLIGHTS && result != GLET_RUN_TAKEN; i++)
        if (worker->flights[i].begun)
            result = glet_flight_end(worker, &worker->flights[i], &ignored);
    return result;
}

/* Returns why it was lost, NULL when told to stop, with *gone set when its batches were taken away. */
static const char *serve(struct glet_worker *worker, struct glet_error *err, bool *gone)
{
    pthread_mutex_lock(&worker->lock);
    for (;;) {
        uint64_t now_us = glet_clock_us();
        if (worker->flying > 0 && too_early(worker, now_us))
            continue;
        enum glet_sched_step step = decide(worker, now_us);
        if (step == GLET_SCHED_IDLE && worker->flying == 0) {
            if (worker->state != GLET_WORKER_SERVING)
                break;
            sleep_until(worker, glet_sched_let_wake_us(worker->sched, now_us), &worker->idle);
            continue;
        }
        pthread_mutex_unlock(&worker->lock);
        enum glet_run_result result = act(worker, step, err);
        *gone = result == GLET_RUN_TAKEN ||
                (result == GLET_RUN_FAILED && end_the_other(worker) == GLET_RUN_TAKEN);
        if (*gone)
            return NULL; /* the batches belong to whoever took them */
        if (result == GLET_RUN_FAILED)
            return err->message;
        pthread_mutex_lock(&worker->lock);
        if (step == GLET_SCHED_IDLE) {
            glet_sched_let_gathered(worker->sched, worker->flights[worker->first].gather_ns / 1000);
            glet_sched_let_end(worker->sched, glet_clock_us(), computed_us(worker));
            worker->first = (worker->first + 1) % GLET_FLIGHTS;
            worker->flying--;
        }
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

static int build(struct glet_worker *worker, struct glet_error *err)
{
    size_t count = worker->plan.share_count;
    struct glet_sched_share *shares = glet_alloc(count, sizeof *shares, err);
    if (!shares)
        return -1;
    int result = -1;
    for (size_t i = 0; i < count; i++) {
        const struct glet_worker_share *share = &worker->shares[i];
        struct glet_bench *bench = &worker->benches[i];
        if (glet_bench_build(bench, worker->plan.partition, share->model, share->batch,
                             (uint64_t)(share->exec_ms * 1000), worker->plan.planned_batch_only,
                             err) < 0) {
            glet_error_context(err, "model %s", glet_model_name(share->model));
            goto out;
        }
        memcpy(shares[i].sizes, bench->sizes, sizeof shares[i].sizes);
        shares[i].size_count = bench->count;
        shares[i].queue_capacity =
            glet_sched_queue_capacity(share->rate_rps, share->slo_us, share->batch);
        shares[i].rate_rps = share->rate_rps;
        worker->activation_mib += bench->activation_mib;
        size_t depth = (size_t)glet_executor_depth(bench->executors[0]);
        worker->depth = depth < GLET_FLIGHTS ? depth : GLET_FLIGHTS;
    }
    struct glet_sched_let *sched = glet_sched_let_new(shares, count, err);
    if (!sched)
        goto out;
    result = 0;
    for (int i = 0; i < GLET_FLIGHTS; i++) {
        struct glet_sched_batch *batch = &worker->flights[i].batch;
        batch->items = glet_alloc(glet_sched_let_room(sched), sizeof *batch->items, err);
        result = batch->items ? result : -1;
    }
    pthread_mutex_lock(&worker->lock);
    worker->sched = sched;
    pthread_mutex_unlock(&worker->lock);
out:
    glet_cleanup_free(&shares);
    return result;
}

static void set_state(struct glet_worker *worker, enum glet_worker_state state,
                      const struct glet_error *err)
{
    pthread_mutex_lock(&worker->lock);
    if (err)
        worker->build_error = *err;
    worker->state = state;
    atomic_store(&worker->serving, state == GLET_WORKER_SERVING);
    atomic_store(&worker->lost, state == GLET_WORKER_LOST);
    pthread_cond_broadcast(&worker->built);
    pthread_mutex_unlock(&worker->lock);
}

void glet_worker_leave(struct glet_worker *worker, const char *why)
{
    set_state(worker, why ? GLET_WORKER_LOST : GLET_WORKER_STOPPING, NULL);
    worker->plan.left(worker->plan.user, worker, why);
}

void *glet_worker_main(void *user)
{
    struct glet_worker *worker = user;
    struct glet_error err = {0};
    bool gone = false;
    pthread_setname_np(pthread_self(), worker->name);
    if (glet_partition_enter(worker->plan.partition, &err) < 0) {
        set_state(worker, GLET_WORKER_BROKEN, &err);
        atomic_store(&worker->over, true);
        return NULL;
    }
    if (build(worker, &err) < 0) {
        set_state(worker, GLET_WORKER_BROKEN, &err);
    } else {
        set_state(worker, GLET_WORKER_SERVING, NULL);
        const char *why = serve(worker, &err, &gone);
        if (!gone)
            glet_worker_leave(worker, why);
    }
    for (size_t i = 0; i < worker->plan.share_count; i++)
        glet_bench_free(&worker->benches[i]);
    glet_partition_leave(worker->plan.partition);
    atomic_store(&worker->over, true);
    return NULL;
}
