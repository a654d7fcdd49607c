/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"
#include "common/memory.h"
#include "runtime/serve/core/service_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_ios(struct glet_model_io *ios, size_t count)
{
    for (size_t i = 0; ios && i < count; i++)
        free((char *)(uintptr_t)ios[i].name);
    free(ios);
}

static struct glet_model_io *copy_ios(const struct glet_model *model, size_t count,
                                      const struct glet_model_io *(*get)(const struct glet_model *,
                                                                         size_t),
                                      struct glet_error *err)
{
    struct glet_model_io *ios = glet_alloc(count, sizeof *ios, err);
    for (size_t i = 0; ios && i < count; i++) {
        ios[i] = *get(model, i);
        ios[i].name = glet_strdup(ios[i].name, err);
        if (!ios[i].name) {
            free_ios(ios, i);
            return NULL;
        }
    }
    return ios;
}

static enum glet_sched_verdict offer(void *user, size_t way, const struct glet_sched_item *item,
                                     enum glet_sched_class kind, uint64_t now_us,
                                     uint64_t *completion_us_out)
{
    const struct glet_slot *slot = user;
    const struct glet_place *place = &slot->routes.places[way];
    return glet_worker_offer(place->worker, place->share, item, kind, now_us, completion_us_out);
}

static uint64_t predict(void *user, size_t way, const struct glet_sched_item *item,
                        enum glet_sched_class kind, uint64_t now_us)
{
    const struct glet_slot *slot = user;
    const struct glet_place *place = &slot->routes.places[way];
    return glet_worker_predict(place->worker, place->share, item, kind, now_us);
}

struct glet_slot *glet_slot_new(const char *name, const struct glet_model *model,
                                struct glet_error *err)
{
    struct glet_slot *slot = glet_alloc(1, sizeof *slot, err);
    if (!slot)
        return NULL;
    pthread_mutex_init(&slot->lock, NULL);
    slot->input_count = glet_model_input_count(model);
    slot->output_count = glet_model_output_count(model);
    slot->name = glet_strdup(name, err);
    if (slot->name)
        slot->inputs = copy_ios(model, slot->input_count, glet_model_input, err);
    if (slot->inputs)
        slot->outputs = copy_ios(model, slot->output_count, glet_model_output, err);
    if (!slot->outputs) {
        glet_slot_free(slot);
        return NULL;
    }
    slot->door = (struct glet_sched_door){.user = slot, .offer = offer, .predict = predict};
    glet_sched_bucket_init(&slot->door.bucket, 0, 0, glet_clock_us());
    return slot;
}

void glet_slot_free(struct glet_slot *slot)
{
    if (!slot)
        return;
    glet_routes_free(&slot->routes);
    while (slot->past) {
        struct glet_past *past = slot->past;
        slot->past = past->next;
        glet_counters_fini(&past->counters);
        free(past);
    }
    free_ios(slot->inputs, slot->input_count);
    free_ios(slot->outputs, slot->output_count);
    pthread_mutex_destroy(&slot->lock);
    free(slot->name);
    free(slot);
}

static bool same_ios(const struct glet_model_io *a, size_t count, const struct glet_model *model,
                     const struct glet_model_io *(*get)(const struct glet_model *, size_t))
{
    for (size_t i = 0; i < count; i++) {
        const struct glet_model_io *b = get(model, i);
        if (strcmp(a[i].name, b->name) != 0 || a[i].dtype != b->dtype || a[i].rank != b->rank ||
            a[i].bytes != b->bytes ||
            memcmp(a[i].dims, b->dims, (size_t)a[i].rank * sizeof a[i].dims[0]) != 0)
            return false;
    }
    return true;
}

bool glet_slot_matches(const struct glet_slot *slot, const struct glet_model *model)
{
    return slot->input_count == glet_model_input_count(model) &&
           slot->output_count == glet_model_output_count(model) &&
           same_ios(slot->inputs, slot->input_count, model, glet_model_input) &&
           same_ios(slot->outputs, slot->output_count, model, glet_model_output);
}

struct glet_past *glet_slot_past(const struct glet_slot *slot, const char *gpu)
{
    struct glet_past *past = slot->past;
    while (past && strcmp(past->gpu, gpu) != 0)
        past = past->next;
    return past;
}

int glet_slot_make_past(struct glet_service *service, struct glet_slot *slot, const char *gpu,
                        int batch, struct glet_error *err)
{
    pthread_mutex_lock(&service->topology);
    struct glet_past *past = glet_slot_past(slot, gpu);
    int result = past ? glet_counters_enlarge(&past->counters, batch, err) : 0;
    pthread_mutex_unlock(&service->topology);
    if (past)
        return result;
    past = glet_alloc(1, sizeof *past, err);
    if (!past || glet_counters_init(&past->counters, batch, err) < 0) {
        free(past);
        return -1;
    }
    snprintf(past->gpu, sizeof past->gpu, "%s", gpu);
    pthread_mutex_lock(&service->topology);
    past->next = slot->past;
    slot->past = past;
    pthread_mutex_unlock(&service->topology);
    return 0;
}

/* Ready as long as one way is open. */
static void update_ready(struct glet_slot *slot)
{
    bool ready = false;
    for (size_t i = 0; i < slot->routes.count; i++)
        ready |= !slot->routes.ways[i].closed;
    atomic_store(&slot->ready, ready);
}

void glet_slot_route(struct glet_slot *slot, struct glet_routes *routes, bool by_completion)
{
    pthread_mutex_lock(&slot->lock);
    struct glet_routes old = slot->routes;
    slot->routes = *routes;
    *routes = old;
    /* One may have been lost between its building and now. */
    for (size_t i = 0; i < slot->routes.count; i++)
        if (!glet_worker_serving(slot->routes.places[i].worker))
            slot->routes.ways[i].closed = true;
    slot->door.ways = slot->routes.ways;
    slot->door.way_count = slot->routes.count;
    slot->door.by_completion = by_completion;
    if (old.planned)
        glet_sched_bucket_change(&slot->door.bucket, slot->routes.capacity_rps, slot->routes.burst,
                                 glet_clock_us());
    else
        glet_sched_bucket_init(&slot->door.bucket, slot->routes.capacity_rps, slot->routes.burst,
                               glet_clock_us());
    atomic_store(&slot->planned, slot->routes.planned);
    atomic_store(&slot->max_rows, slot->routes.max_rows);
    update_ready(slot);
    pthread_mutex_unlock(&slot->lock);
}

void glet_routes_free(struct glet_routes *routes)
{
    free(routes->ways);
    free(routes->places);
    *routes = (struct glet_routes){0};
}

void glet_slot_close_ways(struct glet_slot *slot, const struct glet_worker *worker)
{
    pthread_mutex_lock(&slot->lock);
    for (size_t i = 0; i < slot->routes.count; i++)
        if (slot->routes.places[i].worker == worker)
            slot->routes.ways[i].closed = true;
    update_ready(slot);
    pthread_mutex_unlock(&slot->lock);
}
