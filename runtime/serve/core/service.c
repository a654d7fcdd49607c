/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a service, and the questions about its models that need no lock. */
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "runtime/serve/core/service_state.h"
#include "runtime/serve/core/supervise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POLL_US = 2000 };

/* "ID=SPEC" or "SPEC". */
static int parse_device(const char *text, struct glet_device_slot *slot, struct glet_error *err)
{
    const char *equals = strchr(text, '=');
    slot->spec = equals ? equals + 1 : text;
    size_t length = equals ? (size_t)(equals - text) : 0;
    if (length >= sizeof slot->id || (equals && length == 0) || !slot->spec[0])
        return glet_error_set(err, GLET_ERR_USAGE, "--device %s: not SPEC or ID=SPEC", text);
    memcpy(slot->id, text, length);
    return 0;
}

static int init_locks(struct glet_service *service)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&service->change, NULL);
    pthread_mutex_init(&service->topology, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&service->lost, &attributes);
    pthread_condattr_destroy(&attributes);
    return 0;
}

static void forget_model(void *user, const struct glet_model *model)
{
    struct glet_service *service = user;
    for (size_t d = 0; d < service->device_count; d++)
        if (service->devices[d].device)
            glet_device_forget_model(service->devices[d].device, model);
}

static int set_up(struct glet_service *service, struct glet_error *err)
{
    const struct glet_service_options *options = &service->options;
    static const char *const best[] = {"auto"};
    size_t count = options->device_count ? options->device_count : 1;
    const char *const *specs = options->device_count ? options->devices : best;
    service->pool.random_weights = options->random_weights;
    service->pool.seed = options->seed;
    service->pool.forget = forget_model;
    service->pool.user = service;
    service->devices = glet_alloc(count, sizeof *service->devices, err);
    if (!service->devices)
        return -1;
    for (; service->device_count < count; service->device_count++)
        if (parse_device(specs[service->device_count], &service->devices[service->device_count],
                         err) < 0)
            return -1;
    return 0;
}

struct glet_service *glet_service_new(const struct glet_service_options *options,
                                      struct glet_error *err)
{
    struct glet_service *service = glet_alloc(1, sizeof *service, err);
    if (!service)
        return NULL;
    service->options = *options;
    init_locks(service);
    if (set_up(service, err) < 0) {
        glet_service_close(service);
        return NULL;
    }
    return service;
}

int glet_service_open(const struct glet_service_options *options, struct glet_plan *plan,
                      struct glet_service **out, struct glet_error *err)
{
    struct glet_service *service = glet_service_new(options, err);
    int result = -1;
    if (service) {
        pthread_mutex_lock(&service->change);
        result = glet_apply_plan(service, plan, err);
        pthread_mutex_unlock(&service->change);
    }
    if (result < 0)
        glet_plan_free(plan);
    else
        result = glet_supervise_start(service, err);
    if (result < 0)
        glet_service_close(service);
    else
        *out = service;
    return result;
}

int glet_service_change(struct glet_service *service, struct glet_plan *plan,
                        struct glet_error *err)
{
    pthread_mutex_lock(&service->change);
    int result = -1;
    if (atomic_load(&service->draining))
        glet_error_set(err, GLET_ERR_DEVICE, "shutting down");
    else
        result = glet_apply_plan(service, plan, err);
    if (result < 0)
        glet_plan_free(plan);
    pthread_mutex_lock(&service->topology);
    service->events.plan_changes += result == 0;
    service->events.plan_rejects += result < 0;
    pthread_mutex_unlock(&service->topology);
    pthread_mutex_unlock(&service->change);
    return result;
}

void glet_service_unready(struct glet_service *service)
{
    atomic_store(&service->unready, true);
}

static uint64_t open_requests(const struct glet_service *service)
{
    uint64_t open = 0;
    size_t count = atomic_load(&service->slot_count);
    for (size_t s = 0; s < count; s++)
        open += atomic_load(&service->slots[s]->open);
    return open;
}

bool glet_service_drain(struct glet_service *service, double limit_s)
{
    uint64_t until_us = glet_clock_us() + (uint64_t)(fmax(limit_s, 0) * 1e6);
    atomic_store(&service->unready, true);
    atomic_store(&service->draining, true);
    uint64_t requests;
    while ((requests = open_requests(service)) > 0 || !glet_supervise_try_stop_repairs(service)) {
        if (glet_clock_us() >= until_us) {
            glet_log_warning("%s left behind after seconds=%.1f",
                             requests > 0 ? "requests are" : "a plan change is", limit_s);
            return false;
        }
        usleep(POLL_US);
    }
    return true;
}

void glet_service_close(struct glet_service *service)
{
    if (!service)
        return;
    atomic_store(&service->draining, true);
    glet_supervise_stop_repairs(service);
    for (size_t i = 0; i < service->unit_count; i++) {
        glet_unit_stop(service->units[i]);
        pthread_mutex_lock(&service->topology);
        service->units[i]->next = service->retired;
        service->retired = service->units[i];
        pthread_mutex_unlock(&service->topology);
    }
    pthread_mutex_lock(&service->topology);
    service->unit_count = 0;
    pthread_mutex_unlock(&service->topology);
    glet_reap(service);
    glet_supervise_stop(service);
    if (service->retired) {
        /* A thread hangs inside a device: nothing that it may still touch can be freed. */
        glet_log_error("a gpu-let hangs and is left behind");
        return;
    }
    for (size_t s = 0; s < GLET_MAX_SLOTS; s++)
        glet_slot_free(service->slots[s]);
    for (size_t d = 0; d < service->device_count; d++)
        glet_device_close(service->devices[d].device);
    glet_plan_free(service->plan);
    free(service->units);
    free(service->gpus);
    free(service->devices);
    pthread_mutex_destroy(&service->change);
    pthread_mutex_destroy(&service->topology);
    pthread_cond_destroy(&service->lost);
    free(service);
}

static const struct glet_slot *slot_at(const struct glet_service *service, int model)
{
    return service->slots[model];
}

size_t glet_service_model_count(const struct glet_service *service)
{
    return atomic_load(&service->slot_count);
}

int glet_service_find_model(const struct glet_service *service, const char *name)
{
    size_t count = atomic_load(&service->slot_count);
    for (size_t s = 0; s < count; s++)
        if (strcmp(service->slots[s]->name, name) == 0)
            return (int)s;
    return -1;
}

const char *glet_service_model_name(const struct glet_service *service, int model)
{
    return slot_at(service, model)->name;
}

int glet_service_max_rows(const struct glet_service *service, int model)
{
    return atomic_load(&slot_at(service, model)->max_rows);
}

size_t glet_service_input_count(const struct glet_service *service, int model)
{
    return slot_at(service, model)->input_count;
}

size_t glet_service_output_count(const struct glet_service *service, int model)
{
    return slot_at(service, model)->output_count;
}

const struct glet_model_io *glet_service_input(const struct glet_service *service, int model,
                                               size_t i)
{
    return &slot_at(service, model)->inputs[i];
}

const struct glet_model_io *glet_service_output(const struct glet_service *service, int model,
                                                size_t i)
{
    return &slot_at(service, model)->outputs[i];
}

bool glet_service_model_ready(const struct glet_service *service, int model)
{
    /* While draining the service is not ready, but its models are: they still serve. */
    return atomic_load(&slot_at(service, model)->ready);
}

bool glet_service_ready(const struct glet_service *service)
{
    if (atomic_load(&service->unready))
        return false;
    size_t count = atomic_load(&service->slot_count);
    for (size_t s = 0; s < count; s++)
        if (atomic_load(&service->slots[s]->planned) && !atomic_load(&service->slots[s]->ready))
            return false;
    return count > 0;
}
