/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which engine runs a graph: what was chosen before, else cuDNN's suggestions, finalised (only then
 * is it known whether an engine can) and timed where they will run. Suggestions are for the device
 * and, by wish, once more for the gpu-let's number of SMs. The choice is kept as the plan's own
 * JSON, which also spares the next process the compilation.
 */
#include "runtime/device/cuda/libs/dnn_graph.h"

#include "common/log.h"
#include "common/memory.h"
#include "runtime/device/cuda/libs/timing.h"

#include <stdlib.h>
#include <string.h>

/* An engine that is compiled at run time takes a good part of a second to finalise; suggestions come
   best first. */
enum { SUGGESTIONS = 12, CANDIDATES = 3, OF_PRODUCT = 6 };

static const struct glet_cuda_libraries *libraries_of(const struct glet_cuda_site *site)
{
    return glet_cuda_store_libraries(site->store);
}

void glet_dnn_plan_fini(const struct glet_cuda_site *site, struct glet_dnn_plan *plan)
{
    if (plan->pack)
        (void)libraries_of(site)->cudnnBackendDestroyDescriptor(plan->pack);
    if (plan->plan)
        (void)libraries_of(site)->cudnnBackendDestroyDescriptor(plan->plan);
    plan->pack = plan->plan = NULL;
}

int glet_dnn_plan_enqueue(const struct glet_cuda_site *site, const struct glet_dnn_plan *plan,
                          struct glet_error *err)
{
    return GLET_CUDNN_TRY(libraries_of(site), err, cudnnBackendExecute,
                          glet_cuda_handles_of(site)->cudnn, plan->plan, plan->pack);
}

/* The pack of pointers; fails on a plan that wants more workspace than there is. */
static bool complete(const struct glet_dnn_graph *graph, struct glet_dnn_plan *plan)
{
    const struct glet_cuda_libraries *l = libraries_of(graph->site);
    const struct glet_cuda_handles *handles = glet_cuda_handles_of(graph->site);
    void *workspace = (void *)(uintptr_t)handles->workspace;
    int64_t bytes = 0, count = 0;
    return l->cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                       CUDNN_TYPE_INT64, 1, &count,
                                       &bytes) == CUDNN_STATUS_SUCCESS &&
           bytes <= (int64_t)handles->workspace_bytes &&
           l->cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &plan->pack) ==
               CUDNN_STATUS_SUCCESS &&
           l->cudnnBackendSetAttribute(plan->pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
                                       CUDNN_TYPE_VOID_PTR, graph->operand_count,
                                       graph->pointers) == CUDNN_STATUS_SUCCESS &&
           l->cudnnBackendSetAttribute(plan->pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS,
                                       CUDNN_TYPE_INT64, graph->operand_count,
                                       graph->ids) == CUDNN_STATUS_SUCCESS &&
           l->cudnnBackendSetAttribute(plan->pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE,
                                       CUDNN_TYPE_VOID_PTR, 1,
                                       &workspace) == CUDNN_STATUS_SUCCESS &&
           l->cudnnBackendFinalize(plan->pack) == CUDNN_STATUS_SUCCESS;
}

static bool start_plan(const struct glet_dnn_graph *graph, struct glet_dnn_plan *plan,
                       cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                       int64_t count, const void *value)
{
    const struct glet_cuda_libraries *l = libraries_of(graph->site);
    cudnnHandle_t handle = glet_cuda_handles_of(graph->site)->cudnn;
    *plan = (struct glet_dnn_plan){.plan = NULL};
    bool ok =
        l->cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan->plan) ==
            CUDNN_STATUS_SUCCESS &&
        l->cudnnBackendSetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE,
                                    1, &handle) == CUDNN_STATUS_SUCCESS &&
        l->cudnnBackendSetAttribute(plan->plan, name, type, count, value) == CUDNN_STATUS_SUCCESS &&
        l->cudnnBackendFinalize(plan->plan) == CUDNN_STATUS_SUCCESS && complete(graph, plan);
    if (!ok)
        glet_dnn_plan_fini(graph->site, plan);
    return ok;
}

/* -- the cache --------------------------------------------------------------------------------- */

static bool from_cache(const struct glet_dnn_graph *graph, const char *key,
                       struct glet_dnn_plan *out)
{
    char *json = glet_choice_cache_get(glet_cuda_store_choices(graph->site->store), key);
    if (!json)
        return false;
    bool ok = start_plan(graph, out, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                         (int64_t)strlen(json), json);
    if (!ok)
        glet_log_warning("cached choice ignored: cuDNN refuses it key=%s", key);
    free(json);
    return ok;
}

static void to_cache(const struct glet_dnn_graph *graph, const char *key,
                     const struct glet_dnn_plan *plan)
{
    const struct glet_cuda_libraries *l = libraries_of(graph->site);
    int64_t count = 0, got = 0;
    if (l->cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
                                    CUDNN_TYPE_CHAR, 0, &count, NULL) != CUDNN_STATUS_SUCCESS ||
        count <= 0)
        return;
    char *json = calloc((size_t)count + 1, 1);
    if (json &&
        l->cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
                                    CUDNN_TYPE_CHAR, count, &got, json) == CUDNN_STATUS_SUCCESS)
        glet_choice_cache_put(glet_cuda_store_choices(graph->site->store), key, json);
    free(json);
}

/* -- candidates -------------------------------------------------------------------------------- */

/* FP32 proper excludes engines that round the operands to TF32 for the tensor cores. */
static bool is_allowed(const struct glet_dnn_graph *graph, cudnnBackendDescriptor_t config)
{
    const struct glet_cuda_libraries *l = libraries_of(graph->site);
    cudnnBackendDescriptor_t engine = NULL;
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t count = 0;
    if (glet_cuda_store_precision(graph->site->store) != GLET_CUDA_FP32)
        return true;
    if (l->cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) !=
        CUDNN_STATUS_SUCCESS)
        return false;
    bool allowed = l->cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE,
                                               CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
                                               &engine) == CUDNN_STATUS_SUCCESS &&
                   l->cudnnBackendGetAttribute(
                       engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                       CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes) == CUDNN_STATUS_SUCCESS;
    for (int64_t i = 0; allowed && i < count && i < CUDNN_NUMERICAL_NOTE_TYPE_COUNT; i++)
        allowed = notes[i] != CUDNN_NUMERICAL_NOTE_TENSOR_CORE &&
                  notes[i] != CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
    (void)l->cudnnBackendDestroyDescriptor(engine);
    return allowed;
}

struct suggestions {
    cudnnBackendDescriptor_t heuristics, configs[SUGGESTIONS];
    int made;
    int64_t count;
};

static void suggestions_fini(const struct glet_cuda_libraries *l, struct suggestions *s)
{
    for (int i = 0; i < s->made; i++)
        (void)l->cudnnBackendDestroyDescriptor(s->configs[i]);
    if (s->heuristics)
        (void)l->cudnnBackendDestroyDescriptor(s->heuristics);
}

static bool suggest(const struct glet_dnn_graph *graph, cudnnBackendDescriptor_t operations,
                    cudnnBackendHeurMode_t mode, int32_t sms, struct suggestions *s)
{
    const struct glet_cuda_libraries *l = libraries_of(graph->site);
    *s = (struct suggestions){.made = 0};
    if (l->cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &s->heuristics) !=
            CUDNN_STATUS_SUCCESS ||
        l->cudnnBackendSetAttribute(s->heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                    &operations) != CUDNN_STATUS_SUCCESS ||
        l->cudnnBackendSetAttribute(s->heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE,
                                    1, &mode) != CUDNN_STATUS_SUCCESS)
        return false;
    if (sms > 0 && l->cudnnBackendSetAttribute(s->heuristics, CUDNN_ATTR_ENGINEHEUR_SM_COUNT_TARGET,
                                               CUDNN_TYPE_INT32, 1, &sms) != CUDNN_STATUS_SUCCESS)
        return false;
    if (l->cudnnBackendFinalize(s->heuristics) != CUDNN_STATUS_SUCCESS)
        return false;
    while (s->made < SUGGESTIONS) {
        if (l->cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
                                            &s->configs[s->made]) != CUDNN_STATUS_SUCCESS)
            return false;
        s->made++;
    }
    return l->cudnnBackendGetAttribute(s->heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                       CUDNN_TYPE_BACKEND_DESCRIPTOR, SUGGESTIONS, &s->count,
                                       s->configs) == CUDNN_STATUS_SUCCESS;
}

struct run {
    const struct glet_cuda_site *site;
    const struct glet_dnn_plan *plan;
};

static int enqueue_run(void *context, struct glet_error *err)
{
    const struct run *run = context;
    return glet_dnn_plan_enqueue(run->site, run->plan, err);
}

/* Times what one list suggests; keeps the fastest in *best. A candidate that fails to run is none,
   unless the device is lost: then the next call of anything says so. */
static void try_suggestions(const struct glet_dnn_graph *graph, const struct suggestions *s,
                            struct glet_dnn_plan *best)
{
    int tried = 0, wanted = graph->is_product ? OF_PRODUCT : CANDIDATES;
    for (int64_t i = 0; i < s->count && i < SUGGESTIONS && tried < wanted; i++) {
        struct glet_dnn_plan plan;
        struct glet_error ignored;
        if (!is_allowed(graph, s->configs[i]) ||
            !start_plan(graph, &plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                        CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &s->configs[i]))
            continue;
        struct run run = {graph->site, &plan};
        tried++;
        double rival_ms = best->plan ? best->ms : 0;
        if (glet_cuda_time(graph->site, enqueue_run, &run, rival_ms, &plan.ms, &ignored) == 0 &&
            (!best->plan || plan.ms < best->ms)) {
            struct glet_dnn_plan worse = *best;
            *best = plan;
            plan = worse;
        }
        glet_dnn_plan_fini(graph->site, &plan);
    }
}

/* sms: to aim at; 0 = the device. Architectures that know no aim refuse it; of an H100, cuDNN 9.19 has
   engines for an aim of 8 and of 16 SMs, and suggests nothing for 24 or more. */
static void try_mode(const struct glet_dnn_graph *graph, cudnnBackendDescriptor_t operations,
                     cudnnBackendHeurMode_t mode, int32_t sms, struct glet_dnn_plan *best)
{
    struct suggestions s;
    if (suggest(graph, operations, mode, sms, &s))
        try_suggestions(graph, &s, best);
    suggestions_fini(libraries_of(graph->site), &s);
}

static cudnnBackendDescriptor_t make_operations(const struct glet_dnn_graph *graph)
{
    const struct glet_cuda_libraries *l = libraries_of(graph->site);
    cudnnHandle_t handle = glet_cuda_handles_of(graph->site)->cudnn;
    cudnnBackendDescriptor_t g = NULL;
    if (l->cudnnBackendCreateDescriptor(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, &g) !=
        CUDNN_STATUS_SUCCESS)
        return NULL;
    if (l->cudnnBackendSetAttribute(g, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                    graph->operation_count,
                                    graph->operations) == CUDNN_STATUS_SUCCESS &&
        l->cudnnBackendSetAttribute(g, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1,
                                    &handle) == CUDNN_STATUS_SUCCESS &&
        l->cudnnBackendFinalize(g) == CUDNN_STATUS_SUCCESS)
        return g;
    (void)l->cudnnBackendDestroyDescriptor(g);
    return NULL;
}

int glet_dnn_graph_choose(struct glet_dnn_graph *graph, const char *key, struct glet_dnn_plan *out,
                          struct glet_error *err)
{
    const struct glet_cuda_libraries *l = libraries_of(graph->site);
    *out = (struct glet_dnn_plan){.plan = NULL};
    if (graph->failed) {
        *err = graph->error;
        return -1;
    }
    if (from_cache(graph, key, out))
        return 1;
    cudnnBackendDescriptor_t operations = make_operations(graph);
    if (!operations) /* this pattern is not one that cuDNN knows */
        return 0;
    try_mode(graph, operations, CUDNN_HEUR_MODE_A, 0, out);
    if (glet_cuda_aims_at_sms(graph->site))
        try_mode(graph, operations, CUDNN_HEUR_MODE_A, graph->site->sm_count, out);
    if (!out->plan)
        try_mode(graph, operations, CUDNN_HEUR_MODE_FALLBACK, 0, out);
    (void)l->cudnnBackendDestroyDescriptor(operations);
    if (!out->plan)
        return 0;
    to_cache(graph, key, out);
    return 1;
}
