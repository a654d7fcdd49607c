/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cuda/cuda_bench.h"

#include "tests/doubles/cuda/fake_cuda.h"
#include "tests/unit/cuda/host_kernels.h"

#include <stdlib.h>
#include <string.h>

static void run_kernel(const struct fake_cuda_launch *from, const char *name, size_t bytes)
{
    struct glet_cuda_launch launch;
    memset(&launch, 0, sizeof launch);
    snprintf(launch.kernel, sizeof launch.kernel, "%s", name);
    memcpy(launch.grid, from->grid, sizeof launch.grid);
    memcpy(launch.block, from->block, sizeof launch.block);
    memcpy(&launch.parameters, from->parameters[0], bytes);
    if (!host_launch(&launch))
        abort();
}

#define ADAPT(name, parameter)                                                                     \
    static void run_##name(const struct fake_cuda_launch *launch)                                  \
    {                                                                                              \
        run_kernel(launch, #name, sizeof(struct parameter));                                       \
    }
#define ADAPT_BOTH(name, parameter) ADAPT(name##_f16, parameter) ADAPT(name##_f32, parameter)
GLET_K_BOTH(ADAPT_BOTH)
GLET_K_ONCE(ADAPT)

static void add_kernels(void)
{
#define ADD(name, parameter)                                                                       \
    fake_cuda_add_kernel(#name, run_##name, (const size_t[]){sizeof(struct parameter)}, 1);
#define ADD_BOTH(name, parameter) ADD(name##_f16, parameter) ADD(name##_f32, parameter)
    GLET_K_BOTH(ADD_BOTH)
    GLET_K_ONCE(ADD)
}

static int open_stream(struct bench *bench, struct glet_error *err)
{
    const struct glet_cuda_api *api = bench->api;
    if (GLET_CUDA_TRY(api, err, cuDeviceGet, &bench->device, 0) < 0 ||
        GLET_CUDA_TRY(api, err, cuDevicePrimaryCtxRetain, &bench->context, bench->device) < 0)
        return -1;
    bench->site.api = api;
    bench->site.context = bench->context;
    bench->site.sm_count = 24;
    bench->site.device_sms = 132;
    if (GLET_CUDA_TRY(api, err, cuCtxSetCurrent, bench->context) < 0)
        return -1;
    return GLET_CUDA_TRY(api, err, cuStreamCreate, &bench->site.stream, CU_STREAM_NON_BLOCKING);
}

int bench_open(struct bench *bench, enum glet_cuda_precision precision, const char *folder,
               struct glet_error *err)
{
    memset(bench, 0, sizeof *bench);
    add_kernels();
    if (glet_cuda_api_open(&bench->api, err) < 0 || open_stream(bench, err) < 0 ||
        glet_cuda_store_new(bench->api, bench->device, precision, folder, &bench->store, err) < 0)
        return -1;
    bench->site.store = bench->store;
    return glet_cuda_site_open(&bench->site, err);
}

int bench_open_beside(struct bench *bench, const struct bench *first, struct glet_error *err)
{
    memset(bench, 0, sizeof *bench);
    bench->api = first->api;
    bench->store = first->store;
    bench->borrows = true;
    if (open_stream(bench, err) < 0)
        return -1;
    bench->site.store = bench->store;
    return glet_cuda_site_open(&bench->site, err);
}

void bench_close(struct bench *bench)
{
    if (bench->site.store)
        glet_cuda_site_close(&bench->site);
    if (!bench->borrows)
        glet_cuda_store_free(bench->store);
    if (bench->site.stream)
        (void)bench->api->cuStreamDestroy(bench->site.stream);
    if (bench->context) {
        (void)bench->api->cuCtxSetCurrent(NULL);
        (void)bench->api->cuDevicePrimaryCtxRelease(bench->device);
    }
}

static int copy(struct bench *bench, CUdeviceptr device, void *host, size_t bytes, bool in,
                struct glet_error *err)
{
    void *pinned;
    if (GLET_CUDA_TRY(bench->api, err, cuMemHostAlloc, &pinned, bytes, 0) < 0)
        return -1;
    if (in)
        memcpy(pinned, host, bytes);
    int rc = in ? GLET_CUDA_TRY(bench->api, err, cuMemcpyHtoDAsync, device, pinned, bytes,
                                bench->site.stream)
                : GLET_CUDA_TRY(bench->api, err, cuMemcpyDtoHAsync, pinned, device, bytes,
                                bench->site.stream);
    if (rc == 0)
        rc = GLET_CUDA_TRY(bench->api, err, cuStreamSynchronize, bench->site.stream);
    if (rc == 0 && !in)
        memcpy(host, pinned, bytes);
    (void)bench->api->cuMemFreeHost(pinned);
    return rc;
}

static int replay(struct bench *bench, struct glet_cuda_net *net, struct glet_error *err)
{
    const struct glet_cuda_api *api = bench->api;
    CUstream stream = bench->site.stream;
    CUgraph graph = NULL;
    CUgraphExec exec = NULL;
    if (GLET_CUDA_TRY(api, err, cuStreamBeginCapture, stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) <
        0)
        return -1;
    int rc = glet_cuda_net_record(net, err);
    struct glet_error ignored;
    if (GLET_CUDA_TRY(api, rc < 0 ? &ignored : err, cuStreamEndCapture, stream, &graph) < 0)
        rc = -1;
    if (rc == 0)
        rc = GLET_CUDA_TRY(api, err, cuGraphInstantiate, &exec, graph, 0);
    if (graph)
        (void)api->cuGraphDestroy(graph);
    if (rc == 0)
        rc = GLET_CUDA_TRY(api, err, cuGraphLaunch, exec, stream);
    if (rc == 0)
        rc = GLET_CUDA_TRY(api, err, cuStreamSynchronize, stream);
    if (exec)
        (void)api->cuGraphExecDestroy(exec);
    return rc;
}

int bench_run(struct bench *bench, struct glet_cuda_net *net, const struct glet_model *model,
              int batch, void *const *inputs, void *const *outputs, struct glet_error *err)
{
    for (size_t i = 0; i < glet_model_input_count(model); i++)
        if (copy(bench, glet_cuda_net_input(net, i), inputs[i],
                 glet_model_input(model, i)->bytes * (size_t)batch, true, err) < 0)
            return -1;
    if (replay(bench, net, err) < 0)
        return -1;
    for (size_t i = 0; i < glet_model_output_count(model); i++)
        if (copy(bench, glet_cuda_net_output(net, i), outputs[i],
                 glet_model_output(model, i)->bytes * (size_t)batch, false, err) < 0)
            return -1;
    return 0;
}
