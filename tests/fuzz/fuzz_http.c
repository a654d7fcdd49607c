/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One connection over any bytes, cut into any pieces: the first byte says how the handler behaves,
 * the second how the input is cut. The server around the connection and the four calls it makes on
 * its socket are stand-ins (meson.build renames recv and the others).
 *
 * Oracle: a head that ours accepts is accepted by http_parser, with the same framing. That is the
 * disagreement that request smuggling lives on.
 */

#include "tests/fuzz/fuzz_common.h"

#include "runtime/serve/http/http_connection.h"

#include <errno.h>
#include <http_parser.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BODY_BYTES 4096
#define REQUIRE(x) ((x) ? (void)0 : abort())

struct glet_http_server {
    struct glet_http_server_options options;
};

static struct {
    uint8_t behaviour;
    int open, heads, bodies, finished;
    bool waiting, blocked;
    const uint8_t *input, *input_end;
    size_t piece_bytes, output_bytes;
} test;

/* One piece, then "try again", then the next: as a socket does. */
ssize_t recv(int fd, void *buffer, size_t length, int flags)
{
    (void)fd, (void)flags;
    REQUIRE(length > 0);
    if (test.input == test.input_end)
        return 0;
    test.blocked = !test.blocked;
    if (!test.blocked) {
        errno = EAGAIN;
        return -1;
    }
    size_t left = (size_t)(test.input_end - test.input);
    size_t n = left < test.piece_bytes ? left : test.piece_bytes;
    n = n < length ? n : length;
    memcpy(buffer, test.input, n);
    test.input += n;
    return (ssize_t)n;
}

/* Takes everything, or a little at a time; can fail at some point. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    (void)fd, (void)flags;
    size_t length = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        length += message->msg_iov[i].iov_len;
    if ((test.behaviour & 16) && length > 100)
        length = 100;
    test.output_bytes += length;
    if ((test.behaviour & 32) && test.output_bytes > 5000) {
        errno = EPIPE;
        return -1;
    }
    return (ssize_t)length;
}

ssize_t send(int fd, const void *data, size_t length, int flags)
{
    struct iovec part = {(void *)(uintptr_t)data, length};
    return sendmsg(fd, &(struct msghdr){.msg_iov = &part, .msg_iovlen = 1}, flags);
}

int shutdown(int fd, int how)
{
    (void)fd, (void)how;
    return 0;
}

const struct glet_http_server_options *
glet_http_server_options(const struct glet_http_server *server)
{
    return &server->options;
}

bool glet_http_server_closing(const struct glet_http_server *server)
{
    (void)server;
    return (test.behaviour & 64) != 0;
}

uint64_t glet_http_server_now_us(const struct glet_http_server *server)
{
    (void)server;
    return 1;
}

const char *glet_http_server_date(struct glet_http_server *server)
{
    (void)server;
    return "Thu, 01 Jan 1970 00:00:00 GMT";
}

/* --- the oracle --- */

struct seen {
    bool complete, keep_alive;
    uint64_t length;
    bool chunked;
    int method;
};

static int on_headers_complete(http_parser *parser)
{
    struct seen *seen = parser->data;
    seen->complete = true;
    seen->keep_alive = http_should_keep_alive(parser) != 0;
    seen->chunked = (parser->flags & F_CHUNKED) != 0;
    seen->length = parser->content_length;
    seen->method = (int)parser->method;
    return 1;
}

static bool known_method(const struct glet_http_head *head)
{
#define NAME(number, name, string) #string,
    static const char *const names[] = {HTTP_METHOD_MAP(NAME)};
#undef NAME
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (glet_slice_is(head->method_name, names[i]))
            return true;
    return false;
}

/* http_parser takes any name that begins like Transfer-Encoding for it, and knows no blank behind the
   value of Content-Length. */
static bool misleads_oracle(const struct glet_http_head *head)
{
    for (size_t i = 0; i < head->header_count; i++) {
        struct glet_slice name = head->headers[i].name, value = head->headers[i].value;
        if (glet_slice_is_nocase(name, "content-length") && value.data[value.length] == ' ')
            return true;
        if (name.length > 17 && strncasecmp(name.data, "transfer-encoding", 17) == 0)
            return true;
    }
    return false;
}

static void compare(const char *text, size_t length, const struct glet_http_head *head)
{
    http_parser parser;
    http_parser_settings settings;
    struct seen seen = {0};

    if (head->method == GLET_HTTP_OTHER || !known_method(head) || misleads_oracle(head))
        return;
    http_parser_settings_init(&settings);
    settings.on_headers_complete = on_headers_complete;
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = &seen;
    http_parser_execute(&parser, &settings, text, length);
    REQUIRE(seen.complete);
    REQUIRE(seen.chunked == head->chunked);
    REQUIRE(!head->has_length || seen.length == head->content_length);
    REQUIRE(head->has_length || head->chunked || seen.length == 0 || seen.length == ULLONG_MAX);
}

/* --- the handler --- */

static void reply(struct glet_http_exchange *x)
{
    static struct iovec parts[3];
    static char text[2048];
    parts[1] = (struct iovec){text, 10};
    parts[2] = (struct iovec){text, sizeof text};
    struct glet_http_reply answer = {.status = 200,
                                     .content_type = "text/plain",
                                     .headers = "X: y\r\n",
                                     .parts = parts,
                                     .part_count = test.behaviour & 1 ? 3 : 1,
                                     .close = (test.behaviour & 2) != 0};
    if (answer.part_count == 1)
        answer.parts = parts;
    glet_http_reply(x, &answer);
}

static void on_head(void *user, struct glet_http_exchange *x)
{
    (void)user;
    REQUIRE(test.open == 0);
    test.open++;
    test.heads++;
    const struct glet_http_head *head = glet_http_exchange_head(x);
    REQUIRE(head->path.length > 0);
    compare(x->input, x->head_bytes, head);
    if ((test.behaviour & 4) || head->content_length > BODY_BYTES) {
        reply(x);
        return;
    }
    static char body[BODY_BYTES];
    glet_http_read_body(x, body, head->chunked ? BODY_BYTES : (size_t)head->content_length);
}

static void on_body(void *user, struct glet_http_exchange *x, size_t length)
{
    (void)user;
    REQUIRE(length <= BODY_BYTES);
    REQUIRE(glet_http_exchange_head(x)->chunked ||
            length == glet_http_exchange_head(x)->content_length);
    test.bodies++;
    if (test.behaviour & 8)
        test.waiting = true;
    else
        reply(x);
}

static void on_resumed(void *user, struct glet_http_exchange *x)
{
    (void)user;
    (void)x;
}

static void on_finished(void *user, struct glet_http_exchange *x)
{
    (void)user;
    (void)x;
    REQUIRE(test.open == 1 && !test.waiting);
    test.open--;
    test.finished++;
}

/* --- driving it --- */

static struct glet_http_exchange *run(struct glet_http_exchange *x)
{
    x->readable = x->writable = true;
    glet_http_connection_run(x);
    while (test.waiting) {
        test.waiting = false;
        reply(x);
        glet_http_connection_run(x);
    }
    return x;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct glet_http_server server = {
        {.head_timeout_ms = 1,
         .transfer_timeout_ms = 1,
         .idle_timeout_ms = 1,
         .handler = {
             .head = on_head, .body = on_body, .resumed = on_resumed, .finished = on_finished}}};
    static struct glet_http_exchange *x;
    if (size < 2)
        return 0;
    if (!x)
        x = malloc(sizeof *x);
    if (!x)
        abort();
    memset(&test, 0, sizeof test);
    test.behaviour = data[0];
    test.piece_bytes = data[1] ? (size_t)data[1] * 3 : size;
    test.input = data + 2;
    test.input_end = data + size;
    glet_http_connection_init(x, &server, 3);
    size_t turns = 0;
    while (x->phase != GLET_HTTP_CLOSED && test.input < test.input_end) {
        run(x);
        REQUIRE(++turns < 4 * size + 100); /* every turn gets on */
    }
    if (x->phase != GLET_HTTP_CLOSED)
        run(x);
    if (x->phase != GLET_HTTP_CLOSED && (test.behaviour & 128))
        glet_http_connection_abort(x, true);
    if (x->phase != GLET_HTTP_CLOSED)
        glet_http_connection_abort(x, false);
    REQUIRE(x->phase == GLET_HTTP_CLOSED && test.open == 0 && test.heads == test.finished);
    return 0;
}
