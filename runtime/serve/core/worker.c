/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker as others see it: start, offers, supervision, end. What its thread does is in
 * worker_thread.c, and with a batch in worker_flight.c.
 *
 * One mutex per worker, held for the microsecond of a decision, never while anything runs. The
 * thread sleeps only when nothing waits, and its bell is rung only when it sleeps, so that under
 * load there are no wake-ups at all.
 */
#include "common/clock.h"
#include "common/memory.h"
#include "runtime/serve/core/worker_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int init_sync(struct glet_worker *worker, struct glet_error *err)
{
    int failed = pthread_mutex_init(&worker->lock, NULL);
    if (failed)
        return glet_error_errno(err, failed, "mutex");
    pthread_cond_init(&worker->built, NULL);
    worker->has_lock = true;
    return 0;
}

int glet_worker_start(const struct glet_worker_plan *plan, struct glet_worker **out,
                      struct glet_error *err)
{
    struct glet_worker *worker = glet_alloc(1, sizeof *worker, err);
    if (!worker)
        return -1;
    worker->plan = *plan;
    snprintf(worker->name, sizeof worker->name, "%s", plan->name);
    worker->plan.name = worker->name;
    size_t count = plan->share_count;
    worker->plan.share_count = 0; /* counts the initialised ones, for glet_worker_free() */
    worker->shares = glet_alloc(count, sizeof *worker->shares, err);
    worker->benches = worker->shares ? glet_alloc(count, sizeof *worker->benches, err) : NULL;
    worker->counters = worker->benches ? glet_alloc(count, sizeof *worker->counters, err) : NULL;
    if (!worker->counters || init_sync(worker, err) < 0)
        goto fail;
    memcpy(worker->shares, plan->shares, count * sizeof *worker->shares);
    worker->plan.shares = worker->shares;
    for (; worker->plan.share_count < count; worker->plan.share_count++)
        if (glet_counters_init(&worker->counters[worker->plan.share_count],
                               plan->shares[worker->plan.share_count].batch, err) < 0)
            goto fail;
    int failed = pthread_create(&worker->thread, NULL, glet_worker_main, worker);
    if (failed) {
        glet_error_errno(err, failed, "thread of a gpu-let");
        goto fail;
    }
    worker->has_thread = true;
    *out = worker;
    return 0;
fail:
    glet_worker_free(worker);
    return -1;
}

int glet_worker_wait(struct glet_worker *worker, struct glet_error *err)
{
    pthread_mutex_lock(&worker->lock);
    while (worker->state == GLET_WORKER_BUILDING)
        pthread_cond_wait(&worker->built, &worker->lock);
    bool broken = worker->state == GLET_WORKER_BROKEN;
    if (broken)
        *err = worker->build_error;
    pthread_mutex_unlock(&worker->lock);
    return broken ? -1 : 0;
}

enum glet_sched_verdict glet_worker_offer(struct glet_worker *worker, size_t share,
                                          const struct glet_sched_item *item,
                                          enum glet_sched_class kind, uint64_t now_us,
                                          uint64_t *completion_us_out)
{
    enum glet_sched_verdict verdict = GLET_SCHED_FULL;
    bool wake = false;
    pthread_mutex_lock(&worker->lock);
    if (worker->state == GLET_WORKER_SERVING) {
        verdict = glet_sched_let_offer(worker->sched, now_us, share, item, kind, completion_us_out);
        wake = verdict == GLET_SCHED_ACCEPTED && worker->idle;
        if (wake)
            worker->idle = false; /* one ring is enough */
    }
    pthread_mutex_unlock(&worker->lock);
    if (wake)
        glet_bell_ring(&worker->wake);
    return verdict;
}

uint64_t glet_worker_predict(struct glet_worker *worker, size_t share,
                             const struct glet_sched_item *item, enum glet_sched_class kind,
                             uint64_t now_us)
{
    uint64_t completion_us = UINT64_MAX;
    pthread_mutex_lock(&worker->lock);
    if (worker->state == GLET_WORKER_SERVING)
        completion_us = glet_sched_let_predict(worker->sched, now_us, share, item, kind);
    pthread_mutex_unlock(&worker->lock);
    return completion_us;
}

bool glet_worker_check(struct glet_worker *worker, uint64_t ran_us)
{
    uint64_t phase = atomic_load_explicit(&worker->phase, memory_order_acquire);
    worker->watched_us = phase == worker->watched_phase ? worker->watched_us + ran_us : 0;
    worker->watched_phase = phase;
    if (phase % 4 != GLET_PHASE_INSIDE ||
        worker->watched_us <= atomic_load_explicit(&worker->inside_limit_us, memory_order_relaxed))
        return false;
    /* Fails when this batch ended meanwhile, also if the next one is inside already. */
    uint64_t taken = phase - GLET_PHASE_INSIDE + GLET_PHASE_TAKEN;
    if (!atomic_compare_exchange_strong(&worker->phase, &phase, taken))
        return false;
    glet_worker_leave(worker, "it hangs");
    return true;
}

struct glet_request *glet_worker_take(struct glet_worker *worker, int *slot_out, bool *ran_out)
{
    for (int i = 0; i < GLET_FLIGHTS; i++) {
        struct glet_flight *flight = &worker->flights[i];
        *ran_out = flight->left && flight->taken < flight->batch.count;
        if (!*ran_out)
            continue;
        *slot_out = worker->shares[flight->batch.share].slot;
        struct glet_request *request = flight->batch.items[flight->taken++].request;
        request->inputs_kept = request->inputs_kept || flight->lent;
        return request;
    }
    size_t share = 0;
    struct glet_sched_item item = {0};
    pthread_mutex_lock(&worker->lock);
    bool found = glet_sched_let_evacuate(worker->sched, &share, &item);
    pthread_mutex_unlock(&worker->lock);
    *slot_out = worker->shares[share].slot;
    return found ? item.request : NULL;
}

void glet_worker_stop(struct glet_worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    if (worker->state == GLET_WORKER_SERVING) {
        worker->state = GLET_WORKER_STOPPING;
        atomic_store(&worker->serving, false);
    }
    pthread_mutex_unlock(&worker->lock);
    glet_bell_ring(&worker->wake);
}

bool glet_worker_over(struct glet_worker *worker)
{
    return atomic_load(&worker->over);
}

void glet_worker_free(struct glet_worker *worker)
{
    if (!worker)
        return;
    if (worker->has_thread)
        pthread_join(worker->thread, NULL);
    if (worker->has_lock) {
        pthread_cond_destroy(&worker->built);
        pthread_mutex_destroy(&worker->lock);
    }
    for (size_t i = 0; i < worker->plan.share_count; i++)
        glet_counters_fini(&worker->counters[i]);
    glet_sched_let_free(worker->sched);
    for (int i = 0; i < GLET_FLIGHTS; i++)
        free(worker->flights[i].batch.items);
    free(worker->shares);
    free(worker->benches);
    free(worker->counters);
    free(worker);
}

void glet_worker_replan(struct glet_worker *worker, size_t share, double rate_rps)
{
    pthread_mutex_lock(&worker->lock);
    worker->shares[share].rate_rps = rate_rps;
    glet_sched_let_replan(worker->sched, share, rate_rps);
    pthread_mutex_unlock(&worker->lock);
}

bool glet_worker_serving(const struct glet_worker *worker)
{
    return atomic_load(&worker->serving);
}

bool glet_worker_lost(const struct glet_worker *worker)
{
    return atomic_load(&worker->lost);
}

size_t glet_worker_waiting(struct glet_worker *worker, size_t share)
{
    pthread_mutex_lock(&worker->lock);
    size_t waiting = 0;
    if (worker->sched)
        waiting = glet_sched_let_waiting(worker->sched, share, GLET_SCHED_PLANNED) +
                  glet_sched_let_waiting(worker->sched, share, GLET_SCHED_EXCESS);
    pthread_mutex_unlock(&worker->lock);
    return waiting;
}

uint64_t glet_worker_rounds(struct glet_worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    uint64_t rounds = worker->sched ? glet_sched_let_rounds(worker->sched) : 0;
    pthread_mutex_unlock(&worker->lock);
    return rounds;
}

double glet_worker_activation_mib(const struct glet_worker *worker)
{
    return worker->activation_mib;
}

const struct glet_counters *glet_worker_counters(const struct glet_worker *worker, size_t share)
{
    return &worker->counters[share];
}

size_t glet_worker_share_count(const struct glet_worker *worker)
{
    return worker->plan.share_count;
}

const struct glet_worker_share *glet_worker_share(const struct glet_worker *worker, size_t share)
{
    return &worker->shares[share];
}
