/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread of a gpu-let: build, then decide - run - answer, until told to stop or the device
 * fails.
 *
 * Copies into and out of the executor's staging memory happen outside the hang watch: only inside
 * the executor may a batch be taken away from the thread, because only there it writes nothing of
 * the requests. What it may be reading there, inputs lent to it in place, is kept for good then.
 *
 * An executor may refuse data (a token number out of range, say). Then each request of the batch
 * runs alone, so that one bad request costs its neighbours time but no answer.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/sched/sched_plan.h"
#include "runtime/serve/core/worker_state.h"

#include <stdio.h>
#include <string.h>

/* A batch hangs when it takes this many times what the plan says, and hang_us. */
enum { HANG_FACTOR = 20 };

enum run_result { RUN_DONE, RUN_TAKEN, RUN_FAILED, RUN_BAD_INPUT };

static void answer(struct glet_worker *worker, size_t share, struct glet_request *request,
                   enum glet_outcome outcome)
{
    int slot = worker->shares[share].slot;
    request->outcome = outcome;
    request->gpu = worker->shares[share].gpu;
    if (outcome != GLET_DONE) {
        struct glet_counters *counters = &worker->counters[share];
        glet_count(&counters->outcomes[outcome], 1);
        glet_count(&counters->fail_ns, (glet_clock_us() - request->arrival_us) * 1000);
    }
    request->done(request);
    worker->plan.answered(worker->plan.user, slot);
}

static void answer_late(struct glet_worker *worker, size_t share, struct glet_request *request)
{
    request->start_us = request->end_us = 0;
    request->batch_rows = 0;
    snprintf(request->message, sizeof request->message,
             "dropped before it ran: it could no longer meet its deadline");
    answer(worker, share, request, GLET_LATE);
}

/* One request alone need not be copied where the device can read it in place. Returns whether it
   will read any memory of the requests'. */
static bool gather(const struct glet_model *model, struct glet_executor *executor,
                   const struct glet_sched_item *items, size_t count)
{
    bool lent = false;
    for (size_t input = 0; input < glet_model_input_count(model); input++) {
        const struct glet_request *first = items[0].request;
        if (count == 1 && glet_executor_lend(executor, input, first->inputs[input], first->rows)) {
            lent = true;
            continue;
        }
        size_t row_bytes = glet_model_input(model, input)->bytes;
        unsigned char *to = glet_executor_input(executor, input);
        for (size_t i = 0; i < count; i++) {
            const struct glet_request *request = items[i].request;
            size_t bytes = row_bytes * (size_t)request->rows;
            memcpy(to, request->inputs[input], bytes);
            to += bytes;
        }
    }
    return lent;
}

static void scatter(const struct glet_model *model, const struct glet_executor *executor,
                    const struct glet_sched_item *items, size_t count)
{
    for (size_t output = 0; output < glet_model_output_count(model); output++) {
        size_t row_bytes = glet_model_output(model, output)->bytes;
        const unsigned char *from =
            glet_executor_output((struct glet_executor *)(uintptr_t)executor, output);
        for (size_t i = 0; i < count; i++) {
            struct glet_request *request = items[i].request;
            size_t bytes = row_bytes * (size_t)request->rows;
            memcpy(request->outputs[output], from, bytes);
            from += bytes;
        }
    }
}

/* Runs items of one model in one executor; fills in the requests when they are done. */
static enum run_result run(struct glet_worker *worker, size_t share, size_t size,
                           const struct glet_sched_item *items, size_t count, int rows,
                           struct glet_error *err)
{
    const struct glet_model *model = worker->shares[share].model;
    struct glet_executor *executor = worker->benches[share].executors[size];
    uint64_t gather_ns = glet_clock_ns();
    worker->lent = gather(model, executor, items, count);
    uint64_t limit_us = HANG_FACTOR * worker->benches[share].sizes[size].exec_us;
    uint64_t start_ns = glet_clock_ns(), start_us = start_ns / 1000;
    atomic_store_explicit(&worker->inside_since_us, start_us, memory_order_relaxed);
    atomic_store_explicit(&worker->inside_limit_us,
                          limit_us > worker->plan.hang_us ? limit_us : worker->plan.hang_us,
                          memory_order_relaxed);
    uint64_t inside =
        atomic_load_explicit(&worker->phase, memory_order_relaxed) + 4 + GLET_PHASE_INSIDE;
    atomic_store_explicit(&worker->phase, inside, memory_order_release);
    int failed = glet_executor_run(executor, rows, err);
    uint64_t end_ns = glet_clock_ns(), end_us = end_ns / 1000;
    if (!atomic_compare_exchange_strong(&worker->phase, &inside, inside - GLET_PHASE_INSIDE))
        return RUN_TAKEN;
    worker->lent = false;
    if (failed)
        return err->code == GLET_ERR_INPUT || err->code == GLET_ERR_RANGE ? RUN_BAD_INPUT
                                                                          : RUN_FAILED;
    scatter(model, executor, items, count);
    for (size_t i = 0; i < count; i++) {
        struct glet_request *request = items[i].request;
        request->start_us = start_us;
        request->end_us = end_us;
        request->batch_rows = rows;
        request->message[0] = '\0';
    }
    struct glet_batch_times times = {start_ns - gather_ns, end_ns - start_ns,
                                     glet_clock_ns() - end_ns};
    glet_counters_batch(&worker->counters[share], rows, count, &times);
    return RUN_DONE;
}

static void answer_done(struct glet_worker *worker, size_t share,
                        const struct glet_sched_item *item)
{
    struct glet_request *request = item->request;
    glet_counters_done(&worker->counters[share], request, glet_request_slo_us(request));
    answer(worker, share, request, GLET_DONE);
}

/* After the batch was refused as a whole: one by one. */
static enum run_result run_alone(struct glet_worker *worker, struct glet_error *err)
{
    struct glet_sched_batch *batch = &worker->batch;
    const struct glet_bench *bench = &worker->benches[batch->share];
    while (worker->taken < batch->count) {
        const struct glet_sched_item *item = &batch->items[worker->taken];
        size_t size = 0;
        while (bench->sizes[size].batch < item->rows)
            size++;
        enum run_result result = run(worker, batch->share, size, item, 1, item->rows, err);
        if (result == RUN_TAKEN || result == RUN_FAILED)
            return result;
        worker->taken++;
        if (result == RUN_DONE) {
            answer_done(worker, batch->share, item);
            continue;
        }
        struct glet_request *request = item->request;
        snprintf(request->message, sizeof request->message, "%.*s",
                 (int)sizeof request->message - 1, err->message);
        answer(worker, batch->share, request, GLET_INVALID);
    }
    return RUN_DONE;
}

static enum run_result run_batch(struct glet_worker *worker, struct glet_error *err)
{
    struct glet_sched_batch *batch = &worker->batch;
    worker->taken = 0;
    worker->batch_left = true;
    enum run_result result =
        run(worker, batch->share, batch->size, batch->items, batch->count, batch->rows, err);
    if (result == RUN_BAD_INPUT)
        result = run_alone(worker, err);
    else if (result == RUN_DONE)
        for (size_t i = 0; i < batch->count; i++)
            answer_done(worker, batch->share, &batch->items[i]);
    if (result == RUN_DONE)
        worker->batch_left = false;
    return result;
}

/* Sleeps until an offer or the time at which waiting excess should be looked at again. */
static void sleep_idle(struct glet_worker *worker, uint64_t now_us)
{
    uint64_t wake_us = glet_sched_let_wake_us(worker->sched, now_us);
    uint32_t seen = glet_bell_seen(&worker->wake);
    worker->idle = true;
    pthread_mutex_unlock(&worker->lock);
    glet_bell_wait(&worker->wake, seen, wake_us);
    pthread_mutex_lock(&worker->lock);
    worker->idle = false;
}

/* Returns why it was lost, NULL when told to stop, with *gone set when the batch was taken away. */
static const char *serve(struct glet_worker *worker, struct glet_error *err, bool *gone)
{
    const char *why = NULL;
    pthread_mutex_lock(&worker->lock);
    while (!why && !*gone) {
        struct glet_sched_batch *batch = &worker->batch;
        uint64_t now_us = glet_clock_us();
        enum glet_sched_step step = glet_sched_let_next(worker->sched, now_us, batch);
        if (step == GLET_SCHED_IDLE) {
            if (worker->state != GLET_WORKER_SERVING)
                break;
            sleep_idle(worker, now_us);
            continue;
        }
        pthread_mutex_unlock(&worker->lock);
        if (step == GLET_SCHED_LATE) {
            for (size_t i = 0; i < batch->count; i++)
                answer_late(worker, batch->share, batch->items[i].request);
        } else {
            enum run_result result = run_batch(worker, err);
            *gone = result == RUN_TAKEN;
            why = result == RUN_FAILED ? err->message : NULL;
        }
        if (*gone)
            return NULL; /* the batch belongs to whoever took it */
        pthread_mutex_lock(&worker->lock);
        if (step == GLET_SCHED_RUN)
            glet_sched_let_end(worker->sched, glet_clock_us());
    }
    pthread_mutex_unlock(&worker->lock);
    return why;
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
    }
    struct glet_sched_let *sched = glet_sched_let_new(shares, count, err);
    if (!sched)
        goto out;
    worker->batch.items = glet_alloc(glet_sched_let_room(sched), sizeof *worker->batch.items, err);
    pthread_mutex_lock(&worker->lock);
    worker->sched = sched;
    pthread_mutex_unlock(&worker->lock);
    result = worker->batch.items ? 0 : -1;
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
