/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two threads that look after the workers. The supervisor looks for hangs and must never wait for
 * anything; the repairer rebuilds what was lost, which takes as long as a plan change.
 */
#include "runtime/serve/core/supervise.h"

#include "common/clock.h"
#include "common/log.h"

#include <time.h>
#include <unistd.h>

enum {
    LOOK_US = 20000,      /* how late a hang is noticed */
    MOST_US = 200000,     /* a look that comes after more was kept back: the process was halted */
    FIRST_RETRY_MS = 100, /* after a rebuild that failed; doubles */
    LAST_RETRY_MS = 10000,
    IDLE_MS = 1000, /* the repairer looks at zombies this often */
};

static void look_at(struct glet_unit *unit, uint64_t ran_us)
{
    for (size_t i = 0; i < unit->count; i++)
        glet_worker_check(unit->workers[i], ran_us);
}

static void *supervise(void *user)
{
    struct glet_service *service = user;
    pthread_setname_np(pthread_self(), "supervisor");
    for (uint64_t last_us = glet_clock_us(); !atomic_load(&service->unwatched);) {
        pthread_mutex_lock(&service->topology);
        uint64_t now_us = glet_clock_us(), ran_us = now_us - last_us;
        last_us = now_us;
        if (ran_us > MOST_US)
            ran_us = MOST_US;
        for (size_t i = 0; i < service->unit_count; i++)
            look_at(service->units[i], ran_us);
        for (struct glet_unit *unit = service->retired; unit; unit = unit->next)
            look_at(unit, ran_us);
        pthread_mutex_unlock(&service->topology);
        usleep(LOOK_US);
    }
    return NULL;
}

static void wait_for_loss(struct glet_service *service, int64_t most_ms)
{
    uint64_t until_us = glet_clock_us() + (uint64_t)most_ms * 1000;
    struct timespec until = {(time_t)(until_us / 1000000), (long)(until_us % 1000000) * 1000};
    pthread_cond_timedwait(&service->lost, &service->change, &until);
}

static void *repair(void *user)
{
    struct glet_service *service = user;
    int64_t wait_ms = FIRST_RETRY_MS;
    pthread_setname_np(pthread_self(), "repairer");
    pthread_mutex_lock(&service->change);
    while (!atomic_load(&service->stopping)) {
        struct glet_error err = {0};
        glet_reap(service);
        if (glet_rebuild_lost(service, &err) == 0) {
            wait_ms = FIRST_RETRY_MS;
            wait_for_loss(service, IDLE_MS);
            continue;
        }
        glet_log_failure(GLET_LOG_ERROR, "rebuilding a gpu-let", &err);
        wait_for_loss(service, wait_ms);
        wait_ms = wait_ms * 2 < LAST_RETRY_MS ? wait_ms * 2 : LAST_RETRY_MS;
    }
    pthread_mutex_unlock(&service->change);
    return NULL;
}

int glet_supervise_start(struct glet_service *service, struct glet_error *err)
{
    int failed = pthread_create(&service->supervisor, NULL, supervise, service);
    if (failed)
        return glet_error_errno(err, failed, "supervisor thread");
    service->has_supervisor = true;
    failed = pthread_create(&service->repairer, NULL, repair, service);
    if (failed)
        return glet_error_errno(err, failed, "repairer thread");
    service->has_repairer = true;
    return 0;
}

/* With the change lock, which it gives back. */
static void tell_repairer_to_end(struct glet_service *service)
{
    atomic_store(&service->stopping, true);
    pthread_cond_signal(&service->lost);
    pthread_mutex_unlock(&service->change);
}

bool glet_supervise_try_stop_repairs(struct glet_service *service)
{
    if (pthread_mutex_trylock(&service->change))
        return false;
    tell_repairer_to_end(service);
    return true;
}

void glet_supervise_stop_repairs(struct glet_service *service)
{
    if (!service->has_repairer)
        return;
    pthread_mutex_lock(&service->change);
    tell_repairer_to_end(service);
    pthread_join(service->repairer, NULL);
    service->has_repairer = false;
}

void glet_supervise_stop(struct glet_service *service)
{
    if (!service->has_supervisor)
        return;
    atomic_store(&service->unwatched, true);
    pthread_join(service->supervisor, NULL);
    service->has_supervisor = false;
}
