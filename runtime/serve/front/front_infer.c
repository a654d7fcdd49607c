/* SPDX-License-Identifier: Apache-2.0 */

/*
 * POST .../infer. Everything that can be refused is refused before the body is read; the body is
 * received into a pooled buffer and stays there: binary inputs are pointers into it, the first of
 * them aligned so that a device may read it in place, and those in shared memory are pointers
 * there; both may be pinned, for GPUs. Results go to a second buffer and leave from there, to the
 * client or to shared memory.
 *
 * The service may complete a job before glet_service_submit() returns, on this thread or another;
 * done() only hands the exchange back, and the answer is always made on the server's thread.
 */

#include "common/clock.h"
#include "runtime/serve/front/front.h"

#include <inttypes.h>

#define MAX_CHUNKED_BYTES ((size_t)16 << 20) /* a body that does not say how long it is */
#define ALIGNMENT         64

static const char header_length_name[] = "inference-header-content-length";

static bool parse_header_length(const struct glet_http_head *head, size_t *out)
{
    const struct glet_slice *value = glet_http_head_find(head, header_length_name);
    *out = SIZE_MAX;
    if (!value)
        return true;
    if (value->length == 0 || value->length > 15)
        return false;
    size_t length = 0;
    for (size_t i = 0; i < value->length; i++) {
        if (value->data[i] < '0' || value->data[i] > '9')
            return false;
        length = length * 10 + (size_t)(value->data[i] - '0');
    }
    *out = length;
    return true;
}

/* A status to refuse with and its message, or 0. */
static int check_head(struct glet_call *call, const struct glet_http_head *head, const char **why)
{
    const struct glet_v2_model *model = &call->model->v2;
    const struct glet_slice *coding = glet_http_head_find(head, "content-encoding");
    if (coding && !glet_slice_is_nocase(*coding, "identity")) {
        *why = "compressed bodies are not supported";
        return 415;
    }
    if (!head->has_length && !head->chunked) {
        *why = "the request needs a Content-Length";
        return 411;
    }
    if (head->content_length > model->max_body_bytes) {
        *why = "the body is larger than this model's largest request";
        return 413;
    }
    if (!parse_header_length(head, &call->header_length)) {
        *why = "malformed Inference-Header-Content-Length";
        return 400;
    }
    if (head->has_length && call->header_length != SIZE_MAX &&
        call->header_length > head->content_length) {
        *why = "Inference-Header-Content-Length is larger than Content-Length";
        return 400;
    }
    return 0;
}

void glet_infer_head(struct glet_call *call)
{
    struct glet_listener *listener = call->listener;
    const struct glet_http_head *head = glet_http_exchange_head(call->exchange);
    const char *why = NULL;
    int status = check_head(call, head, &why);
    if (status) {
        glet_front_refuse(call, status, 0, "%s", why);
        return;
    }
    if (!glet_service_model_ready(listener->frontend->service, call->model->index)) {
        glet_front_refuse(call, 503, 1, "model '%s' is not ready", call->model->v2.name);
        return;
    }
    size_t capacity = (size_t)head->content_length;
    if (head->chunked)
        capacity = call->model->v2.max_body_bytes < MAX_CHUNKED_BYTES
                       ? call->model->v2.max_body_bytes
                       : MAX_CHUNKED_BYTES;
    size_t shift = call->header_length == SIZE_MAX ? 0 : -call->header_length % ALIGNMENT;
    call->body_buffer = glet_buffer_take(&listener->buffers, shift + capacity);
    if (!call->body_buffer) {
        glet_front_refuse(call, 503, 1, "too many requests are in flight: no memory for the body");
        return;
    }
    call->body = call->body_buffer + shift;
    glet_http_read_body(call->exchange, call->body, capacity);
}

static void job_done(struct glet_request *job)
{
    struct glet_call *call = job->user;
    glet_http_resume(call->exchange);
}

static size_t align(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static bool take_results(struct glet_call *call)
{
    const struct glet_v2_model *model = &call->model->v2;
    size_t rows = (size_t)call->request.rows, bytes = 0;
    for (size_t i = 0; i < model->output_count; i++)
        bytes += align(rows * model->outputs[i].row_bytes);
    call->results = glet_buffer_take(&call->listener->buffers, bytes);
    if (!call->results)
        return false;
    char *at = call->results;
    for (size_t i = 0; i < model->output_count; i++) {
        call->outputs[i] = at;
        at += align(rows * model->outputs[i].row_bytes);
    }
    return true;
}

/* Of those in shared memory glet_regions_find() says it. */
static void find_pinned(struct glet_call *call)
{
    bool body = glet_buffer_pinned(call->body_buffer), json = glet_buffer_pinned(call->json);
    for (size_t i = 0; i < call->model->v2.input_count; i++) {
        const char *data = call->request.inputs[i];
        bool in_body = data >= call->body && data < call->body + call->body_length;
        if (!(call->shared >> i & 1) && (in_body ? body : json))
            call->pinned |= UINT64_C(1) << i;
    }
}

static void submit(struct glet_call *call)
{
    struct glet_request *job = &call->job;
    find_pinned(call);
    *job = (struct glet_request){.model = call->model->index,
                                 .rows = call->request.rows,
                                 .arrival_us = glet_clock_us(),
                                 .priority = call->request.priority,
                                 .inputs = call->request.inputs,
                                 .outputs = call->outputs,
                                 .shared = call->shared,
                                 .pinned = call->pinned,
                                 .done = job_done,
                                 .user = call};
    if (call->request.timeout_us > 0)
        job->deadline_us = job->arrival_us + (uint64_t)call->request.timeout_us;
    call->submitted = true;
    glet_service_submit(call->listener->frontend->service, job);
}

void glet_infer_body(struct glet_call *call)
{
    const struct glet_v2_model *model = &call->model->v2;
    size_t json_length = call->header_length;
    if (json_length > call->body_length)
        json_length = call->body_length;
    call->json =
        glet_buffer_take(&call->listener->buffers, glet_v2_request_json_bytes(model, json_length));
    struct glet_error err = {0};
    if (!call->json)
        glet_front_refuse(call, 503, 1, "too many requests are in flight: no memory");
    else if (glet_v2_request_parse(model, call->body, call->body_length, call->header_length,
                                   call->json, &call->request, &err) < 0)
        glet_front_refuse(call, glet_error_http_status(err.code), 0, "%s", err.message);
    else if (!glet_regions_find(call))
        return;
    else if (!take_results(call))
        glet_front_refuse(call, 503, 1, "too many requests are in flight: no memory for results");
    else
        submit(call);
}

static void answer_done(struct glet_call *call)
{
    struct glet_error err = {0};
    if (!glet_regions_fill(call))
        return;
    if (glet_v2_response_emit(&call->model->v2, &call->request, call->outputs, &call->response,
                              call->parts + 1, &err) < 0) {
        glet_front_refuse(call, 500, 0, "%s%s%s", err.message, err.hint[0] ? ": " : "", err.hint);
        return;
    }
    if (call->response.binary)
        glet_front_header_number(call, "Inference-Header-Content-Length",
                                 call->response.json.length);
    glet_front_send(call, 200, call->response.binary ? "application/octet-stream" : NULL);
}

void glet_infer_resumed(struct glet_call *call)
{
    static const struct {
        int status;
        const char *message;
    } refusals[GLET_OUTCOME_COUNT] = {
        [GLET_REFUSED_RATE] = {429, "this model is over its planned rate"},
        [GLET_REFUSED_LOAD] = {503, "the deadline cannot be met here"},
        [GLET_REFUSED_DRAIN] = {503, "shutting down"},
        [GLET_LATE] = {504, "dropped before compute: it would have been late"},
        [GLET_FAILED] = {500, "the device failed"},
        [GLET_INVALID] = {400, "the model refuses these values"},
    };
    const struct glet_request *job = &call->job;
    if (job->outcome == GLET_DONE) {
        answer_done(call);
        return;
    }
    bool again = job->outcome == GLET_REFUSED_RATE || job->outcome == GLET_REFUSED_LOAD ||
                 job->outcome == GLET_REFUSED_DRAIN;
    double retry_s = again ? job->retry_after_s > 0 ? job->retry_after_s : 1 : 0;
    glet_front_refuse(call, refusals[job->outcome].status, retry_s, "%s",
                      job->message[0] ? job->message : refusals[job->outcome].message);
}

void glet_infer_finished(struct glet_call *call)
{
    struct glet_buffer_pool *buffers = &call->listener->buffers;
    if (!call->submitted || !call->job.inputs_kept) { /* otherwise they are never used again */
        glet_buffer_give(buffers, call->body_buffer);
        glet_buffer_give(buffers, call->json);
        glet_regions_let_go(call);
    }
    glet_buffer_give(buffers, call->results);
    call->held_count = 0;
    call->body_buffer = call->body = call->json = call->results = NULL;
}
