/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The thread: epoll over the listener, a wake-up descriptor and all connections. Connections that
 * wait for their answer come back over a lock-free stack; the thread says when it is about to
 * sleep, and only then does a resume cost a write to the wake-up descriptor. Connections are
 * recycled, so that after the busiest moment so far nothing is allocated any more. Deadlines are
 * coarse: a sweep over all connections twice a second.
 *
 * A resumed exchange is never missed: the server publishes `sleeping` and then looks at the stack
 * once more, a resume pushes and then looks at `sleeping`; with sequential consistency at least one
 * of the two sees the other.
 */

#include "runtime/serve/http/http_server.h"

#include "common/clock.h"
#include "common/memory.h"
#include "runtime/serve/http/http_connection.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS         (EPOLLIN | EPOLLRDHUP | EPOLLET)
#define MAX_EVENTS     128
#define SWEEP_US       UINT64_C(500000)
#define ACCEPTS_A_GO   64
#define STALL_PAUSE_MS 100

struct glet_http_server {
    struct glet_http_server_options options;
    int epoll_fd, wake_fd;
    pthread_t thread;
    _Atomic(struct glet_http_exchange *) resumed;
    atomic_bool sleeping, draining, stopping;
    atomic_int resuming; /* calls of glet_http_resume() that still use the server */
    atomic_int grace_ms;

    /* of the thread alone */
    struct glet_http_exchange *open, *idle;
    size_t open_count;
    uint64_t now_us, next_sweep_us, stop_by_us;
    bool over;
    time_t date_s;
    char date[32];
};

const struct glet_http_server_options *
glet_http_server_options(const struct glet_http_server *server)
{
    return &server->options;
}

bool glet_http_server_closing(const struct glet_http_server *server)
{
    return atomic_load_explicit(&server->draining, memory_order_relaxed);
}

uint64_t glet_http_server_now_us(const struct glet_http_server *server)
{
    return server->now_us;
}

const char *glet_http_server_date(struct glet_http_server *server)
{
    time_t now = time(NULL);
    if (now != server->date_s) {
        struct tm utc;
        gmtime_r(&now, &utc);
        strftime(server->date, sizeof server->date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
        server->date_s = now;
    }
    return server->date;
}

/* --- connections --- */

static void list_add(struct glet_http_server *server, struct glet_http_exchange *x)
{
    x->previous = NULL;
    x->next = server->open;
    if (x->next)
        x->next->previous = x;
    server->open = x;
    server->open_count++;
}

static void list_remove(struct glet_http_server *server, struct glet_http_exchange *x)
{
    if (x->previous)
        x->previous->next = x->next;
    else
        server->open = x->next;
    if (x->next)
        x->next->previous = x->previous;
    server->open_count--;
}

/* Only a socket that has been full is watched for room: otherwise every arrival, also one that is
   read before the thread sleeps, would end the next sleep to tell that there is room. */
static void watch_for_room(struct glet_http_server *server, struct glet_http_exchange *x)
{
    struct epoll_event event = {.events = EVENTS | EPOLLOUT, .data.ptr = x};
    x->watched_for_room = epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, x->fd, &event) == 0;
}

static void run(struct glet_http_server *server, struct glet_http_exchange *x)
{
    glet_http_connection_run(x);
    if (x->phase != GLET_HTTP_CLOSED) {
        if (!x->writable && !x->watched_for_room)
            watch_for_room(server, x);
        return;
    }
    close(x->fd);
    list_remove(server, x);
    x->next = server->idle;
    server->idle = x;
}

static struct in6_addr client_of(const struct sockaddr_storage *address)
{
    struct in6_addr client = {0};
    if (address->ss_family == AF_INET6)
        client = ((const struct sockaddr_in6 *)address)->sin6_addr;
    else
        memcpy(&client, &((const struct sockaddr_in *)address)->sin_addr, 4);
    return client;
}

static bool has_room(const struct glet_http_server *server, const struct in6_addr *client)
{
    if (server->open_count >= server->options.max_connections)
        return false;
    if (server->open_count < server->options.max_connections_per_client)
        return true;
    size_t same = 0;
    for (const struct glet_http_exchange *x = server->open; x; x = x->next)
        same += memcmp(&x->client, client, sizeof *client) == 0;
    return same < server->options.max_connections_per_client;
}

/* Of a connection that no answer has begun on; ends it. */
static void say_unavailable(int fd, const char *why)
{
    char text[256];
    int length = snprintf(text, sizeof text,
                          "HTTP/1.1 503 Service Unavailable\r\nContent-Length: %zu\r\n"
                          "Content-Type: application/json\r\nRetry-After: 1\r\n"
                          "Connection: close\r\n\r\n{\"error\":\"%s\"}",
                          sizeof "{'error':''}" - 1 + strlen(why), why);
    (void)!send(fd, text, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(fd, SHUT_WR);
}

static void turn_away(int fd)
{
    say_unavailable(fd, "too many connections");
    close(fd);
}

static void admit(struct glet_http_server *server, int fd, const struct sockaddr_storage *address)
{
    struct in6_addr client = client_of(address);
    struct glet_http_exchange *x = NULL;
    if (has_room(server, &client)) {
        x = server->idle;
        if (x)
            server->idle = x->next;
        else
            x = malloc(sizeof *x);
    }
    if (!x) {
        turn_away(fd);
        return;
    }
    struct epoll_event event = {.events = EVENTS, .data.ptr = x};
    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        x->next = server->idle;
        server->idle = x;
        turn_away(fd);
        return;
    }
    glet_http_connection_init(x, server, fd);
    x->client = client;
    list_add(server, x);
    run(server, x);
}

static void watch_listener(struct glet_http_server *server, bool on)
{
    struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.ptr = server};
    (void)epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, server->options.listen_fd, &event);
}

static void accept_some(struct glet_http_server *server, int most)
{
    for (int i = 0; i < most; i++) {
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        int fd = accept4(server->options.listen_fd, (struct sockaddr *)&address, &length,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            admit(server, fd, &address);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            watch_listener(server, false); /* level-triggered: it would spin; the sweep retries */
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

/* --- coming back --- */

void glet_http_resume(struct glet_http_exchange *x)
{
    struct glet_http_server *server = x->server;
    atomic_fetch_add(&server->resuming, 1);
    struct glet_http_exchange *top = atomic_load_explicit(&server->resumed, memory_order_relaxed);
    do {
        x->next_resumed = top;
    } while (!atomic_compare_exchange_weak(&server->resumed, &top, x));
    if (atomic_load(&server->sleeping) && atomic_exchange(&server->sleeping, false)) {
        uint64_t one = 1;
        (void)!write(server->wake_fd, &one, sizeof one);
    }
    atomic_fetch_sub(&server->resuming, 1);
}

static void take_resumed(struct glet_http_server *server)
{
    struct glet_http_exchange *top = atomic_exchange(&server->resumed, NULL), *fifo = NULL;
    while (top) { /* a stack gives the latest first */
        struct glet_http_exchange *next = top->next_resumed;
        top->next_resumed = fifo;
        fifo = top;
        top = next;
    }
    const struct glet_http_handler *handler = &server->options.handler;
    while (fifo) {
        struct glet_http_exchange *x = fifo;
        fifo = fifo->next_resumed;
        handler->resumed(handler->user, x);
        run(server, x);
    }
}

/* --- the thread --- */

static void sweep(struct glet_http_server *server)
{
    if (server->now_us < server->next_sweep_us)
        return;
    server->next_sweep_us = server->now_us + SWEEP_US;
    if (server->options.listen_fd >= 0)
        watch_listener(server, true);
    if (server->options.handler.tick)
        server->options.handler.tick(server->options.handler.user);
    bool stopping = server->options.listen_fd < 0;
    bool cut = stopping && server->now_us >= server->stop_by_us;
    for (struct glet_http_exchange *x = server->open, *next; x; x = next) {
        next = x->next;
        bool late = x->deadline_us && server->now_us >= x->deadline_us;
        bool refused = stopping && glet_http_connection_reading(x);
        if (x->phase == GLET_HTTP_WAIT) {
            if (cut) /* its handler has it, perhaps for ever */
                say_unavailable(x->fd, "shutting down");
        } else if (late || cut || refused) {
            glet_http_connection_abort(x, cut ? 0 : late ? 408 : 503);
            run(server, x);
        }
    }
    server->over = cut || (stopping && server->open_count == 0);
}

static void begin_stop(struct glet_http_server *server)
{
    accept_some(server, INT32_MAX); /* whoever connected before is served */
    close(server->options.listen_fd);
    server->options.listen_fd = -1;
    server->stop_by_us = server->now_us + (uint64_t)atomic_load(&server->grace_ms) * 1000;
    server->next_sweep_us = server->now_us;
}

static int sleep_ms(const struct glet_http_server *server)
{
    if (server->open_count == 0 && server->options.listen_fd >= 0)
        return STALL_PAUSE_MS * 10;
    if (atomic_load_explicit(&server->stopping, memory_order_relaxed))
        return 10;
    return (int)(SWEEP_US / 1000);
}

static void serve_event(struct glet_http_server *server, const struct epoll_event *event)
{
    if (event->data.ptr == NULL) /* only woken up; edge-triggered, so the counter is never read */
        return;
    if (event->data.ptr == server) {
        accept_some(server, ACCEPTS_A_GO);
    } else {
        struct glet_http_exchange *x = event->data.ptr;
        x->readable = x->readable || (event->events & ~(uint32_t)EPOLLOUT);
        x->ended = x->ended || (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
        x->writable = x->writable || (event->events & ~(uint32_t)(EPOLLIN | EPOLLRDHUP));
        run(server, x);
    }
}

static void *thread_main(void *user)
{
    struct glet_http_server *server = user;
    struct epoll_event events[MAX_EVENTS];
    for (;;) {
        atomic_store(&server->sleeping, true);
        bool busy = atomic_load(&server->resumed) != NULL;
        int n = epoll_wait(server->epoll_fd, events, MAX_EVENTS, busy ? 0 : sleep_ms(server));
        atomic_store(&server->sleeping, false);
        server->now_us = glet_clock_us();
        for (int i = 0; i < n; i++)
            serve_event(server, &events[i]);
        take_resumed(server);
        if (atomic_load(&server->stopping)) {
            if (server->options.listen_fd >= 0)
                begin_stop(server);
            server->next_sweep_us = server->now_us;
        }
        sweep(server);
        if (server->over)
            return NULL;
    }
}

static int watch(struct glet_http_server *server, int fd, uint32_t events, void *data,
                 struct glet_error *err)
{
    struct epoll_event event = {.events = events, .data.ptr = data};
    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return glet_error_errno(err, errno, "epoll_ctl");
    return 0;
}

static void server_free(struct glet_http_server *server)
{
    if (!server)
        return;
    while (server->idle) {
        struct glet_http_exchange *x = server->idle;
        server->idle = x->next;
        free(x);
    }
    if (server->options.listen_fd >= 0)
        close(server->options.listen_fd);
    if (server->epoll_fd >= 0)
        close(server->epoll_fd);
    if (server->wake_fd >= 0)
        close(server->wake_fd);
    free(server);
}

static int start(struct glet_http_server *server, struct glet_error *err)
{
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (server->epoll_fd < 0 || server->wake_fd < 0)
        return glet_error_errno(err, errno, "epoll or eventfd");
    if (watch(server, server->wake_fd, EPOLLIN | EPOLLET, NULL, err) < 0 ||
        watch(server, server->options.listen_fd, EPOLLIN, server, err) < 0)
        return -1;
    /* signals are the main thread's, but one that a copy of this thread causes (shared_copy.h) */
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&server->thread, NULL, thread_main, server);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status)
        return glet_error_errno(err, status, "cannot start thread %s", server->options.name);
    (void)pthread_setname_np(server->thread, server->options.name);
    return 0;
}

int glet_http_server_start(const struct glet_http_server_options *options,
                           struct glet_http_server **out, struct glet_error *err)
{
    struct glet_http_server *server = glet_alloc(1, sizeof *server, err);
    if (!server) {
        close(options->listen_fd);
        return -1;
    }
    server->options = *options;
    server->epoll_fd = server->wake_fd = -1;
    server->now_us = glet_clock_us();
    if (start(server, err) < 0) {
        server_free(server);
        return -1;
    }
    *out = server;
    return 0;
}

void glet_http_server_drain(struct glet_http_server *server)
{
    atomic_store(&server->draining, true);
}

void glet_http_server_stop(struct glet_http_server *server, int grace_ms)
{
    if (!server)
        return;
    atomic_store(&server->grace_ms, grace_ms);
    atomic_store(&server->draining, true);
    atomic_store(&server->stopping, true);
    uint64_t one = 1;
    (void)!write(server->wake_fd, &one, sizeof one);
}

bool glet_http_server_close(struct glet_http_server *server)
{
    if (!server)
        return true;
    pthread_join(server->thread, NULL);
    if (server->open_count > 0)
        return false;
    while (atomic_load(&server->resuming)) /* its exchange is answered; it returns in a moment */
        sched_yield();
    server_free(server);
    return true;
}
