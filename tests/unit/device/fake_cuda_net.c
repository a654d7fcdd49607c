/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/device/fake_cuda_net.h"

#include "common/memory.h"
#include "runtime/device/device_ops.h"
#include "tests/doubles/cuda/fake_cuda.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

extern const unsigned char glet_fatbin_cuda_isolation[]; /* any fatbin will do */

struct weights {
    const struct glet_model *model;
    CUdeviceptr memory;
    struct weights *next;
};

struct glet_cuda_store {
    const struct glet_cuda_api *api;
    CUmodule module;
    CUfunction add_one;
    pthread_mutex_t lock;
    struct weights *weights;
};

struct glet_cuda_net {
    struct glet_cuda_site *site;
    struct glet_model *model;
    int batch;
    CUdeviceptr input, output;
};

static void add_one(const struct fake_cuda_launch *launch)
{
    const float *in;
    float *out;
    unsigned count;
    memcpy(&in, launch->parameters[0], sizeof in);
    memcpy(&out, launch->parameters[1], sizeof out);
    memcpy(&count, launch->parameters[2], sizeof count);
    for (unsigned i = 0; i < count; i++)
        out[i] = in[i] + 1;
}

int glet_cuda_store_new(const struct glet_cuda_api *api, CUdevice device,
                        enum glet_cuda_precision precision, const char *cache_dir,
                        struct glet_cuda_store **out, struct glet_error *err)
{
    (void)device;
    (void)precision;
    (void)cache_dir;
    const size_t sizes[] = {sizeof(CUdeviceptr), sizeof(CUdeviceptr), sizeof(unsigned)};
    fake_cuda_add_kernel("add_one", add_one, sizes, 3);
    struct glet_cuda_store *store = glet_alloc(1, sizeof *store, err);
    if (!store)
        return -1;
    store->api = api;
    pthread_mutex_init(&store->lock, NULL);
    if (GLET_CUDA_TRY(api, err, cuModuleLoadData, &store->module, glet_fatbin_cuda_isolation) < 0 ||
        GLET_CUDA_TRY(api, err, cuModuleGetFunction, &store->add_one, store->module, "add_one") <
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
    while (store->weights)
        glet_cuda_store_forget(store, store->weights->model);
    if (store->module)
        (void)store->api->cuModuleUnload(store->module);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

void glet_cuda_store_forget(struct glet_cuda_store *store, const struct glet_model *model)
{
    struct weights **link = &store->weights;
    while (*link && (*link)->model != model)
        link = &(*link)->next;
    struct weights *gone = *link;
    if (!gone)
        return;
    *link = gone->next;
    (void)store->api->cuMemFree(gone->memory);
    free(gone);
}

const char *glet_cuda_store_versions(const struct glet_cuda_store *store)
{
    (void)store;
    return "kernels of the test";
}

int glet_cuda_site_open(struct glet_cuda_site *site, struct glet_error *err)
{
    CUdeviceptr workspace;
    if (GLET_CUDA_TRY(site->api, err, cuMemAlloc, &workspace,
                      (size_t)FAKE_NET_WORKSPACE_MIB << 20) < 0)
        return -1;
    site->handles = (void *)(uintptr_t)workspace;
    return 0;
}

void glet_cuda_site_close(struct glet_cuda_site *site)
{
    (void)site->api->cuMemFree((CUdeviceptr)(uintptr_t)site->handles);
    site->handles = NULL;
}

static int upload(struct glet_cuda_site *site, struct glet_model *model, struct glet_error *err)
{
    struct weights *made = glet_alloc(1, sizeof *made, err);
    if (!made)
        return -1;
    if (GLET_CUDA_TRY(site->api, err, cuMemAlloc, &made->memory, model->weight_bytes) < 0) {
        free(made);
        return -1;
    }
    made->model = model;
    made->next = site->store->weights;
    site->store->weights = made;
    atomic_fetch_add(&model->uploads, 1);
    if (GLET_CUDA_TRY(site->api, err, cuMemsetD8Async, made->memory, 1, model->weight_bytes,
                      site->stream) < 0)
        return -1;
    return GLET_CUDA_TRY(site->api, err, cuStreamSynchronize, site->stream);
}

static int share_weights(struct glet_cuda_site *site, struct glet_model *model,
                         struct glet_error *err)
{
    pthread_mutex_lock(&site->store->lock);
    const struct weights *w = site->store->weights;
    while (w && w->model != model)
        w = w->next;
    int rc = w ? 0 : upload(site, model, err);
    pthread_mutex_unlock(&site->store->lock);
    return rc;
}

int glet_cuda_net_build(struct glet_cuda_site *site, const struct glet_model *model, int batch,
                        struct glet_cuda_net **out, struct glet_error *err)
{
    if (model->build_fails)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED, "no such operator");
    struct glet_cuda_net *net = glet_alloc(1, sizeof *net, err);
    if (!net)
        return -1;
    net->site = site;
    net->model = (struct glet_model *)(uintptr_t)model;
    net->batch = batch;
    atomic_fetch_add(&net->model->live_nets, 1);
    size_t bytes = sizeof(float) * (size_t)model->floats * (size_t)batch;
    if (share_weights(site, net->model, err) < 0 ||
        GLET_CUDA_TRY(site->api, err, cuMemAlloc, &net->input, bytes) < 0 ||
        GLET_CUDA_TRY(site->api, err, cuMemAlloc, &net->output, bytes) < 0) {
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
    if (net->input)
        (void)net->site->api->cuMemFree(net->input);
    if (net->output)
        (void)net->site->api->cuMemFree(net->output);
    atomic_fetch_sub(&net->model->live_nets, 1);
    free(net);
}

CUdeviceptr glet_cuda_net_input(const struct glet_cuda_net *net, size_t i)
{
    (void)i;
    return net->input;
}

CUdeviceptr glet_cuda_net_output(const struct glet_cuda_net *net, size_t i)
{
    (void)i;
    return net->output;
}

int glet_cuda_net_record(struct glet_cuda_net *net, struct glet_error *err)
{
    unsigned count = (unsigned)(net->model->floats * net->batch);
    void *parameters[] = {&net->input, &net->output, &count};
    CUdeviceptr memory;
    if (net->model->record_fails)
        return glet_error_set(err, GLET_ERR_DEVICE, "nothing to record");
    if (net->model->allocates_in_capture &&
        GLET_CUDA_TRY(net->site->api, err, cuMemAlloc, &memory, 1) < 0)
        return -1;
    return GLET_CUDA_TRY(net->site->api, err, cuLaunchKernel, net->site->store->add_one,
                         (count + 255) / 256, 1, 1, 256, 1, 1, 0, net->site->stream, parameters,
                         NULL);
}

size_t glet_cuda_net_activation_bytes(const struct glet_cuda_net *net)
{
    return (size_t)net->batch << 20;
}

int glet_cuda_net_steps(struct glet_cuda_net *net, struct glet_step_time **out, size_t *count_out,
                        struct glet_error *err)
{
    (void)net;
    (void)out;
    (void)count_out;
    return glet_error_set(err, GLET_ERR_UNSUPPORTED, "nothing to time");
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
    return "add_one";
}

static _Thread_local struct glet_model_io io;

const struct glet_model_io *glet_model_input(const struct glet_model *model, size_t i)
{
    (void)i;
    io.dtype = GLET_FLOAT32;
    io.bytes = sizeof(float) * (size_t)model->floats;
    return &io;
}

const struct glet_model_io *glet_model_output(const struct glet_model *model, size_t i)
{
    return glet_model_input(model, i);
}

size_t glet_model_input_count(const struct glet_model *model)
{
    (void)model;
    return 1;
}

size_t glet_model_output_count(const struct glet_model *model)
{
    (void)model;
    return 1;
}

/* In place of the CPU device, whose nets are of another kind of model. */
int glet_cpu_device_open(const struct glet_device_spec *spec, struct glet_device **out,
                         struct glet_error *err)
{
    (void)spec;
    (void)out;
    return glet_error_set(err, GLET_ERR_DEVICE, "only GPUs here");
}

const char *glet_model_name(const struct glet_model *model)
{
    (void)model;
    return "fake";
}
