/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_GRAPH_REPLAY_H
#define GLET_CUDA_GRAPH_REPLAY_H

#include "common/error.h"
#include "runtime/device/cuda/driver/api.h"

struct glet_cuda_flush {
    CUdeviceptr memory; /* 0: no flush */
    size_t bytes;
};

/*
 * Times a graph by the GPU's clock: pairs of events around replays, enqueued as one block and
 * waited for once, so that the host's part does not count. A graph shorter than 50 us is replayed
 * several times between its events, whose resolution is about half a microsecond, and the average
 * is given.
 *
 * With `flush`, that memory is written before each replay and outside its events: at twice the L2's
 * size, each replay finds nothing of its own there. Then nothing is repeated between two events.
 *
 * stream, graph   of the context that is current; nothing else may be enqueued meanwhile
 * runs            1 .. 256 values of ms_out, each > 0
 *
 * GLET_ERR_DEVICE with the driver's text. On the stream's own thread.
 */
GLET_MUST_CHECK
int glet_cuda_replay(const struct glet_cuda_api *api, CUstream stream, CUgraphExec graph, int runs,
                     const struct glet_cuda_flush *flush, double *ms_out, struct glet_error *err);

#endif
