/* SPDX-License-Identifier: Apache-2.0 */
/* The CUDA executor's plans, in FP32, run on the host. */
#include "common/memory.h"
#include "tests/unit/cpu/case_engine.h"
#include "tests/unit/cuda/host_plan.h"

#include <stdlib.h>

const int case_engine_least = 313;

struct case_engine {
    struct glet_graph *graph;
    struct glet_cuda_plan *plan;
};

int case_engine_build(const struct glet_model *model, struct case_engine **out,
                      struct glet_error *err)
{
    struct case_engine *engine = glet_alloc(1, sizeof *engine, err);
    if (!engine)
        return -1;
    if (glet_model_bind(model, 1, &engine->graph, err) < 0 ||
        glet_cuda_plan_new(engine->graph, GLET_CUDA_FP32, &engine->plan, err) < 0) {
        case_engine_free(engine);
        return -1;
    }
    *out = engine;
    return 0;
}

int case_engine_run(struct case_engine *engine, void *const *inputs, void *const *outputs,
                    struct glet_error *err)
{
    return host_plan_run(engine->plan, inputs, outputs, err);
}

void case_engine_free(struct case_engine *engine)
{
    if (!engine)
        return;
    glet_cuda_plan_free(engine->plan);
    glet_graph_free(engine->graph);
    free(engine);
}
