/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The frontend over the fake service, as a program for black-box tests and benchmarks:
 *
 *     fake_runtime [key=value ...]
 *
 * prints "ready INFERENCE METRICS ADMIN PID" (ports) and serves until SIGTERM, then drains.
 */

#include "runtime/serve/front/frontend.h"
#include "tests/doubles/fake_service.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool threaded = true;

static int change_plan(void *user, const char *text, size_t length, struct glet_error *err)
{
    (void)user;
    if (length >= 4 && memcmp(text, "good", 4) == 0)
        return 0;
    err->line = 3;
    err->column = 7;
    glet_error_set(err, GLET_ERR_INPUT, "not a plan");
    err->line = 3;
    err->column = 7;
    return glet_error_hint(err, "say good");
}

static void set(struct glet_frontend_options *options, const char *key, const char *value)
{
    if (!strcmp(key, "listen"))
        options->listen = value;
    else if (!strcmp(key, "metrics"))
        options->metrics_listen = value;
    else if (!strcmp(key, "admin"))
        options->admin_listen = value;
    else if (!strcmp(key, "remote"))
        options->allow_remote = true;
    else if (!strcmp(key, "token"))
        options->token_file = value;
    else if (!strcmp(key, "admin_token"))
        options->admin_token_file = value;
    else if (!strcmp(key, "threads"))
        options->http_threads = atoi(value);
    else if (!strcmp(key, "connections"))
        options->max_connections = (size_t)atoi(value);
    else if (!strcmp(key, "per_client"))
        options->max_connections_per_client = (size_t)atoi(value);
    else if (!strcmp(key, "memory"))
        options->max_body_memory_bytes = (size_t)atol(value);
    else if (!strcmp(key, "shared_memory"))
        options->shared_memory = true;
    else if (!strcmp(key, "triton"))
        options->triton_metrics = true;
    else if (!strcmp(key, "log"))
        options->access_log = fopen(value, "we");
    else if (!strcmp(key, "inline"))
        threaded = false;
}

int main(int argc, char **argv)
{
    struct glet_frontend_options options = {.listen = "127.0.0.1:0",
                                            .metrics_listen = "127.0.0.1:0",
                                            .admin_listen = "127.0.0.1:0",
                                            .change_plan = change_plan};
    for (int i = 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (equals)
            *equals = '\0';
        set(&options, argv[i], equals ? equals + 1 : "");
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGUSR1);
    sigprocmask(SIG_BLOCK, &signals, NULL);

    struct glet_error err = {0};
    struct glet_frontend *frontend = NULL;
    struct glet_service *service = glet_fake_service_new(threaded);
    if (glet_frontend_open(&options, service, &frontend, &err) < 0) {
        glet_error_print(&err, stderr);
        glet_fake_service_free(service);
        return glet_error_exit_status(err.code);
    }
    printf("ready %d %d %d %d\n", glet_frontend_port(frontend),
           glet_frontend_metrics_port(frontend), glet_frontend_admin_port(frontend), getpid());
    fflush(stdout);
    int signal_number = 0;
    while (sigwait(&signals, &signal_number) == 0 && signal_number == SIGUSR1)
        glet_frontend_drain(frontend); /* drained, but serving on */
    glet_frontend_drain(frontend);
    glet_frontend_close(frontend, 3000);
    glet_fake_service_free(service);
    if (options.access_log)
        fclose(options.access_log);
    return 0;
}
