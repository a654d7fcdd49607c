/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executors of the CUDA device: a net recorded once into a CUDA graph, and its replay.
 *
 * A batch is enqueued as a whole when it begins: the used rows of each input from pinned memory,
 * staging or the requests' own (glet_executor_feed()), the graph, the used rows of each output
 * back; to finish it is to wait for an event. Neither allocates or takes a lock of ours. A second
 * batch may begin before the first is finished; then it is copied in while the first computes, and
 * the first is copied out while it computes (staging.h). A batch alone takes the shorter way,
 * with nothing but the gpu-let's stream in it. Copies stay outside the graph because a batch that
 * is not full copies only what it has.
 *
 * The net runs once outside a capture before it is recorded (cuBLAS may allocate at a first call),
 * and batches run in both ways before it serves, so that no first time is left to a request.
 *
 * Waiting: a thread that spins costs a core, one that sleeps wakes late. It polls for SPIN_US, then
 * sleeps in the driver until the event's interrupt.
 */
#include "runtime/device/cuda/cuda_partition.h"

#include "common/clock.h"
#include "common/memory.h"
#include "runtime/device/cuda/driver/gpu_counters.h"
#include "runtime/device/cuda/graph_replay.h"
#include "runtime/device/cuda/staging.h"

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
    struct glet_cuda_staging staging;
    CUgraphExec graph;
    struct {
        CUevent begin, end; /* around the graph */
    } times[GLET_CUDA_SLOTS];
    struct glet_cuda_flush flush; /* made by the first glet_executor_cool() */
    int oldest; /* slot of the batch to finish next; the one that begins next takes the other */
    int begun;  /* and not finished: then there is no oldest, and that slot is the next */
};

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

/* Also where cuBLAS, at its first call, may allocate. */
static int warm_up(struct executor *executor, struct glet_error *err)
{
    const struct glet_cuda_site *site = &executor->partition->site;
    if (glet_cuda_staging_in(&executor->staging, 0, executor->base.batch, false, err) < 0 ||
        glet_cuda_net_record(executor->net, err) < 0)
        return -1;
    return GLET_CUDA_TRY(site->api, err, cuStreamSynchronize, site->stream);
}

/* A batch alone, and one beside it; what has begun is finished, whatever fails. */
static int try_both_ways(struct glet_executor *base, struct glet_error *err)
{
    struct glet_error later;
    if (glet_cuda_executor_begin(base, base->batch, err) < 0)
        return -1;
    if (glet_cuda_executor_begin(base, base->batch, err) < 0) {
        (void)glet_cuda_executor_finish(base, &later);
        return -1;
    }
    int rc = glet_cuda_executor_finish(base, err);
    return glet_cuda_executor_finish(base, rc < 0 ? &later : err) < 0 ? -1 : rc;
}

static int make_times(struct executor *executor, struct glet_error *err)
{
    const struct glet_cuda_api *api = executor->partition->site.api;
    for (int i = 0; i < GLET_CUDA_SLOTS; i++)
        if (GLET_CUDA_TRY(api, err, cuEventCreate, &executor->times[i].begin, CU_EVENT_DEFAULT) <
                0 ||
            GLET_CUDA_TRY(api, err, cuEventCreate, &executor->times[i].end, CU_EVENT_DEFAULT) < 0)
            return -1;
    return 0;
}

static int build(struct executor *executor, struct glet_error *err)
{
    struct glet_cuda_site *site = &executor->partition->site;
    struct glet_executor *base = &executor->base;
    struct glet_cuda_staging *staging = &executor->staging;
    if (glet_cuda_net_build(site, executor->model, base->batch, &executor->net, err) < 0 ||
        glet_cuda_staging_init(staging, site, executor->net, executor->model, base->batch, err) <
            0 ||
        make_times(executor, err) < 0 || warm_up(executor, err) < 0 ||
        make_graph(executor, err) < 0)
        return -1;
    base->input_count = staging->input_count;
    base->output_count = staging->output_count;
    base->inputs = staging->slots[0].inputs;
    base->outputs = staging->slots[0].outputs;
    base->activation_mib =
        (double)(glet_cuda_net_activation_bytes(executor->net) + staging->device_bytes) / (1 << 20);
    return try_both_ways(base, err);
}

int glet_cuda_executor_build(struct glet_partition *base, struct glet_model *model, int batch,
                             struct glet_executor **out, struct glet_error *err)
{
    struct executor *executor = glet_alloc(1, sizeof *executor, err);
    if (!executor)
        return -1;
    executor->base.ops = base->ops;
    executor->base.batch = batch;
    executor->base.depth = GLET_CUDA_SLOTS;
    executor->partition = (struct glet_cuda_partition *)base;
    executor->model = model;
    if (build(executor, err) < 0) {
        glet_cuda_executor_free(&executor->base);
        return -1;
    }
    *out = &executor->base;
    return 0;
}

/* After a failure something may be queued that reads or writes what is freed or filled next. */
static void drain(const struct glet_cuda_site *site)
{
    (void)site->api->cuStreamSynchronize(site->copy_in);
    (void)site->api->cuStreamSynchronize(site->stream);
    (void)site->api->cuStreamSynchronize(site->copy_out);
}

void glet_cuda_executor_free(struct glet_executor *base)
{
    struct executor *executor = (struct executor *)base;
    const struct glet_cuda_api *api = executor->partition->site.api;
    drain(&executor->partition->site);
    if (executor->graph)
        (void)api->cuGraphExecDestroy(executor->graph);
    for (int i = 0; i < GLET_CUDA_SLOTS; i++) {
        if (executor->times[i].begin)
            (void)api->cuEventDestroy(executor->times[i].begin);
        if (executor->times[i].end)
            (void)api->cuEventDestroy(executor->times[i].end);
    }
    if (executor->flush.memory)
        (void)api->cuMemFree(executor->flush.memory);
    glet_cuda_staging_fini(&executor->staging);
    glet_cuda_net_free(executor->net);
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

static void count_time(struct executor *executor, int i)
{
    struct glet_cuda_partition *partition = executor->partition;
    float ms = 0;
    if (partition->site.api->cuEventElapsedTime(&ms, executor->times[i].begin,
                                                executor->times[i].end) != CUDA_SUCCESS)
        return;
    uint64_t ns = (uint64_t)((double)ms * 1e6);
    atomic_fetch_add_explicit(&partition->busy_ns, ns, memory_order_relaxed);
    if (partition->device->base.info.temporal &&
        ns > atomic_load_explicit(&partition->slice_ns, memory_order_relaxed))
        atomic_store_explicit(&partition->slice_ns, ns, memory_order_relaxed);
}

/* The same one again and again where one batch follows the end of another. */
static int next_slot(const struct executor *executor)
{
    return (executor->oldest + executor->begun) % GLET_CUDA_SLOTS;
}

bool glet_cuda_executor_feed(struct glet_executor *base, size_t i, int first, int rows,
                             const void *memory)
{
    struct executor *executor = (struct executor *)base;
    return glet_cuda_staging_feed(&executor->staging, i, first, rows, memory);
}

int glet_cuda_executor_begin(struct glet_executor *base, int used, struct glet_error *err)
{
    struct executor *executor = (struct executor *)base;
    const struct glet_cuda_site *site = &executor->partition->site;
    const struct glet_cuda_api *api = site->api;
    int i = next_slot(executor);
    bool beside = executor->partition->begun > 0;
    if (glet_cuda_staging_in(&executor->staging, i, used, beside, err) < 0 ||
        GLET_CUDA_TRY(api, err, cuEventRecord, executor->times[i].begin, site->stream) < 0 ||
        GLET_CUDA_TRY(api, err, cuGraphLaunch, executor->graph, site->stream) < 0 ||
        GLET_CUDA_TRY(api, err, cuEventRecord, executor->times[i].end, site->stream) < 0 ||
        glet_cuda_staging_out(&executor->staging, i, used, beside, err) < 0) {
        drain(site);
        return -1;
    }
    executor->partition->begun++;
    executor->begun++;
    base->inputs = executor->staging.slots[next_slot(executor)].inputs;
    return 0;
}

int glet_cuda_executor_finish(struct glet_executor *base, struct glet_error *err)
{
    struct executor *executor = (struct executor *)base;
    const struct glet_cuda_site *site = &executor->partition->site;
    int i = executor->oldest;
    executor->partition->begun--;
    if (--executor->begun > 0)
        executor->oldest = !i;
    base->inputs = executor->staging.slots[next_slot(executor)].inputs;
    base->outputs = executor->staging.slots[i].outputs;
    if (wait_for(site->api, executor->staging.slots[i].done, err) < 0) {
        drain(site);
        return -1;
    }
    count_time(executor, i);
    return 0;
}

CUgraphExec glet_cuda_executor_graph(const struct glet_executor *executor)
{
    return ((const struct executor *)executor)->graph;
}

int glet_cuda_executor_cool(struct glet_executor *base, struct glet_error *err)
{
    enum { OF_THE_CACHE = 2 };
    struct executor *executor = (struct executor *)base;
    const struct glet_cuda_site *site = &executor->partition->site;
    struct glet_cuda_flush *flush = &executor->flush;
    if (!flush->memory) {
        double mib = executor->partition->device->base.info.l2_mib;
        flush->bytes = (size_t)(OF_THE_CACHE * mib * (1 << 20));
        if (flush->bytes == 0)
            return glet_error_set(err, GLET_ERR_UNSUPPORTED,
                                  "the driver does not tell the size of the L2 cache");
        if (GLET_CUDA_TRY(site->api, err, cuMemAlloc, &flush->memory, flush->bytes) < 0)
            return -1;
    }
    if (GLET_CUDA_TRY(site->api, err, cuMemsetD8Async, flush->memory, 0, flush->bytes,
                      site->stream) < 0)
        return -1;
    return GLET_CUDA_TRY(site->api, err, cuStreamSynchronize, site->stream);
}

int glet_cuda_executor_replay(struct glet_executor *base, int runs, bool cold, double *ms_out,
                              struct glet_error *err)
{
    struct executor *executor = (struct executor *)base;
    const struct glet_cuda_site *site = &executor->partition->site;
    if (cold && !executor->flush.memory && glet_cuda_executor_cool(base, err) < 0)
        return -1;
    return glet_cuda_replay(site->api, site->stream, executor->graph, runs,
                            cold ? &executor->flush : NULL, ms_out, err);
}

int glet_cuda_executor_utilisation(struct glet_executor *base, struct glet_utilisation *out,
                                   struct glet_error *err)
{
    struct executor *executor = (struct executor *)base;
    const struct glet_cuda_site *site = &executor->partition->site;
    const struct glet_cuda_cupti *cupti;
    double once_ms;
    if (glet_cuda_cupti_open(&cupti, err) < 0 ||
        glet_cuda_executor_replay(base, 1, false, &once_ms, err) < 0)
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

int glet_cuda_executor_steps(struct glet_executor *base, struct glet_step_time **out,
                             size_t *count_out, struct glet_error *err)
{
    return glet_cuda_net_steps(((struct executor *)base)->net, out, count_out, err);
}
