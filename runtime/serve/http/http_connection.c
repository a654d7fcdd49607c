/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The reading half of a connection, and its state machine. The socket is watched edge-triggered:
 * `readable` and `writable` remember what epoll said until the kernel says EAGAIN, so a keep-alive
 * request costs no epoll_ctl. A head is read into `input`; what of the body came with it is copied,
 * the rest is received straight into the handler's buffer.
 *
 * One request at a time: what a pipelining client sent ahead stays in `input` or in the socket
 * until the answer is out.
 */

#include "runtime/serve/http/http_connection.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define FIRST_READ_BYTES     4096     /* most of a body should not pass through `input` */
#define SLOWEST_BYTES_PER_US 0.065536 /* 64 KiB/s */

void glet_http_set_deadline(struct glet_http_exchange *x, int timeout_ms, uint64_t bytes)
{
    x->deadline_us = glet_http_server_now_us(x->server) + (uint64_t)timeout_ms * 1000 +
                     (uint64_t)((double)bytes / SLOWEST_BYTES_PER_US);
}

void glet_http_enter_head(struct glet_http_exchange *x)
{
    x->phase = GLET_HTTP_READ_HEAD;
    glet_http_set_deadline(x, glet_http_server_options(x->server)->idle_timeout_ms, 0);
}

void glet_http_connection_init(struct glet_http_exchange *x, struct glet_http_server *server,
                               int fd)
{
    x->server = server;
    x->fd = fd;
    x->readable = x->writable = true;
    x->ended = x->watched_for_room = x->in_handler_hands = x->close_after = false;
    x->input_used = x->input_taken = 0;
    x->user = NULL;
    x->status = 0;
    glet_http_enter_head(x);
}

void glet_http_finish(struct glet_http_exchange *x)
{
    if (!x->in_handler_hands)
        return;
    x->in_handler_hands = false;
    const struct glet_http_handler *handler = &glet_http_server_options(x->server)->handler;
    handler->finished(handler->user, x);
    x->user = NULL;
}

void glet_http_close_now(struct glet_http_exchange *x)
{
    assert(x->phase != GLET_HTTP_WAIT);
    glet_http_finish(x);
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
    glet_http_set_deadline(x, glet_http_server_options(x->server)->transfer_timeout_ms,
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
        glet_http_refuse(x, 400, "malformed chunked body");
        return true;
    }
    if (got > x->body_capacity - x->body_used) {
        glet_http_refuse(x, 413, "the body is larger than this model's largest request");
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
            glet_http_close_now(x);
        if (io != IO_SOME)
            return false;
        x->input_used += got;
    }
}

static bool run_body(struct glet_http_exchange *x)
{
    if (x->close_after) {
        glet_http_close_now(x);
        return false;
    }
    if (x->head.chunked)
        return run_chunked(x);
    size_t want = (size_t)x->head.content_length;
    while (x->body_used < want) {
        size_t got = 0, asked = want - x->body_used;
        enum io io = receive(x, x->body + x->body_used, asked, &got);
        if (io == IO_END)
            glet_http_close_now(x);
        if (io != IO_SOME)
            return false;
        x->body_used += got;
        if (got < asked && !x->ended)
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
        glet_http_refuse_head(x, status, reason);
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
            glet_http_refuse_head(x, 431, "the request's head is larger than 16 KiB");
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
            glet_http_close_now(x);
        if (io != IO_SOME)
            return false;
        if (first)
            glet_http_set_deadline(x, glet_http_server_options(x->server)->head_timeout_ms, 0);
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
            glet_http_close_now(x);
        if (io != IO_SOME)
            return false;
        if (x->phase == GLET_HTTP_SWALLOW && (x->swallow_bytes -= got) == 0) {
            glet_http_next_request(x);
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
            more = glet_http_run_send(x);
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

bool glet_http_connection_reading(const struct glet_http_exchange *x)
{
    return x->phase == GLET_HTTP_READ_HEAD || x->phase == GLET_HTTP_READ_BODY;
}

void glet_http_connection_abort(struct glet_http_exchange *x, int status)
{
    const char *reason = status == 408 ? "the request took too long to arrive" : "shutting down";
    bool head = x->phase == GLET_HTTP_READ_HEAD;
    if (status == 0 || !glet_http_connection_reading(x) || (head && x->input_used == 0) ||
        x->close_after) {
        glet_http_close_now(x);
        return;
    }
    if (head)
        glet_http_refuse_head(x, status, reason);
    else
        glet_http_refuse(x, status, reason);
    glet_http_connection_run(x);
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
