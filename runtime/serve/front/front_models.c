/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Models as the codec wants them, described when they are first asked for: a plan change adds
 * models while requests run. An entry never changes and never goes once it is there, as the service
 * promises for the names it holds; so readers take no lock.
 */

#include "common/memory.h"
#include "runtime/serve/front/front.h"

#include <stdlib.h>

static void describe_tensor(const struct glet_model_io *io, struct glet_v2_tensor *out)
{
    out->name = io->name;
    out->type = glet_v2_datatype(io->dtype);
    out->rank = io->rank;
    memcpy(out->dims, io->dims, sizeof out->dims);
}

static int describe(const struct glet_service *service, int index, struct glet_v2_model *out,
                    struct glet_error *err)
{
    out->name = glet_service_model_name(service, index);
    out->max_rows = glet_service_max_rows(service, index);
    out->input_count = glet_service_input_count(service, index);
    out->output_count = glet_service_output_count(service, index);
    if (out->input_count > GLET_V2_MAX_TENSORS || out->output_count > GLET_V2_MAX_TENSORS)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED,
                              "model '%s' has more than %d inputs or outputs", out->name,
                              GLET_V2_MAX_TENSORS);
    for (size_t i = 0; i < out->input_count; i++)
        describe_tensor(glet_service_input(service, index, i), &out->inputs[i]);
    for (size_t i = 0; i < out->output_count; i++)
        describe_tensor(glet_service_output(service, index, i), &out->outputs[i]);
    return glet_v2_model_complete(out, err);
}

struct glet_front_model *glet_front_model(struct glet_frontend *frontend, int index,
                                          struct glet_error *why)
{
    if (index < 0 || index >= GLET_FRONT_MAX_MODELS) {
        glet_error_set(why, GLET_ERR_UNSUPPORTED, "more than %d models", GLET_FRONT_MAX_MODELS);
        return NULL;
    }
    struct glet_front_model *model = atomic_load(&frontend->models[index]);
    if (model)
        return model;
    pthread_mutex_lock(&frontend->models_lock);
    model = atomic_load(&frontend->models[index]);
    if (!model) {
        model = glet_alloc(1, sizeof *model, why);
        if (model) {
            model->index = index;
            if (describe(frontend->service, index, &model->v2, why) < 0) {
                free(model);
                model = NULL;
            }
        }
        atomic_store(&frontend->models[index], model);
    }
    pthread_mutex_unlock(&frontend->models_lock);
    return model;
}

struct glet_front_answers *glet_front_answers(struct glet_frontend *frontend,
                                              struct glet_front_model *model, const char *gpu)
{
    struct glet_front_answers *at = &model->answers, *next;
    while (at->gpu != gpu && (next = atomic_load(&at->next)))
        at = next;
    if (at->gpu == gpu)
        return at;
    pthread_mutex_lock(&frontend->models_lock);
    while (at->gpu != gpu && (next = atomic_load(&at->next))) /* another thread was first */
        at = next;
    if (at->gpu != gpu && (next = calloc(1, sizeof *next))) {
        next->gpu = gpu;
        atomic_store(&at->next, next);
        at = next;
    }
    pthread_mutex_unlock(&frontend->models_lock);
    return at->gpu == gpu ? at : &model->answers;
}

void glet_front_model_free(struct glet_front_model *model)
{
    struct glet_front_answers *next = model ? atomic_load(&model->answers.next) : NULL;
    while (next) {
        struct glet_front_answers *answers = next;
        next = atomic_load(&answers->next);
        free(answers);
    }
    free(model);
}
