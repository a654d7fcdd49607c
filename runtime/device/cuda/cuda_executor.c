/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executors of the CUDA device: a net recorded once into a CUDA graph, and its replay.
 *
 * A run enqueues on the gpu-let's one stream: the used rows of each input from pinned memory, the
 * graph, the used rows of each output back; then it waits for an event. It allocates nothing and
 * takes no lock of ours. device.h's run returns when the outputs are there, so that a gpu-let has
 * one batch in flight: its copies overlap with the compute of the other gpu-lets (the copy engines
 * are shared), and not with a batch of its own. Copies stay outside the graph because a batch that
 * is not full copies only what it has.
 *
 * The net runs once outside a capture before it is recorded (cuBLAS may allocate at a first call),
 * and the graph runs once before it serves, so that no first time is left to a request.
 *
 * Waiting: a thread that spins costs a core, one that sleeps wakes late. It polls for SPIN_US, then
 * sleeps in the driver until the event's interrupt.
 */
#include "runtime/device/cuda/cuda_partition.h"

#include "common/clock.h"
#include "common/memory.h"
#include "runtime/device/cuda/cuda_counters.h"
#include "runtime/device/cuda/cuda_replay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* About what waking up from an interrupt costs, as with any spin-then-sleep lock; not measured on a
   GPU. */
enum { SPIN_US = 50 };

/* Counters are read over so long a stretch: what starting and stopping them costs is small then. */
#define COUNTED_MS 20.0
enum { MOST_COUNTED = 5000 };

struct executor {
    struct glet_executor base;
    struct glet_cuda_partition *partition;
    const struct glet_model *model;
    struct glet_cuda_net *net;
    CUgraphExec graph;
    CUevent begin, end; /* around the graph, for its time */
    CUevent done;       /* after the copies, for the wait */
};

/* Rows that carry no request are computed, so they must hold numbers: zero. */
static int pinned(struct executor *executor, size_t row_bytes, void **out, struct glet_error *err)
{
    const struct glet_cuda_api *api = executor->partition->site.api;
    size_t bytes;
    if (__builtin_mul_overflow(row_bytes, (size_t)executor->base.batch, &bytes))
        return glet_error_set(err, GLET_ERR_NOMEM, "a batch of %d does not fit into memory",
                              executor->base.batch);
    bytes = bytes ? bytes : 1;
    if (GLET_CUDA_TRY(api, err, cuMemHostAlloc, out, bytes, 0) < 0)
        return -1;
    memset(*out, 0, bytes);
    return 0;
}

static int make_staging(struct executor *executor, struct glet_error *err)
{
    struct glet_executor *base = &executor->base;
    size_t inputs = glet_model_input_count(executor->model);
    size_t outputs = glet_model_output_count(executor->model);
    base->inputs = glet_alloc(inputs, sizeof *base->inputs, err);
    base->outputs = glet_alloc(outputs, sizeof *base->outputs, err);
    if (!base->inputs || !base->outputs)
        return -1;
    for (; base->input_count < inputs; base->input_count++)
        if (pinned(executor, glet_model_input(executor->model, base->input_count)->bytes,
                   &base->inputs[base->input_count], err) < 0)
            return -1;
    for (; base->output_count < outputs; base->output_count++)
        if (pinned(executor, glet_model_output(executor->model, base->output_count)->bytes,
                   &base->outputs[base->output_count], err) < 0)
            return -1;
    return 0;
}

static int make_events(struct executor *executor, struct glet_error *err)
{
    const struct glet_cuda_api *api = executor->partition->site.api;
    if (GLET_CUDA_TRY(api, err, cuEventCreate, &executor->begin, CU_EVENT_DEFAULT) < 0 ||
        GLET_CUDA_TRY(api, err, cuEventCreate, &executor->end, CU_EVENT_DEFAULT) < 0)
        return -1;
    return GLET_CUDA_TRY(api, err, cuEventCreate, &executor->done,
                         CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING);
}

/* Only the calling thread is in capture mode: other gpu-lets may be allocating or serving. */
static int capture(struct executor *executor, CUgraph *graph_out, struct glet_error *err)
{
    const struct glet_cuda_site *site = &executor->partition->site;
    CUgraph graph = NULL;
    if (GLET_CUDA_TRY(site->api, err, cuStreamBeginCapture, site->stream,
                      CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) < 0)
        return -1;
    int rc = glet_cuda_net_record(executor->net, err);
    CUresult code = site->api->cuStreamEndCapture(site->stream, &graph);
    if (rc == 0 && code != CUDA_SUCCESS)
        rc = glet_cuda_failed(site->api, code, "cuStreamEndCapture", err);
    if (rc < 0 && code == CUDA_SUCCESS && graph)
        (void)site->api->cuGraphDestroy(graph);
    *graph_out = graph;
    return rc;
}

static int make_graph(struct executor *executor, struct glet_error *err)
{
    const struct glet_cuda_site *site = &executor->partition->site;
    CUgraph graph;
    if (capture(executor, &graph, err) < 0)
        return -1;
    int rc = GLET_CUDA_TRY(site->api, err, cuGraphInstantiate, &executor->graph, graph, 0);
    (void)site->api->cuGraphDestroy(graph);
    if (rc == 0)
        rc = GLET_CUDA_TRY(site->api, err, cuGraphUpload, executor->graph, site->stream);
    return rc;
}

static int copy_in(const struct executor *executor, int used, struct glet_error *err)
{
    const struct glet_cuda_site *site = &executor->partition->site;
    for (size_t i = 0; i < executor->base.input_count; i++)
        if (GLET_CUDA_TRY(site->api, err, cuMemcpyHtoDAsync, glet_cuda_net_input(executor->net, i),
                          executor->base.inputs[i],
                          glet_model_input(executor->model, i)->bytes * (size_t)used,
                          site->stream) < 0)
            return -1;
    return 0;
}

static int copy_out(const struct executor *executor, int used, struct glet_error *err)
{
    const struct glet_cuda_site *site = &executor->partition->site;
    for (size_t i = 0; i < executor->base.output_count; i++)
        if (GLET_CUDA_TRY(site->api, err, cuMemcpyDtoHAsync, executor->base.outputs[i],
                          glet_cuda_net_output(executor->net, i),
                          glet_model_output(executor->model, i)->bytes * (size_t)used,
                          site->stream) < 0)
            return -1;
    return 0;
}

static int warm_up(struct executor *executor, struct glet_error *err)
{
    const struct glet_cuda_site *site = &executor->partition->site;
    if (copy_in(executor, executor->base.batch, err) < 0 ||
        glet_cuda_net_record(executor->net, err) < 0)
        return -1;
    return GLET_CUDA_TRY(site->api, err, cuStreamSynchronize, site->stream);
}

static int build(struct executor *executor, struct glet_error *err)
{
    struct glet_cuda_site *site = &executor->partition->site;
    if (glet_cuda_net_build(site, executor->model, executor->base.batch, &executor->net, err) < 0 ||
        make_staging(executor, err) < 0 || make_events(executor, err) < 0 ||
        warm_up(executor, err) < 0 || make_graph(executor, err) < 0)
        return -1;
    executor->base.activation_mib =
        (double)glet_cuda_net_activation_bytes(executor->net) / (1 << 20);
    return glet_cuda_executor_run(&executor->base, executor->base.batch, err);
}

int glet_cuda_executor_build(struct glet_partition *base, struct glet_model *model, int batch,
                             struct glet_executor **out, struct glet_error *err)
{
    struct executor *executor = glet_alloc(1, sizeof *executor, err);
    if (!executor)
        return -1;
    executor->base.ops = base->ops;
    executor->base.batch = batch;
    executor->partition = (struct glet_cuda_partition *)base;
    executor->model = model;
    if (build(executor, err) < 0) {
        glet_cuda_executor_free(&executor->base);
        return -1;
    }
    *out = &executor->base;
    return 0;
}

void glet_cuda_executor_free(struct glet_executor *base)
{
    struct executor *executor = (struct executor *)base;
    const struct glet_cuda_site *site = &executor->partition->site;
    const struct glet_cuda_api *api = site->api;
    const CUevent events[] = {executor->begin, executor->end, executor->done};
    (void)api->cuStreamSynchronize(site->stream); /* after a failed run something may be queued */
    if (executor->graph)
        (void)api->cuGraphExecDestroy(executor->graph);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (events[i])
            (void)api->cuEventDestroy(events[i]);
    for (size_t i = 0; i < base->input_count; i++)
        (void)api->cuMemFreeHost(base->inputs[i]);
    for (size_t i = 0; i < base->output_count; i++)
        (void)api->cuMemFreeHost(base->outputs[i]);
    glet_cuda_net_free(executor->net);
    free(base->inputs);
    free(base->outputs);
    free(executor);
}

static int wait_for(const struct glet_cuda_api *api, CUevent event, struct glet_error *err)
{
    uint64_t until_us = glet_clock_us() + SPIN_US;
    CUresult code;
    do
        code = api->cuEventQuery(event);
    while (code == CUDA_ERROR_NOT_READY && glet_clock_us() < until_us);
    if (code == CUDA_ERROR_NOT_READY)
        return GLET_CUDA_TRY(api, err, cuEventSynchronize, event);
    return code == CUDA_SUCCESS ? 0 : glet_cuda_failed(api, code, "cuEventQuery", err);
}

static void count_time(struct executor *executor)
{
    struct glet_cuda_partition *partition = executor->partition;
    float ms = 0;
    if (partition->site.api->cuEventElapsedTime(&ms, executor->begin, executor->end) !=
        CUDA_SUCCESS)
        return;
    uint64_t ns = (uint64_t)((double)ms * 1e6);
    atomic_fetch_add_explicit(&partition->busy_ns, ns, memory_order_relaxed);
    if (partition->device->base.info.temporal &&
        ns > atomic_load_explicit(&partition->slice_ns, memory_order_relaxed))
        atomic_store_explicit(&partition->slice_ns, ns, memory_order_relaxed);
}

int glet_cuda_executor_run(struct glet_executor *base, int used, struct glet_error *err)
{
    struct executor *executor = (struct executor *)base;
    const struct glet_cuda_site *site = &executor->partition->site;
    const struct glet_cuda_api *api = site->api;
    if (copy_in(executor, used, err) < 0 ||
        GLET_CUDA_TRY(api, err, cuEventRecord, executor->begin, site->stream) < 0 ||
        GLET_CUDA_TRY(api, err, cuGraphLaunch, executor->graph, site->stream) < 0 ||
        GLET_CUDA_TRY(api, err, cuEventRecord, executor->end, site->stream) < 0 ||
        copy_out(executor, used, err) < 0 ||
        GLET_CUDA_TRY(api, err, cuEventRecord, executor->done, site->stream) < 0 ||
        wait_for(api, executor->done, err) < 0)
        return -1;
    count_time(executor);
    return 0;
}

CUgraphExec glet_cuda_executor_graph(const struct glet_executor *executor)
{
    return ((const struct executor *)executor)->graph;
}

int glet_cuda_executor_replay(struct glet_executor *base, int runs, double *ms_out,
                              struct glet_error *err)
{
    struct executor *executor = (struct executor *)base;
    const struct glet_cuda_site *site = &executor->partition->site;
    return glet_cuda_replay(site->api, site->stream, executor->graph, runs, ms_out, err);
}

int glet_cuda_executor_utilisation(struct glet_executor *base, struct glet_utilisation *out,
                                   struct glet_error *err)
{
    struct executor *executor = (struct executor *)base;
    const struct glet_cuda_site *site = &executor->partition->site;
    const struct glet_cuda_cupti *cupti;
    double once_ms;
    if (glet_cuda_cupti_open(&cupti, err) < 0 ||
        glet_cuda_executor_replay(base, 1, &once_ms, err) < 0)
        return -1;
    double wanted = ceil(COUNTED_MS / once_ms);
    int replays = (int)fmin(fmax(wanted, 1), MOST_COUNTED);
    /* The counters are of the whole device, whichever context asks; not every CUPTI takes that of a
       green context. */
    const struct glet_cuda_device *device = executor->partition->device;
    struct glet_error ignored;
    return glet_cuda_counters_read(site->api, cupti, site->context, (size_t)device->device,
                                   site->stream, executor->graph, replays, out, &ignored) == 0
               ? 0
               : glet_cuda_counters_read(site->api, cupti, device->primary, (size_t)device->device,
                                         site->stream, executor->graph, replays, out, err);
}
