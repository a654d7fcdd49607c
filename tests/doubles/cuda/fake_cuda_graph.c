/* SPDX-License-Identifier: Apache-2.0 */
/* Capture and graphs. */
#include "tests/doubles/cuda/fake_cuda_state.h"

#include <unistd.h>

CUresult cuStreamBeginCapture(CUstream handle, CUstreamCaptureMode mode)
{
    FAKE_BEGIN(cuStreamBeginCapture);
    struct fake_stream *stream = fake_find(handle, FAKE_STREAM);
    if (!stream)
        return fake_end(CUDA_ERROR_INVALID_HANDLE);
    if (stream->capture || mode != CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        return fake_end(fake_breach(CUDA_ERROR_ILLEGAL_STATE,
                                    "a capture that is not thread-local, or within another"));
    CUresult code = fake_check_quiet("cuStreamBeginCapture", true);
    if (code != CUDA_SUCCESS)
        return fake_end(code);
    stream->capture = fake_new(FAKE_GRAPH, sizeof *stream->capture);
    stream->capture->context = stream->context;
    stream->capturing_thread = (int)gettid();
    stream->capture_broken = false;
    return fake_end(CUDA_SUCCESS);
}

/* As with the real one, the capture is over however it ends. */
CUresult cuStreamEndCapture(CUstream handle, CUgraph *out)
{
    FAKE_BEGIN_ANYWAY(cuStreamEndCapture);
    struct fake_stream *stream = fake_find(handle, FAKE_STREAM);
    *out = NULL;
    if (!stream || !stream->capture)
        return fake_end(fake_breach(CUDA_ERROR_ILLEGAL_STATE, "the end of no capture"));
    if (stream->capturing_thread != (int)gettid())
        return fake_end(fake_breach(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,
                                    "a capture ended by another thread"));
    struct fake_graph *graph = stream->capture;
    bool broken = stream->capture_broken;
    stream->capture = NULL;
    stream->capturing_thread = 0;
    if (broken || FAKE_INJECTED != CUDA_SUCCESS) {
        graph->object.dead = true;
        return fake_end(broken ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : FAKE_INJECTED);
    }
    *out = (CUgraph)(void *)graph;
    return fake_end(CUDA_SUCCESS);
}

CUresult cuGraphInstantiate(CUgraphExec *out, CUgraph handle, unsigned long long flags)
{
    FAKE_BEGIN(cuGraphInstantiate);
    const struct fake_graph *graph = fake_find(handle, FAKE_GRAPH);
    if (!graph || flags != 0)
        return fake_end(CUDA_ERROR_INVALID_VALUE);
    CUresult code = fake_check_quiet("cuGraphInstantiate", true);
    if (code != CUDA_SUCCESS)
        return fake_end(code);
    struct fake_exec *exec = fake_new(FAKE_EXEC, sizeof *exec);
    exec->context = graph->context;
    for (const struct fake_op *op = graph->nodes.first; op; op = op->next)
        fake_append(&exec->nodes, op);
    *out = (CUgraphExec)(void *)exec;
    return fake_end(CUDA_SUCCESS);
}

CUresult cuGraphDestroy(CUgraph handle)
{
    FAKE_BEGIN_ANYWAY(cuGraphDestroy);
    struct fake_graph *graph = fake_find(handle, FAKE_GRAPH);
    if (graph)
        graph->object.dead = true;
    return fake_end(graph ? FAKE_INJECTED : CUDA_ERROR_INVALID_VALUE);
}

CUresult cuGraphExecDestroy(CUgraphExec handle)
{
    FAKE_BEGIN_ANYWAY(cuGraphExecDestroy);
    struct fake_exec *exec = fake_find(handle, FAKE_EXEC);
    if (!exec)
        return fake_end(CUDA_ERROR_INVALID_VALUE);
    for (const struct fake_object *o = fake_objects(); o; o = o->next) {
        const struct fake_stream *stream = (const struct fake_stream *)o;
        if (o->kind != FAKE_STREAM || o->dead)
            continue;
        for (const struct fake_op *op = stream->queue.first; op; op = op->next)
            if (op->kind == FAKE_OP_GRAPH && op->exec == exec)
                (void)fake_breach(CUDA_SUCCESS, "a graph destroyed before it has run");
    }
    exec->object.dead = true;
    return fake_end(FAKE_INJECTED);
}

static CUresult check_exec(CUgraphExec handle, CUstream stream_handle, struct fake_exec **out)
{
    const struct fake_stream *stream = fake_find(stream_handle, FAKE_STREAM);
    *out = fake_find(handle, FAKE_EXEC);
    if (!stream || !*out)
        return CUDA_ERROR_INVALID_VALUE;
    if (stream->capture)
        return fake_breach(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "a graph within a capture");
    if ((*out)->context != stream->context)
        return fake_breach(CUDA_ERROR_INVALID_VALUE,
                           "a graph on another gpu-let than it was captured in");
    return CUDA_SUCCESS;
}

CUresult cuGraphUpload(CUgraphExec handle, CUstream stream)
{
    struct fake_exec *exec;
    FAKE_BEGIN(cuGraphUpload);
    return fake_end(check_exec(handle, stream, &exec));
}

CUresult cuGraphLaunch(CUgraphExec handle, CUstream stream)
{
    struct fake_exec *exec;
    FAKE_BEGIN(cuGraphLaunch);
    fake_trace("graph", stream, NULL);
    CUresult code = check_exec(handle, stream, &exec);
    struct fake_op op = {.kind = FAKE_OP_GRAPH, .exec = exec};
    return fake_end(code == CUDA_SUCCESS ? fake_emit(stream, &op, true) : code);
}
