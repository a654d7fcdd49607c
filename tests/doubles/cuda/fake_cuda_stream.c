/* SPDX-License-Identifier: Apache-2.0 */
/* Streams, what is queued on them, and events. */
#include "tests/doubles/cuda/fake_cuda_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of the thread that enqueues and waits. */
static _Thread_local double host_ms;

double fake_cuda_now_ms(void)
{
    return host_ms;
}

/* --- operations --- */

void fake_append(struct fake_ops *ops, const struct fake_op *op)
{
    struct fake_op *copy = malloc(sizeof *copy);
    if (!copy)
        abort();
    *copy = *op;
    copy->next = NULL;
    for (size_t i = 0; op->kind == FAKE_OP_KERNEL && i < FAKE_MAX_PARAMETERS; i++)
        if (op->parameters[i])
            copy->parameters[i] =
                copy->values + ((const unsigned char *)op->parameters[i] - op->values);
    copy->launch.parameters = copy->parameters;
    if (ops->last)
        ops->last->next = copy;
    else
        ops->first = copy;
    ops->last = copy;
}

void fake_free_ops(struct fake_ops *ops)
{
    while (ops->first) {
        struct fake_op *next = ops->first->next;
        free(ops->first);
        ops->first = next;
    }
    ops->last = NULL;
}

static void run_op(struct fake_stream *stream, const struct fake_op *op)
{
    stream->now_ms = fmax(stream->now_ms, op->not_before_ms);
    switch (op->kind) {
    case FAKE_OP_COPY:
        stream->now_ms += op->takes_ms;
        memmove(op->to, op->from, op->bytes);
        break;
    case FAKE_OP_SET:
        memset(op->to, op->value, op->bytes);
        break;
    case FAKE_OP_KERNEL:
        stream->now_ms += FAKE_CUDA_KERNEL_MS;
        if (fake_config.idle)
            break;
        fake_unlock(); /* it may take long */
        op->kernel(&op->launch);
        fake_lock();
        break;
    case FAKE_OP_EVENT:
        op->event->done_token = op->token;
        op->event->at_ms = stream->now_ms;
        break;
    case FAKE_OP_WAIT:
        if (op->event->done_token < op->token)
            fake_run(op->event->stream, op->event, op->token);
        stream->now_ms = fmax(stream->now_ms, op->event->at_ms);
        break;
    case FAKE_OP_GRAPH:
        for (const struct fake_op *node = op->exec->nodes.first; node; node = node->next)
            run_op(stream, node);
        break;
    }
}

static void run_first(struct fake_stream *stream)
{
    struct fake_op *op = stream->queue.first;
    run_op(stream, op);
    stream->queue.first = op->next;
    if (!op->next)
        stream->queue.last = NULL;
    free(op);
}

bool fake_is_being_read(const char *memory, size_t bytes)
{
    for (struct fake_object *o = fake_objects(); o; o = o->next)
        for (struct fake_op *op =
                 o->kind == FAKE_STREAM && !o->dead ? ((struct fake_stream *)o)->queue.first : NULL;
             op; op = op->next)
            if (op->kind == FAKE_OP_COPY && (const char *)op->from < memory + bytes &&
                (const char *)op->from + op->bytes > memory)
                return true;
    return false;
}

void fake_run(struct fake_stream *stream, const struct fake_event *until, uint64_t token)
{
    while (stream->running) { /* another thread waits for the same stream */
        fake_unlock();
        usleep(100);
        fake_lock();
    }
    stream->running = true;
    while (stream->queue.first && !(until && until->done_token >= token))
        run_first(stream);
    stream->running = false;
}

bool fake_cuda_step(CUstream handle)
{
    struct fake_stream *stream = (struct fake_stream *)(void *)handle;
    fake_lock();
    const struct fake_op *op = stream->queue.first;
    bool can =
        op && !stream->running && !(op->kind == FAKE_OP_WAIT && op->event->done_token < op->token);
    if (can) {
        stream->running = true;
        run_first(stream);
        stream->running = false;
    }
    fake_unlock();
    return can;
}

CUresult fake_emit(CUstream handle, const struct fake_op *op, bool computes)
{
    struct fake_stream *stream = fake_find(handle, FAKE_STREAM);
    if (!stream)
        return CUDA_ERROR_INVALID_HANDLE;
    if (stream->context != fake_here())
        return fake_no_context("work on a stream");
    if (computes && stream->context->object.kind == FAKE_PRIMARY && fake_has_green())
        (void)fake_breach(CUDA_SUCCESS, "work in the primary context beside green contexts");
    struct fake_op placed = *op;
    placed.not_before_ms = host_ms;
    placed.launch.sms = stream->context->sms;
    placed.launch.sm_count = stream->context->sm_count;
    for (size_t i = 0; i < FAKE_MAX_PARAMETERS; i++)
        if (op->parameters[i])
            placed.parameters[i] =
                placed.values + ((const unsigned char *)op->parameters[i] - op->values);
    if (!stream->capture) {
        fake_append(&stream->queue, &placed);
        return CUDA_SUCCESS;
    }
    if (stream->capturing_thread != (int)gettid())
        return fake_breach(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,
                           "work from another thread on a stream that is being captured");
    fake_append(&stream->capture->nodes, &placed);
    return CUDA_SUCCESS;
}

CUresult fake_check_quiet(const char *function, bool makes_something)
{
    if (makes_something && fake_is_serving)
        (void)fake_breach(CUDA_SUCCESS, "%s while serving", function);
    for (struct fake_object *o = fake_objects(); o; o = o->next) {
        struct fake_stream *stream = (struct fake_stream *)o;
        if (o->kind == FAKE_STREAM && !o->dead && stream->capturing_thread == (int)gettid()) {
            stream->capture_broken = true;
            return fake_breach(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "%s while capturing",
                               function);
        }
    }
    return CUDA_SUCCESS;
}

/* --- streams --- */

static CUresult make_stream(CUstream *out, struct fake_context *context, unsigned flags)
{
    CUresult code = fake_check_quiet("a new stream", true);
    if (code != CUDA_SUCCESS)
        return code;
    if (flags != CU_STREAM_NON_BLOCKING)
        return fake_breach(CUDA_ERROR_INVALID_VALUE, "a stream that is not non-blocking");
    struct fake_stream *made = fake_new(FAKE_STREAM, sizeof *made);
    made->context = context;
    context->streams++;
    *out = (CUstream)(void *)made;
    return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream *out, unsigned flags)
{
    FAKE_BEGIN(cuStreamCreate);
    struct fake_context *here = fake_here();
    return fake_end(here ? make_stream(out, here, flags) : CUDA_ERROR_INVALID_CONTEXT);
}

CUresult cuGreenCtxStreamCreate(CUstream *out, CUgreenCtx green, unsigned flags, int priority)
{
    (void)priority;
    FAKE_BEGIN(cuGreenCtxStreamCreate);
    struct fake_context *context = fake_find(green, FAKE_GREEN);
    return fake_end(context ? make_stream(out, context, flags) : CUDA_ERROR_INVALID_CONTEXT);
}

CUresult cuStreamGetGreenCtx(CUstream handle, CUgreenCtx *out)
{
    FAKE_BEGIN(cuStreamGetGreenCtx);
    const struct fake_stream *stream = fake_find(handle, FAKE_STREAM);
    if (!stream)
        return fake_end(CUDA_ERROR_INVALID_HANDLE);
    bool green = stream->context->object.kind == FAKE_GREEN;
    *out = green ? (CUgreenCtx)(void *)stream->context : NULL;
    return fake_end(CUDA_SUCCESS);
}

CUresult cuStreamDestroy(CUstream handle)
{
    FAKE_BEGIN_ANYWAY(cuStreamDestroy);
    struct fake_stream *stream = fake_find(handle, FAKE_STREAM);
    if (!stream)
        return fake_end(CUDA_ERROR_INVALID_HANDLE);
    if (stream->context->object.dead)
        return fake_end(
            fake_breach(CUDA_ERROR_CONTEXT_IS_DESTROYED, "a stream destroyed after its context"));
    if (stream->capture)
        (void)fake_breach(CUDA_SUCCESS, "a stream destroyed while it is captured");
    if (FAKE_INJECTED == CUDA_SUCCESS)
        fake_run(stream, NULL, 0);
    else
        fake_free_ops(&stream->queue);
    stream->context->streams--;
    stream->object.dead = true;
    return fake_end(FAKE_INJECTED);
}

CUresult cuStreamSynchronize(CUstream handle)
{
    FAKE_BEGIN_ANYWAY(cuStreamSynchronize);
    struct fake_stream *stream = fake_find(handle, FAKE_STREAM);
    if (!stream)
        return fake_end(CUDA_ERROR_INVALID_HANDLE);
    if (FAKE_INJECTED != CUDA_SUCCESS) { /* the work itself has failed */
        fake_free_ops(&stream->queue);
        return fake_end(FAKE_INJECTED);
    }
    CUresult code = fake_check_quiet("cuStreamSynchronize", false);
    if (code == CUDA_SUCCESS) {
        fake_run(stream, NULL, 0);
        host_ms = fmax(host_ms, stream->now_ms);
    }
    return fake_end(code);
}

/* --- events --- */

CUresult cuEventCreate(CUevent *out, unsigned flags)
{
    FAKE_BEGIN(cuEventCreate);
    CUresult code = fake_check_quiet("cuEventCreate", true);
    if (code != CUDA_SUCCESS)
        return fake_end(code);
    if (!fake_here())
        return fake_end(fake_no_context("cuEventCreate"));
    struct fake_event *made = fake_new(FAKE_EVENT, sizeof *made);
    made->flags = flags;
    *out = (CUevent)(void *)made;
    return fake_end(CUDA_SUCCESS);
}

CUresult cuEventDestroy(CUevent handle)
{
    FAKE_BEGIN_ANYWAY(cuEventDestroy);
    struct fake_event *event = fake_find(handle, FAKE_EVENT);
    if (event)
        event->object.dead = true;
    return fake_end(event ? FAKE_INJECTED : CUDA_ERROR_INVALID_HANDLE);
}

CUresult cuEventRecord(CUevent handle, CUstream stream)
{
    FAKE_BEGIN(cuEventRecord);
    fake_trace("record", stream, handle);
    struct fake_event *event = fake_find(handle, FAKE_EVENT);
    if (!event)
        return fake_end(CUDA_ERROR_INVALID_HANDLE);
    struct fake_op op = {.kind = FAKE_OP_EVENT, .event = event, .token = event->token + 1};
    CUresult code = fake_emit(stream, &op, false);
    if (code == CUDA_SUCCESS) {
        event->token++;
        event->stream = (struct fake_stream *)(void *)stream;
    }
    return fake_end(code);
}

CUresult cuEventQuery(CUevent handle)
{
    FAKE_BEGIN(cuEventQuery);
    fake_trace("wait", NULL, handle);
    struct fake_event *event = fake_find(handle, FAKE_EVENT);
    if (!event)
        return fake_end(CUDA_ERROR_INVALID_HANDLE);
    CUresult code = fake_check_quiet("cuEventQuery", false);
    if (code == CUDA_SUCCESS && event->done_token < event->token) {
        code = CUDA_ERROR_NOT_READY;
        if (!fake_config.slow) /* it gets done while somebody asks */
            fake_run(event->stream, event, event->token);
    }
    if (code == CUDA_SUCCESS)
        host_ms = fmax(host_ms, event->at_ms);
    return fake_end(code);
}

CUresult cuEventSynchronize(CUevent handle)
{
    FAKE_BEGIN(cuEventSynchronize);
    fake_trace("wait", NULL, handle);
    struct fake_event *event = fake_find(handle, FAKE_EVENT);
    if (!event)
        return fake_end(CUDA_ERROR_INVALID_HANDLE);
    CUresult code = fake_check_quiet("cuEventSynchronize", false);
    if (code == CUDA_SUCCESS && event->stream) {
        fake_run(event->stream, event, event->token);
        host_ms = fmax(host_ms, event->at_ms);
    }
    return fake_end(code);
}

CUresult cuEventElapsedTime(float *ms, CUevent start, CUevent end)
{
    FAKE_BEGIN(cuEventElapsedTime);
    const struct fake_event *a = fake_find(start, FAKE_EVENT), *b = fake_find(end, FAKE_EVENT);
    if (!a || !b || !a->token || !b->token)
        return fake_end(CUDA_ERROR_INVALID_HANDLE);
    if ((a->flags | b->flags) & CU_EVENT_DISABLE_TIMING)
        return fake_end(fake_breach(CUDA_ERROR_INVALID_HANDLE, "time of an event without time"));
    if (a->done_token < a->token || b->done_token < b->token)
        return fake_end(CUDA_ERROR_NOT_READY);
    *ms = (float)(b->at_ms - a->at_ms);
    return fake_end(CUDA_SUCCESS);
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent handle, unsigned flags)
{
    (void)flags;
    FAKE_BEGIN(cuStreamWaitEvent);
    fake_trace("wait", stream, handle);
    struct fake_event *event = fake_find(handle, FAKE_EVENT);
    if (!event)
        return fake_end(CUDA_ERROR_INVALID_HANDLE);
    struct fake_op op = {.kind = FAKE_OP_WAIT, .event = event, .token = event->token};
    return fake_end(event->token ? fake_emit(stream, &op, false) : CUDA_SUCCESS);
}
