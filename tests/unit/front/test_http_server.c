/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The server with clients that misbehave in time: too slow, too silent, gone, or not reading.
 *
 * Each test connects and sends before the server starts to accept: so no time-out can come between
 * the two, however busy the machine.
 */

#include "tests/unit/check.h"

#include "runtime/serve/http/http_listen.h"
#include "runtime/serve/http/http_server.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIG_BYTES ((size_t)64 << 20)

struct fixture {
    struct glet_http_server *server;
    int listen_fd, port;
    char body[4096], *big;
    struct iovec parts[2];
    atomic_int heads, bodies, finished;
    _Atomic(struct glet_http_exchange *) waiting;
};

static void on_head(void *user, struct glet_http_exchange *x)
{
    struct fixture *f = user;
    atomic_fetch_add(&f->heads, 1);
    glet_http_read_body(x, f->body, sizeof f->body);
}

static void answer(struct fixture *f, struct glet_http_exchange *x, size_t bytes)
{
    f->parts[1] = (struct iovec){f->big, bytes};
    struct glet_http_reply reply = {.status = 200, .parts = f->parts, .part_count = 2};
    glet_http_reply(x, &reply);
}

static void on_body(void *user, struct glet_http_exchange *x, size_t length)
{
    struct fixture *f = user;
    (void)length;
    atomic_fetch_add(&f->bodies, 1);
    struct glet_slice path = glet_http_exchange_head(x)->path;
    if (glet_slice_is(path, "/wait"))
        atomic_store(&f->waiting, x);
    else
        answer(f, x, glet_slice_is(path, "/big") ? BIG_BYTES : 2);
}

static void on_resumed(void *user, struct glet_http_exchange *x)
{
    answer(user, x, 2);
}

static void on_finished(void *user, struct glet_http_exchange *x)
{
    (void)x;
    atomic_fetch_add(&((struct fixture *)user)->finished, 1);
}

static int set_up(void **state)
{
    struct glet_error err = {0};
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->big = calloc(1, BIG_BYTES);
    CHECK_OK(glet_http_listen("127.0.0.1:0", false, false, &f->listen_fd, &err), &err);
    f->port = glet_http_listen_port(f->listen_fd);
    *state = f;
    return 0;
}

static void start(struct fixture *f)
{
    struct glet_error err = {0};
    struct glet_http_server_options options = {
        .name = "test",
        .listen_fd = f->listen_fd,
        .max_connections = 16,
        .max_connections_per_client = 16,
        .head_timeout_ms = 300,
        .transfer_timeout_ms = 300,
        .idle_timeout_ms = 300,
        .handler = {.head = on_head,
                    .body = on_body,
                    .resumed = on_resumed,
                    .finished = on_finished,
                    .user = f},
    };
    CHECK_OK(glet_http_server_start(&options, &f->server, &err), &err);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    glet_http_server_stop(f->server, 100);
    assert_true(glet_http_server_close(f->server));
    int heads = atomic_load(&f->heads), finished = atomic_load(&f->finished);
    free(f->big);
    free(f);
    assert_int_equal(heads, finished);
    return 0;
}

static int connect_to(const struct fixture *f)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)f->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval limit = {.tv_sec = 10};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Everything until the server closes; returns its length. */
static size_t hear(int fd, char *out, size_t room)
{
    size_t used = 0;
    ssize_t n;
    while ((n = recv(fd, out + used, room - 1 - used, 0)) > 0)
        used += (size_t)n;
    out[used] = '\0';
    close(fd);
    return used;
}

static void test_half_a_head(void **state)
{
    char text[1024];
    int fd = connect_to(*state);
    say(fd, "GET / HTTP/1.1\r\nHost:");
    start(*state);
    hear(fd, text, sizeof text);
    assert_non_null(strstr(text, "HTTP/1.1 408 "));
    assert_non_null(strstr(text, "Connection: close"));
}

/* One byte now and then does not buy more time. */
static void test_dripping_head(void **state)
{
    char text[1024];
    int fd = connect_to(*state);
    int drips = 0;
    say(fd, "GET / HTTP/1.1\r\n");
    start(*state);
    for (; drips < 400; drips++) {
        if (send(fd, "A", 1, MSG_NOSIGNAL) < 0)
            break;
        if (recv(fd, text, sizeof text, MSG_DONTWAIT) > 0)
            break;
        usleep(50000);
    }
    assert_true(drips < 400);
    close(fd);
}

static void test_half_a_body(void **state)
{
    char text[1024];
    int fd = connect_to(*state);
    say(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345");
    start(*state);
    hear(fd, text, sizeof text);
    assert_non_null(strstr(text, "HTTP/1.1 408 "));
}

static void test_silence(void **state)
{
    char text[1024];
    int silent = connect_to(*state), fd = connect_to(*state);
    say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    start(*state);
    assert_int_equal(hear(silent, text, sizeof text), 0);
    hear(fd, text, sizeof text);
    assert_non_null(strstr(text, "HTTP/1.1 200 "));
    assert_null(strstr(text, "408"));
}

/* The last of what a client sends comes with its end, and is read with a read that has room for more:
   nothing will tell of the end again. */
static void test_gone_in_a_body(void **state)
{
    struct fixture *f = *state;
    char text[1024], body[4090] = ""; /* with the head, more than is read at first */
    int fd = connect_to(f);
    start(f);
    say(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    while (!atomic_load(&f->waiting)) /* so it is accepted */
        usleep(1000);
    glet_http_resume(atomic_load(&f->waiting));
    assert_true(recv(fd, text, sizeof text, 0) > 0);
    static const char head[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\n";
    memset(body, 'x', sizeof body);
    assert_int_equal(send(fd, head, sizeof head - 1, MSG_MORE), sizeof head - 1);
    assert_int_equal(send(fd, body, sizeof body, MSG_MORE), sizeof body);
    assert_int_equal(shutdown(fd, SHUT_WR), 0); /* with it, all at once */
    assert_int_equal(hear(fd, text, sizeof text), 0);
}

/* A request that has not arrived whole when the server stops is not waited for. */
static void test_stop_in_a_request(void **state)
{
    struct fixture *f = *state;
    static const char *const parts[] = {
        "GET / HT", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"};
    char text[1024];
    int fds[2] = {connect_to(f), connect_to(f)};
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        say(fds[i], parts[i]);
    start(f);
    while (atomic_load(&f->heads) == 0)
        usleep(1000);
    glet_http_server_stop(f->server, 60000);
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        hear(fds[i], text, sizeof text);
        assert_non_null(strstr(text, "HTTP/1.1 503 "));
        assert_non_null(strstr(text, "\r\nRetry-After: 1\r\n"));
        assert_non_null(strstr(text, "\r\n\r\n{\"error\":\"shutting down\"}"));
    }
    assert_true(glet_http_server_close(GLET_STEAL(f->server)));
}

/* The answer is larger than what the kernel buffers: the client that does not read is cut off. */
static void test_client_that_does_not_read(void **state)
{
    struct fixture *f = *state;
    int fd = connect_to(f);
    say(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    start(f);
    while (atomic_load(&f->bodies) == 0)
        usleep(1000);
    glet_http_server_stop(f->server, 200);
    assert_true(glet_http_server_close(GLET_STEAL(f->server)));
    assert_int_equal(atomic_load(&f->finished), 1);
    close(fd);
}

static void test_large_answer(void **state)
{
    struct fixture *f = *state;
    int fd = connect_to(f);
    char *text = malloc(BIG_BYTES + 4096);
    say(fd, "GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    start(f);
    assert_true(hear(fd, text, BIG_BYTES + 4096) > BIG_BYTES);
    free(text);
}

static void *resume_late(void *user)
{
    struct fixture *f = user;
    struct glet_http_exchange *x;
    while (!(x = atomic_exchange(&f->waiting, NULL)))
        usleep(1000);
    usleep(700000); /* longer than every timeout */
    glet_http_resume(x);
    return NULL;
}

static void test_waiting_has_no_timeout(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    char text[1024];
    int fd = connect_to(f);
    say(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    start(f);
    assert_int_equal(pthread_create(&thread, NULL, resume_late, f), 0);
    hear(fd, text, sizeof text);
    assert_non_null(strstr(text, "HTTP/1.1 200 "));
    pthread_join(thread, NULL);
}

/* The client resets the connection while its request is away; the exchange still comes back. */
static void test_gone_while_waiting(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    int fd = connect_to(f);
    struct linger reset = {.l_onoff = 1};
    say(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    start(f);
    while (atomic_load(&f->bodies) == 0)
        usleep(1000);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(fd);
    usleep(50000);
    assert_int_equal(atomic_load(&f->finished), 0);
    assert_int_equal(pthread_create(&thread, NULL, resume_late, f), 0);
    glet_http_server_stop(f->server, 60000);
    assert_true(glet_http_server_close(GLET_STEAL(f->server)));
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&f->finished), 1);
}

/* The client whose request never comes back is told so, and the server ends. */
static void test_left_behind(void **state)
{
    static struct glet_http_server *left; /* as it stays for ever */
    struct fixture *f = *state;
    char text[1024];
    int fd = connect_to(f);
    say(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    start(f);
    while (atomic_load(&f->bodies) == 0)
        usleep(1000);
    left = GLET_STEAL(f->server);
    glet_http_server_stop(left, 50);
    assert_false(glet_http_server_close(left));
    hear(fd, text, sizeof text);
    assert_non_null(strstr(text, "HTTP/1.1 503 "));
    assert_non_null(strstr(text, "\r\n\r\n{\"error\":\"shutting down\"}"));
    assert_int_equal(atomic_exchange(&f->heads, 0), 1);
    assert_int_equal(atomic_load(&f->finished), 0);
}

static void test_too_many(void **state)
{
    char text[1024];
    int held[16];
    for (size_t i = 0; i < COUNT_OF(held); i++)
        held[i] = connect_to(*state);
    int fd = connect_to(*state);
    start(*state);
    hear(fd, text, sizeof text);
    assert_non_null(strstr(text, "HTTP/1.1 503 "));
    assert_non_null(strstr(text, "Retry-After: 1"));
    for (size_t i = 0; i < COUNT_OF(held); i++)
        close(held[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_half_a_head, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dripping_head, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_half_a_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_silence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gone_in_a_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop_in_a_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_client_that_does_not_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_waiting_has_no_timeout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gone_while_waiting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_left_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
