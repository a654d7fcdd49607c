/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The state machine of one connection. The socket is registered once, edge-triggered: `readable`
 * and `writable` remember what epoll said until the kernel says EAGAIN, so a keep-alive request
 * costs no epoll_ctl. A head is read into `input`; what of the body came with it is copied, the
 * rest is received straight into the handler's buffer. The answer leaves in one writev: head and
 * body in two sends would wait for the peer's delayed acknowledgement.
 *
 * One request at a time: what a pipelining client sent ahead stays in `input` or in the socket
 * until the answer is out. A refused body of moderate size is swallowed, so that a wrong URL does
 * not cost the client its connection; a larger one ends it, gently: the sending side is shut first
 * and input discarded for a while, since closing a socket with unread data sends a reset that can
 * overtake the answer.
 */

#include "runtime/serve/http/http_connection.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_READ_BYTES     4096 /* most of a body should not pass through `input` */
#define MAX_SWALLOW_BYTES    (UINT64_C(1) << 20)
#define LINGER_US            UINT64_C(2000000)
#define SLOWEST_BYTES_PER_US 0.065536 /* 64 KiB/s */
#define MAX_PARTS_PER_SEND   1024     /* IOV_MAX */

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

static void set_deadline(struct glet_http_exchange *x, int timeout_ms, uint64_t bytes)
{
    x->deadline_us = glet_http_server_now_us(x->server) + (uint64_t)timeout_ms * 1000 +
                     (uint64_t)((double)bytes / SLOWEST_BYTES_PER_US);
}

static void enter_head(struct glet_http_exchange *x)
{
    x->phase = GLET_HTTP_READ_HEAD;
    set_deadline(x, glet_http_server_options(x->server)->idle_timeout_ms, 0);
}

void glet_http_connection_init(struct glet_http_exchange *x, struct glet_http_server *server,
                               int fd)
{
    x->server = server;
    x->fd = fd;
    x->readable = x->writable = true;
    x->in_handler_hands = x->close_after = false;
    x->input_used = x->input_taken = 0;
    x->user = NULL;
    x->status = 0;
    enter_head(x);
}

static void finish(struct glet_http_exchange *x)
{
    if (!x->in_handler_hands)
        return;
    x->in_handler_hands = false;
    const struct glet_http_handler *handler = &glet_http_server_options(x->server)->handler;
    handler->finished(handler->user, x);
    x->user = NULL;
}

static void close_now(struct glet_http_exchange *x)
{
    assert(x->phase != GLET_HTTP_WAIT);
    finish(x);
    x->phase = GLET_HTTP_CLOSED;
}

enum io { IO_SOME, IO_BLOCKED, IO_END };

static enum io receive(struct glet_http_exchange *x, void *buffer, size_t length, size_t *got)
{
    if (!x->readable)
        return IO_BLOCKED;
    ssize_t n;
    do {
        n = recv(x->fd, buffer, length, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        *got = (size_t)n;
        return IO_SOME;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        x->readable = false;
        return IO_BLOCKED;
    }
    return IO_END;
}

/* --- answering --- */

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
    set_deadline(x, glet_http_server_options(x->server)->transfer_timeout_ms, bytes);
}

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
    int n =
        snprintf(x->reply_head, sizeof x->reply_head,
                 "HTTP/1.1 %d %s\r\nDate: %s\r\n%s%s%sContent-Length: %zu\r\n%s%s\r\n",
                 reply->status, glet_http_reason(reply->status), glet_http_server_date(x->server),
                 reply->content_type ? "Content-Type: " : "",
                 reply->content_type ? reply->content_type : "", reply->content_type ? "\r\n" : "",
                 length, reply->headers ? reply->headers : "", connection);
    assert(n > 0 && (size_t)n < sizeof x->reply_head);
    parts[0] = (struct iovec){x->reply_head, (size_t)n};
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

/* An answer of the server's own, after which the connection ends. body outlives the answer. */
static void refuse(struct glet_http_exchange *x, int status, const char *body)
{
    x->close_after = true;
    x->status = status;
    x->own_parts[1] = (struct iovec){(void *)(uintptr_t)body, strlen(body)};
    struct glet_http_reply reply = {.status = status, .content_type = "application/json"};
    compose(x, &reply, x->own_parts, 2);
}

/* A head that could not be parsed says nothing about its request: the answer assumes the least. */
static void refuse_head(struct glet_http_exchange *x, int status, const char *reason)
{
    x->head.keep_alive = false;
    x->head.method = GLET_HTTP_OTHER;
    x->head.minor_version = 1;
    snprintf(x->refusal, sizeof x->refusal, "{\"error\":\"%s\"}", reason);
    refuse(x, status, x->refusal);
}

static void begin_linger(struct glet_http_exchange *x)
{
    finish(x);
    if (shutdown(x->fd, SHUT_WR) < 0) {
        x->phase = GLET_HTTP_CLOSED;
        return;
    }
    x->phase = GLET_HTTP_LINGER;
    x->deadline_us = glet_http_server_now_us(x->server) + LINGER_US;
}

static void next_request(struct glet_http_exchange *x)
{
    finish(x);
    x->input_used -= x->input_taken;
    if (x->input_used)
        memmove(x->input, x->input + x->input_taken, x->input_used);
    x->input_taken = 0;
    x->status = 0;
    enter_head(x);
    if (x->input_used)
        set_deadline(x, glet_http_server_options(x->server)->head_timeout_ms, 0);
}

static bool run_send(struct glet_http_exchange *x)
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
                close_now(x);
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
        set_deadline(x, glet_http_server_options(x->server)->transfer_timeout_ms, x->swallow_bytes);
    } else {
        next_request(x);
    }
    return true;
}

/* --- reading --- */

static void body_complete(struct glet_http_exchange *x)
{
    const struct glet_http_handler *handler = &glet_http_server_options(x->server)->handler;
    x->phase = GLET_HTTP_WAIT;
    x->deadline_us = 0;
    handler->body(handler->user, x, x->body_used);
}

static void say_continue(struct glet_http_exchange *x)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    /* the answer to what came before is out, so 25 bytes fit; a socket that refuses them is dead */
    if (send(x->fd, text, sizeof text - 1, MSG_NOSIGNAL) != (ssize_t)sizeof text - 1)
        x->close_after = true;
}

static void take_identity(struct glet_http_exchange *x)
{
    size_t here = x->input_used - x->input_taken, want = (size_t)x->head.content_length;
    x->body_used = here < want ? here : want;
    if (x->body_used)
        memcpy(x->body, x->input + x->input_taken, x->body_used);
    x->input_taken += x->body_used;
}

void glet_http_read_body(struct glet_http_exchange *x, void *buffer, size_t capacity)
{
    assert(x->phase == GLET_HTTP_READ_HEAD && x->in_handler_hands);
    assert(x->head.content_length <= capacity);
    x->body = buffer;
    x->body_capacity = capacity;
    x->body_used = 0;
    x->phase = GLET_HTTP_READ_BODY;
    set_deadline(x, glet_http_server_options(x->server)->transfer_timeout_ms,
                 x->head.content_length);
    if (x->head.chunked)
        glet_http_chunked_init(&x->chunked);
    else
        take_identity(x);
    if (x->head.expects_continue && x->input_used == x->head_bytes &&
        (x->head.chunked || x->head.content_length))
        say_continue(x);
}

/* Decodes what lies in input behind input_taken. */
static bool decode_chunks(struct glet_http_exchange *x)
{
    size_t got = 0, consumed = 0, here = x->input_used - x->input_taken;
    char *data = x->input + x->input_taken;
    enum glet_http_chunked_result result =
        glet_http_chunked_decode(&x->chunked, data, here, &got, &consumed);
    if (result == GLET_HTTP_CHUNKED_ERROR) {
        refuse(x, 400, "{\"error\":\"malformed chunked body\"}");
        return true;
    }
    if (got > x->body_capacity - x->body_used) {
        refuse(x, 413, "{\"error\":\"the body is larger than this model's largest request\"}");
        return true;
    }
    if (got)
        memcpy(x->body + x->body_used, data, got);
    x->body_used += got;
    if (result == GLET_HTTP_CHUNKED_DONE) {
        x->input_taken += consumed;
        body_complete(x);
        return true;
    }
    x->input_used = x->input_taken;
    return false;
}

static bool run_chunked(struct glet_http_exchange *x)
{
    for (;;) {
        if (x->input_used > x->input_taken && decode_chunks(x))
            return true;
        size_t got = 0;
        enum io io =
            receive(x, x->input + x->input_used, GLET_HTTP_INPUT_BYTES - x->input_used, &got);
        if (io == IO_END)
            close_now(x);
        if (io != IO_SOME)
            return false;
        x->input_used += got;
    }
}

static bool run_body(struct glet_http_exchange *x)
{
    if (x->close_after) {
        close_now(x);
        return false;
    }
    if (x->head.chunked)
        return run_chunked(x);
    size_t want = (size_t)x->head.content_length;
    while (x->body_used < want) {
        size_t got = 0, asked = want - x->body_used;
        enum io io = receive(x, x->body + x->body_used, asked, &got);
        if (io == IO_END)
            close_now(x);
        if (io != IO_SOME)
            return false;
        x->body_used += got;
        if (got < asked)
            x->readable = false; /* drained: the next edge tells of more (epoll(7), question 9) */
    }
    body_complete(x);
    return true;
}

static void head_complete(struct glet_http_exchange *x, size_t length)
{
    const char *reason = NULL;
    int status = glet_http_head_parse(x->input, length, &x->head, &reason);
    if (status) {
        refuse_head(x, status, reason);
        return;
    }
    x->head_bytes = x->input_taken = length;
    x->in_handler_hands = true;
    const struct glet_http_handler *handler = &glet_http_server_options(x->server)->handler;
    handler->head(handler->user, x);
    assert(x->phase != GLET_HTTP_READ_HEAD);
}

/* RFC 9112, 2.2: empty lines before a request are skipped. */
static void skip_empty_lines(struct glet_http_exchange *x)
{
    size_t skip = 0;
    while (skip + 1 < x->input_used && x->input[skip] == '\r' && x->input[skip + 1] == '\n')
        skip += 2;
    if (skip) {
        x->input_used -= skip;
        memmove(x->input, x->input + skip, x->input_used);
    }
}

static bool run_head(struct glet_http_exchange *x)
{
    size_t searched = 0;
    for (;;) {
        skip_empty_lines(x);
        size_t length = glet_http_head_length(x->input, x->input_used, searched);
        if (length > GLET_HTTP_MAX_HEAD_BYTES ||
            (length == 0 && x->input_used >= GLET_HTTP_MAX_HEAD_BYTES)) {
            refuse_head(x, 431, "the request's head is larger than 16 KiB");
            return true;
        }
        if (length) {
            head_complete(x, length);
            return true;
        }
        searched = x->input_used;
        bool first = x->input_used == 0;
        size_t got = 0;
        enum io io = receive(x, x->input + x->input_used, FIRST_READ_BYTES, &got);
        if (io == IO_END)
            close_now(x);
        if (io != IO_SOME)
            return false;
        if (first)
            set_deadline(x, glet_http_server_options(x->server)->head_timeout_ms, 0);
        x->input_used += got;
    }
}

static bool run_discard(struct glet_http_exchange *x)
{
    for (;;) {
        size_t room = GLET_HTTP_INPUT_BYTES - x->input_used, got = 0;
        char *at = x->input + x->input_used;
        if (x->phase == GLET_HTTP_LINGER) {
            at = x->input;
            room = GLET_HTTP_INPUT_BYTES;
        } else if (room > x->swallow_bytes) {
            room = (size_t)x->swallow_bytes;
        }
        enum io io = receive(x, at, room, &got);
        if (io == IO_END)
            close_now(x);
        if (io != IO_SOME)
            return false;
        if (x->phase == GLET_HTTP_SWALLOW && (x->swallow_bytes -= got) == 0) {
            next_request(x);
            return true;
        }
    }
}

void glet_http_connection_run(struct glet_http_exchange *x)
{
    bool more = true;
    while (more) {
        switch (x->phase) {
        case GLET_HTTP_READ_HEAD:
            more = run_head(x);
            break;
        case GLET_HTTP_READ_BODY:
            more = run_body(x);
            break;
        case GLET_HTTP_SEND:
            more = run_send(x);
            break;
        case GLET_HTTP_SWALLOW:
        case GLET_HTTP_LINGER:
            more = run_discard(x);
            break;
        case GLET_HTTP_WAIT:
        case GLET_HTTP_CLOSED:
            more = false;
            break;
        }
    }
}

void glet_http_connection_abort(struct glet_http_exchange *x, bool answer)
{
    bool reading =
        x->phase == GLET_HTTP_READ_BODY || (x->phase == GLET_HTTP_READ_HEAD && x->input_used > 0);
    if (answer && reading && !x->close_after) {
        if (x->phase == GLET_HTTP_READ_HEAD)
            refuse_head(x, 408, "the request took too long to arrive");
        else
            refuse(x, 408, "{\"error\":\"the request took too long to arrive\"}");
        glet_http_connection_run(x);
        return;
    }
    close_now(x);
}

bool glet_http_connection_idle(const struct glet_http_exchange *x)
{
    return x->phase == GLET_HTTP_READ_HEAD && x->input_used == 0;
}

const struct glet_http_head *glet_http_exchange_head(const struct glet_http_exchange *x)
{
    return &x->head;
}

void glet_http_exchange_set_user(struct glet_http_exchange *x, void *user)
{
    x->user = user;
}

void *glet_http_exchange_user(const struct glet_http_exchange *x)
{
    return x->user;
}

int glet_http_exchange_status(const struct glet_http_exchange *x)
{
    return x->status;
}
