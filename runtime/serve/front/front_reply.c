/* SPDX-License-Identifier: Apache-2.0 */

/* How answers leave, and what is remembered of them: counters by status and the access log. */

#include "common/clock.h"
#include "runtime/serve/front/front.h"

#include <math.h>
#include <stdarg.h>
#include <time.h>

static const int statuses[] = {200, 400, 401, 403, 404, 405, 408, 409, 411, 413,
                               415, 417, 429, 431, 500, 501, 503, 504, 505};
#define STATUS_COUNT (sizeof statuses / sizeof *statuses)
_Static_assert(STATUS_COUNT < GLET_FRONT_STATUSES, "a slot for others is left");

int glet_front_status(size_t slot)
{
    return slot < STATUS_COUNT ? statuses[slot] : 0;
}

static size_t slot_of(int status)
{
    size_t slot = 0;
    while (slot < STATUS_COUNT && statuses[slot] != status)
        slot++;
    return slot;
}

void glet_front_header(struct glet_call *call, const char *name, struct glet_slice value)
{
    size_t name_length = strlen(name), room = sizeof call->headers - call->headers_length;
    if (name_length + value.length + sizeof ": \r\n" > room)
        return;
    char *at = call->headers + call->headers_length;
    at = stpcpy(mempcpy(at, name, name_length), ": ");
    at = stpcpy(mempcpy(at, value.data, value.length), "\r\n");
    call->headers_length = (size_t)(at - call->headers);
}

void glet_front_header_number(struct glet_call *call, const char *name, uint64_t value)
{
    char digits[20], *begin = digits + sizeof digits;
    do {
        *--begin = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    glet_front_header(call, name,
                      (struct glet_slice){begin, (size_t)(digits + sizeof digits - begin)});
}

static bool all_zero(const char *digits, size_t count)
{
    return strspn(digits, "0") >= count;
}

/* Version 00 of the trace context; ids of zeros are not valid there. */
static bool is_trace(struct glet_slice value)
{
    static const int dashes[] = {2, 35, 52};
    if (value.length != 55)
        return false;
    for (int i = 0, next = 0; i < 55; i++) {
        char c = value.data[i];
        if (next < 3 && i == dashes[next]) {
            next++;
            if (c != '-')
                return false;
        } else if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return memcmp(value.data, "ff", 2) != 0 && !all_zero(value.data + 3, 32) &&
           !all_zero(value.data + 36, 16);
}

/* The W3C trace context of the request, or NULL. */
static const struct glet_slice *trace_of(const struct glet_http_head *head)
{
    const struct glet_slice *value = glet_http_head_find(head, "traceparent");
    return value && is_trace(*value) ? value : NULL;
}

static const struct glet_slice *request_id_of(const struct glet_http_head *head)
{
    const struct glet_slice *value = glet_http_head_find(head, "x-request-id");
    return value && value->length <= 128 ? value : NULL;
}

static void echo(struct glet_call *call)
{
    const struct glet_http_head *head = glet_http_exchange_head(call->exchange);
    const struct glet_slice *trace = trace_of(head), *id = request_id_of(head);
    if (trace)
        glet_front_header(call, "traceparent", *trace);
    if (id)
        glet_front_header(call, "X-Request-Id", *id);
}

static void send_parts(struct glet_call *call, int status, const char *content_type,
                       size_t part_count)
{
    echo(call);
    call->answer_bytes = 0;
    for (size_t i = 1; i < part_count; i++)
        call->answer_bytes += call->parts[i].iov_len;
    struct glet_http_reply reply = {.status = status,
                                    .content_type = content_type,
                                    .headers = call->headers,
                                    .parts = call->parts,
                                    .part_count = part_count};
    glet_http_reply(call->exchange, &reply);
}

void glet_front_send(struct glet_call *call, int status, const char *content_type)
{
    struct glet_text *text = &call->response.json;
    if (text->failed) {
        send_parts(call, 500, NULL, 1);
        return;
    }
    if (call->response.part_count == 0)
        call->response.part_count = 1;
    call->parts[1] = (struct iovec){text->data, text->length};
    send_parts(call, status, content_type ? content_type : "application/json",
               1 + call->response.part_count);
}

void glet_front_refuse(struct glet_call *call, int status, double retry_after_s, const char *format,
                       ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    struct glet_text *text = &call->response.json;
    call->response.part_count = 1;
    glet_text_clear(text);
    glet_text_put(text, "{\"error\":");
    glet_text_json_string(text, message);
    glet_text_put(text, "}");
    if (retry_after_s > 0)
        glet_front_header_number(call, "Retry-After",
                                 (uint64_t)fmin(fmax(ceil(retry_after_s), 1), 3600));
    glet_front_send(call, status, NULL);
}

static void put_time(struct glet_text *line)
{
    struct timespec now;
    struct tm utc;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    glet_text_format(line, "{\"time\":\"%s.%03ldZ\"", text, now.tv_nsec / 1000000);
}

static void put_inference(struct glet_text *line, const struct glet_call *call)
{
    const struct glet_request *job = &call->job;
    if (call->request.id.data) {
        glet_text_put(line, ",\"id\":\"");
        glet_text_add(line, call->request.id.data, call->request.id.length);
        glet_text_put(line, "\"");
    }
    glet_text_format(line, ",\"rows\":%d", job->rows);
    if (job->start_us >= job->arrival_us && job->end_us >= job->start_us && job->start_us)
        glet_text_format(line, ",\"queue_us\":%llu,\"compute_us\":%llu,\"batch\":%d",
                         (unsigned long long)(job->start_us - job->arrival_us),
                         (unsigned long long)(job->end_us - job->start_us), job->batch_rows);
}

static void log_line(struct glet_call *call, int status)
{
    static const char *const roles[] = {"inference", "metrics", "admin"};
    const struct glet_http_head *head = glet_http_exchange_head(call->exchange);
    const struct glet_slice *trace = trace_of(head), *id = request_id_of(head);
    struct glet_text *line = &call->listener->line;
    glet_text_clear(line);
    put_time(line);
    glet_text_format(line, ",\"listener\":\"%s\",\"method\":", roles[call->listener->role]);
    glet_text_json(line, head->method_name);
    glet_text_put(line, ",\"path\":");
    glet_text_json(line, head->path);
    glet_text_format(line,
                     ",\"status\":%d,\"request_bytes\":%zu,\"response_bytes\":%zu"
                     ",\"duration_us\":%llu",
                     status, call->body_length, call->answer_bytes,
                     (unsigned long long)(glet_clock_us() - call->head_us));
    if (call->model) {
        glet_text_put(line, ",\"model\":");
        glet_text_json_string(line, call->model->v2.name);
    }
    if (call->submitted)
        put_inference(line, call);
    if (trace) {
        glet_text_put(line, ",\"traceparent\":");
        glet_text_json(line, *trace);
    }
    if (id) {
        glet_text_put(line, ",\"request_id\":");
        glet_text_json(line, *id);
    }
    glet_text_put(line, "}\n");
    if (!line->failed)
        glet_access_log_add(call->listener->frontend->log, line->data, line->length);
}

void glet_front_account(struct glet_call *call)
{
    struct glet_frontend *frontend = call->listener->frontend;
    int status = glet_http_exchange_status(call->exchange);
    _Atomic uint64_t *answers = frontend->other_answers;
    if (call->model && call->endpoint.kind == GLET_EP_INFER)
        answers = glet_front_answers(frontend, call->model, call->submitted ? call->job.gpu : NULL)
                      ->counts;
    atomic_fetch_add_explicit(&answers[slot_of(status)], 1, memory_order_relaxed);
    if (frontend->log)
        log_line(call, status);
}
