/* SPDX-License-Identifier: Apache-2.0 */
#include "benchmarks/load/load_model.h"

#include "common/memory.h"

#include <stdlib.h>

int glet_load_model_init(struct glet_load_model *model, const char *name, size_t target_count,
                         struct glet_error *err)
{
    *model = (struct glet_load_model){.name = name};
    model->targets = glet_alloc(target_count, sizeof *model->targets, err);
    if (!model->targets)
        return -1;
    model->target_count = target_count;
    for (size_t t = 0; t < target_count; t++)
        model->targets[t].weight = 1;
    return 0;
}

void glet_load_model_fini(struct glet_load_model *model)
{
    for (size_t t = 0; t < model->target_count; t++)
        glet_infer_request_fini(&model->targets[t].request);
    free(model->targets);
    glet_load_region_fini(&model->region);
    *model = (struct glet_load_model){0};
}

struct glet_load_shot glet_load_model_next(struct glet_load_model *model)
{
    size_t best = 0;
    double total = 0;
    for (size_t t = 0; t < model->target_count; t++) {
        struct glet_load_target *target = &model->targets[t];
        target->credit += target->weight;
        total += target->weight;
        if (target->credit > model->targets[best].credit)
            best = t;
    }
    struct glet_load_target *target = &model->targets[best];
    target->credit -= total;
    size_t variant = model->sent++ / model->target_count % target->request.variants;
    return (struct glet_load_shot){.target = best,
                                   .bytes = target->request.bytes[variant],
                                   .length = target->request.lengths[variant]};
}

void glet_load_model_rewind(struct glet_load_model *model)
{
    model->sent = 0;
    for (size_t t = 0; t < model->target_count; t++)
        model->targets[t].credit = 0;
}
