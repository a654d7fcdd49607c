/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's way in, and its second way when its gpu-let is lost.
 *
 * `open` counts the requests of a model that are taken and not answered. It goes up before the
 * request looks at `draining`, so that whoever sets that and then sees all counts at zero knows
 * that nothing is on its way in (both sequentially consistent).
 */
#include "common/clock.h"
#include "common/log.h"
#include "runtime/serve/core/service_state.h"

#include <stdio.h>

static void refuse(struct glet_slot *slot, struct glet_request *request, enum glet_outcome outcome,
                   double retry_after_s)
{
    static const char *const messages[GLET_OUTCOME_COUNT] = {
        [GLET_REFUSED_RATE] = "the model is over its planned rate and nothing is left over",
        [GLET_REFUSED_LOAD] = "no gpu-let of the model here can answer in time",
        [GLET_REFUSED_DRAIN] = "shutting down",
        [GLET_FAILED] = "the device failed",
    };
    request->outcome = outcome;
    request->retry_after_s = retry_after_s;
    snprintf(request->message, sizeof request->message, "%s", messages[outcome]);
    atomic_fetch_add_explicit(&slot->refused[outcome], 1, memory_order_relaxed);
    request->done(request);
    atomic_fetch_sub(&slot->open, 1);
}

static struct glet_sched_item item_of(struct glet_request *request)
{
    return (struct glet_sched_item){request, request->arrival_us, request->deadline_us,
                                    request->priority, request->rows};
}

void glet_service_submit(struct glet_service *service, struct glet_request *request)
{
    struct glet_slot *slot = service->slots[request->model];
    request->retry_after_s = 0;
    request->start_us = request->end_us = 0;
    request->batch_rows = 0;
    request->gpu = NULL;
    request->message[0] = '\0';
    request->inputs_kept = request->bad_input = false;
    atomic_fetch_add(&slot->open, 1);
    if (atomic_load(&service->draining)) {
        refuse(slot, request, GLET_REFUSED_DRAIN, 1);
        return;
    }
    pthread_mutex_lock(&slot->lock);
    uint64_t slo_us = request->arrival_us + slot->routes.slo_us;
    if (request->deadline_us == 0)
        request->deadline_us = slo_us;
    request->service_word = slo_us * 2;
    struct glet_sched_item item = item_of(request);
    double retry_after_s = 0;
    enum glet_sched_admission admission =
        glet_sched_door_admit(&slot->door, glet_clock_us(), &item, &retry_after_s);
    pthread_mutex_unlock(&slot->lock);
    if (admission != GLET_SCHED_ADMITTED) /* otherwise it may be answered already */
        refuse(slot, request,
               admission == GLET_SCHED_OVER_RATE ? GLET_REFUSED_RATE : GLET_REFUSED_LOAD,
               retry_after_s);
}

/* Any other gpu-let that can be in time; its own tokens are spent already. */
static bool place(struct glet_slot *slot, struct glet_request *request)
{
    struct glet_sched_item item = item_of(request);
    bool placed = false;
    pthread_mutex_lock(&slot->lock);
    for (size_t i = 0; i < slot->routes.count && !placed; i++)
        if (glet_sched_way_usable(&slot->routes.ways[i], request->rows))
            placed = slot->door.offer(slot, i, &item, GLET_SCHED_PLANNED, glet_clock_us(), NULL) ==
                     GLET_SCHED_ACCEPTED;
    pthread_mutex_unlock(&slot->lock);
    return placed;
}

void glet_worker_left(void *user, struct glet_worker *worker, const char *why)
{
    struct glet_service *service = user;
    int slot_number = 0;
    bool ran = false;
    struct glet_request *request;
    size_t moved = 0, refused = 0;
    for (size_t i = 0; i < glet_worker_share_count(worker); i++) {
        struct glet_slot *slot = service->slots[glet_worker_share(worker, i)->slot];
        glet_slot_close_ways(slot, worker);
    }
    while ((request = glet_worker_take(worker, &slot_number, &ran))) {
        struct glet_slot *slot = service->slots[slot_number];
        bool again = ran && request->service_word % 2 == 1;
        request->service_word |= ran;
        /* A request that fails two devices is left alone: it may be what they fail of. */
        if (again) {
            refuse(slot, request, GLET_FAILED, 0);
            refused++;
        } else if (place(slot, request)) {
            moved++;
        } else {
            refuse(slot, request,
                   atomic_load(&service->draining) ? GLET_REFUSED_DRAIN : GLET_REFUSED_LOAD, 1);
            refused++;
        }
    }
    if (!why)
        return;
    glet_log_error("gpu-let lost why=%s moved=%zu refused=%zu", why, moved, refused);
    pthread_cond_signal(&service->lost);
}

void glet_worker_answered(void *user, int slot)
{
    struct glet_service *service = user;
    atomic_fetch_sub(&service->slots[slot]->open, 1);
}
