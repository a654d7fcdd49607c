/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_HTTP_LISTEN_H
#define GLET_HTTP_LISTEN_H

#include "common/error.h"

#include <stdbool.h>

/*
 * Opens a listening, non-blocking TCP socket at "HOST:PORT": a numeric IPv4 address, a numeric IPv6
 * address in brackets, or "localhost"; port 0 = any free one. share_port lets several sockets of
 * this process listen there, the kernel spreading connections over them.
 *
 * GLET_ERR_USAGE: malformed, or not loopback and allow_remote is false; GLET_ERR_IO.
 */
GLET_MUST_CHECK
int glet_http_listen(const char *address, bool allow_remote, bool share_port, int *fd_out,
                     struct glet_error *err);

/* What of that the text alone can tell, without a socket. */
GLET_MUST_CHECK
int glet_http_listen_check(const char *address, bool allow_remote, struct glet_error *err);

/* The port that fd is bound to; 0 when fd is not such a socket. */
int glet_http_listen_port(int fd);

#endif
