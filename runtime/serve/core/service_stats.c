/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service tells about itself. Everything here holds the topology lock, which nothing on a
 * request's way takes: units cannot go while they are being added up, and what a unit counted moves
 * to its models' past in one step when it goes, so that totals never go back.
 */
#include "common/clock.h"
#include "runtime/serve/core/service_state.h"

#include <stdio.h>
#include <string.h>

static void lock_topology(const struct glet_service *service)
{
    pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&service->topology);
}

static void unlock_topology(const struct glet_service *service)
{
    pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&service->topology);
}

/* What has counted for a model: each of its gpu-lets, serving or ending, and those that are gone.
   Calls `add` for those of a GPU, or of all (NULL); false when there are none. */
static bool each_counters(const struct glet_service *service, int model, const char *gpu,
                          void (*add)(void *user, const struct glet_counters *counters,
                                      struct glet_worker *worker, size_t share),
                          void *user)
{
    bool found = false;
    for (const struct glet_past *past = service->slots[model]->past; past; past = past->next)
        if (!gpu || strcmp(past->gpu, gpu) == 0) {
            add(user, &past->counters, NULL, 0);
            found = true;
        }
    size_t serving = service->unit_count;
    const struct glet_unit *retired = service->retired;
    for (size_t i = 0; i < serving || retired; i++) {
        const struct glet_unit *unit = i < serving ? service->units[i] : retired;
        retired = i < serving ? retired : retired->next;
        for (size_t w = 0; (!gpu || strcmp(unit->gpu, gpu) == 0) && w < unit->count; w++)
            for (size_t k = 0; k < glet_worker_share_count(unit->workers[w]); k++)
                if (glet_worker_share(unit->workers[w], k)->slot == model)
                    add(user, glet_worker_counters(unit->workers[w], k), unit->workers[w], k);
    }
    return found;
}

static void add_model(void *user, const struct glet_counters *counters, struct glet_worker *worker,
                      size_t share)
{
    struct glet_model_stats *out = user;
    glet_counters_read(counters, out);
    if (worker)
        out->queue_depth += glet_worker_waiting(worker, share);
}

bool glet_service_stats(const struct glet_service *service, int model, const char *gpu,
                        struct glet_model_stats *out)
{
    struct glet_slot *slot = service->slots[model];
    struct glet_histogram *total_us = out->total_us, *queue_us = out->queue_us;
    *out = (struct glet_model_stats){
        .total_us = total_us, .queue_us = queue_us, .compute_us = out->compute_us};
    pthread_mutex_lock(&slot->lock);
    out->slo_ms = (double)slot->routes.slo_us / 1000;
    out->planned_rps = slot->routes.rate_rps;
    pthread_mutex_unlock(&slot->lock);
    lock_topology(service);
    bool found = each_counters(service, model, gpu, add_model, out);
    unlock_topology(service);
    if (gpu)
        return found;
    for (int i = 0; i < GLET_OUTCOME_COUNT; i++)
        out->outcomes[i] += atomic_load_explicit(&slot->refused[i], memory_order_relaxed);
    uint64_t open = atomic_load(&slot->open);
    out->in_flight = open > out->queue_depth ? open - out->queue_depth : 0;
    return true;
}

struct batch_sum {
    int rows;
    size_t largest;
    struct glet_batch_stats *out;
};

static void add_batch(void *user, const struct glet_counters *counters, struct glet_worker *worker,
                      size_t share)
{
    (void)worker, (void)share;
    struct batch_sum *sum = user;
    glet_counters_read_batch(counters, sum->rows, sum->out);
    if (counters->batch_count > sum->largest)
        sum->largest = counters->batch_count;
}

bool glet_service_batch_stats(const struct glet_service *service, int model, const char *gpu,
                              int rows, struct glet_batch_stats *out)
{
    struct batch_sum sum = {.rows = rows, .out = out};
    *out = (struct glet_batch_stats){0};
    lock_topology(service);
    (void)each_counters(service, model, gpu, add_batch, &sum);
    unlock_topology(service);
    return (size_t)rows <= sum.largest;
}

void glet_service_plan_info(const struct glet_service *service, struct glet_plan_info *out)
{
    lock_topology(service);
    *out = service->info;
    unlock_topology(service);
}

void glet_service_events(const struct glet_service *service, struct glet_service_events *out)
{
    lock_topology(service);
    *out = service->events;
    unlock_topology(service);
}

size_t glet_service_gpu_count(const struct glet_service *service)
{
    lock_topology(service);
    size_t count = service->unit_count;
    unlock_topology(service);
    return count;
}

static double used_mib(const struct glet_unit *unit, double context_mib)
{
    double mib = 0;
    for (size_t w = 0; w < unit->count; w++)
        mib += context_mib + glet_worker_activation_mib(unit->workers[w]);
    for (size_t i = 0; i < unit->loaded_count; i++) {
        bool counted = false;
        for (size_t k = 0; k < i; k++)
            counted |= unit->loaded[k] == unit->loaded[i];
        if (!counted)
            mib += (double)glet_model_weight_bytes(unit->loaded[i]->model) / 1048576;
    }
    return mib;
}

bool glet_service_gpu_stats(const struct glet_service *service, size_t gpu,
                            struct glet_gpu_stats *out)
{
    lock_topology(service);
    bool found = gpu < service->unit_count;
    if (found) {
        const struct glet_plan_gpu *planned = &service->plan->gpus[service->gpus[gpu]];
        const struct glet_unit *unit = service->units[gpu];
        const struct glet_device_info *info =
            glet_device_info(service->devices[unit->device].device);
        *out = (struct glet_gpu_stats){.units = planned->units, .sms = info->sm_count};
        snprintf(out->id, sizeof out->id, "%s", planned->id);
        snprintf(out->type, sizeof out->type, "%s", planned->type);
        out->memory_planned_bytes = (uint64_t)(planned->memory_mib * 1048576);
        out->memory_used_bytes = (uint64_t)(used_mib(unit, info->context_mib) * 1048576);
        out->memory_total_bytes = (uint64_t)(info->memory_mib * 1048576);
        out->temporal = info->temporal;
        out->replay = info->replay;
        out->verified_blocks = unit->verified_blocks;
    }
    unlock_topology(service);
    return found;
}

/* Devices stay as long as the service: only finding it needs the lock. */
bool glet_service_gpu_sample(const struct glet_service *service, size_t gpu,
                             struct glet_device_sample *out)
{
    const struct glet_device *device = NULL;
    lock_topology(service);
    if (gpu < service->unit_count)
        device = service->devices[service->units[gpu]->device].device;
    unlock_topology(service);
    if (device)
        glet_device_sample(device, out);
    return device != NULL;
}

size_t glet_service_let_count(const struct glet_service *service)
{
    lock_topology(service);
    size_t count = 0;
    for (size_t i = 0; i < service->unit_count; i++)
        count += service->units[i]->count;
    unlock_topology(service);
    return count;
}

/* Under the topology lock: which GPU of ours, and which gpu-let of it. */
static bool find_let(const struct glet_service *service, size_t let, size_t *gpu, size_t *number)
{
    for (*gpu = 0; *gpu < service->unit_count; ++*gpu) {
        if (let < service->units[*gpu]->count) {
            *number = let;
            return true;
        }
        let -= service->units[*gpu]->count;
    }
    return false;
}

bool glet_service_let_stats(const struct glet_service *service, size_t let,
                            struct glet_let_stats *out)
{
    size_t gpu, number;
    lock_topology(service);
    bool found = find_let(service, let, &gpu, &number);
    if (found) {
        const struct glet_unit *unit = service->units[gpu];
        const struct glet_plan_let *planned = &service->plan->gpus[service->gpus[gpu]].lets[number];
        struct glet_partition_use use = {0};
        glet_partition_achieved(glet_partition_at(unit->set, number), &use);
        double age_ms = (double)(glet_clock_us() - unit->built_us) / 1000;
        *out = (struct glet_let_stats){
            .gpu = gpu,
            .units = planned->units,
            .achieved_units = use.achieved_units,
            .busy_ratio = age_ms > 0 ? use.busy_ms / age_ms : 0,
            .duty_cycle_ms = planned->duty_cycle_ms,
            .rounds = glet_worker_rounds(unit->workers[number]),
            .sm_count = use.sm_count,
            .seen_sms = use.seen_sms,
            .share_count = planned->model_count,
        };
    }
    unlock_topology(service);
    return found;
}

bool glet_service_share_stats(const struct glet_service *service, size_t let, size_t share,
                              struct glet_share_stats *out)
{
    size_t gpu, number;
    lock_topology(service);
    bool found = find_let(service, let, &gpu, &number) &&
                 share < service->plan->gpus[service->gpus[gpu]].lets[number].model_count;
    if (found) {
        const struct glet_plan_let *planned = &service->plan->gpus[service->gpus[gpu]].lets[number];
        const struct glet_plan_let_model *part = &planned->models[share];
        const struct glet_worker *worker = service->units[gpu]->workers[number];
        struct glet_model_stats counted = {0};
        glet_counters_read(glet_worker_counters(worker, share), &counted);
        *out = (struct glet_share_stats){
            .model = glet_worker_share(worker, share)->slot,
            .batch = part->batch,
            .planned_rps = part->rate_rps,
            .exec_ms = part->exec_ms,
            .latency_bound_ms = part->latency_bound_ms,
            .executions = counted.executions,
            .rows = counted.rows,
        };
    }
    unlock_topology(service);
    return found;
}
