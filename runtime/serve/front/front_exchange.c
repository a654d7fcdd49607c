/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The way of an exchange through its endpoint: who may ask (token), what for (path), how (verb),
 * then the endpoint's own four steps.
 */

#include "common/clock.h"
#include "runtime/serve/front/front.h"

#include <stdlib.h>

#define MAX_PLAN_BYTES  ((size_t)4 << 20)
#define MAX_SMALL_BYTES ((size_t)64 << 10)
#define TRIM_TICKS      20 /* about ten seconds */

static struct glet_call *take_call(struct glet_listener *listener,
                                   struct glet_http_exchange *exchange)
{
    struct glet_call *call = listener->idle;
    if (call)
        listener->idle = call->next;
    else
        call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->listener = listener;
    call->exchange = exchange;
    call->model = NULL;
    call->head_us = glet_clock_us();
    call->body_length = call->answer_bytes = 0;
    call->headers[0] = '\0';
    call->headers_length = 0;
    call->submitted = false;
    call->shared = call->pinned = 0;
    call->response.part_count = 0;
    call->response.binary = false;
    glet_text_clear(&call->response.json);
    glet_http_exchange_set_user(exchange, call);
    return call;
}

static bool served_here(enum glet_front_role role, enum glet_endpoint_kind kind)
{
    switch (kind) {
    case GLET_EP_LIVE:
    case GLET_EP_READY:
    case GLET_EP_PLAN:
        return true;
    case GLET_EP_METRICS:
    case GLET_EP_DASHBOARD:
        return role == GLET_ROLE_METRICS;
    default:
        return role == GLET_ROLE_INFERENCE;
    }
}

/* false: it is answered. */
static bool find_model(struct glet_call *call)
{
    struct glet_frontend *frontend = call->listener->frontend;
    const char *name = call->endpoint.model;
    int index = glet_service_find_model(frontend->service, name);
    if (index < 0 || !call->endpoint.known_version) {
        glet_front_refuse(call, 404, 0,
                          index < 0 ? "unknown model '%s'" : "model '%s' has version 1 only", name);
        return false;
    }
    struct glet_error why = {0};
    call->model = glet_front_model(frontend, index, &why);
    if (!call->model)
        glet_front_refuse(call, 501, 0, "%s", why.message);
    return call->model != NULL;
}

/* false: it is answered. */
static bool admit(struct glet_call *call, const struct glet_http_head *head)
{
    struct glet_listener *listener = call->listener;
    int status = glet_endpoint_parse(head->path, &call->endpoint);
    enum glet_endpoint_kind kind = call->endpoint.kind;
    bool probe = status == 0 && (kind == GLET_EP_LIVE || kind == GLET_EP_READY);
    if (!probe && !glet_bearer_accepts(listener->bearer, head)) {
        glet_front_header(call, "WWW-Authenticate", glet_slice_of("Bearer"));
        glet_front_refuse(call, 401, 0, "a bearer token is needed");
        return false;
    }
    if (status == 0 && !served_here(listener->role, kind))
        status = 404;
    if (status) {
        glet_front_refuse(call, status, 0, status == 400 ? "malformed path" : "unknown path");
        return false;
    }
    bool changes = listener->role == GLET_ROLE_ADMIN;
    if (!glet_endpoint_allows(kind, changes, head->method)) {
        glet_front_header(call, "Allow", glet_slice_of(glet_endpoint_allow(kind, changes)));
        glet_front_refuse(call, 405, 0, "%.*s is not allowed here",
                          head->method_name.length < 32 ? (int)head->method_name.length : 32,
                          head->method_name.data);
        return false;
    }
    bool names_model = call->endpoint.model[0] && kind != GLET_EP_LOAD_OR_UNLOAD;
    return !names_model || find_model(call);
}

/* A body that the endpoint does not need, or a plan. */
static void read_small_body(struct glet_call *call, const struct glet_http_head *head)
{
    bool plan = call->endpoint.kind == GLET_EP_PLAN && head->method == GLET_HTTP_POST;
    size_t limit = plan ? MAX_PLAN_BYTES : MAX_SMALL_BYTES;
    size_t capacity = head->chunked ? limit : (size_t)head->content_length;
    if (head->content_length > limit) {
        glet_front_refuse(call, 413, 0, "the body is larger than %zu bytes", limit);
        return;
    }
    call->body = call->body_buffer = glet_buffer_take(&call->listener->buffers, capacity);
    if (!call->body)
        glet_front_refuse(call, 503, 1, "no memory for the body");
    else
        glet_http_read_body(call->exchange, call->body, capacity);
}

static void on_head(void *user, struct glet_http_exchange *exchange)
{
    struct glet_listener *listener = user;
    const struct glet_http_head *head = glet_http_exchange_head(exchange);
    struct glet_call *call = take_call(listener, exchange);
    if (!call) {
        struct glet_http_reply reply = {.status = 503, .close = true};
        glet_http_reply(exchange, &reply);
        return;
    }
    if (!admit(call, head))
        return;
    if (call->endpoint.kind == GLET_EP_INFER)
        glet_infer_head(call);
    else
        read_small_body(call, head);
}

static void answer_ready(struct glet_call *call)
{
    struct glet_frontend *frontend = call->listener->frontend;
    bool ready = glet_service_ready(frontend->service) && !atomic_load(&frontend->draining);
    glet_text_put(&call->response.json,
                  ready ? "{\"ready\":true,\"live\":true}" : "{\"ready\":false,\"live\":true}");
    glet_front_send(call, ready ? 200 : 503, NULL);
}

static void answer_model_ready(struct glet_call *call)
{
    struct glet_frontend *frontend = call->listener->frontend;
    bool ready = glet_service_model_ready(frontend->service, call->model->index) &&
                 !atomic_load(&frontend->draining);
    glet_text_put(&call->response.json, "{\"name\":");
    glet_text_json_string(&call->response.json, call->model->v2.name);
    glet_text_format(&call->response.json, ",\"ready\":%s}", ready ? "true" : "false");
    glet_front_send(call, ready ? 200 : 503, NULL);
}

static void answer_document(struct glet_call *call)
{
    const char *type = NULL;
    switch (call->endpoint.kind) {
    case GLET_EP_SERVER:
        glet_document_server(call);
        break;
    case GLET_EP_LIVE:
        glet_text_put(&call->response.json, "{\"live\":true}");
        break;
    case GLET_EP_MODELS:
        glet_document_models(call);
        break;
    case GLET_EP_MODEL:
        glet_document_model(call);
        break;
    case GLET_EP_MODEL_CONFIG:
        glet_document_config(call);
        break;
    case GLET_EP_ALL_STATS:
    case GLET_EP_MODEL_STATS:
        glet_document_stats(call);
        break;
    case GLET_EP_INDEX:
        glet_document_index(call);
        break;
    case GLET_EP_METRICS:
        glet_metrics_text(call);
        type = "text/plain; version=0.0.4; charset=utf-8";
        break;
    case GLET_EP_DASHBOARD:
        glet_text_put(&call->response.json, glet_dashboard_page);
        type = "text/html; charset=utf-8";
        break;
    default:
        glet_document_plan(call);
    }
    glet_front_send(call, 200, type);
}

static void on_body(void *user, struct glet_http_exchange *exchange, size_t length)
{
    (void)user;
    struct glet_call *call = glet_http_exchange_user(exchange);
    call->body_length = length;
    enum glet_endpoint_kind kind = call->endpoint.kind;
    if (kind == GLET_EP_INFER)
        glet_infer_body(call);
    else if (kind == GLET_EP_READY)
        answer_ready(call);
    else if (kind == GLET_EP_MODEL_READY)
        answer_model_ready(call);
    else if (kind == GLET_EP_LOAD_OR_UNLOAD)
        glet_front_refuse(call, 501, 0, "models are loaded and unloaded by the plan");
    else if (kind == GLET_EP_REGION_STATUS || kind == GLET_EP_REGION_REGISTER ||
             kind == GLET_EP_REGION_UNREGISTER)
        glet_regions_body(call);
    else if (kind == GLET_EP_PLAN && glet_http_exchange_head(exchange)->method == GLET_HTTP_POST)
        glet_change_body(call);
    else
        answer_document(call);
}

static void on_resumed(void *user, struct glet_http_exchange *exchange)
{
    (void)user;
    struct glet_call *call = glet_http_exchange_user(exchange);
    if (call->endpoint.kind == GLET_EP_INFER)
        glet_infer_resumed(call);
    else
        glet_change_resumed(call);
}

static void on_finished(void *user, struct glet_http_exchange *exchange)
{
    struct glet_listener *listener = user;
    struct glet_call *call = glet_http_exchange_user(exchange);
    if (!call)
        return;
    glet_front_account(call);
    glet_infer_finished(call);
    call->next = listener->idle;
    listener->idle = call;
}

static void on_tick(void *user)
{
    struct glet_listener *listener = user;
    atomic_store_explicit(&listener->tick_us, glet_clock_us(), memory_order_relaxed);
    atomic_store_explicit(&listener->cpu_us, glet_clock_thread_cpu_ns() / 1000,
                          memory_order_relaxed);
    if (++listener->ticks % TRIM_TICKS == 0)
        glet_buffer_pool_trim(&listener->buffers);
}

const struct glet_http_handler glet_front_handler = {
    .head = on_head,
    .body = on_body,
    .resumed = on_resumed,
    .finished = on_finished,
    .tick = on_tick,
};
