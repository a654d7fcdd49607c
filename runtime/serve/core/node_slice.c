/* SPDX-License-Identifier: Apache-2.0 */
/* Which part of the plan is this node's, and does it fit the devices that are here? */
#include "common/log.h"
#include "common/memory.h"
#include "runtime/serve/core/service_state.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int plan_error(struct glet_error *err, const struct glet_plan *plan, struct glet_mark mark,
                      const char *message)
{
    return glet_error_at(err, GLET_ERR_INPUT, plan->path, mark, "%s", message);
}

static bool ours(const struct glet_plan_gpu *gpu, const char *node)
{
    return !gpu->node || !node || strcmp(gpu->node, node) == 0;
}

int glet_node_gpus(const struct glet_service *service, const struct glet_plan *plan,
                   size_t **gpus_out, size_t *count_out, struct glet_error *err)
{
    const char *node = service->options.node, *first = NULL;
    size_t count = 0;
    size_t *gpus = glet_alloc(plan->gpu_count, sizeof *gpus, err);
    if (!gpus)
        return -1;
    for (size_t i = 0; i < plan->gpu_count; i++) {
        const struct glet_plan_gpu *gpu = &plan->gpus[i];
        if (!node && gpu->node && first && strcmp(first, gpu->node) != 0) {
            free(gpus);
            glet_error_at(err, GLET_ERR_INPUT, plan->path, gpu->mark,
                          "the plan is for several nodes (%s, %s, ...)", first, gpu->node);
            return glet_error_hint(err, "say which one this is: --node %s", gpu->node);
        }
        first = gpu->node ? gpu->node : first;
        if (ours(gpu, node) && gpu->let_count > 0)
            gpus[count++] = i;
    }
    if (count == 0) {
        free(gpus);
        if (!node)
            return plan_error(err, plan, (struct glet_mark){0, 0}, "the plan uses no GPU");
        glet_error_at(err, GLET_ERR_INPUT, plan->path, (struct glet_mark){0, 0},
                      "the plan has no GPU for node '%s'", node);
        return first ? glet_error_hint(err, "its nodes are named like '%s'", first) : -1;
    }
    *gpus_out = gpus;
    *count_out = count;
    return 0;
}

static bool passes_for(const struct glet_service *service, const struct glet_device_info *info,
                       const char *type)
{
    for (size_t i = 0; i < service->options.gpu_type_count; i++)
        if (strcmp(service->options.gpu_types[i], type) == 0)
            return true;
    return strcmp(type, info->gpu) == 0;
}

static int check_fit(const struct glet_service *service, const struct glet_plan *plan,
                     const struct glet_plan_gpu *gpu, const struct glet_device_info *info,
                     struct glet_error *err)
{
    if (!passes_for(service, info, gpu->type)) {
        glet_error_at(err, GLET_ERR_INPUT, plan->path, gpu->mark,
                      "%s: planned for a '%s', but the device here is a '%s'", gpu->id, gpu->type,
                      info->gpu);
        return glet_error_hint(err, "if that is its name in the profile: --gpu %s", gpu->type);
    }
    int units = 0;
    for (size_t i = 0; i < gpu->let_count; i++)
        units += gpu->lets[i].units;
    if (units > info->units) {
        glet_error_at(err, GLET_ERR_INPUT, plan->path, gpu->mark,
                      "%s: its gpu-lets need %d units, but the device here has %d", gpu->id, units,
                      info->units);
        return glet_error_hint(err, "plan with a profile of this device");
    }
    if (info->max_gpulets > 0 && gpu->let_count > (size_t)info->max_gpulets) {
        bool more = info->limit_reason[0] != '\0';
        glet_error_at(err, GLET_ERR_INPUT, plan->path, gpu->mark,
                      "%s: %zu gpu-lets, but the device here allows %d%s%s", gpu->id,
                      gpu->let_count, info->max_gpulets, more ? ": " : "", info->limit_reason);
        return more ? glet_error_hint(err, GLET_DEVICE_TEMPORAL_HINT) : -1;
    }
    return 0;
}

/* A device named for this GPU, else the first that is named for none and not taken. */
static size_t find_device(const struct glet_service *service, const char *id, const bool *taken)
{
    for (size_t d = 0; d < service->device_count; d++)
        if (!taken[d] && strcmp(service->devices[d].id, id) == 0)
            return d;
    for (size_t d = 0; d < service->device_count; d++)
        if (!taken[d] && !service->devices[d].id[0])
            return d;
    return service->device_count;
}

/* A replay reads nothing and so pins and loads what a GPU could not use. */
static int check_kind(const struct glet_service *service, const struct glet_device *device,
                      struct glet_error *err)
{
    for (size_t d = 0; d < service->device_count; d++) {
        const struct glet_device *other = service->devices[d].device;
        if (other && glet_device_info(other)->replay != glet_device_info(device)->replay)
            return glet_error_set(err, GLET_ERR_USAGE,
                                  "a replayed device serves beside replayed ones only");
    }
    return 0;
}

static int open_device(struct glet_service *service, struct glet_device_slot *slot,
                       struct glet_error *err)
{
    struct glet_device *device = NULL;
    if (glet_device_open(slot->spec, &device, err) < 0)
        return -1;
    if (check_kind(service, device, err) < 0) {
        glet_device_close(device);
        return -1;
    }
    slot->device = device;
    if (glet_device_info(device)->replay) {
        service->pool.no_weights = true;
        glet_log_warning("nothing is computed, answers are zeros: a profile is replayed device=%s",
                         slot->spec);
    }
    if (service->options.allow_temporal)
        glet_device_allow_temporal(slot->device);
    glet_pins_use(&service->pins, slot->device);
    return 0;
}

int glet_assign_device(struct glet_service *service, const struct glet_plan *plan,
                       const struct glet_plan_gpu *gpu, bool *taken, size_t *device_out,
                       struct glet_error *err)
{
    size_t d = find_device(service, gpu->id, taken);
    if (d == service->device_count) {
        glet_error_at(err, GLET_ERR_INPUT, plan->path, gpu->mark,
                      "%s: no device is left for it, %zu were given", gpu->id,
                      service->device_count);
        return glet_error_hint(err, "give one --device per GPU, in the plan's order, or --device "
                                    "ID=SPEC");
    }
    taken[d] = true;
    *device_out = d;
    struct glet_device_slot *slot = &service->devices[d];
    if (!slot->device && open_device(service, slot, err) < 0)
        return glet_error_context(err, "device %s", slot->spec);
    return check_fit(service, plan, gpu, glet_device_info(slot->device), err);
}

int glet_assign_devices(struct glet_service *service, const struct glet_plan *plan,
                        const size_t *gpus, size_t count, size_t *devices_out,
                        struct glet_error *err)
{
    bool *taken = glet_alloc(service->device_count, sizeof *taken, err);
    int result = taken ? 0 : -1;
    for (size_t i = 0; i < count && result == 0; i++)
        result =
            glet_assign_device(service, plan, &plan->gpus[gpus[i]], taken, &devices_out[i], err);
    free(taken);
    return result;
}

/* `file` beside the plan file, or in base_dir when the plan did not come from a file. */
static char *beside_plan(const struct glet_service *service, const struct glet_plan *plan,
                         const char *file, struct glet_error *err)
{
    const char *slash = plan->path ? strrchr(plan->path, '/') : NULL;
    if (file[0] == '/')
        return glet_strdup(file, err);
    if (slash)
        return glet_format(err, "%.*s/%s", (int)(slash - plan->path), plan->path, file);
    if (service->options.base_dir)
        return glet_format(err, "%s/%s", service->options.base_dir, file);
    return glet_strdup(file, err);
}

char *glet_model_path(const struct glet_service *service, const struct glet_plan *plan,
                      const struct glet_plan_model *model, struct glet_error *err)
{
    if (service->options.models_dir) {
        char *path = glet_format(err, "%s/%s.onnx", service->options.models_dir, model->name);
        if (!path || access(path, F_OK) == 0)
            return path;
        free(path);
    }
    if (model->file)
        return beside_plan(service, plan, model->file, err);
    glet_error_at(err, GLET_ERR_INPUT, plan->path, model->mark, "model %s: no file is known for it",
                  model->name);
    glet_error_hint(err, "give --models DIR with DIR/%s.onnx", model->name);
    return NULL;
}
