/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order on the stream: LEAD replays, then `runs` times event, replays, event. The lead keeps the
 * GPU busy while the host fills the queue: without it the first start event is over before the
 * host has launched what it is to time, and the launch counts as part of the graph. A flush in front
 * of each event keeps it busy as well.
 */
#include "runtime/device/cuda/graph_replay.h"

#include "common/memory.h"

#include <math.h>
#include <stdlib.h>

#define SHORT_MS      0.05 /* two orders above the events' resolution */
#define RESOLUTION_MS 1e-6 /* what a time of 0 becomes: all values are above 0 */

enum { LEAD = 4, MOST_REPEATS = 64 };

static int check(const struct glet_cuda_api *api, CUresult code, const char *call,
                 struct glet_error *err)
{
    return code == CUDA_SUCCESS ? 0 : glet_cuda_failed(api, code, call, err);
}

static int write_over(const struct glet_cuda_api *api, CUstream stream,
                      const struct glet_cuda_flush *flush, struct glet_error *err)
{
    if (!flush->memory)
        return 0;
    return check(api, api->cuMemsetD8Async(flush->memory, 0, flush->bytes, stream),
                 "cuMemsetD8Async", err);
}

static int launch(const struct glet_cuda_api *api, CUstream stream, CUgraphExec graph, int times,
                  struct glet_error *err)
{
    for (int i = 0; i < times; i++)
        if (check(api, api->cuGraphLaunch(graph, stream), "cuGraphLaunch", err) < 0)
            return -1;
    return 0;
}

static int record(const struct glet_cuda_api *api, CUevent event, CUstream stream,
                  struct glet_error *err)
{
    return check(api, api->cuEventRecord(event, stream), "cuEventRecord", err);
}

/* One block; events[2 i] and events[2 i + 1] enclose run i. */
static int time_block(const struct glet_cuda_api *api, CUstream stream, CUgraphExec graph,
                      const struct glet_cuda_flush *flush, CUevent *events, int runs, int repeats,
                      double *ms_out, struct glet_error *err)
{
    if (launch(api, stream, graph, LEAD, err) < 0)
        return -1;
    for (int i = 0; i < runs; i++)
        if (write_over(api, stream, flush, err) < 0 ||
            record(api, events[2 * i], stream, err) < 0 ||
            launch(api, stream, graph, repeats, err) < 0 ||
            record(api, events[2 * i + 1], stream, err) < 0)
            return -1;
    if (check(api, api->cuEventSynchronize(events[2 * runs - 1]), "cuEventSynchronize", err) < 0)
        return -1;
    for (int i = 0; i < runs; i++) {
        float ms = 0;
        if (check(api, api->cuEventElapsedTime(&ms, events[2 * i], events[2 * i + 1]),
                  "cuEventElapsedTime", err) < 0)
            return -1;
        ms_out[i] = fmax((double)ms / repeats, RESOLUTION_MS);
    }
    return 0;
}

static int replay(const struct glet_cuda_api *api, CUstream stream, CUgraphExec graph,
                  const struct glet_cuda_flush *flush, CUevent *events, int runs, double *ms_out,
                  struct glet_error *err)
{
    double once_ms;
    if (flush->memory)
        return time_block(api, stream, graph, flush, events, runs, 1, ms_out, err);
    if (time_block(api, stream, graph, flush, events, 1, 1, &once_ms, err) < 0)
        return -1;
    int repeats = once_ms < SHORT_MS ? (int)ceil(SHORT_MS / once_ms) : 1;
    return time_block(api, stream, graph, flush, events, runs,
                      repeats < MOST_REPEATS ? repeats : MOST_REPEATS, ms_out, err);
}

int glet_cuda_replay(const struct glet_cuda_api *api, CUstream stream, CUgraphExec graph, int runs,
                     const struct glet_cuda_flush *flush, double *ms_out, struct glet_error *err)
{
    static const struct glet_cuda_flush none = {0};
    int made = 0, result = 0;
    CUevent *events = glet_alloc(2 * (size_t)runs, sizeof *events, err);
    if (!events)
        return -1;
    for (; result == 0 && made < 2 * runs; made += result == 0)
        result =
            check(api, api->cuEventCreate(&events[made], CU_EVENT_DEFAULT), "cuEventCreate", err);
    if (result == 0)
        result = replay(api, stream, graph, flush ? flush : &none, events, runs, ms_out, err);
    while (made > 0)
        (void)api->cuEventDestroy(events[--made]);
    free(events);
    return result;
}
