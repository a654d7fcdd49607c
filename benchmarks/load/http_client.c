/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One epoll set, edge-triggered, for all connections. A target keeps its idle connections on a
 * stack (the warmest is used first, the coldest die of old age at the server) and opens another
 * when the stack is empty, so that a slow server is met with more connections instead of with a
 * delayed schedule: that is what makes the load open-loop.
 *
 * A keep-alive connection that the server closes just as it is used again is no failure of the
 * server: such a call is begun once more on a fresh connection, keeping its times.
 *
 * Time-outs: calls of one client nearly always share a time-out, so open connections stand in a
 * list in the order of their beginning and only its head is looked at.
 */
#include "benchmarks/load/http_client.h"

#include "benchmarks/load/http_target.h"
#include "common/clock.h"
#include "common/memory.h"

#include <errno.h>
#include <http_parser.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_PER_WAIT = 256, READ_BYTES = 64 * 1024, BODY_LIMIT_BYTES = 64 * 1024 * 1024 };

struct connection {
    int fd;
    size_t target;
    bool connected, reused, answered_any, broken;
    size_t sent_bytes;
    struct glet_call *call; /* NULL: idle */
    http_parser parser;
    struct connection *next_idle;
    struct connection *older, *newer; /* busy list of the client */
    size_t slot;                      /* index into client->connections */
};

struct target {
    struct glet_http_target at;
    struct connection *idle;
    size_t connection_count;
    struct glet_call *waiting, **waiting_end; /* beyond max_connections, first in first out */
};

struct glet_client {
    int epoll;
    struct target *targets;
    size_t target_count;
    size_t max_connections;
    size_t open_calls, idle_count;
    struct connection *oldest, *newest; /* busy connections */
    struct connection **connections;    /* all of them */
    size_t connection_count, connection_capacity;
    struct connection *graveyard; /* closed while events of this round may still name them */
    char *buffer;
};

static void begin_on(struct glet_client *client, struct connection *connection,
                     struct glet_call *call);

const char *glet_call_result_name(enum glet_call_result result)
{
    static const char *const names[GLET_CALL_RESULT_COUNT] = {
        [GLET_CALL_ANSWERED] = "answered", [GLET_CALL_REFUSED] = "refused",
        [GLET_CALL_RESET] = "reset",       [GLET_CALL_MALFORMED] = "malformed",
        [GLET_CALL_TIMEOUT] = "timeout",
    };
    return names[result];
}

int glet_client_open(const char *const *urls, size_t url_count,
                     const struct glet_client_options *options, struct glet_client **out,
                     struct glet_error *err)
{
    struct glet_client *client = glet_alloc(1, sizeof *client, err);
    if (!client)
        return -1;
    client->max_connections = options->max_connections;
    client->epoll = epoll_create1(EPOLL_CLOEXEC);
    client->buffer = glet_alloc(READ_BYTES, 1, err);
    client->targets = client->buffer ? glet_alloc(url_count, sizeof *client->targets, err) : NULL;
    int rc = client->targets ? 0 : -1;
    if (rc == 0 && client->epoll < 0)
        rc = glet_error_errno(err, errno, "epoll");
    for (; rc == 0 && client->target_count < url_count; client->target_count++) {
        struct target *target = &client->targets[client->target_count];
        target->waiting_end = &target->waiting;
        rc = glet_http_target_resolve(&target->at, urls[client->target_count], err);
    }
    if (rc < 0) {
        glet_client_close(client);
        return -1;
    }
    *out = client;
    return 0;
}

const char *glet_client_host(const struct glet_client *client, size_t target)
{
    return client->targets[target].at.host;
}

bool glet_client_turn(struct glet_client *client, size_t target)
{
    return glet_http_target_turn(&client->targets[target].at);
}

size_t glet_client_open_calls(const struct glet_client *client)
{
    return client->open_calls;
}

size_t glet_client_idle(const struct glet_client *client)
{
    return client->idle_count;
}

size_t glet_client_connections(const struct glet_client *client)
{
    return client->connection_count;
}

/* ---- connections ---- */

static void unlink_busy(struct glet_client *client, struct connection *connection)
{
    *(connection->older ? &connection->older->newer : &client->oldest) = connection->newer;
    *(connection->newer ? &connection->newer->older : &client->newest) = connection->older;
    connection->older = connection->newer = NULL;
}

static void link_busy(struct glet_client *client, struct connection *connection)
{
    connection->older = client->newest;
    connection->newer = NULL;
    *(client->newest ? &client->newest->newer : &client->oldest) = connection;
    client->newest = connection;
}

static void remove_idle(struct target *target, struct connection *connection)
{
    struct connection **link = &target->idle;
    while (*link && *link != connection)
        link = &(*link)->next_idle;
    if (*link)
        *link = connection->next_idle;
}

/* Closes the descriptor now and the memory after the round of events. */
static void bury(struct glet_client *client, struct connection *connection)
{
    struct target *target = &client->targets[connection->target];
    if (!connection->call) {
        remove_idle(target, connection);
        client->idle_count--;
    }
    close(connection->fd);
    connection->fd = -1;
    target->connection_count--;
    struct connection *last = client->connections[--client->connection_count];
    client->connections[connection->slot] = last;
    last->slot = connection->slot;
    connection->next_idle = client->graveyard;
    client->graveyard = connection;
}

static void empty_graveyard(struct glet_client *client)
{
    while (client->graveyard) {
        struct connection *next = client->graveyard->next_idle;
        free(client->graveyard);
        client->graveyard = next;
    }
}

static struct connection *connect_to(struct glet_client *client, size_t index)
{
    struct glet_error ignored;
    struct target *target = &client->targets[index];
    if (glet_reserve(&client->connections, &client->connection_capacity,
                     client->connection_count + 1, sizeof *client->connections, &ignored) < 0)
        return NULL;
    struct connection *connection = glet_alloc(1, sizeof *connection, &ignored);
    if (!connection)
        return NULL;
    connection->target = index;
    const struct glet_http_address *address = &target->at.addresses[target->at.current];
    connection->fd =
        socket(address->socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) {
        free(connection);
        return NULL;
    }
    int on = 1;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int rc = connect(connection->fd, (const struct sockaddr *)&address->socket, address->length);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = connection};
    if ((rc < 0 && errno != EINPROGRESS) ||
        epoll_ctl(client->epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0) {
        close(connection->fd);
        free(connection);
        return NULL;
    }
    connection->connected = rc == 0;
    connection->slot = client->connection_count;
    client->connections[client->connection_count++] = connection;
    target->connection_count++;
    return connection;
}

/* ---- calls ---- */

/* The call is over: tells its owner. The connection no longer knows it. */
static void finish(struct glet_client *client, struct glet_call *call, enum glet_call_result result)
{
    call->result = result;
    call->done_us = glet_clock_us();
    client->open_calls--;
    call->done(call);
    free(call->body);
    call->body = NULL;
}

static void start_waiting(struct glet_client *client, struct target *target)
{
    while (target->waiting &&
           (target->idle || target->connection_count < client->max_connections)) {
        struct glet_call *call = target->waiting;
        target->waiting = call->next;
        if (!target->waiting)
            target->waiting_end = &target->waiting;
        client->open_calls--;
        glet_client_begin(client, call);
    }
}

/* Takes the call off a connection that can no longer be used. */
static void fail(struct glet_client *client, struct connection *connection,
                 enum glet_call_result result)
{
    struct glet_call *call = connection->call;
    if (!call) {
        bury(client, connection);
        return;
    }
    struct target *target = &client->targets[connection->target];
    bool stale = connection->reused && !connection->answered_any && result == GLET_CALL_RESET;
    unlink_busy(client, connection);
    bury(client, connection);
    struct connection *fresh = stale ? connect_to(client, call->target) : NULL;
    if (fresh)
        begin_on(client, fresh, call);
    else
        finish(client, call, result);
    start_waiting(client, target);
}

static void send_more(struct connection *connection)
{
    struct glet_call *call = connection->call;
    while (connection->connected && call && connection->sent_bytes < call->length) {
        ssize_t n = send(connection->fd, call->bytes + connection->sent_bytes,
                         call->length - connection->sent_bytes, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            /* An early answer (413, 503) may lie in the socket even though sending failed. */
            connection->broken = true;
            return;
        }
        connection->sent_bytes += (size_t)n;
    }
}

static int on_body(http_parser *parser, const char *at, size_t length)
{
    struct connection *connection = parser->data;
    struct glet_call *call = connection->call;
    if (!call || !call->keep_body)
        return 0;
    if (call->body_length + length > BODY_LIMIT_BYTES)
        return -1;
    char *grown = realloc(call->body, call->body_length + length + 1);
    if (!grown)
        return -1;
    memcpy(grown + call->body_length, at, length);
    call->body = grown;
    call->body_length += length;
    call->body[call->body_length] = '\0';
    return 0;
}

/* Stops the parser so that nothing behind a response is taken for part of it. */
static int on_complete(http_parser *parser)
{
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_body = on_body,
    .on_message_complete = on_complete,
};

static void begin_on(struct glet_client *client, struct connection *connection,
                     struct glet_call *call)
{
    connection->call = call;
    connection->sent_bytes = 0;
    connection->answered_any = false;
    http_parser_init(&connection->parser, HTTP_RESPONSE);
    connection->parser.data = connection;
    link_busy(client, connection);
    send_more(connection);
}

void glet_client_begin(struct glet_client *client, struct glet_call *call)
{
    struct target *target = &client->targets[call->target];
    client->open_calls++;
    call->body = NULL;
    call->body_length = 0;
    call->status = 0;
    struct connection *connection = target->idle;
    if (connection) {
        target->idle = connection->next_idle;
        client->idle_count--;
        connection->reused = true;
    } else if (target->connection_count < client->max_connections) {
        connection = connect_to(client, call->target);
        if (!connection) {
            call->sent_us = glet_clock_us();
            finish(client, call, GLET_CALL_REFUSED);
            return;
        }
    } else {
        call->next = NULL;
        *target->waiting_end = call;
        target->waiting_end = &call->next;
        return;
    }
    call->sent_us = glet_clock_us();
    begin_on(client, connection, call);
}

/* The response is whole: the connection is idle again, or closed when the server wants that. */
static void answered(struct glet_client *client, struct connection *connection, bool keep)
{
    struct glet_call *call = connection->call;
    struct target *target = &client->targets[connection->target];
    call->status = (int)connection->parser.status_code;
    keep = keep && connection->sent_bytes == call->length && !connection->broken;
    unlink_busy(client, connection);
    if (keep) {
        connection->call = NULL;
        connection->next_idle = target->idle;
        target->idle = connection;
        client->idle_count++;
    } else {
        bury(client, connection);
    }
    finish(client, call, GLET_CALL_ANSWERED);
    start_waiting(client, target);
}

/* True while more of the answer may follow on this connection. */
static bool parse(struct glet_client *client, struct connection *connection, size_t length)
{
    if (!connection->call) { /* nobody asked */
        bury(client, connection);
        return false;
    }
    connection->answered_any = connection->answered_any || length > 0;
    http_parser *parser = &connection->parser;
    size_t used = http_parser_execute(parser, &settings, client->buffer, length);
    enum http_errno state = HTTP_PARSER_ERRNO(parser);
    if (state == HPE_PAUSED) {
        bool interim = parser->status_code / 100 == 1 && parser->status_code != 101;
        if (interim) { /* 100 Continue: the answer proper follows */
            http_parser_init(parser, HTTP_RESPONSE);
            parser->data = connection;
            memmove(client->buffer, client->buffer + used, length - used);
            return length == used || parse(client, connection, length - used);
        }
        http_parser_pause(parser, 0);
        answered(client, connection, http_should_keep_alive(parser) && used == length);
        return false;
    }
    if (state != HPE_OK) {
        fail(client, connection,
             state == HPE_INVALID_EOF_STATE ? GLET_CALL_RESET : GLET_CALL_MALFORMED);
        return false;
    }
    return length > 0;
}

static void receive_more(struct glet_client *client, struct connection *connection)
{
    for (;;) {
        ssize_t n = recv(connection->fd, client->buffer, READ_BYTES, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            if (connection->broken)
                fail(client, connection, GLET_CALL_RESET);
            return;
        }
        if (n < 0 || (n == 0 && (!connection->call || !connection->answered_any))) {
            fail(client, connection, GLET_CALL_RESET);
            return;
        }
        if (!parse(client, connection, (size_t)n)) {
            if (n == 0 && connection->fd >= 0 && connection->call)
                fail(client, connection, GLET_CALL_RESET);
            return;
        }
    }
}

static void handle(struct glet_client *client, struct connection *connection, uint32_t events)
{
    if (connection->fd < 0)
        return;
    if (!connection->connected) {
        int failure = 0;
        socklen_t size = sizeof failure;
        getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
        if (failure || (events & (EPOLLERR | EPOLLHUP))) {
            fail(client, connection, GLET_CALL_REFUSED);
            return;
        }
        connection->connected = (events & EPOLLOUT) != 0;
    }
    if (events & EPOLLOUT)
        send_more(connection);
    if (connection->broken || (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        receive_more(client, connection);
}

static void expire(struct glet_client *client, uint64_t now_us)
{
    while (client->oldest) {
        struct connection *connection = client->oldest;
        if (connection->call->sent_us + connection->call->timeout_us > now_us)
            return;
        fail(client, connection, GLET_CALL_TIMEOUT);
    }
}

/* Waits for events, at the clock's own resolution, until `until_us`. */
static int wait_events(struct glet_client *client, struct epoll_event *events, uint64_t now_us,
                       uint64_t until_us)
{
    if (client->oldest) {
        uint64_t expiry_us = client->oldest->call->sent_us + client->oldest->call->timeout_us;
        until_us = expiry_us < until_us ? expiry_us : until_us;
    }
    uint64_t wait_us = until_us > now_us ? until_us - now_us : 0;
    struct timespec limit = {(time_t)(wait_us / 1000000), (long)(wait_us % 1000000) * 1000};
    return epoll_pwait2(client->epoll, events, EVENTS_PER_WAIT, &limit, NULL);
}

int glet_client_poll(struct glet_client *client, uint64_t until_us, const volatile int *stop,
                     struct glet_error *err)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    for (;;) {
        uint64_t now_us = glet_clock_us();
        expire(client, now_us);
        int count = wait_events(client, events, now_us, until_us);
        if (count < 0 && errno != EINTR)
            return glet_error_errno(err, errno, "epoll_pwait2");
        for (int i = 0; i < count; i++)
            handle(client, events[i].data.ptr, events[i].events);
        empty_graveyard(client);
        if (client->open_calls == 0 || (stop && *stop) || glet_clock_us() >= until_us)
            return 0;
    }
}

void glet_client_abort(struct glet_client *client)
{
    while (client->open_calls > 0) {
        for (size_t i = 0; i < client->target_count; i++) {
            struct target *target = &client->targets[i];
            struct glet_call *call = target->waiting;
            target->waiting = NULL;
            target->waiting_end = &target->waiting;
            while (call) {
                struct glet_call *next = call->next;
                call->sent_us = glet_clock_us();
                finish(client, call, GLET_CALL_TIMEOUT);
                call = next;
            }
        }
        if (client->oldest)
            fail(client, client->oldest, GLET_CALL_TIMEOUT);
        empty_graveyard(client);
    }
}

void glet_client_close(struct glet_client *client)
{
    if (!client)
        return;
    while (client->connection_count > 0) {
        struct connection *connection = client->connections[0];
        if (connection->call)
            free(connection->call->body);
        connection->call = NULL;
        bury(client, connection);
    }
    empty_graveyard(client);
    for (size_t i = 0; i < client->target_count; i++)
        free(client->targets[i].at.host);
    if (client->epoll >= 0)
        close(client->epoll);
    free(client->connections);
    free(client->targets);
    free(client->buffer);
    free(client);
}
