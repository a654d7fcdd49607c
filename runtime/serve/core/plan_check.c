/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/serve/plan_check.h"

#include "common/memory.h"
#include "runtime/serve/core/service_state.h"

#include <stdlib.h>
#include <string.h>

/* Notes what is wrong and goes on, but for what makes looking further pointless. */
static int note(struct glet_check *check, const struct glet_error *problem, struct glet_error *err)
{
    if (problem->code == GLET_ERR_USAGE || problem->code == GLET_ERR_NOMEM) {
        *err = *problem;
        return -1;
    }
    if (glet_reserve(&check->problems, &check->problem_capacity, check->problem_count + 1,
                     sizeof *check->problems, err) < 0)
        return -1;
    check->problems[check->problem_count++] = *problem;
    return 0;
}

/* As the profile says: what is left over for the runtime depends on what the device does with
   weights. */
static int check_memory(const struct glet_plan *plan, const struct glet_check_gpu *row,
                        struct glet_error *err)
{
    const struct glet_plan_gpu *gpu = row->gpu;
    if (gpu->memory_mib <= row->info->memory_mib)
        return 0;
    return glet_error_at(err, GLET_ERR_INPUT, plan->path, gpu->mark,
                         "%s: its gpu-lets need %.0f MiB, but the device here has %.0f MiB",
                         gpu->id, gpu->memory_mib, row->info->memory_mib);
}

static int check_isolation(const struct glet_check *check, const struct glet_check_gpu *row,
                           struct glet_error *err)
{
    if (!check->service->options.verify_isolation ||
        glet_device_check_verify(row->device, err) == 0)
        return 0;
    return glet_error_context(err, "%s: --verify-isolation", row->gpu->id);
}

static int check_gpu(struct glet_check *check, const struct glet_plan *plan,
                     struct glet_check_gpu *row, bool *taken, struct glet_error *err)
{
    struct glet_service *service = check->service;
    size_t device = service->device_count;
    struct glet_error problem = {0};
    bool fits = glet_assign_device(service, plan, row->gpu, taken, &device, &problem) == 0;
    if (device < service->device_count) {
        row->spec = service->devices[device].spec;
        row->device = service->devices[device].device;
        if (row->device)
            row->info = glet_device_info(row->device);
    }
    if (!fits && note(check, &problem, err) < 0)
        return -1;
    problem = (struct glet_error){0};
    if (row->info && check_memory(plan, row, &problem) < 0 && note(check, &problem, err) < 0)
        return -1;
    problem = (struct glet_error){0};
    return row->device && check_isolation(check, row, &problem) < 0 ? note(check, &problem, err)
                                                                    : 0;
}

static int check_device(struct glet_check *check, const struct glet_check_gpu *row,
                        const struct glet_plan *plan, const struct glet_plan_let *let,
                        const struct glet_plan_let_model *part, struct glet_error *err)
{
    struct glet_error why = {0}, problem = {0};
    if (!row->device || glet_device_check(row->device, plan->models[part->model].name, let->units,
                                          part->batch, &why) == 0)
        return 0;
    glet_error_at(&problem, why.code, plan->path, part->mark, "%s", why.message);
    return note(check, &problem, err);
}

/* Each batch that is planned for it, and what the device has to say of it. */
static int check_batches(struct glet_check *check, const struct glet_plan *plan,
                         const struct glet_check_model *row, struct glet_error *err)
{
    int checked = 0; /* last: mostly, they are all the same */
    for (size_t g = 0; g < check->gpu_count; g++)
        for (size_t l = 0; l < check->gpus[g].gpu->let_count; l++) {
            const struct glet_plan_let *let = &check->gpus[g].gpu->lets[l];
            for (size_t i = 0; i < let->model_count; i++) {
                const struct glet_plan_let_model *part = &let->models[i];
                struct glet_graph *graph = NULL;
                struct glet_error why = {0}, problem = {0};
                if (&plan->models[part->model] != row->model)
                    continue;
                if (check_device(check, &check->gpus[g], plan, let, part, err) < 0)
                    return -1;
                if (part->batch == checked)
                    continue;
                checked = part->batch;
                if (glet_model_bind(row->loaded, part->batch, &graph, &why) < 0) {
                    glet_error_at(&problem, why.code, plan->path, part->mark, "model %s: %s",
                                  row->model->name, why.message);
                    if (note(check, &problem, err) < 0)
                        return -1;
                }
                glet_graph_free(graph);
            }
        }
    return 0;
}

static int check_model(struct glet_check *check, const struct glet_plan *plan,
                       struct glet_check_model *row, struct glet_error *err)
{
    struct glet_service *service = check->service;
    struct glet_loaded *loaded = NULL;
    struct glet_error problem = {0};
    row->path = glet_model_path(service, plan, row->model, &problem);
    if (!row->path)
        return note(check, &problem, err);
    if (glet_pool_get(&service->pool, row->model->name, row->path, &loaded, &problem) < 0) {
        glet_error_context(&problem, "model %s", row->model->name);
        return note(check, &problem, err);
    }
    row->loaded = loaded->model;
    row->sha256 = glet_model_sha256(loaded->model);
    return check_batches(check, plan, row, err);
}

static bool is_used(const struct glet_check *check, size_t model)
{
    for (size_t g = 0; g < check->gpu_count; g++)
        for (size_t l = 0; l < check->gpus[g].gpu->let_count; l++)
            for (size_t i = 0; i < check->gpus[g].gpu->lets[l].model_count; i++)
                if (check->gpus[g].gpu->lets[l].models[i].model == model)
                    return true;
    return false;
}

int glet_check_plan(const struct glet_service_options *options, const struct glet_plan *plan,
                    struct glet_check *out, struct glet_error *err)
{
    GLET_CLEANUP(glet_cleanup_free) size_t *gpus = NULL;
    GLET_CLEANUP(glet_cleanup_free) bool *taken = NULL;
    *out = (struct glet_check){.service = glet_service_new(options, err)};
    if (!out->service || glet_node_gpus(out->service, plan, &gpus, &out->gpu_count, err) < 0)
        return -1;
    taken = glet_alloc(out->service->device_count, sizeof *taken, err);
    out->gpus = taken ? glet_alloc(out->gpu_count, sizeof *out->gpus, err) : NULL;
    out->models = out->gpus ? glet_alloc(plan->model_count, sizeof *out->models, err) : NULL;
    if (!out->models)
        return -1;
    for (size_t g = 0; g < out->gpu_count; g++)
        out->gpus[g].gpu = &plan->gpus[gpus[g]];
    for (size_t g = 0; g < out->gpu_count; g++)
        if (check_gpu(out, plan, &out->gpus[g], taken, err) < 0)
            return -1;
    for (size_t m = 0; m < plan->model_count; m++) {
        if (!is_used(out, m))
            continue;
        struct glet_check_model *row = &out->models[out->model_count++];
        row->model = &plan->models[m];
        if (check_model(out, plan, row, err) < 0)
            return -1;
    }
    return 0;
}

void glet_check_fini(struct glet_check *check)
{
    for (size_t m = 0; m < check->model_count; m++)
        free(check->models[m].path);
    free(check->gpus);
    free(check->models);
    free(check->problems);
    if (check->service)
        while (check->service->pool.first)
            glet_pool_put(&check->service->pool, check->service->pool.first);
    glet_service_close(check->service);
    *check = (struct glet_check){0};
}

int glet_check_exit_status(const struct glet_check *check)
{
    for (size_t i = 0; i < check->problem_count; i++)
        if (check->problems[i].code != GLET_ERR_DEVICE)
            return 1;
    return check->problem_count > 0 ? 4 : 0;
}
