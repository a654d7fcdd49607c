/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cuda/real_libraries.h"

#include "runtime/device/cuda/libs/timing.h"

#include <stdio.h>

struct glet_cuda_store real_store;
static struct glet_cuda_handles handles = {.workspace_bytes = 32 << 20};
struct glet_cuda_site real_site = {
    .store = &real_store, .sm_count = 24, .device_sms = 132, .handles = &handles};

const struct glet_cuda_libraries *glet_cuda_store_libraries(const struct glet_cuda_store *s)
{
    return s->libraries;
}
enum glet_cuda_precision glet_cuda_store_precision(const struct glet_cuda_store *s)
{
    return s->precision;
}
struct glet_choice_cache *glet_cuda_store_choices(struct glet_cuda_store *s)
{
    return s->choices;
}
bool glet_cuda_aims_at_sms(const struct glet_cuda_site *s)
{
    return s->sm_count < s->device_sms;
}
int glet_cuda_time(const struct glet_cuda_site *s,
                   int (*enqueue)(void *context, struct glet_error *err), void *context,
                   double rival_ms, double *ms_out, struct glet_error *err)
{
    (void)s;
    (void)rival_ms;
    (void)enqueue;
    (void)context;
    *ms_out = 0.0;
    return glet_error_set(err, GLET_ERR_INTERNAL, "nothing runs here");
}

int real_libraries_open(void)
{
    struct glet_error err = {0};
    if (glet_cuda_libraries_open(&real_store.libraries, &err) < 0) {
        printf("skipped: %s\n", err.message);
        return 77;
    }
    return glet_choice_cache_new(NULL, &real_store.choices, &err) < 0;
}

void real_libraries_close(void)
{
    glet_choice_cache_free(real_store.choices);
}

static cudnnBackendDescriptor_t operations_of(const struct glet_dnn_graph *graph)
{
    const struct glet_cuda_libraries *l = real_store.libraries;
    cudnnBackendDescriptor_t operations = NULL;
    if (graph->failed || l->cudnnBackendCreateDescriptor(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR,
                                                         &operations) != CUDNN_STATUS_SUCCESS)
        return NULL;
    if (l->cudnnBackendSetAttribute(operations, CUDNN_ATTR_OPERATIONGRAPH_OPS,
                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, graph->operation_count,
                                    graph->operations) == CUDNN_STATUS_SUCCESS &&
        l->cudnnBackendFinalize(operations) == CUDNN_STATUS_SUCCESS)
        return operations;
    (void)l->cudnnBackendDestroyDescriptor(operations);
    return NULL;
}

int64_t real_engines_of(const struct glet_dnn_graph *graph)
{
    const struct glet_cuda_libraries *l = real_store.libraries;
    cudnnBackendDescriptor_t operations = operations_of(graph);
    int64_t got = 0, engines = -1;
    if (!operations)
        return -1;
    (void)l->cudnnBackendGetAttribute(operations, CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT,
                                      CUDNN_TYPE_INT64, 1, &got, &engines);
    (void)l->cudnnBackendDestroyDescriptor(operations);
    return engines;
}

/* As a plan's JSON describes it that cuDNN made there. */
static const char h100[] =
    "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
    "\"regsPerBlock\":65536,\"multiProcessorCount\":132,\"warpSize\":32,"
    "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":232448,"
    "\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,"
    "\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":6,\"isTccDriver\":0,"
    "\"supportCoopLaunch\":1,\"totalGlobalMem\":85017493504,\"smClockRateKHz\":1980000,"
    "\"memClockRateKHz\":2619000,\"l2CacheSize\":52428800,\"cudaDeviceId\":0,\"deviceVer\":900,"
    "\"driverVer\":13000,\"deviceName\":\"NVIDIA H100 80GB HBM3\"}";

/* Whether a plan of this suggestion comes to be: its kernel is chosen, compiled and loaded. */
static bool finalises(cudnnBackendDescriptor_t config, cudnnBackendDescriptor_t device)
{
    const struct glet_cuda_libraries *l = real_store.libraries;
    cudnnBackendDescriptor_t plan = NULL;
    bool ok = l->cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan) ==
                  CUDNN_STATUS_SUCCESS &&
              l->cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                          &device) == CUDNN_STATUS_SUCCESS &&
              l->cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                          &config) == CUDNN_STATUS_SUCCESS &&
              l->cudnnBackendFinalize(plan) == CUDNN_STATUS_SUCCESS;
    if (plan)
        (void)l->cudnnBackendDestroyDescriptor(plan);
    return ok;
}

/* Whether one of the first suggestions of this mode does. */
static bool suggests(cudnnBackendDescriptor_t operations, cudnnBackendDescriptor_t device,
                     cudnnBackendHeurMode_t mode)
{
    enum { MOST = 3 }; /* as many as are tried on a GPU */
    const struct glet_cuda_libraries *l = real_store.libraries;
    cudnnBackendDescriptor_t heuristics = NULL, configs[MOST] = {NULL};
    int64_t count = 0;
    bool ok = l->cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristics) ==
              CUDNN_STATUS_SUCCESS;
    for (int i = 0; ok && i < MOST; i++)
        ok = l->cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[i]) ==
             CUDNN_STATUS_SUCCESS;
#define SET(name, type, value)                                                                     \
    l->cudnnBackendSetAttribute(heuristics, name, type, 1, value) == CUDNN_STATUS_SUCCESS
    ok = ok &&
         SET(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, &operations) &&
         SET(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, &mode) &&
         SET(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, &device) &&
         l->cudnnBackendFinalize(heuristics) == CUDNN_STATUS_SUCCESS &&
         l->cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                     CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST, &count,
                                     configs) == CUDNN_STATUS_SUCCESS;
#undef SET
    bool found = false;
    for (int i = 0; ok && !found && i < count && i < MOST; i++)
        found = finalises(configs[i], device);
    for (int i = 0; i < MOST; i++)
        if (configs[i])
            (void)l->cudnnBackendDestroyDescriptor(configs[i]);
    if (heuristics)
        (void)l->cudnnBackendDestroyDescriptor(heuristics);
    return found;
}

enum real_plan real_h100_plan_of(const struct glet_dnn_graph *graph)
{
    const struct glet_cuda_libraries *l = real_store.libraries;
    cudnnBackendDescriptor_t operations = operations_of(graph), device = NULL;
    enum real_plan found = REAL_PLAN_NONE;
    if (operations &&
        l->cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &device) ==
            CUDNN_STATUS_SUCCESS &&
        l->cudnnBackendSetAttribute(device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                    CUDNN_TYPE_CHAR, (int64_t)sizeof h100 - 1,
                                    h100) == CUDNN_STATUS_SUCCESS &&
        l->cudnnBackendFinalize(device) == CUDNN_STATUS_SUCCESS)
        found = suggests(operations, device, CUDNN_HEUR_MODE_A)          ? REAL_PLAN_SUGGESTED
                : suggests(operations, device, CUDNN_HEUR_MODE_FALLBACK) ? REAL_PLAN_FALLBACK
                                                                         : REAL_PLAN_NONE;
    if (device)
        (void)l->cudnnBackendDestroyDescriptor(device);
    if (operations)
        (void)l->cudnnBackendDestroyDescriptor(operations);
    return found;
}
