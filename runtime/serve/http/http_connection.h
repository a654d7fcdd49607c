/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_HTTP_CONNECTION_H
#define GLET_HTTP_CONNECTION_H

/* One connection: the state machine between the socket and the handler. Private to the server;
   its thread only. */

#include "runtime/serve/http/http_chunked.h"
#include "runtime/serve/http/http_server.h"

#include <netinet/in.h>
#include <stdatomic.h>

#define GLET_HTTP_MAX_HEAD_BYTES 16384
#define GLET_HTTP_INPUT_BYTES    (2 * GLET_HTTP_MAX_HEAD_BYTES)

enum glet_http_phase {
    GLET_HTTP_READ_HEAD,
    GLET_HTTP_READ_BODY,
    GLET_HTTP_WAIT, /* for the handler */
    GLET_HTTP_SEND,
    GLET_HTTP_SWALLOW, /* the rest of a refused body, so that the connection can go on */
    GLET_HTTP_LINGER,  /* answered and shut; reads on so that the client sees the answer */
    GLET_HTTP_CLOSED,
};

struct glet_http_exchange {
    struct glet_http_server *server;
    struct glet_http_exchange *previous, *next; /* of the server's open or free ones */
    struct glet_http_exchange *next_resumed;
    int fd;
    struct in6_addr client;
    enum glet_http_phase phase;
    bool readable, writable;
    bool ended; /* by the client: what has been received is all there will be */
    bool watched_for_room;
    bool in_handler_hands; /* between head() and finished() */
    bool close_after;
    uint64_t deadline_us; /* 0 = none */
    void *user;
    int status;

    struct glet_http_head head;
    size_t head_bytes;
    size_t input_taken; /* of input: head, and what was copied to the body */
    size_t input_used;
    char *body;
    size_t body_used, body_capacity;
    uint64_t swallow_bytes;
    struct glet_http_chunked chunked;

    struct iovec *parts;
    size_t part_count, part_at;
    struct iovec own_parts[2];
    char refusal[160];
    char reply_head[1024];
    char input[GLET_HTTP_INPUT_BYTES];
};

void glet_http_connection_init(struct glet_http_exchange *connection,
                               struct glet_http_server *server, int fd);

/* Goes as far as the socket allows. Afterwards phase tells whether it is GLET_HTTP_CLOSED. */
void glet_http_connection_run(struct glet_http_exchange *connection);

/* Ends it, unless the handler has it. A client whose request has not arrived whole is told why by
   this status, 408 or 503; 0 = by none. */
void glet_http_connection_abort(struct glet_http_exchange *connection, int status);

/* Between two requests, or with one that has not arrived whole. */
bool glet_http_connection_reading(const struct glet_http_exchange *connection);

/* Between its two halves: http_connection.c reads, http_answer.c answers. */

void glet_http_set_deadline(struct glet_http_exchange *x, int timeout_ms, uint64_t bytes);
void glet_http_enter_head(struct glet_http_exchange *x);
/* Tells the handler that the exchange is over, if it has one. */
void glet_http_finish(struct glet_http_exchange *x);
void glet_http_close_now(struct glet_http_exchange *x);
/* An answer of the server's own, after which the connection ends. reason: up to 140 bytes that JSON
   need not escape. */
void glet_http_refuse(struct glet_http_exchange *x, int status, const char *reason);
/* A head that could not be parsed says nothing about its request: the answer assumes the least. */
void glet_http_refuse_head(struct glet_http_exchange *x, int status, const char *reason);
void glet_http_next_request(struct glet_http_exchange *x);
/* true: there is more to do in another phase. */
bool glet_http_run_send(struct glet_http_exchange *x);

/* What connections need of their server. */
const struct glet_http_server_options *
glet_http_server_options(const struct glet_http_server *server);
bool glet_http_server_closing(const struct glet_http_server *server);
uint64_t glet_http_server_now_us(const struct glet_http_server *server);
const char *glet_http_server_date(struct glet_http_server *server);

#endif
