/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The listeners. Inference is served by its own threads; a scrape, or a plan that takes seconds to
 * apply, never stands in its way.
 */

#include "runtime/serve/front/frontend.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "runtime/serve/front/front.h"
#include "runtime/serve/front/regions.h"
#include "runtime/serve/http/http_listen.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define HEAD_TIMEOUT_MS     10000
#define TRANSFER_TIMEOUT_MS 10000
#define STUCK_US            5000000 /* without a tick, of which two a second are due */
#define IDLE_TIMEOUT_MS     75000   /* above the 60 s after which proxies drop idle connections */

static void listener_fini(struct glet_listener *listener)
{
    while (listener->idle) {
        struct glet_call *call = listener->idle;
        listener->idle = call->next;
        glet_text_free(&call->response.json);
        free(call);
    }
    glet_buffer_pool_fini(&listener->buffers);
    glet_text_free(&listener->line);
    glet_histogram_free(listener->total);
    glet_histogram_free(listener->queue);
    glet_histogram_free(listener->compute);
}

static int make_histograms(struct glet_listener *listener, struct glet_error *err)
{
    listener->total = glet_histogram_new(err);
    listener->queue = listener->total ? glet_histogram_new(err) : NULL;
    listener->compute = listener->queue ? glet_histogram_new(err) : NULL;
    return listener->compute ? 0 : -1;
}

static int add_listener(struct glet_frontend *frontend, enum glet_front_role role,
                        const char *address, bool share_port, struct glet_error *err)
{
    const struct glet_frontend_options *options = &frontend->options;
    struct glet_listener *listener = &frontend->listeners[frontend->listener_count];
    char name[16];
    snprintf(name, sizeof name, "http-%zu", frontend->listener_count);
    struct glet_http_server_options http = {
        .name = role == GLET_ROLE_METRICS ? "http-metrics"
                : role == GLET_ROLE_ADMIN ? "http-admin"
                                          : name,
        .max_connections = options->max_connections,
        .max_connections_per_client = options->max_connections_per_client,
        .head_timeout_ms = HEAD_TIMEOUT_MS,
        .transfer_timeout_ms = TRANSFER_TIMEOUT_MS,
        .idle_timeout_ms = IDLE_TIMEOUT_MS,
        .handler = glet_front_handler,
    };
    http.handler.user = listener;
    *listener =
        (struct glet_listener){.frontend = frontend, .role = role, .tick_us = glet_clock_us()};
    static const struct glet_bearer none;
    listener->bearer = role == GLET_ROLE_ADMIN       ? &frontend->admin_token
                       : role == GLET_ROLE_INFERENCE ? &frontend->token
                                                     : &none;
    glet_buffer_pool_init(&listener->buffers, &frontend->budget,
                          role == GLET_ROLE_INFERENCE ? frontend->service : NULL);
    frontend->listener_count++;
    if (role == GLET_ROLE_METRICS && make_histograms(listener, err) < 0)
        return -1;
    if (glet_http_listen(address, options->allow_remote, share_port, &http.listen_fd, err) < 0)
        return -1;
    listener->port = glet_http_listen_port(http.listen_fd);
    return glet_http_server_start(&http, &listener->server, err);
}

/* Writes address with a free port where it says any. Threads share a port, and so could another
   server of this user, unnoticed: first see that nobody has it. */
static int find_port(const char *address, bool allow_remote, char *out, size_t room,
                     struct glet_error *err)
{
    int fd;
    if (glet_http_listen(address, allow_remote, false, &fd, err) < 0)
        return -1;
    snprintf(out, room, "%.*s:%d", (int)(strrchr(address, ':') - address), address,
             glet_http_listen_port(fd));
    close(fd);
    return 0;
}

static int add_inference_listeners(struct glet_frontend *frontend, struct glet_error *err)
{
    const struct glet_frontend_options *options = &frontend->options;
    const char *address = options->listen;
    int threads = options->http_threads;
    char shared[80];
    if (threads > GLET_FRONT_MAX_THREADS)
        return glet_error_set(err, GLET_ERR_USAGE, "at most %d HTTP threads",
                              GLET_FRONT_MAX_THREADS);
    if (threads > 1) {
        if (find_port(address, options->allow_remote, shared, sizeof shared, err) < 0)
            return -1;
        address = shared;
    }
    for (int i = 0; i < threads; i++)
        if (add_listener(frontend, GLET_ROLE_INFERENCE, address, threads > 1, err) < 0)
            return -1;
    return 0;
}

static int load_tokens(const struct glet_frontend_options *options, struct glet_bearer *token,
                       struct glet_bearer *admin_token, struct glet_error *err)
{
    if (options->allow_remote && options->shared_memory && !options->token_file)
        return glet_error_set(err, GLET_ERR_USAGE,
                              "shared memory that other machines may name needs a token");
    if (options->token_file && glet_bearer_load(options->token_file, token, err) < 0)
        return -1;
    if (options->admin_token_file)
        return glet_bearer_load(options->admin_token_file, admin_token, err);
    if (options->allow_remote && options->admin_listen[0])
        return glet_error_set(err, GLET_ERR_USAGE,
                              "an admin listener that other machines may reach needs a token");
    return 0;
}

static void set_defaults(struct glet_frontend_options *options)
{
    if (!options->listen)
        options->listen = "127.0.0.1:8000";
    if (!options->metrics_listen)
        options->metrics_listen = "127.0.0.1:8002";
    if (!options->admin_listen)
        options->admin_listen = "";
    if (options->http_threads <= 0)
        options->http_threads = 1;
    if (options->max_connections == 0)
        options->max_connections = 1024;
    if (options->max_connections_per_client == 0)
        options->max_connections_per_client = 512;
    if (options->max_body_memory_bytes == 0)
        options->max_body_memory_bytes = (size_t)1 << 30;
}

/* Leaves descriptors for everything else: with none left a plan cannot be read, and probes are not
   accepted. Clients beyond that are told 503. */
static void limit_connections(struct glet_frontend_options *options)
{
    enum { MOST_SPARED = 128 }; /* plans, models, logs, a GPU's driver */
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return;
    size_t all = (size_t)limit.rlim_cur, spared = all / 2 < MOST_SPARED ? all / 2 : MOST_SPARED;
    size_t listeners = (size_t)options->http_threads + (options->metrics_listen[0] != '\0') +
                       (options->admin_listen[0] != '\0');
    size_t each = (all - spared) / listeners;
    if (each >= options->max_connections)
        return;
    options->max_connections = each > 0 ? each : 1;
    glet_log_warning("at most %zu connections per listener, since no more than %zu files may be "
                     "open",
                     options->max_connections, all);
}

static int open_all(struct glet_frontend *frontend, struct glet_error *err)
{
    const struct glet_frontend_options *options = &frontend->options;
    const char *metrics = options->metrics_listen, *admin = options->admin_listen;
    signal(SIGPIPE, SIG_IGN);
    if (load_tokens(options, &frontend->token, &frontend->admin_token, err) < 0)
        return -1;
    if (options->shared_memory && glet_regions_new(frontend->service, &frontend->regions, err) < 0)
        return -1;
    if (options->access_log && glet_access_log_open(options->access_log, &frontend->log, err) < 0)
        return -1;
    if (add_inference_listeners(frontend, err) < 0)
        return -1;
    if (metrics[0] && add_listener(frontend, GLET_ROLE_METRICS, metrics, false, err) < 0)
        return -1;
    return admin[0] ? add_listener(frontend, GLET_ROLE_ADMIN, admin, false, err) : 0;
}

int glet_frontend_check(const struct glet_frontend_options *wanted, struct glet_error *err)
{
    struct glet_bearer token, admin_token;
    struct glet_frontend_options options = *wanted;
    set_defaults(&options);
    if (load_tokens(&options, &token, &admin_token, err) < 0)
        return -1;
    const char *const addresses[] = {options.listen, options.metrics_listen, options.admin_listen};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
        if ((i == 0 || addresses[i][0]) &&
            glet_http_listen_check(addresses[i], options.allow_remote, err) < 0)
            return -1;
    return 0;
}

int glet_frontend_open(const struct glet_frontend_options *options, struct glet_service *service,
                       struct glet_frontend **out, struct glet_error *err)
{
    struct glet_frontend *frontend = glet_alloc(1, sizeof *frontend, err);
    if (!frontend)
        return -1;
    frontend->options = *options;
    set_defaults(&frontend->options);
    limit_connections(&frontend->options);
    frontend->service = service;
    frontend->budget.limit_bytes = frontend->options.max_body_memory_bytes;
    frontend->start_unix_ms = glet_clock_unix_ms();
    pthread_mutex_init(&frontend->models_lock, NULL);
    if (open_all(frontend, err) < 0) {
        glet_frontend_close(frontend, 0);
        return -1;
    }
    *out = frontend;
    return 0;
}

static int port_of(const struct glet_frontend *frontend, enum glet_front_role role)
{
    for (size_t i = 0; i < frontend->listener_count; i++)
        if (frontend->listeners[i].role == role)
            return frontend->listeners[i].port;
    return 0;
}

int glet_frontend_port(const struct glet_frontend *frontend)
{
    return port_of(frontend, GLET_ROLE_INFERENCE);
}

int glet_frontend_metrics_port(const struct glet_frontend *frontend)
{
    return port_of(frontend, GLET_ROLE_METRICS);
}

int glet_frontend_admin_port(const struct glet_frontend *frontend)
{
    return port_of(frontend, GLET_ROLE_ADMIN);
}

bool glet_frontend_stuck(const struct glet_frontend *frontend)
{
    uint64_t now_us = glet_clock_us();
    for (size_t i = 0; i < frontend->listener_count; i++) {
        const struct glet_listener *listener = &frontend->listeners[i];
        uint64_t tick_us = atomic_load_explicit(&listener->tick_us, memory_order_relaxed);
        if (listener->role == GLET_ROLE_INFERENCE && now_us > tick_us + STUCK_US)
            return true;
    }
    return false;
}

void glet_frontend_drain(struct glet_frontend *frontend)
{
    atomic_store(&frontend->draining, true);
    for (size_t i = 0; i < frontend->listener_count; i++)
        glet_http_server_drain(frontend->listeners[i].server);
}

bool glet_frontend_close(struct glet_frontend *frontend, int grace_ms)
{
    if (!frontend)
        return true;
    bool whole = true;
    for (size_t i = 0; i < frontend->listener_count; i++)
        glet_http_server_stop(frontend->listeners[i].server, grace_ms);
    for (size_t i = 0; i < frontend->listener_count; i++)
        whole &= glet_http_server_close(frontend->listeners[i].server);
    glet_access_log_close(frontend->log);
    if (!whole)
        return false;
    for (size_t i = 0; i < frontend->listener_count; i++)
        listener_fini(&frontend->listeners[i]);
    for (size_t i = 0; i < GLET_FRONT_MAX_MODELS; i++)
        glet_front_model_free(atomic_load(&frontend->models[i]));
    glet_regions_free(frontend->regions);
    pthread_mutex_destroy(&frontend->models_lock);
    free(frontend);
    return true;
}
