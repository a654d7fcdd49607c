/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The answering half of a connection. The answer leaves in one sendmsg: head and body in two sends
 * would wait for the peer's delayed acknowledgement.
 *
 * A refused body of moderate size is swallowed, so that a wrong URL does not cost the client its
 * connection; a larger one ends it, gently: the sending side is shut first and input discarded for
 * a while, since closing a socket with unread data sends a reset that can overtake the answer.
 */

#include "runtime/serve/http/http_connection.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define MAX_SWALLOW_BYTES  (UINT64_C(1) << 20)
#define LINGER_US          UINT64_C(2000000)
#define MAX_PARTS_PER_SEND 1024 /* IOV_MAX */

static const struct {
    int status;
    const char *text;
} reasons[] = {
    {200, "OK"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *glet_http_reason(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Unknown";
}

static void begin_send(struct glet_http_exchange *x, struct iovec *parts, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 1; i < count; i++)
        bytes += parts[i].iov_len;
    if (x->head.method == GLET_HTTP_HEAD)
        count = 1;
    x->parts = parts;
    x->part_count = count;
    x->part_at = 0;
    x->phase = GLET_HTTP_SEND;
    glet_http_set_deadline(x, glet_http_server_options(x->server)->transfer_timeout_ms, bytes);
}

static char *put_number(char *at, size_t value)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (count)
        *at++ = digits[--count];
    return at;
}

/* reply_head holds what http_server.h lets `headers` be, and four lines of ours. No printf: this is
   on every request's way. */
static void compose(struct glet_http_exchange *x, const struct glet_http_reply *reply,
                    struct iovec *parts, size_t count)
{
    size_t length = 0;
    for (size_t i = 1; i < count; i++)
        length += parts[i].iov_len;
    bool keep = x->head.keep_alive && !x->close_after;
    const char *connection = !keep                        ? "Connection: close\r\n"
                             : x->head.minor_version == 0 ? "Connection: keep-alive\r\n"
                                                          : "";
    char *at = put_number(stpcpy(x->reply_head, "HTTP/1.1 "), (size_t)reply->status);
    at = stpcpy(stpcpy(stpcpy(at, " "), glet_http_reason(reply->status)), "\r\nDate: ");
    at = stpcpy(stpcpy(at, glet_http_server_date(x->server)), "\r\n");
    if (reply->content_type)
        at = stpcpy(stpcpy(stpcpy(at, "Content-Type: "), reply->content_type), "\r\n");
    at = put_number(stpcpy(at, "Content-Length: "), length);
    at = stpcpy(stpcpy(at, "\r\n"), reply->headers ? reply->headers : "");
    at = stpcpy(stpcpy(at, connection), "\r\n");
    assert(at < x->reply_head + sizeof x->reply_head);
    parts[0] = (struct iovec){x->reply_head, (size_t)(at - x->reply_head)};
    begin_send(x, parts, count);
}

/* Whether the rest of a body that nobody wants may be read off; sets swallow_bytes. */
static bool can_swallow(struct glet_http_exchange *x)
{
    size_t here = x->input_used - x->input_taken;
    uint64_t rest = x->head.content_length;
    if (x->head.chunked || x->head.expects_continue || rest > MAX_SWALLOW_BYTES)
        return false;
    size_t taken = here < rest ? here : (size_t)rest;
    x->input_taken += taken;
    x->swallow_bytes = rest - taken;
    return true;
}

void glet_http_reply(struct glet_http_exchange *x, const struct glet_http_reply *reply)
{
    assert(x->in_handler_hands && x->status == 0);
    bool body_unread = x->phase == GLET_HTTP_READ_HEAD;
    x->status = reply->status;
    x->swallow_bytes = 0;
    if (reply->close || glet_http_server_closing(x->server))
        x->close_after = true;
    if (body_unread && (x->head.content_length > 0 || x->head.chunked) && !can_swallow(x))
        x->close_after = true;
    if (reply->part_count)
        compose(x, reply, reply->parts, reply->part_count);
    else
        compose(x, reply, x->own_parts, 1);
}

void glet_http_refuse(struct glet_http_exchange *x, int status, const char *reason)
{
    x->close_after = true;
    x->status = status;
    int length = snprintf(x->refusal, sizeof x->refusal, "{\"error\":\"%s\"}", reason);
    x->own_parts[1] = (struct iovec){x->refusal, (size_t)length};
    struct glet_http_reply reply = {.status = status,
                                    .content_type = "application/json",
                                    .headers = status == 503 ? "Retry-After: 1\r\n" : NULL};
    compose(x, &reply, x->own_parts, 2);
}

void glet_http_refuse_head(struct glet_http_exchange *x, int status, const char *reason)
{
    x->head.keep_alive = false;
    x->head.method = GLET_HTTP_OTHER;
    x->head.minor_version = 1;
    glet_http_refuse(x, status, reason);
}

static void begin_linger(struct glet_http_exchange *x)
{
    glet_http_finish(x);
    if (shutdown(x->fd, SHUT_WR) < 0) {
        x->phase = GLET_HTTP_CLOSED;
        return;
    }
    x->phase = GLET_HTTP_LINGER;
    x->deadline_us = glet_http_server_now_us(x->server) + LINGER_US;
}

void glet_http_next_request(struct glet_http_exchange *x)
{
    glet_http_finish(x);
    x->input_used -= x->input_taken;
    if (x->input_used)
        memmove(x->input, x->input + x->input_taken, x->input_used);
    x->input_taken = 0;
    x->status = 0;
    glet_http_enter_head(x);
    if (x->input_used)
        glet_http_set_deadline(x, glet_http_server_options(x->server)->head_timeout_ms, 0);
}

bool glet_http_run_send(struct glet_http_exchange *x)
{
    while (x->part_at < x->part_count) {
        if (!x->writable)
            return false;
        size_t count = x->part_count - x->part_at;
        struct msghdr message = {.msg_iov = x->parts + x->part_at,
                                 .msg_iovlen =
                                     count < MAX_PARTS_PER_SEND ? count : MAX_PARTS_PER_SEND};
        ssize_t n = sendmsg(x->fd, &message, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN || errno == EWOULDBLOCK)
                x->writable = false;
            else
                glet_http_close_now(x);
            return false;
        }
        size_t sent = (size_t)n;
        while (x->part_at < x->part_count && sent >= x->parts[x->part_at].iov_len)
            sent -= x->parts[x->part_at++].iov_len;
        if (sent) {
            struct iovec *part = &x->parts[x->part_at];
            part->iov_base = (char *)part->iov_base + sent;
            part->iov_len -= sent;
        }
    }
    if (x->close_after || !x->head.keep_alive) {
        begin_linger(x);
    } else if (x->swallow_bytes) {
        x->phase = GLET_HTTP_SWALLOW;
        glet_http_set_deadline(x, glet_http_server_options(x->server)->transfer_timeout_ms,
                               x->swallow_bytes);
    } else {
        glet_http_next_request(x);
    }
    return true;
}
