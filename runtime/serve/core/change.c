/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one plan to the next, in four steps:
 *
 *   prepare   which GPUs are ours, on which device each; load models, make their slots
 *   build     the GPUs that differ, beside those that serve
 *   swap      each model's routes, one lock each: requests before go to the old, after to the new
 *   retire    what is not in use any more serves what waits, ends, and is freed
 *
 * Everything that can fail is in the first two, and undone when it does. A rebuild after a fault is
 * the same with the same plan: the lost GPU is not "the same", so it is built anew.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/sched/sched_plan.h"
#include "runtime/serve/core/service_state.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct change {
    struct glet_service *service;
    const struct glet_plan *plan;
    size_t *gpus, gpu_count;
    size_t *devices;             /* of each of our GPUs */
    struct glet_loaded **loaded; /* of each model of the plan; NULL = not ours */
    int *slots;                  /* likewise; -1 */
    size_t slot_count;           /* with the new ones, which nobody sees yet */
    struct glet_unit **units;    /* of each of our GPUs */
    bool *reused;
    struct glet_routes *routes; /* of each slot */
};

static void release(struct change *change)
{
    for (size_t m = 0; change->loaded && m < change->plan->model_count; m++)
        glet_pool_put(&change->service->pool, change->loaded[m]);
    for (size_t s = 0; change->routes && s < change->slot_count; s++)
        glet_routes_free(&change->routes[s]);
    free(change->gpus);
    free(change->devices);
    free(change->loaded);
    free(change->slots);
    free(change->units);
    free(change->reused);
    free(change->routes);
}

/* Undoes what was built; slots that nobody has seen go too. */
static void undo(struct change *change)
{
    struct glet_service *service = change->service;
    for (size_t i = 0; change->units && i < change->gpu_count; i++)
        if (change->units[i] && !change->reused[i]) {
            glet_unit_stop(change->units[i]);
            glet_unit_free(change->units[i], &service->pool);
        }
    for (size_t s = atomic_load(&service->slot_count); s < change->slot_count; s++) {
        glet_slot_free(service->slots[s]);
        service->slots[s] = NULL;
    }
}

static int find_or_make_slot(struct change *change, const char *name,
                             const struct glet_model *model, struct glet_error *err)
{
    struct glet_service *service = change->service;
    for (size_t s = 0; s < change->slot_count; s++)
        if (strcmp(service->slots[s]->name, name) == 0) {
            if (glet_slot_matches(service->slots[s], model))
                return (int)s;
            glet_error_set(err, GLET_ERR_INPUT,
                           "model %s: its inputs and outputs differ from those that clients of "
                           "this server know",
                           name);
            return glet_error_hint(err, "give the new model another name");
        }
    if (change->slot_count == GLET_MAX_SLOTS)
        return glet_error_set(err, GLET_ERR_RANGE, "more than %d models over the life of a server",
                              GLET_MAX_SLOTS);
    struct glet_slot *slot = glet_slot_new(name, model, err);
    if (!slot)
        return -1;
    service->slots[change->slot_count] = slot;
    return (int)change->slot_count++;
}

static int prepare_model(struct change *change, size_t m, struct glet_error *err)
{
    const struct glet_plan_model *model = &change->plan->models[m];
    if (change->loaded[m])
        return 0;
    GLET_CLEANUP(glet_cleanup_free)
    char *path = glet_model_path(change->service, change->plan, model, err);
    if (!path)
        return -1;
    if (glet_pool_get(&change->service->pool, model->name, path, &change->loaded[m], err) < 0)
        return glet_error_context(err, "model %s", model->name);
    change->slots[m] = find_or_make_slot(change, model->name, change->loaded[m]->model, err);
    return change->slots[m] < 0 ? -1 : 0;
}

static int prepare(struct change *change, struct glet_error *err)
{
    struct glet_service *service = change->service;
    const struct glet_plan *plan = change->plan;
    change->slot_count = atomic_load(&service->slot_count);
    change->loaded = glet_alloc(plan->model_count, sizeof(struct glet_loaded *), err);
    change->slots = change->loaded ? glet_alloc(plan->model_count, sizeof(int), err) : NULL;
    if (!change->slots)
        return -1;
    for (size_t m = 0; m < plan->model_count; m++)
        change->slots[m] = -1;
    if (glet_node_gpus(service, plan, &change->gpus, &change->gpu_count, err) < 0)
        return -1;
    size_t count = change->gpu_count;
    change->devices = glet_alloc(count, sizeof(size_t), err);
    change->units = change->devices ? glet_alloc(count, sizeof(struct glet_unit *), err) : NULL;
    change->reused = change->units ? glet_alloc(count, sizeof(bool), err) : NULL;
    if (!change->reused ||
        glet_assign_devices(service, plan, change->gpus, count, change->devices, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const struct glet_plan_gpu *gpu = &plan->gpus[change->gpus[i]];
        for (size_t l = 0; l < gpu->let_count; l++)
            for (size_t k = 0; k < gpu->lets[l].model_count; k++) {
                const struct glet_plan_let_model *part = &gpu->lets[l].models[k];
                if (prepare_model(change, part->model, err) < 0 ||
                    glet_slot_make_past(service, service->slots[change->slots[part->model]],
                                        gpu->id, part->batch, err) < 0)
                    return -1;
            }
    }
    return 0;
}

/* A GPU that serves already just as the plan wants it. */
static struct glet_unit *find_same(const struct change *change,
                                   const struct glet_unit_plan *unit_plan)
{
    const struct glet_service *service = change->service;
    for (size_t i = 0; i < service->unit_count; i++)
        if (glet_unit_same(service->units[i], unit_plan))
            return service->units[i];
    return NULL;
}

static int build(struct change *change, struct glet_error *err)
{
    for (size_t i = 0; i < change->gpu_count; i++) {
        struct glet_unit_plan unit_plan = {
            .service = change->service,
            .plan = change->plan,
            .gpu = &change->plan->gpus[change->gpus[i]],
            .gpu_number = change->gpus[i],
            .device = change->devices[i],
            .slots = change->slots,
            .loaded = change->loaded,
            .beside_others = change->service->unit_count > 0,
        };
        change->units[i] = find_same(change, &unit_plan);
        change->reused[i] = change->units[i] != NULL;
        if (!change->reused[i] && glet_unit_build(&unit_plan, &change->units[i], err) < 0)
            return -1;
    }
    return 0;
}

/* Adds one way to a model's routes. */
static int add_way(struct glet_routes *routes, const struct glet_plan_let *let,
                   struct glet_worker *worker, size_t share, struct glet_error *err)
{
    const struct glet_plan_let_model *part = &let->models[share];
    size_t capacity = routes->count, wanted = routes->count + 1;
    if (glet_reserve(&routes->ways, &capacity, wanted, sizeof *routes->ways, err) < 0)
        return -1;
    capacity = routes->count;
    if (glet_reserve(&routes->places, &capacity, wanted, sizeof *routes->places, err) < 0)
        return -1;
    routes->ways[routes->count] =
        (struct glet_sched_way){.rate_rps = part->rate_rps, .batch = part->batch};
    routes->places[routes->count++] = (struct glet_place){worker, share};
    routes->rate_rps += part->rate_rps;
    routes->capacity_rps += glet_sched_capacity_rps(let, share);
    routes->burst += part->batch;
    if (part->batch > routes->max_rows)
        routes->max_rows = part->batch;
    return 0;
}

static int make_routes(struct change *change, struct glet_error *err)
{
    change->routes = glet_alloc(change->slot_count, sizeof *change->routes, err);
    if (!change->routes)
        return -1;
    for (size_t i = 0; i < change->gpu_count; i++) {
        const struct glet_plan_gpu *gpu = &change->plan->gpus[change->gpus[i]];
        for (size_t l = 0; l < gpu->let_count; l++)
            for (size_t k = 0; k < gpu->lets[l].model_count; k++) {
                size_t model = gpu->lets[l].models[k].model;
                struct glet_routes *routes = &change->routes[change->slots[model]];
                routes->planned = true;
                routes->slo_us = glet_sched_slo_us(change->plan, model);
                if (add_way(routes, &gpu->lets[l], change->units[i]->workers[l], k, err) < 0)
                    return -1;
            }
    }
    for (size_t s = 0; s < change->slot_count; s++) {
        struct glet_routes *routes = &change->routes[s];
        routes->burst =
            glet_sched_bucket_depth(routes->capacity_rps, routes->slo_us, (int)routes->burst);
    }
    return 0;
}

static void update_rates(const struct change *change)
{
    for (size_t i = 0; i < change->gpu_count; i++) {
        const struct glet_plan_gpu *gpu = &change->plan->gpus[change->gpus[i]];
        for (size_t l = 0; change->reused[i] && l < gpu->let_count; l++)
            for (size_t k = 0; k < gpu->lets[l].model_count; k++)
                glet_worker_replan(change->units[i]->workers[l], k,
                                   gpu->lets[l].models[k].rate_rps);
    }
}

static bool kept(const struct change *change, const struct glet_unit *unit)
{
    for (size_t i = 0; i < change->gpu_count; i++)
        if (change->units[i] == unit)
            return true;
    return false;
}

/* Cannot fail. Old units end up among the retired; routes hold the old ones. */
static void swap(struct change *change, struct glet_plan *plan)
{
    struct glet_service *service = change->service;
    bool by_completion = service->options.route == GLET_ROUTE_COMPLETION;
    update_rates(change);
    pthread_mutex_lock(&service->topology);
    for (size_t i = 0; i < service->unit_count; i++)
        if (!kept(change, service->units[i])) {
            service->units[i]->next = service->retired;
            service->retired = service->units[i];
        }
    free(service->units);
    free(service->gpus);
    service->units = GLET_STEAL(change->units);
    service->gpus = GLET_STEAL(change->gpus);
    service->unit_count = change->gpu_count;
    if (plan != service->plan) {
        glet_plan_free(service->plan);
        service->plan = plan;
        snprintf(service->info.path, sizeof service->info.path, "%s", plan->path ? plan->path : "");
        snprintf(service->info.sha256, sizeof service->info.sha256, "%s", plan->sha256);
        service->info.generation++;
        service->info.loaded_unix_ms = glet_clock_unix_ms();
    }
    for (size_t s = 0; s < change->slot_count; s++)
        glet_slot_route(service->slots[s], &change->routes[s], by_completion);
    atomic_store(&service->slot_count, change->slot_count);
    pthread_mutex_unlock(&service->topology);
}

static void retire(struct glet_service *service)
{
    /* Only the change lock's holder adds to or takes from this list. */
    for (struct glet_unit *unit = service->retired; unit; unit = unit->next)
        glet_unit_stop(unit);
    glet_reap(service);
    /* Freed by threads that are gone, memory would stay in their arenas. */
    malloc_trim(0);
}

/* Whether GPU i of ours has model m of the plan. */
static bool has_model(const struct change *change, size_t i, size_t m)
{
    const struct glet_plan_gpu *gpu = &change->plan->gpus[change->gpus[i]];
    for (size_t l = 0; l < gpu->let_count; l++)
        for (size_t k = 0; k < gpu->lets[l].model_count; k++)
            if (gpu->lets[l].models[k].model == m)
                return true;
    return false;
}

static size_t count_built_models(const struct change *change)
{
    size_t count = 0;
    for (size_t m = 0; m < change->plan->model_count; m++) {
        bool built = false;
        for (size_t i = 0; i < change->gpu_count; i++)
            built |= !change->reused[i] && has_model(change, i, m);
        count += built;
    }
    return count;
}

static double ms_since(uint64_t start_us)
{
    return (double)(glet_clock_us() - start_us) / 1000;
}

/* What /v2/plan and the metrics say of it; a rebuild of the same plan is none. */
static void tell(struct glet_service *service, const struct glet_plan_change *times)
{
    pthread_mutex_lock(&service->topology);
    service->info.change = *times;
    pthread_mutex_unlock(&service->topology);
}

int glet_apply_plan(struct glet_service *service, struct glet_plan *plan, struct glet_error *err)
{
    struct change change = {.service = service, .plan = plan};
    bool other_plan = plan != service->plan;
    uint64_t start_us = glet_clock_us();
    if (prepare(&change, err) < 0 || build(&change, err) < 0 || make_routes(&change, err) < 0) {
        undo(&change);
        release(&change);
        return -1;
    }
    struct glet_plan_change times = {.models_built = count_built_models(&change), .drain_ms = NAN};
    for (size_t i = 0; i < change.gpu_count; i++)
        *(change.reused[i] ? &times.gpus_kept : &times.gpus_built) += 1;
    times.prepare_ms = ms_since(start_us);
    start_us = glet_clock_us();
    swap(&change, plan);
    times.swap_ms = ms_since(start_us);
    if (other_plan)
        tell(service, &times);
    start_us = glet_clock_us();
    retire(service);
    release(&change);
    times.drain_ms = ms_since(start_us);
    if (other_plan)
        tell(service, &times);
    glet_log_info("plan applied gpus=%zu kept=%zu models_built=%zu prepare_ms=%.1f swap_ms=%.3f "
                  "drain_ms=%.1f",
                  times.gpus_built + times.gpus_kept, times.gpus_kept, times.models_built,
                  times.prepare_ms, times.swap_ms, times.drain_ms);
    return 0;
}

int glet_rebuild_lost(struct glet_service *service, struct glet_error *err)
{
    size_t lost = 0;
    for (size_t i = 0; i < service->unit_count; i++)
        lost += !glet_unit_healthy(service->units[i]);
    if (lost == 0)
        return 0;
    if (glet_apply_plan(service, service->plan, err) < 0)
        return -1;
    pthread_mutex_lock(&service->topology);
    service->events.rebuilds += lost;
    pthread_mutex_unlock(&service->topology);
    return 0;
}

static void fold(struct glet_service *service, const struct glet_unit *unit)
{
    for (size_t w = 0; w < unit->count; w++)
        for (size_t i = 0; i < glet_worker_share_count(unit->workers[w]); i++) {
            int slot = glet_worker_share(unit->workers[w], i)->slot;
            glet_counters_fold(&glet_slot_past(service->slots[slot], unit->gpu)->counters,
                               glet_worker_counters(unit->workers[w], i));
        }
}

void glet_reap(struct glet_service *service)
{
    for (;;) {
        pthread_mutex_lock(&service->topology);
        struct glet_unit **link = &service->retired;
        while (*link && !glet_unit_over(*link))
            link = &(*link)->next;
        struct glet_unit *unit = *link;
        if (unit) {
            *link = unit->next;
            fold(service, unit);
        }
        pthread_mutex_unlock(&service->topology);
        if (!unit)
            return;
        glet_unit_free(unit, &service->pool);
    }
}
