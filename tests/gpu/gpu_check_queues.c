/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Do gpu-lets wait for each other in the driver's queues? One gpu-let after the other is kept busy,
 * with copies that wait for what it computes; meanwhile every stream of all others is given
 * something short. What is not done in half the time is stuck behind the busy one.
 */
#include "tests/gpu/gpu_check.h"

#include "common/clock.h"

#include <stdio.h>

#define BUSY_MS 10.0

enum { MOST_LETS = 64, COPIED_BYTES = 4096, LEAST_PASSES = 3 };
enum { COMPUTE, COPY_IN, COPY_OUT, STREAMS };
enum { BUSY = STREAMS, EVENTS };

struct queues {
    struct gpu_check *check;
    size_t count;
    CUevent events[MOST_LETS][EVENTS]; /* of each stream: done; and of what keeps it busy */
    int looked, stuck_computing, stuck_copying;
};

static int copy(const struct queues *q, const struct glet_cuda_site *site, bool in,
                struct glet_error *err)
{
    const struct gpu_check *check = q->check;
    return in ? GLET_CUDA_TRY(check->api, err, cuMemcpyHtoDAsync, check->scratch, check->pinned,
                              COPIED_BYTES, site->copy_in)
              : GLET_CUDA_TRY(check->api, err, cuMemcpyDtoHAsync, check->pinned, check->scratch,
                              COPIED_BYTES, site->copy_out);
}

static int keep_busy(const struct queues *q, size_t i, CUgraphExec graph, struct glet_error *err)
{
    const struct glet_cuda_api *api = q->check->api;
    const struct glet_cuda_site *site = gpu_check_site(q->check, i);
    CUevent busy = q->events[i][BUSY];
    if (GLET_CUDA_TRY(api, err, cuCtxSetCurrent, site->context) < 0 ||
        GLET_CUDA_TRY(api, err, cuGraphLaunch, graph, site->stream) < 0 ||
        GLET_CUDA_TRY(api, err, cuEventRecord, busy, site->stream) < 0 ||
        GLET_CUDA_TRY(api, err, cuStreamWaitEvent, site->copy_in, busy, 0) < 0 ||
        GLET_CUDA_TRY(api, err, cuStreamWaitEvent, site->copy_out, busy, 0) < 0)
        return -1;
    return copy(q, site, true, err) < 0 ? -1 : copy(q, site, false, err);
}

static int give_little(const struct queues *q, size_t i, struct glet_error *err)
{
    const struct glet_cuda_api *api = q->check->api;
    const struct glet_cuda_site *site = gpu_check_site(q->check, i);
    const CUstream streams[STREAMS] = {site->stream, site->copy_in, site->copy_out};
    int rounds = 1;
    void *parameters[] = {&q->check->scratch, &rounds};
    if (GLET_CUDA_TRY(api, err, cuCtxSetCurrent, site->context) < 0 ||
        GLET_CUDA_TRY(api, err, cuLaunchKernel, q->check->compute, 1, 1, 1, 32, 1, 1, 0,
                      site->stream, parameters, NULL) < 0 ||
        copy(q, site, true, err) < 0 || copy(q, site, false, err) < 0)
        return -1;
    for (int k = 0; k < STREAMS; k++)
        if (GLET_CUDA_TRY(api, err, cuEventRecord, q->events[i][k], streams[k]) < 0)
            return -1;
    return 0;
}

/* How many of a kind of stream are not done; in half the time that the busy one takes at most. */
static void count_stuck(const struct queues *q, size_t busy, int *computing, int *copying)
{
    uint64_t end_ns = glet_clock_ns() + (uint64_t)(BUSY_MS / 2 * 1e6);
    int passes = 0; /* a few, whatever else the host has to do */
    do {
        *computing = *copying = 0;
        for (size_t i = 0; i < q->count; i++)
            for (int k = 0; i != busy && k < STREAMS; k++)
                *(k == COMPUTE ? computing : copying) +=
                    q->check->api->cuEventQuery(q->events[i][k]) == CUDA_ERROR_NOT_READY;
    } while (*computing + *copying > 0 && (++passes < LEAST_PASSES || glet_clock_ns() < end_ns));
}

static int wait_for_all(const struct queues *q, struct glet_error *err)
{
    for (size_t i = 0; i < q->count; i++) {
        const struct glet_cuda_site *site = gpu_check_site(q->check, i);
        const CUstream streams[STREAMS] = {site->stream, site->copy_in, site->copy_out};
        if (GLET_CUDA_TRY(q->check->api, err, cuCtxSetCurrent, site->context) < 0)
            return -1;
        for (int k = 0; k < STREAMS; k++)
            if (GLET_CUDA_TRY(q->check->api, err, cuStreamSynchronize, streams[k]) < 0)
                return -1;
    }
    return 0;
}

static int look_beside(struct queues *q, size_t busy, CUgraphExec graph, struct glet_error *err)
{
    int computing, copying;
    if (keep_busy(q, busy, graph, err) < 0)
        return -1;
    for (size_t i = 0; i < q->count; i++)
        if (i != busy && give_little(q, i, err) < 0)
            return -1;
    count_stuck(q, busy, &computing, &copying);
    /* what the host was too slow to see says nothing */
    if (q->check->api->cuEventQuery(q->events[busy][BUSY]) == CUDA_ERROR_NOT_READY) {
        q->looked++;
        q->stuck_computing += computing;
        q->stuck_copying += copying;
    }
    return wait_for_all(q, err);
}

static int look_at_all(struct queues *q, struct glet_error *err)
{
    for (size_t busy = 0; busy < q->count; busy++) {
        CUgraphExec graph;
        if (gpu_check_graph(q->check, gpu_check_site(q->check, busy), BUSY_MS, &graph, err) < 0)
            return -1;
        int rc = look_beside(q, busy, graph, err);
        (void)q->check->api->cuGraphExecDestroy(graph);
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* In the context of the stream that each is for. */
static int make_events(struct queues *q, struct glet_error *err)
{
    const struct glet_cuda_api *api = q->check->api;
    for (size_t i = 0; i < q->count; i++) {
        if (GLET_CUDA_TRY(api, err, cuCtxSetCurrent, gpu_check_site(q->check, i)->context) < 0)
            return -1;
        for (int k = 0; k < EVENTS; k++)
            if (GLET_CUDA_TRY(api, err, cuEventCreate, &q->events[i][k], CU_EVENT_DISABLE_TIMING) <
                0)
                return -1;
    }
    return 0;
}

static void destroy_events(const struct queues *q)
{
    for (size_t i = 0; i < q->count; i++)
        for (int k = 0; k < EVENTS; k++)
            if (q->events[i][k])
                (void)q->check->api->cuEventDestroy(q->events[i][k]);
}

int gpu_check_queues(struct gpu_check *check, struct glet_error *err)
{
    int ones[MOST_LETS], lets = glet_device_info(check->device)->max_gpulets;
    struct queues q = {.check = check, .count = (size_t)(lets < MOST_LETS ? lets : MOST_LETS)};
    char what[96];
    for (int i = 0; i < MOST_LETS; i++)
        ones[i] = 1;
    if (gpu_check_cut(check, ones, q.count, err) < 0)
        return -1;
    int rc = make_events(&q, err);
    if (rc == 0)
        rc = look_at_all(&q, err);
    destroy_events(&q);
    if (rc < 0)
        return -1;
    snprintf(what, sizeof what, "gpu-lets that were busy for long enough to look, of %zu", q.count);
    gpu_check_row(what, q.looked, "", "all", q.looked == (int)q.count);
    snprintf(what, sizeof what, "streams that compute and wait for a busy gpu-let's, of %zu",
             (size_t)q.looked * (q.count - 1));
    gpu_check_row(what, q.stuck_computing, "", "0", q.stuck_computing == 0);
    snprintf(what, sizeof what, "streams that copy and wait for a busy gpu-let's, of %zu",
             (size_t)q.looked * (q.count - 1) * 2);
    gpu_check_row(what, q.stuck_copying, "", NULL, false);
    return 0;
}
