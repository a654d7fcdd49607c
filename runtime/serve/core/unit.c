/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One GPU of the plan, built: its partitions as one set (parts of one split are disjoint only
 * together) and a worker for each. It is replaced as a whole, for the same reason.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/sched/sched_plan.h"
#include "runtime/serve/core/service_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* While waiting for workers to end: often enough to be unnoticed in a plan change. */
enum { POLL_US = 1000 };

static int start_worker(const struct glet_unit_plan *plan, struct glet_unit *unit, size_t number,
                        struct glet_error *err)
{
    const struct glet_plan_let *let = &plan->gpu->lets[number];
    struct glet_service *service = plan->service;
    struct glet_worker_share *shares = glet_alloc(let->model_count, sizeof *shares, err);
    if (!shares)
        return -1;
    for (size_t i = 0; i < let->model_count; i++) {
        const struct glet_plan_let_model *part = &let->models[i];
        int slot = plan->slots[part->model];
        shares[i] =
            (struct glet_worker_share){.model = plan->loaded[part->model]->model,
                                       .slot = slot,
                                       .gpu = glet_slot_past(service->slots[slot], unit->gpu)->gpu,
                                       .batch = part->batch,
                                       .rate_rps = part->rate_rps,
                                       .exec_ms = part->exec_ms,
                                       .slo_us = glet_sched_slo_us(plan->plan, part->model)};
    }
    char name[16];
    snprintf(name, sizeof name, "let-%u.%u", (unsigned)plan->gpu_number % 1000,
             (unsigned)number % 1000);
    double hang_s = service->options.hang_s > 0 ? service->options.hang_s : 2;
    struct glet_worker_plan worker = {
        .name = name,
        .partition = glet_partition_at(unit->set, number),
        .shares = shares,
        .share_count = let->model_count,
        .planned_batch_only = service->options.planned_batch_only,
        .hang_us = (uint64_t)(hang_s * 1e6),
        .left = glet_worker_left,
        .answered = glet_worker_answered,
        .user = service,
    };
    int result = glet_worker_start(&worker, &unit->workers[number], err);
    free(shares);
    return result;
}

static int hold_models(const struct glet_unit_plan *plan, struct glet_unit *unit,
                       struct glet_error *err)
{
    size_t most = 0;
    for (size_t l = 0; l < plan->gpu->let_count; l++)
        most += plan->gpu->lets[l].model_count;
    unit->loaded = glet_alloc(most, sizeof *unit->loaded, err);
    if (!unit->loaded)
        return -1;
    for (size_t l = 0; l < plan->gpu->let_count; l++)
        for (size_t i = 0; i < plan->gpu->lets[l].model_count; i++) {
            struct glet_loaded *loaded = plan->loaded[plan->gpu->lets[l].models[i].model];
            loaded->users++;
            unit->loaded[unit->loaded_count++] = loaded;
        }
    return 0;
}

static int cut(const struct glet_unit_plan *plan, struct glet_unit *unit, struct glet_error *err)
{
    struct glet_device *device = plan->service->devices[plan->device].device;
    size_t count = plan->gpu->let_count;
    if (glet_partitions_create(device, unit->units, count, &unit->set, err) < 0)
        return -1;
    if (glet_device_info(device)->temporal && count > 1)
        glet_log_warning("gpu-lets are not kept apart, they take turns gpu=%s gpulets=%zu",
                         plan->gpu->id, count);
    if (!plan->service->options.verify_isolation)
        return 0;
    if (glet_partitions_verify(unit->set, &unit->verified_blocks, err) < 0)
        return glet_error_context(err, "isolation");
    glet_log_info("isolation verified gpu=%s gpulets=%zu blocks=%" PRIu64, plan->gpu->id, count,
                  unit->verified_blocks);
    return 0;
}

static int build(const struct glet_unit_plan *plan, struct glet_unit *unit, struct glet_error *err)
{
    size_t count = plan->gpu->let_count;
    unit->units = glet_alloc(count, sizeof *unit->units, err);
    unit->workers = unit->units ? glet_alloc(count, sizeof *unit->workers, err) : NULL;
    if (!unit->workers || hold_models(plan, unit, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        unit->units[i] = plan->gpu->lets[i].units;
    if (cut(plan, unit, err) < 0)
        return -1;
    for (; unit->count < count; unit->count++) {
        if (start_worker(plan, unit, unit->count, err) < 0)
            return -1;
        if (plan->beside_others && glet_worker_wait(unit->workers[unit->count], err) < 0) {
            unit->count++;
            return -1;
        }
    }
    for (size_t i = 0; i < count; i++)
        if (glet_worker_wait(unit->workers[i], err) < 0)
            return -1;
    for (size_t i = 0; i < count; i++)
        glet_partition_count_anew(glet_partition_at(unit->set, i));
    return 0;
}

int glet_unit_build(const struct glet_unit_plan *plan, struct glet_unit **out,
                    struct glet_error *err)
{
    struct glet_unit *unit = glet_alloc(1, sizeof *unit, err);
    if (!unit)
        return -1;
    unit->device = plan->device;
    snprintf(unit->gpu, sizeof unit->gpu, "%s", plan->gpu->id);
    if (build(plan, unit, err) < 0) {
        /* Workers that were still building when another failed come to serve first. */
        struct glet_error ignored;
        for (size_t i = 0; i < unit->count; i++)
            if (glet_worker_wait(unit->workers[i], &ignored) < 0)
                continue;
        glet_unit_stop(unit);
        glet_unit_free(unit, &plan->service->pool);
        return glet_error_context(err, "%s", plan->gpu->id);
    }
    unit->built_us = glet_clock_us();
    *out = unit;
    return 0;
}

bool glet_unit_same(const struct glet_unit *unit, const struct glet_unit_plan *plan)
{
    if (unit->device != plan->device || unit->count != plan->gpu->let_count ||
        strcmp(unit->gpu, plan->gpu->id) != 0 || !glet_unit_healthy(unit))
        return false;
    for (size_t l = 0; l < unit->count; l++) {
        const struct glet_plan_let *let = &plan->gpu->lets[l];
        const struct glet_worker *worker = unit->workers[l];
        if (unit->units[l] != let->units || glet_worker_share_count(worker) != let->model_count)
            return false;
        for (size_t i = 0; i < let->model_count; i++) {
            const struct glet_worker_share *share = glet_worker_share(worker, i);
            const struct glet_plan_let_model *part = &let->models[i];
            if (share->model != plan->loaded[part->model]->model || share->batch != part->batch)
                return false;
        }
    }
    return true;
}

bool glet_unit_healthy(const struct glet_unit *unit)
{
    for (size_t i = 0; i < unit->count; i++)
        if (!glet_worker_serving(unit->workers[i]))
            return false;
    return true;
}

bool glet_unit_over(const struct glet_unit *unit)
{
    for (size_t i = 0; i < unit->count; i++)
        if (!glet_worker_over(unit->workers[i]))
            return false;
    return true;
}

void glet_unit_stop(struct glet_unit *unit)
{
    for (size_t i = 0; i < unit->count; i++)
        glet_worker_stop(unit->workers[i]);
    for (size_t i = 0; i < unit->count; i++)
        while (!glet_worker_over(unit->workers[i]) && !glet_worker_lost(unit->workers[i]))
            usleep(POLL_US);
}

void glet_unit_free(struct glet_unit *unit, struct glet_pool *pool)
{
    if (!unit)
        return;
    for (size_t i = 0; i < unit->count; i++)
        glet_worker_free(unit->workers[i]);
    glet_partitions_free(unit->set);
    for (size_t i = 0; i < unit->loaded_count; i++)
        glet_pool_put(pool, unit->loaded[i]);
    free(unit->loaded);
    free(unit->workers);
    free(unit->units);
    free(unit);
}
