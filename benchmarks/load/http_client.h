/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_LOAD_HTTP_CLIENT_H
#define GLET_LOAD_HTTP_CLIENT_H

/*
 * An HTTP/1.1 client for load generation: many keep-alive connections on one thread, no request
 * ever waits for an earlier response while a connection can still be opened.
 *
 * A call is begun, and later ends exactly once through `done`, with a response or with the reason
 * why there is none. `done` runs inside glet_client_poll(), or inside glet_client_begin() when not
 * even a socket can be had, and may begin further calls. Not shared between threads.
 */

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct glet_client;

enum glet_call_result {
    GLET_CALL_ANSWERED,  /* status holds the HTTP status */
    GLET_CALL_REFUSED,   /* no connection */
    GLET_CALL_RESET,     /* the connection ended before the response did */
    GLET_CALL_MALFORMED, /* the answer is not HTTP */
    GLET_CALL_TIMEOUT,
    GLET_CALL_RESULT_COUNT
};
const char *glet_call_result_name(enum glet_call_result result);

struct glet_call {
    /* filled by the caller, borrowed until done() */
    size_t target;
    const char *bytes; /* the whole request: request line, headers, body */
    size_t length;
    uint64_t timeout_us; /* from sent_us */
    bool keep_body;      /* collect the response's body (for metadata, not for load) */
    void (*done)(struct glet_call *call);
    void *user;
    /* filled before done() */
    enum glet_call_result result;
    int status;
    uint64_t sent_us, done_us; /* monotonic: handed to a connection; response complete */
    char *body;                /* with keep_body: NUL-terminated, freed after done() */
    size_t body_length;
    /* of the client */
    struct glet_call *next;
};

struct glet_client_options {
    size_t max_connections; /* per target; calls beyond it wait their turn */
};

/*
 * urls: "http://host[:port]" each; a path other than "/" is refused. Resolves the names; connects
 * to nothing yet. GLET_ERR_USAGE for a malformed URL, GLET_ERR_IO when a name does not resolve.
 */
GLET_MUST_CHECK
int glet_client_open(const char *const *urls, size_t url_count,
                     const struct glet_client_options *options, struct glet_client **out,
                     struct glet_error *err);

/* Ends every open call with GLET_CALL_TIMEOUT, done() included; done() may not begin new calls that
   it expects answers to: they end the same way. */
void glet_client_abort(struct glet_client *client);

/* Closes the connections; calls still open are forgotten, without done(). NULL accepted. */
void glet_client_close(struct glet_client *client);

/* "host:port" of a target, for the Host header. */
const char *glet_client_host(const struct glet_client *client, size_t target);

/* New connections go to the next address of the target's name; false when it is the first again. */
bool glet_client_turn(struct glet_client *client, size_t target);

/* Begins a call. It may already be on the wire when this returns. */
void glet_client_begin(struct glet_client *client, struct glet_call *call);

/* Works until `until_us` (monotonic), or returns earlier when no call is open or *stop is not 0
   (stop may be NULL). */
GLET_MUST_CHECK
int glet_client_poll(struct glet_client *client, uint64_t until_us, const volatile int *stop,
                     struct glet_error *err);

size_t glet_client_open_calls(const struct glet_client *client);
size_t glet_client_idle(const struct glet_client *client);        /* connections ready for a call */
size_t glet_client_connections(const struct glet_client *client); /* open now, all targets */

#endif
