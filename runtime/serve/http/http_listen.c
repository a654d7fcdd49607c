/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Addresses are numeric on purpose: a name that resolves differently tomorrow must not decide who
 * can reach the server. There is no TLS here, so anything beyond loopback has to be asked for.
 */

#include "runtime/serve/http/http_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool parse_port(const char *text, in_port_t *out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return false;
    long port = strtol(text, NULL, 10);
    if (port > 65535)
        return false;
    *out = htons((uint16_t)port);
    return true;
}

static bool parse_address(const char *text, union address *out, socklen_t *length)
{
    char host[INET6_ADDRSTRLEN + 1];
    const char *colon = strrchr(text, ':');
    if (!colon)
        return false;
    bool brackets = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
    const char *begin = brackets ? text + 1 : text;
    size_t host_length = (size_t)(colon - begin) - (brackets ? 1 : 0);
    if (host_length >= sizeof host)
        return false;
    memcpy(host, begin, host_length);
    host[host_length] = '\0';
    memset(out, 0, sizeof *out);
    if (brackets) {
        out->v6.sin6_family = AF_INET6;
        *length = sizeof out->v6;
        return inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1 &&
               parse_port(colon + 1, &out->v6.sin6_port);
    }
    const char *numeric = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    out->v4.sin_family = AF_INET;
    *length = sizeof out->v4;
    return inet_pton(AF_INET, numeric, &out->v4.sin_addr) == 1 &&
           parse_port(colon + 1, &out->v4.sin_port);
}

static bool is_loopback(const union address *address)
{
    if (address->any.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
    return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
}

static int find_address(const char *text, bool allow_remote, union address *out, socklen_t *length,
                        struct glet_error *err)
{
    if (!parse_address(text, out, length)) {
        glet_error_set(err, GLET_ERR_USAGE, "malformed listen address '%s'", text);
        return glet_error_hint(err, "HOST:PORT with a numeric host, as in 127.0.0.1:8000 or "
                                    "[::1]:8000");
    }
    if (!allow_remote && !is_loopback(out)) {
        glet_error_set(err, GLET_ERR_USAGE, "'%s' can be reached from other machines", text);
        return glet_error_hint(err, "put a proxy with TLS in front, or allow it explicitly with "
                                    "--allow-remote");
    }
    return 0;
}

int glet_http_listen_check(const char *text, bool allow_remote, struct glet_error *err)
{
    union address address;
    socklen_t length = 0;
    return find_address(text, allow_remote, &address, &length, err);
}

int glet_http_listen(const char *text, bool allow_remote, bool share_port, int *fd_out,
                     struct glet_error *err)
{
    union address address;
    socklen_t length = 0;
    if (find_address(text, allow_remote, &address, &length, err) < 0)
        return -1;
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return glet_error_errno(err, errno, "socket");
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (share_port)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (address.any.sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    /* inherited by every accepted connection */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, &address.any, length) < 0 || listen(fd, BACKLOG) < 0) {
        glet_error_errno(err, errno, "cannot listen on %s", text);
        close(fd);
        return -1;
    }
    *fd_out = fd;
    return 0;
}

int glet_http_listen_port(int fd)
{
    union address address;
    socklen_t length = sizeof address;
    if (getsockname(fd, &address.any, &length) < 0)
        return 0;
    if (address.any.sa_family == AF_INET6)
        return ntohs(address.v6.sin6_port);
    return address.any.sa_family == AF_INET ? ntohs(address.v4.sin_port) : 0;
}
