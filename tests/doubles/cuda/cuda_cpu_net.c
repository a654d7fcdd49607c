/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuda_net.h over the CPU's nets: a model on the fake driver is one kernel, which is a run of the
 * CPU's net on the fake's "device memory". So gpulet-runtime answers with real outputs through
 * everything that the CUDA device does: splits, contexts, capture, copies, plan changes.
 */
#include "common/memory.h"
#include "runtime/device/cpu/net/cpu_net.h"
#include "runtime/device/cuda/net/cuda_net.h"
#include "tests/doubles/cuda/fake_cuda.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

extern const unsigned char glet_fatbin_cuda_isolation[];

struct glet_cuda_store {
    const struct glet_cuda_api *api;
    struct glet_cpu_packs *packs;
    CUmodule module;
    CUfunction run;
};

struct glet_cuda_net {
    struct glet_cuda_site *site;
    const struct glet_model *model;
    int batch;
    struct glet_cpu_net *cpu;
    CUdeviceptr *inputs, *outputs;
    size_t input_count, output_count;
};

static void run_on_cpu(const struct fake_cuda_launch *launch)
{
    struct glet_cuda_net *net;
    struct glet_error err;
    memcpy(&net, launch->parameters[0], sizeof net);
    if (glet_cpu_net_run(net->cpu, net->batch, &err) < 0)
        glet_error_print(&err, stderr);
}

/* Found like the driver's own functions, since nothing links a driver. */
static void add_kernel(const struct glet_cuda_api *api)
{
    static const size_t sizes[] = {sizeof(struct glet_cuda_net *)};
    __typeof__(&fake_cuda_add_kernel) add;
    void *symbol = dlsym(api->library, "fake_cuda_add_kernel");
    if (!symbol)
        abort(); /* this program is for the fake driver only */
    memcpy(&add, &symbol, sizeof symbol);
    add("run_on_cpu", run_on_cpu, sizes, 1);
}

int glet_cuda_store_new(const struct glet_cuda_api *api, CUdevice device,
                        enum glet_cuda_precision precision, const char *cache_dir,
                        struct glet_cuda_store **out, struct glet_error *err)
{
    (void)device;
    (void)precision;
    (void)cache_dir;
    add_kernel(api);
    struct glet_cuda_store *store = glet_alloc(1, sizeof *store, err);
    if (!store)
        return -1;
    store->api = api;
    if (glet_cpu_packs_new(&store->packs, err) < 0 ||
        GLET_CUDA_TRY(api, err, cuModuleLoadData, &store->module, glet_fatbin_cuda_isolation) < 0 ||
        GLET_CUDA_TRY(api, err, cuModuleGetFunction, &store->run, store->module, "run_on_cpu") <
            0) {
        glet_cuda_store_free(store);
        return -1;
    }
    *out = store;
    return 0;
}

void glet_cuda_store_free(struct glet_cuda_store *store)
{
    if (!store)
        return;
    if (store->module)
        (void)store->api->cuModuleUnload(store->module);
    glet_cpu_packs_free(store->packs);
    free(store);
}

void glet_cuda_store_forget(struct glet_cuda_store *store, const struct glet_model *model)
{
    glet_cpu_packs_forget(store->packs, model);
}

const char *glet_cuda_store_versions(const struct glet_cuda_store *store)
{
    const char *other = getenv("GPULET_FAKE_NET_VERSIONS");
    (void)store;
    return other ? other : "the CPU's kernels";
}

int glet_cuda_site_open(struct glet_cuda_site *site, struct glet_error *err)
{
    (void)site;
    (void)err;
    return 0;
}

void glet_cuda_site_close(struct glet_cuda_site *site)
{
    (void)site;
}

static int bind_tensors(struct glet_cuda_net *net, struct glet_error *err)
{
    const struct glet_cuda_api *api = net->site->api;
    size_t inputs = glet_model_input_count(net->model);
    size_t outputs = glet_model_output_count(net->model);
    net->inputs = glet_alloc(inputs, sizeof *net->inputs, err);
    net->outputs = glet_alloc(outputs, sizeof *net->outputs, err);
    if (!net->inputs || !net->outputs)
        return -1;
    for (; net->input_count < inputs; net->input_count++) {
        size_t i = net->input_count;
        size_t bytes = glet_model_input(net->model, i)->bytes * (size_t)net->batch;
        if (GLET_CUDA_TRY(api, err, cuMemAlloc, &net->inputs[i], bytes) < 0)
            return -1;
        glet_cpu_net_bind_input(net->cpu, i, (const void *)(uintptr_t)net->inputs[i]);
    }
    for (; net->output_count < outputs; net->output_count++) {
        size_t i = net->output_count;
        size_t bytes = glet_model_output(net->model, i)->bytes * (size_t)net->batch;
        if (GLET_CUDA_TRY(api, err, cuMemAlloc, &net->outputs[i], bytes) < 0)
            return -1;
        glet_cpu_net_bind_output(net->cpu, i, (void *)(uintptr_t)net->outputs[i]);
    }
    return 0;
}

int glet_cuda_net_build(struct glet_cuda_site *site, const struct glet_model *model, int batch,
                        struct glet_cuda_net **out, struct glet_error *err)
{
    struct glet_cuda_net *net = glet_alloc(1, sizeof *net, err);
    if (!net)
        return -1;
    net->site = site;
    net->model = model;
    net->batch = batch;
    if (glet_cpu_net_build(site->store->packs, model, batch, 1, &net->cpu, err) < 0 ||
        bind_tensors(net, err) < 0) {
        glet_cuda_net_free(net);
        return -1;
    }
    *out = net;
    return 0;
}

void glet_cuda_net_free(struct glet_cuda_net *net)
{
    if (!net)
        return;
    for (size_t i = 0; i < net->input_count; i++)
        (void)net->site->api->cuMemFree(net->inputs[i]);
    for (size_t i = 0; i < net->output_count; i++)
        (void)net->site->api->cuMemFree(net->outputs[i]);
    glet_cpu_net_free(net->cpu);
    free(net->inputs);
    free(net->outputs);
    free(net);
}

CUdeviceptr glet_cuda_net_input(const struct glet_cuda_net *net, size_t i)
{
    return net->inputs[i];
}

CUdeviceptr glet_cuda_net_output(const struct glet_cuda_net *net, size_t i)
{
    return net->outputs[i];
}

int glet_cuda_net_record(struct glet_cuda_net *net, struct glet_error *err)
{
    void *parameters[] = {&net};
    return GLET_CUDA_TRY(net->site->api, err, cuLaunchKernel, net->site->store->run, 1, 1, 1, 32, 1,
                         1, 0, net->site->stream, parameters, NULL);
}

size_t glet_cuda_net_activation_bytes(const struct glet_cuda_net *net)
{
    return glet_cpu_net_activation_bytes(net->cpu);
}

size_t glet_cuda_net_step_count(const struct glet_cuda_net *net)
{
    (void)net;
    return 1;
}

const char *glet_cuda_net_step_name(const struct glet_cuda_net *net, size_t i)
{
    (void)net;
    (void)i;
    return "run_on_cpu";
}

int glet_cuda_net_steps(struct glet_cuda_net *net, struct glet_step_time **out, size_t *count_out,
                        struct glet_error *err)
{
    (void)net;
    *out = glet_alloc(1, sizeof **out, err);
    if (!*out)
        return -1;
    **out = (struct glet_step_time){.node = "all",
                                    .kind = "net",
                                    .way = "run_on_cpu",
                                    .shape = "1x1",
                                    .ms = 0.5,
                                    .bytes = 1e6,
                                    .flop = 1e9};
    *count_out = 1;
    return 0;
}
