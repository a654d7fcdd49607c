/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_FRONTEND_H
#define GLET_FRONTEND_H

/*
 * Everything a client can reach: the inference, metrics and admin listeners, the endpoints behind
 * them, tokens and the access log. It knows the serving side only through runtime/serve/service.h.
 *
 * Listeners are "HOST:PORT" (numeric IPv4, [IPv6], or "localhost"; port 0 = any free one) and are
 * loopback only unless allow_remote says otherwise.
 *
 *   inference  /v2 and everything below but changes of the plan
 *   metrics    /metrics, /plan, / (a small page); also /v2/health/...
 *   admin      POST /v2/plan, GET /v2/plan
 *
 * Threads: every inference thread, the metrics listener and the admin listener are one thread each
 * ("http-0", ..., "http-metrics", "http-admin"). None blocks on another; change_plan() runs on a
 * thread of its own ("plan") and may take as long as it needs: the admin listener answers meanwhile,
 * another POST with 409.
 */

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct glet_frontend;
struct glet_service;

struct glet_frontend_options {
    const char *listen;                /* NULL = "127.0.0.1:8000" */
    const char *metrics_listen;        /* NULL = "127.0.0.1:8002"; "" = none */
    const char *admin_listen;          /* NULL or "" = none */
    bool allow_remote;                 /* addresses beyond loopback; TLS is the proxy's job */
    const char *token_file;            /* inference needs this bearer token; NULL = open */
    const char *admin_token_file;      /* NULL = open (loopback only); required with allow_remote */
    int http_threads;                  /* inference threads; 0 = 1 */
    size_t max_connections;            /* per listener thread; 0 = 1024 */
    size_t max_connections_per_client; /* of one address; 0 = 512 */
    size_t max_body_memory_bytes;      /* requests in flight, all together; 0 = 1 GiB */
    bool shared_memory;                /* clients may register shared memory objects of this host */
    bool triton_metrics;               /* also Triton's metric names */
    FILE *access_log;                  /* one JSON line per request; NULL = none */

    /* Validates and applies a plan (text, length), or says why not. NULL: 501. */
    int (*change_plan)(void *user, const char *text, size_t length, struct glet_error *err);
    void *user;
};

/*
 * Opens the listeners and starts the threads. service and the access log are borrowed until
 * glet_frontend_close(). GLET_ERR_USAGE: a malformed address, or one beyond loopback without
 * allow_remote; GLET_ERR_INPUT: a token file that is empty or readable by everyone; GLET_ERR_IO;
 * GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_frontend_open(const struct glet_frontend_options *options, struct glet_service *service,
                       struct glet_frontend **out, struct glet_error *err);

/* Whether it would open, as far as that can be told without a socket: addresses and tokens. */
GLET_MUST_CHECK
int glet_frontend_check(const struct glet_frontend_options *options, struct glet_error *err);

/* The ports really bound (for port 0); 0 = no such listener. */
int glet_frontend_port(const struct glet_frontend *frontend);
int glet_frontend_metrics_port(const struct glet_frontend *frontend);
int glet_frontend_admin_port(const struct glet_frontend *frontend);

/*
 * True when an inference thread has not come round for some seconds, though it has nothing to do
 * that takes them. Not asked of the metrics and admin threads: a device's sensors may be slow. Any
 * thread.
 */
bool glet_frontend_stuck(const struct glet_frontend *frontend);

/* Readiness turns to 503 and every answer asks its client to reconnect; requests are served on. */
void glet_frontend_drain(struct glet_frontend *frontend);

/*
 * Stops accepting, answers what is in flight, and ends the threads, within grace_ms: then clients
 * that have not taken their answer are cut off, and those whose answer is not there yet, because
 * the service or change_plan() has not come to it, get a 503. False: there were some of those. What
 * serves them may still write to what they gave, so the frontend is not freed and the process should
 * end. NULL is accepted.
 */
bool glet_frontend_close(struct glet_frontend *frontend, int grace_ms);

#endif
