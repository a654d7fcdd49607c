/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_HTTP_SERVER_H
#define GLET_HTTP_SERVER_H

/*
 * An HTTP/1.1 server on one thread of its own. It knows nothing of what is served: a handler is
 * told of each exchange (one request and its answer) in this order, on the server's thread:
 *
 *   head      the head is read. Call glet_http_read_body() (also for an empty body), or
 *             glet_http_reply() to refuse before anything of the body is read
 *   body      the whole body is in the buffer given. Call glet_http_reply() now, or return without
 *             it and call glet_http_resume() later, exactly once, from any thread
 *   resumed   after glet_http_resume(): call glet_http_reply()
 *   finished  the answer is sent, or the client has gone; nothing of it is touched any more
 *
 *   tick      (optional) once or twice a second, of no exchange: for housekeeping
 *
 * head and finished come exactly once each; a connection that closes early skips what is between,
 * except that an exchange that waits for glet_http_resume() stays until that is called.
 *
 * Malformed heads, slow or too many clients are dealt with here, without the handler. Nothing is
 * allocated per request.
 */

#include "common/error.h"
#include "runtime/serve/http/http_head.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct glet_http_server;
struct glet_http_exchange;

struct glet_http_handler {
    void (*head)(void *user, struct glet_http_exchange *exchange);
    void (*body)(void *user, struct glet_http_exchange *exchange, size_t length);
    void (*resumed)(void *user, struct glet_http_exchange *exchange);
    void (*finished)(void *user, struct glet_http_exchange *exchange);
    void (*tick)(void *user);
    void *user;
};

struct glet_http_server_options {
    const char *name;                  /* of the thread, up to 15 bytes */
    int listen_fd;                     /* taken over, also when starting fails */
    size_t max_connections;            /* beyond it: 503 */
    size_t max_connections_per_client; /* with one address */
    int head_timeout_ms;               /* for a whole head, from its first byte */
    int transfer_timeout_ms;           /* for a body or an answer, plus its size at 64 KiB/s */
    int idle_timeout_ms;               /* between two requests */
    struct glet_http_handler handler;
};

/* GLET_ERR_IO, GLET_ERR_NOMEM. */
GLET_MUST_CHECK
int glet_http_server_start(const struct glet_http_server_options *options,
                           struct glet_http_server **out, struct glet_error *err);

/* From now on every answer closes its connection. Any thread. */
void glet_http_server_drain(struct glet_http_server *server);

/* As told in frontend.h's glet_frontend_close(), without waiting for it; glet_http_server_close()
   does, and frees the server where it returns true. NULL is accepted by both. */
void glet_http_server_stop(struct glet_http_server *server, int grace_ms);
bool glet_http_server_close(struct glet_http_server *server);

/* Borrowed until finished(). */
const struct glet_http_head *glet_http_exchange_head(const struct glet_http_exchange *exchange);

/* A word of the handler's, NULL at head(). */
void glet_http_exchange_set_user(struct glet_http_exchange *exchange, void *user);
void *glet_http_exchange_user(const struct glet_http_exchange *exchange);

/* Status of the answer; 0 = the client went away before one was given. And its bytes. */
int glet_http_exchange_status(const struct glet_http_exchange *exchange);

/*
 * Reads the body into buffer (the handler's, until finished()). capacity >= content_length; a
 * chunked body that grows beyond capacity is refused with 413.
 */
void glet_http_read_body(struct glet_http_exchange *exchange, void *buffer, size_t capacity);

struct glet_http_reply {
    int status;
    const char *content_type; /* 64 bytes at most; NULL = none */
    const char *headers;      /* more header lines, each ended by CR LF, 512 bytes at most; NULL */
    /* parts[0] is the server's; the body is parts[1 .. part_count - 1]. The array is changed and,
       like what it points to, lives until finished(). NULL, 0 = no body */
    struct iovec *parts;
    size_t part_count;
    bool close; /* the connection, afterwards */
};
void glet_http_reply(struct glet_http_exchange *exchange, const struct glet_http_reply *reply);

/* Any thread; exactly once for an exchange that body() left unanswered. */
void glet_http_resume(struct glet_http_exchange *exchange);

/* "Not Found" for 404 and so on. */
const char *glet_http_reason(int status);

#endif
