/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cuda/real_libraries.h"

#include "runtime/device/cuda/cuda_time.h"

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

int64_t real_engines_of(const struct glet_dnn_graph *graph)
{
    const struct glet_cuda_libraries *l = real_store.libraries;
    cudnnBackendDescriptor_t operations = NULL;
    int64_t got = 0, engines = -1;
    if (graph->failed || l->cudnnBackendCreateDescriptor(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR,
                                                         &operations) != CUDNN_STATUS_SUCCESS)
        return -1;
    if (l->cudnnBackendSetAttribute(operations, CUDNN_ATTR_OPERATIONGRAPH_OPS,
                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, graph->operation_count,
                                    graph->operations) == CUDNN_STATUS_SUCCESS &&
        l->cudnnBackendFinalize(operations) == CUDNN_STATUS_SUCCESS)
        (void)l->cudnnBackendGetAttribute(operations, CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT,
                                          CUDNN_TYPE_INT64, 1, &got, &engines);
    (void)l->cudnnBackendDestroyDescriptor(operations);
    return engines;
}
