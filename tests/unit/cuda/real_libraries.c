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

int64_t real_h100_engines_of(const struct glet_dnn_graph *graph)
{
    const struct glet_cuda_libraries *l = real_store.libraries;
    enum { DEVICE, HEURISTICS, CONFIG, DESCRIPTORS };
    static const cudnnBackendDescriptorType_t kinds[DESCRIPTORS] = {
        CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR,
        CUDNN_BACKEND_ENGINECFG_DESCRIPTOR};
    cudnnBackendDescriptor_t operations = operations_of(graph), d[DESCRIPTORS] = {NULL};
    cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    int64_t count = -1;
    bool ok = operations != NULL;
    for (int i = 0; i < DESCRIPTORS; i++)
        ok = ok && l->cudnnBackendCreateDescriptor(kinds[i], &d[i]) == CUDNN_STATUS_SUCCESS;
#define SET(i, name, type, n, value)                                                               \
    l->cudnnBackendSetAttribute(d[i], name, type, n, value) == CUDNN_STATUS_SUCCESS
    ok = ok &&
         SET(DEVICE, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
             (int64_t)sizeof h100 - 1, h100) &&
         l->cudnnBackendFinalize(d[DEVICE]) == CUDNN_STATUS_SUCCESS &&
         SET(HEURISTICS, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
             &operations) &&
         SET(HEURISTICS, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode) &&
         SET(HEURISTICS, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
             &d[DEVICE]) &&
         l->cudnnBackendFinalize(d[HEURISTICS]) == CUDNN_STATUS_SUCCESS;
#undef SET
    if (ok && l->cudnnBackendGetAttribute(d[HEURISTICS], CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
                                          &d[CONFIG]) != CUDNN_STATUS_SUCCESS)
        count = -1;
    for (int i = 0; i < DESCRIPTORS; i++)
        if (d[i])
            (void)l->cudnnBackendDestroyDescriptor(d[i]);
    if (operations)
        (void)l->cudnnBackendDestroyDescriptor(operations);
    return count;
}
