/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the runtime is measured against: a server on libmicrohttpd that does nothing but receive a
 * body and answer 4 KB, in the library's fastest set-up (epoll, one thread, no logging).
 * Prints "ready PORT 0 0 PID". usage: bare_microhttpd [POOL_KIB]
 */

#include <microhttpd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_BYTES 3760 /* as many as the runtime answers */

static char answer_bytes[ANSWER_BYTES];

struct upload {
    size_t used;
    char body[262144];
    struct upload *next;
};

static struct upload *idle;

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    (void)user, (void)url, (void)method, (void)version;
    struct upload *upload = *state;
    if (!upload) {
        upload = idle;
        if (upload)
            idle = upload->next;
        else
            upload = malloc(sizeof *upload);
        if (!upload)
            return MHD_NO;
        upload->used = 0;
        *state = upload;
        return MHD_YES;
    }
    if (*size) {
        if (*size > sizeof upload->body - upload->used)
            return MHD_NO;
        memcpy(upload->body + upload->used, data, *size);
        upload->used += *size;
        *size = 0;
        return MHD_YES;
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(ANSWER_BYTES, answer_bytes, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, "Content-Type", "application/octet-stream");
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static void on_completed(void *user, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)user, (void)connection, (void)code;
    struct upload *upload = *state;
    if (upload) {
        upload->next = idle;
        idle = upload;
    }
    *state = NULL;
}

int main(int argc, char **argv)
{
    size_t pool_bytes = (size_t)(argc > 1 ? atoi(argv[1]) : 128) << 10;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, NULL, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT, pool_bytes,
        MHD_OPTION_CONNECTION_LIMIT, 1024U, MHD_OPTION_END);
    if (!daemon)
        return 4;
    printf("ready %d 0 0 %d\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port,
           getpid());
    fflush(stdout);
    int number;
    sigwait(&signals, &number);
    MHD_stop_daemon(daemon);
    return 0;
}
