/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of gpu_checks that are about time: launches, stalls, events, and a storm next door. */
#include "tests/gpu/gpu_check.h"

#include "common/clock.h"
#include "common/memory.h"
#include "profiles/sampler.h"
#include "runtime/device/cuda/graph_replay.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { THREADS = 256, BLOCKS_PER_SM = 4, MOST_SAMPLES = 20000 };

#define PROBE_ROUNDS 2000
#define STORM_LIMIT  1.03

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct gpu_check_times gpu_check_times(double *values, size_t count)
{
    qsort(values, count, sizeof *values, ascending);
    size_t p99 = (size_t)ceil(0.99 * (double)count);
    return (struct gpu_check_times){values[count / 2], values[p99 > 0 ? p99 - 1 : 0],
                                    values[count - 1]};
}

/* --- graphs of compute kernels --- */

static int capture(struct gpu_check *check, const struct glet_cuda_site *site, int rounds,
                   CUgraphExec *out, struct glet_error *err)
{
    const struct glet_cuda_api *api = check->api;
    void *parameters[] = {&check->scratch, &rounds};
    CUgraph graph = NULL;
    if (GLET_CUDA_TRY(api, err, cuStreamBeginCapture, site->stream,
                      CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) < 0)
        return -1;
    int rc = GLET_CUDA_TRY(api, err, cuLaunchKernel, check->compute,
                           (unsigned)site->sm_count * BLOCKS_PER_SM, 1, 1, THREADS, 1, 1, 0,
                           site->stream, parameters, NULL);
    CUresult code = api->cuStreamEndCapture(site->stream, &graph);
    if (rc == 0 && code != CUDA_SUCCESS)
        rc = glet_cuda_failed(api, code, "cuStreamEndCapture", err);
    if (rc == 0)
        rc = GLET_CUDA_TRY(api, err, cuGraphInstantiate, out, graph, 0);
    if (graph)
        (void)api->cuGraphDestroy(graph);
    return rc;
}

/* Rounds are in proportion to the time; a probe of some rounds tells the rate. */
int gpu_check_graph(struct gpu_check *check, const struct glet_cuda_site *site, double wanted_ms,
                    CUgraphExec *out, struct glet_error *err)
{
    CUgraphExec probe;
    double probe_ms[8];
    if (GLET_CUDA_TRY(check->api, err, cuCtxSetCurrent, site->context) < 0 ||
        capture(check, site, PROBE_ROUNDS, &probe, err) < 0)
        return -1;
    int rc = glet_cuda_replay(check->api, site->stream, probe, 8, NULL, probe_ms, err);
    (void)check->api->cuGraphExecDestroy(probe);
    if (rc < 0)
        return -1;
    double rounds = PROBE_ROUNDS * wanted_ms / gpu_check_times(probe_ms, 8).p50;
    return capture(check, site, (int)fmax(1, rounds), out, err);
}

/* One run as a worker does it: launch, and wait on the stream; the host's time of both. */
static int run_once(const struct gpu_check *check, const struct glet_cuda_site *site,
                    CUgraphExec graph, double *ms_out, struct glet_error *err)
{
    uint64_t start_ns = glet_clock_ns();
    if (GLET_CUDA_TRY(check->api, err, cuGraphLaunch, graph, site->stream) < 0 ||
        GLET_CUDA_TRY(check->api, err, cuStreamSynchronize, site->stream) < 0)
        return -1;
    *ms_out = (double)(glet_clock_ns() - start_ns) / 1e6;
    return 0;
}

/* Runs back to back for a while; how many times were written. -1 on failure. */
static long run_window(const struct gpu_check *check, const struct glet_cuda_site *site,
                       CUgraphExec graph, double seconds, double *ms_out, size_t room,
                       struct glet_error *err)
{
    uint64_t end_ns = glet_clock_ns() + (uint64_t)(seconds * 1e9);
    size_t count = 0;
    while (count < room && glet_clock_ns() < end_ns)
        if (run_once(check, site, graph, &ms_out[count++], err) < 0)
            return -1;
    return (long)count;
}

/* --- launch: from a request in pinned memory to the graph on its way --- */

int gpu_check_launch(struct gpu_check *check, struct glet_error *err)
{
    enum { RUNS = 4000, INPUT_BYTES = 3 * 224 * 224 * 4 };
    int whole = glet_device_info(check->device)->units;
    CUgraphExec graph;
    GLET_CLEANUP(glet_cleanup_free) double *us = glet_alloc(RUNS, sizeof *us, err);
    if (!us || gpu_check_cut(check, &whole, 1, err) < 0)
        return -1;
    const struct glet_cuda_site *site = gpu_check_site(check, 0);
    if (gpu_check_graph(check, site, 0.05, &graph, err) < 0)
        return -1;
    int rc = 0;
    for (int i = 0; rc == 0 && i < RUNS; i++) {
        uint64_t start_ns = glet_clock_ns();
        rc = GLET_CUDA_TRY(check->api, err, cuMemcpyHtoDAsync, check->scratch, check->pinned,
                           INPUT_BYTES, site->stream);
        if (rc == 0)
            rc = GLET_CUDA_TRY(check->api, err, cuGraphLaunch, graph, site->stream);
        us[i] = (double)(glet_clock_ns() - start_ns) / 1e3;
        if (rc == 0)
            rc = GLET_CUDA_TRY(check->api, err, cuStreamSynchronize, site->stream);
    }
    (void)check->api->cuGraphExecDestroy(graph);
    if (rc < 0)
        return -1;
    struct gpu_check_times t = gpu_check_times(us, RUNS);
    gpu_check_row("copy enqueued and graph launched, median", t.p50, "us", "< 10", t.p50 < 10);
    gpu_check_row("copy enqueued and graph launched, 99 %", t.p99, "us", NULL, false);
    return 0;
}

/* --- stall: what another thread's calls do to one that serves --- */

struct disturbance {
    struct gpu_check *check;
    int kind;
    void *memory; /* to be pinned */
    atomic_bool stop;
    atomic_long tried, done;
};

enum { ALLOCATE, LOAD, INSTANTIATE, PIN, DISTURBANCES };
enum { PINNED_BYTES = 600 << 10 };
static const char *const disturbances[DISTURBANCES] = {"cuMemAlloc and cuMemFree", "module load",
                                                       "graph instantiation",
                                                       "pinning 600 KB and unpinning"};
extern const unsigned char glet_fatbin_gpu_check_kernels[];

/* Whether it could be done. */
static bool disturb_once(const struct disturbance *d, const struct glet_cuda_site *site)
{
    const struct glet_cuda_api *api = d->check->api;
    struct glet_error ignored;
    CUdeviceptr memory;
    CUmodule module;
    CUgraphExec graph;
    if (d->kind == ALLOCATE && api->cuMemAlloc(&memory, 64 << 20) == CUDA_SUCCESS)
        return api->cuMemFree(memory) == CUDA_SUCCESS;
    if (d->kind == LOAD &&
        api->cuModuleLoadData(&module, glet_fatbin_gpu_check_kernels) == CUDA_SUCCESS)
        return api->cuModuleUnload(module) == CUDA_SUCCESS;
    if (d->kind == INSTANTIATE && capture(d->check, site, 1, &graph, &ignored) == 0)
        return api->cuGraphExecDestroy(graph) == CUDA_SUCCESS;
    if (d->kind != PIN || !glet_device_pin(d->check->device, d->memory, PINNED_BYTES, true))
        return false;
    glet_device_unpin(d->check->device, d->memory);
    return true;
}

static void *disturb(void *opaque)
{
    struct disturbance *d = opaque;
    const struct glet_cuda_site *site = gpu_check_site(d->check, 1);
    (void)d->check->api->cuCtxSetCurrent(site->context);
    while (!atomic_load(&d->stop)) {
        atomic_fetch_add(&d->done, disturb_once(d, site));
        atomic_fetch_add(&d->tried, 1);
    }
    (void)d->check->api->cuCtxSetCurrent(NULL);
    return NULL;
}

static int cut_in_two(struct gpu_check *check, struct glet_error *err)
{
    int units = glet_device_info(check->device)->units;
    const int halves[2] = {units - units / 2, units / 2};
    if (units < 2)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED, "a device of one unit");
    return gpu_check_cut(check, halves, 2, err);
}

static int stall_row(struct gpu_check *check, CUgraphExec graph, const char *name, double *ms,
                     struct glet_error *err)
{
    char what[96];
    long count =
        run_window(check, gpu_check_site(check, 0), graph, check->window_s, ms, MOST_SAMPLES, err);
    if (count < 0)
        return -1;
    if (count == 0)
        return glet_error_set(err, GLET_ERR_DEVICE, "nothing was served beside %s", name);
    struct gpu_check_times t = gpu_check_times(ms, (size_t)count);
    snprintf(what, sizeof what, "served 0.1 ms graph beside %s: median", name);
    gpu_check_row(what, t.p50, "ms", NULL, false);
    snprintf(what, sizeof what, "served 0.1 ms graph beside %s: largest", name);
    gpu_check_row(what, t.largest, "ms", NULL, false);
    return 0;
}

/* What was never done has disturbed nothing. */
static void done_row(const char *name, long count)
{
    char what[96];
    snprintf(what, sizeof what, "meanwhile %s: times", name);
    gpu_check_row(what, (double)count, "", "> 0", count > 0);
}

int gpu_check_stall(struct gpu_check *check, struct glet_error *err)
{
    CUgraphExec graph;
    GLET_CLEANUP(glet_cleanup_free) double *ms = glet_alloc(MOST_SAMPLES, sizeof *ms, err);
    if (!ms || cut_in_two(check, err) < 0 ||
        gpu_check_graph(check, gpu_check_site(check, 0), 0.1, &graph, err) < 0)
        return -1;
    void *memory =
        mmap(NULL, PINNED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int rc = memory == MAP_FAILED ? glet_error_errno(err, errno, "memory") : 0;
    if (rc == 0)
        rc = stall_row(check, graph, "nothing", ms, err);
    for (int kind = 0; rc == 0 && kind < DISTURBANCES; kind++) {
        struct disturbance d = {.check = check, .kind = kind, .memory = memory};
        pthread_t thread;
        if (pthread_create(&thread, NULL, disturb, &d) != 0) {
            rc = glet_error_set(err, GLET_ERR_NOMEM, "cannot start a thread");
            break;
        }
        while (atomic_load(&d.tried) == 0)
            sched_yield();
        rc = stall_row(check, graph, disturbances[kind], ms, err);
        atomic_store(&d.stop, true);
        pthread_join(thread, NULL);
        if (rc == 0)
            done_row(disturbances[kind], atomic_load(&d.done));
    }
    if (memory != MAP_FAILED)
        munmap(memory, PINNED_BYTES);
    (void)check->api->cuGraphExecDestroy(graph);
    return rc;
}

/* --- events: how steady, and how they compare with the host's clock --- */

static double interval_percent(const double *sorted, size_t n)
{
    size_t low, high;
    if (!glet_median_ranks(n, &low, &high))
        return NAN;
    return 100 * (sorted[high - 1] - sorted[low - 1]) / 2 / sorted[n / 2];
}

int gpu_check_events(struct gpu_check *check, struct glet_error *err)
{
    enum { MOST = 1000, BLOCK = 50 };
    static const size_t counts[] = {50, 300, MOST};
    double event_ms[MOST], host_ms[MOST], part[MOST];
    int whole = glet_device_info(check->device)->units;
    CUgraphExec graph;
    char what[96];
    if (gpu_check_cut(check, &whole, 1, err) < 0)
        return -1;
    const struct glet_cuda_site *site = gpu_check_site(check, 0);
    if (gpu_check_graph(check, site, 0.5, &graph, err) < 0)
        return -1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < MOST; i += BLOCK)
        rc = glet_cuda_replay(check->api, site->stream, graph, BLOCK, NULL, event_ms + i, err);
    for (size_t i = 0; rc == 0 && i < MOST; i++)
        rc = run_once(check, site, graph, &host_ms[i], err);
    (void)check->api->cuGraphExecDestroy(graph);
    if (rc < 0)
        return -1;
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        for (size_t i = 0; i < counts[c]; i++)
            part[i] = event_ms[i];
        (void)gpu_check_times(part, counts[c]);
        snprintf(what, sizeof what, "0.5 ms graph: 95 %% interval of the median, n = %zu",
                 counts[c]);
        gpu_check_row(what, interval_percent(part, counts[c]), "%", c == 1 ? "< 1" : NULL,
                      interval_percent(part, counts[c]) < 1);
    }
    double by_host = gpu_check_times(host_ms, MOST).p50;
    gpu_check_row("0.5 ms graph: host clock above events", (by_host - part[MOST / 2]) * 1e3, "us",
                  NULL, false);
    return 0;
}

/* --- storm: a neighbour that does nothing but compute --- */

struct storm {
    struct gpu_check *check;
    CUcontext context;
    CUstream stream;
    CUgraphExec graph;
    atomic_bool stop, failed;
};

/* Keeps a few graphs queued, so that the SMs never wait for the host. */
static void *rage(void *opaque)
{
    enum { QUEUED = 4 };
    struct storm *storm = opaque;
    const struct glet_cuda_api *api = storm->check->api;
    CUresult code = api->cuCtxSetCurrent(storm->context);
    while (code == CUDA_SUCCESS && !atomic_load(&storm->stop)) {
        for (int i = 0; code == CUDA_SUCCESS && i < QUEUED; i++)
            code = api->cuGraphLaunch(storm->graph, storm->stream);
        if (code == CUDA_SUCCESS)
            code = api->cuStreamSynchronize(storm->stream);
    }
    atomic_store(&storm->failed, code != CUDA_SUCCESS);
    (void)api->cuCtxSetCurrent(NULL);
    return NULL;
}

/* Appends a window of runs beside the storm, or alone. */
static int storm_window(struct storm *storm, CUgraphExec graph, bool raging, double *ms,
                        size_t *count, struct glet_error *err)
{
    pthread_t thread;
    atomic_store(&storm->stop, false);
    if (raging && pthread_create(&thread, NULL, rage, storm) != 0)
        return glet_error_set(err, GLET_ERR_NOMEM, "cannot start a thread");
    long got = run_window(storm->check, gpu_check_site(storm->check, 0), graph,
                          storm->check->window_s, ms + *count, MOST_SAMPLES - *count, err);
    if (raging) {
        atomic_store(&storm->stop, true);
        pthread_join(thread, NULL);
        if (atomic_load(&storm->failed))
            return glet_error_set(err, GLET_ERR_DEVICE, "the storm failed");
    }
    if (got < 0)
        return -1;
    *count += (size_t)got; /* none where the room is used up */
    return 0;
}

/* Alone and beside the storm in turns, so that a drift of the clocks meets both. */
static int storm_rows(struct storm *storm, CUgraphExec graph, const char *where, bool has_target,
                      double *alone, double *beside, struct glet_error *err)
{
    size_t alone_count = 0, beside_count = 0;
    char what[96];
    for (int turn = 0; turn < 2; turn++)
        if (storm_window(storm, graph, false, alone, &alone_count, err) < 0 ||
            storm_window(storm, graph, true, beside, &beside_count, err) < 0)
            return -1;
    struct gpu_check_times a = gpu_check_times(alone, alone_count);
    struct gpu_check_times b = gpu_check_times(beside, beside_count);
    snprintf(what, sizeof what, "storm in %s: p99 of %zu runs of %.2f ms, beside / alone", where,
             beside_count, a.p50);
    gpu_check_row(what, b.p99 / a.p99, "x", has_target ? "< 1.03" : NULL,
                  b.p99 / a.p99 < STORM_LIMIT);
    snprintf(what, sizeof what, "storm in %s: median, beside / alone", where);
    gpu_check_row(what, b.p50 / a.p50, "x", NULL, false);
    return 0;
}

int gpu_check_storm(struct gpu_check *check, struct glet_error *err)
{
    CUgraphExec graph, neighbour;
    CUstream primary = NULL;
    GLET_CLEANUP(glet_cleanup_free) double *alone = glet_alloc(MOST_SAMPLES, sizeof *alone, err);
    GLET_CLEANUP(glet_cleanup_free) double *beside = glet_alloc(MOST_SAMPLES, sizeof *beside, err);
    if (!alone || !beside || cut_in_two(check, err) < 0)
        return -1;
    const struct glet_cuda_site *a = gpu_check_site(check, 0), *b = gpu_check_site(check, 1);
    struct glet_cuda_site whole = *b; /* the same kernel, in the primary context */
    whole.context = check->cuda->primary;
    if (gpu_check_graph(check, b, 1, &neighbour, err) < 0 ||
        gpu_check_graph(check, a, 1, &graph, err) < 0)
        return -1;
    struct storm storm = {
        .check = check, .context = b->context, .stream = b->stream, .graph = neighbour};
    int rc = storm_rows(&storm, graph, "the other gpu-let", true, alone, beside, err);
    (void)check->api->cuGraphExecDestroy(neighbour);
    if (rc == 0)
        rc = GLET_CUDA_TRY(check->api, err, cuCtxSetCurrent, check->cuda->primary);
    if (rc == 0)
        rc = GLET_CUDA_TRY(check->api, err, cuStreamCreate, &primary, CU_STREAM_NON_BLOCKING);
    whole.stream = primary;
    if (rc == 0 && (rc = gpu_check_graph(check, &whole, 1, &neighbour, err)) == 0) {
        storm.context = whole.context;
        storm.stream = whole.stream;
        storm.graph = neighbour;
        rc = GLET_CUDA_TRY(check->api, err, cuCtxSetCurrent, a->context);
        if (rc == 0)
            rc = storm_rows(&storm, graph, "the primary context", false, alone, beside, err);
        (void)check->api->cuGraphExecDestroy(neighbour);
    }
    (void)check->api->cuGraphExecDestroy(graph);
    if (primary)
        (void)check->api->cuStreamDestroy(primary);
    return rc;
}
