/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least a KServe v2 server can do: one thread, one epoll set, one ready-made answer. A
 * yardstick for gpulet-load (what does the client cost?) and for the runtime's front end (what is
 * the floor?).
 *
 *     responder INPUT_BYTES      one FP32 input of that size; prints its port and serves until
 * killed
 *
 * It believes its clients: no limits, no time-outs. Not for a network.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 16, EVENTS = 256 };

struct peer {
    int descriptor;
    size_t filled;    /* of the head, while it is incomplete */
    size_t body_left; /* still to be read and thrown away */
    bool has_head;
    const char *answer;
    char head[2048];
};

static const char ready[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
static char metadata[512], infer[512];

static void make_answer(char *out, size_t size, const char *body)
{
    snprintf(out, size,
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(body), body);
}

static void make_answers(long input_bytes)
{
    char body[256];
    snprintf(body, sizeof body,
             "{\"name\":\"m\",\"platform\":\"none\",\"inputs\":[{\"name\":\"x\","
             "\"datatype\":\"FP32\",\"shape\":[-1,%ld]}],\"outputs\":[]}",
             input_bytes / 4);
    make_answer(metadata, sizeof metadata, body);
    make_answer(infer, sizeof infer,
                "{\"model_name\":\"m\",\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\","
                "\"shape\":[1,4],\"data\":[0.1,0.2,0.3,0.4]}]}");
}

/* Reads the head: what to answer, and how long the body is. */
static void understand(struct peer *peer)
{
    char *length = strcasestr(peer->head, "\r\ncontent-length:");
    peer->body_left = length ? strtoul(length + 17, NULL, 10) : 0;
    peer->has_head = true;
    if (strncmp(peer->head, "POST", 4) == 0)
        peer->answer = infer;
    else
        peer->answer = strstr(peer->head, "/v2/models/") ? metadata : ready;
}

/* Takes bytes of the stream; false when the peer makes no sense. */
static bool take(struct peer *peer, const char *data, size_t size)
{
    while (size > 0 || (peer->has_head && peer->body_left == 0)) {
        if (!peer->has_head) {
            size_t room = sizeof peer->head - 1 - peer->filled, part = size < room ? size : room;
            size_t before = peer->filled > 3 ? peer->filled - 3 : 0;
            memcpy(peer->head + peer->filled, data, part);
            peer->filled += part;
            peer->head[peer->filled] = '\0';
            char *end = strstr(peer->head + before, "\r\n\r\n");
            if (!end && room == part)
                return false;
            if (!end)
                return true;
            size_t used = part - (peer->filled - (size_t)(end + 4 - peer->head));
            data += used;
            size -= used;
            end[2] = '\0';
            understand(peer);
        }
        size_t body = size < peer->body_left ? size : peer->body_left;
        data += body;
        size -= body;
        peer->body_left -= body;
        if (peer->body_left > 0)
            return true;
        if (send(peer->descriptor, peer->answer, strlen(peer->answer), MSG_NOSIGNAL) < 0)
            return false;
        peer->has_head = false;
        peer->filled = 0;
    }
    return true;
}

static void serve(struct peer *peer)
{
    static char buffer[BUFFER_BYTES];
    ssize_t got = recv(peer->descriptor, buffer, sizeof buffer, 0);
    if (got > 0 && take(peer, buffer, (size_t)got))
        return;
    close(peer->descriptor);
    free(peer);
}

static void add_peer(int epoll, int listener)
{
    int on = 1, descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    struct peer *peer = descriptor < 0 ? NULL : calloc(1, sizeof *peer);
    if (!peer)
        return;
    peer->descriptor = descriptor;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor,
              &(struct epoll_event){.events = EPOLLIN, .data.ptr = peer});
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct epoll_event events[EVENTS];
    make_answers(argc > 1 ? strtol(argv[1], NULL, 10) : 16);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), epoll = epoll_create1(0);
    if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 4096) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, listener,
                  &(struct epoll_event){.events = EPOLLIN, .data.ptr = NULL}) < 0) {
        perror("responder");
        return 4;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                serve(events[i].data.ptr);
            else
                add_peer(epoll, listener);
        }
    }
}
