/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A closed-loop client for comparing servers: CONNECTIONS keep-alive connections send the same
 * no-op inference again and again until COUNT are answered.
 * usage: http_load PORT CONNECTIONS COUNT PID [MODEL RAW_BYTES | MODEL JSON...]
 * With several JSON bodies, each connection has its own, in turn.
 * Prints "REQUESTS SECONDS SERVER_CPU_US_PER_REQUEST P50_US P99_US"; PID is the server, whose CPU
 * time is taken before and after.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BODY_BYTES      150528
#define MAX_CONNECTIONS 256

struct request {
    char *bytes;
    size_t length;
};

struct connection {
    int fd;
    const struct request *request;
    size_t sent, got, want;
    double began_us;
    char answer[16384];
};

static struct request requests[MAX_CONNECTIONS];
static int request_count = 1;
static double *latencies_us;
static long started, finished, total;
static int epoll_fd;

static void die(const char *what)
{
    perror(what);
    exit(4);
}

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* User and system time of all threads of a process. */
static double cpu_us(int pid)
{
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) < 0)
        die("the server's CPU clock");
    return (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3;
}

static struct request make_raw_request(const char *model, size_t bytes)
{
    struct request request = {.bytes = calloc(1, bytes + 512)};
    int n = snprintf(request.bytes, 512,
                     "POST /v2/models/%s/infer HTTP/1.1\r\nHost: localhost\r\n"
                     "Inference-Header-Content-Length: 0\r\nContent-Length: %zu\r\n\r\n",
                     model, bytes);
    request.length = (size_t)n + bytes;
    return request;
}

/* tail_bytes of binary tensors follow. */
static struct request make_request(const char *model, const char *json, size_t tail_bytes)
{
    char head[512];
    size_t json_bytes = strlen(json);
    int n = snprintf(head, sizeof head,
                     "POST /v2/models/%s/infer HTTP/1.1\r\nHost: localhost\r\n"
                     "Inference-Header-Content-Length: %zu\r\nContent-Length: %zu\r\n"
                     "Content-Type: application/octet-stream\r\n\r\n",
                     model, json_bytes, json_bytes + tail_bytes);
    struct request request = {.length = (size_t)n + json_bytes + tail_bytes};
    request.bytes = calloc(1, request.length);
    memcpy(request.bytes, head, (size_t)n);
    memcpy(request.bytes + n, json, json_bytes);
    return request;
}

static void make_requests(int count, char **arguments)
{
    static const char noop[] =
        "{\"inputs\":[{\"name\":\"image\",\"shape\":[1,3,112,112],\"datatype\":\"FP32\","
        "\"parameters\":{\"binary_data_size\":150528}}],\"outputs\":[{\"name\":\"scores\","
        "\"parameters\":{\"binary_data\":true}}]}";
    if (count == 0)
        requests[0] = make_request("noop", noop, BODY_BYTES);
    else if (arguments[1][0] != '{')
        requests[0] = make_raw_request(arguments[0], strtoul(arguments[1], NULL, 10));
    else
        for (request_count = 0; request_count < count - 1; request_count++)
            requests[request_count] = make_request(arguments[0], arguments[request_count + 1], 0);
}

static void begin(struct connection *c)
{
    if (started == total)
        return;
    started++;
    c->sent = c->got = c->want = 0;
    c->began_us = now_us();
}

static void write_on(struct connection *c)
{
    while (c->sent < c->request->length) {
        ssize_t n =
            send(c->fd, c->request->bytes + c->sent, c->request->length - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN)
                return;
            die("send");
        }
        c->sent += (size_t)n;
    }
}

static size_t answer_length(const struct connection *c)
{
    const char *end = memmem(c->answer, c->got, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (strncmp(c->answer, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "%.*s\n", (int)(end - c->answer), c->answer);
        exit(1);
    }
    const char *length = strcasestr(c->answer, "content-length:");
    return (size_t)(end - c->answer) + 4 + strtoul(length + 15, NULL, 10);
}

static void read_on(struct connection *c)
{
    for (;;) {
        ssize_t n = recv(c->fd, c->answer + c->got, sizeof c->answer - c->got, 0);
        if (n <= 0) {
            if (n < 0 && errno == EAGAIN)
                return;
            die("recv");
        }
        c->got += (size_t)n;
        if (c->want == 0)
            c->want = answer_length(c);
        if (c->want && c->got >= c->want) {
            latencies_us[finished++] = now_us() - c->began_us;
            begin(c);
            write_on(c);
            return;
        }
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void open_connection(struct connection *c, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0)
        die("fcntl");
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
}

int main(int argc, char **argv)
{
    static struct connection connections[MAX_CONNECTIONS];
    if (argc < 5 || argc == 6 || argc > 6 + MAX_CONNECTIONS)
        return 2;
    int port = atoi(argv[1]), count = atoi(argv[2]), pid = atoi(argv[4]);
    total = atol(argv[3]);
    if (count < 1 || count > MAX_CONNECTIONS || total < count)
        return 2;
    latencies_us = calloc((size_t)total, sizeof *latencies_us);
    epoll_fd = epoll_create1(0);
    make_requests(argc - 5, argv + 5);
    for (int i = 0; i < count; i++) {
        connections[i].request = &requests[i % request_count];
        open_connection(&connections[i], port);
    }
    double began_us = now_us(), cpu_before_us = cpu_us(pid);
    for (int i = 0; i < count; i++)
        begin(&connections[i]);
    while (finished < total) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll_fd, events, 64, 10000);
        if (n == 0)
            die("no answer for 10 s");
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            write_on(c);
            read_on(c);
        }
    }
    double cpu = cpu_us(pid) - cpu_before_us, seconds = (now_us() - began_us) / 1e6;
    qsort(latencies_us, (size_t)total, sizeof *latencies_us, compare);
    printf("%ld %.3f %.2f %.1f %.1f\n", total, seconds, cpu / (double)total,
           latencies_us[total / 2], latencies_us[total * 99 / 100]);
    return 0;
}
