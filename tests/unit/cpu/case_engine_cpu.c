/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU device's nets. */
#include "common/memory.h"
#include "runtime/device/cpu/net/cpu_net.h"
#include "tests/unit/cpu/case_engine.h"

#include <stdlib.h>

const int case_engine_least = 326;

struct case_engine {
    const struct glet_model *model;
    struct glet_cpu_packs *packs;
    struct glet_cpu_net *net;
};

int case_engine_build(const struct glet_model *model, struct case_engine **out,
                      struct glet_error *err)
{
    struct case_engine *engine = glet_alloc(1, sizeof *engine, err);
    if (!engine)
        return -1;
    engine->model = model;
    if (glet_cpu_packs_new(&engine->packs, err) < 0 ||
        glet_cpu_net_build(engine->packs, model, 1, 1, &engine->net, err) < 0) {
        case_engine_free(engine);
        return -1;
    }
    *out = engine;
    return 0;
}

int case_engine_run(struct case_engine *engine, void *const *inputs, void *const *outputs,
                    struct glet_error *err)
{
    for (size_t i = 0; i < glet_model_input_count(engine->model); i++)
        glet_cpu_net_bind_input(engine->net, i, inputs[i]);
    for (size_t i = 0; i < glet_model_output_count(engine->model); i++)
        glet_cpu_net_bind_output(engine->net, i, outputs[i]);
    return glet_cpu_net_run(engine->net, 1, err);
}

void case_engine_free(struct case_engine *engine)
{
    if (!engine)
        return;
    glet_cpu_net_free(engine->net);
    glet_cpu_packs_free(engine->packs);
    free(engine);
}
