/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/notify.h"

#include "common/clock.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static void send_text(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path ? strlen(path) : 0;
    if (length < 2 || length >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') /* an abstract socket: its name begins with a zero byte */
        address.sun_path[0] = '\0';
    int socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket_fd < 0)
        return;
    const struct timeval patience = {.tv_sec = 1};
    (void)setsockopt(socket_fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    ssize_t sent = sendto(socket_fd, text, strlen(text), MSG_NOSIGNAL,
                          (const struct sockaddr *)&address, size);
    (void)sent; /* a manager that does not listen must not keep us from serving */
    close(socket_fd);
}

void glet_notify_ready(const char *status)
{
    char text[256];
    snprintf(text, sizeof text, "READY=1\nSTATUS=%s\n", status);
    send_text(text);
}

void glet_notify_status(const char *status)
{
    char text[256];
    snprintf(text, sizeof text, "STATUS=%s\n", status);
    send_text(text);
}

void glet_notify_reloading(void)
{
    char text[96];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\n", glet_clock_us());
    send_text(text);
}

void glet_notify_stopping(void)
{
    send_text("STOPPING=1\nSTATUS=draining\n");
}

void glet_notify_alive(void)
{
    send_text("WATCHDOG=1\n");
}

uint64_t glet_notify_interval_us(void)
{
    const char *text = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!text || (pid && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    return strtoull(text, NULL, 10) / 2;
}
