/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One loop around poll(): signals, the plan file, the watchdog and the end of a plan change are all
 * descriptors. Anything slow (loading, building, changing) runs on the plan thread, so that the
 * loop answers the service manager and a SIGTERM at any time.
 */
#include "runtime/daemon.h"

#include "common/clock.h"
#include "common/log.h"
#include "runtime/notify.h"
#include "runtime/plan_watch.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* A file that is being written or a folder that is being swapped settles in this time. */
enum { SETTLE_US = 100000 };
/* For answers that are being written, at least. */
enum { CLOSE_GRACE_MS = 3000 };

enum phase { STARTING, SERVING, DRAINING };

struct daemon {
    const struct glet_daemon_options *options;
    enum phase phase;
    struct glet_service *service;
    struct glet_frontend *frontend;
    struct glet_plan_watch watch;
    int signals, finished; /* signalfd; eventfd that the plan thread writes when it is done */
    int posted;            /* eventfd that a POST writes when its plan serves */
    pthread_t plan_thread;
    bool plan_thread_runs, again;
    int plan_result; /* of the plan thread; read after it was joined */
    struct glet_error plan_error;
    bool stuck;                           /* the HTTP threads do not come round */
    uint64_t settle_us, end_us, alive_us; /* when to look at the plan, stop, say alive; 0 = never */
};

static int open_or_change(struct daemon *daemon, struct glet_error *err)
{
    struct glet_plan *plan = NULL;
    if (glet_plan_load(daemon->options->plan_path, &plan, err) < 0)
        return -1;
    return daemon->service
               ? glet_service_change(daemon->service, plan, err)
               : glet_service_open(&daemon->options->service, plan, &daemon->service, err);
}

/* Wakes the loop, from any thread. */
static void ring(int event)
{
    uint64_t one = 1;
    while (write(event, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

static void *plan_thread(void *user)
{
    struct daemon *daemon = user;
    pthread_setname_np(pthread_self(), "plan");
    daemon->plan_error = (struct glet_error){0};
    daemon->plan_result = open_or_change(daemon, &daemon->plan_error);
    ring(daemon->finished);
    return NULL;
}

static int start_plan_thread(struct daemon *daemon, struct glet_error *err)
{
    if (daemon->plan_thread_runs) {
        daemon->again = true;
        return 0;
    }
    int failed = pthread_create(&daemon->plan_thread, NULL, plan_thread, daemon);
    if (failed)
        return glet_error_errno(err, failed, "plan thread");
    daemon->plan_thread_runs = true;
    return 0;
}

/* POST /v2/plan, on a thread of its own. */
static int change_plan(void *user, const char *text, size_t length, struct glet_error *err)
{
    struct daemon *daemon = user;
    struct glet_plan *plan = NULL;
    if (glet_plan_parse(text, length, "request", &plan, err) < 0)
        return -1;
    int result = glet_service_change(daemon->service, plan, err);
    if (result == 0)
        ring(daemon->posted);
    return result;
}

/* `tell` is glet_notify_ready(), or glet_notify_status() where a reload may be under way still. */
static void tell_plan(const struct daemon *daemon, void (*tell)(const char *status))
{
    struct glet_plan_info info;
    glet_service_plan_info(daemon->service, &info);
    char status[160];
    snprintf(status, sizeof status, "serving plan %.12s on port %d", info.sha256,
             glet_frontend_port(daemon->frontend));
    tell(status);
}

static void plan_posted(const struct daemon *daemon)
{
    uint64_t count;
    if (read(daemon->posted, &count, sizeof count) > 0 && daemon->phase == SERVING)
        tell_plan(daemon, glet_notify_status);
}

static int begin_serving(struct daemon *daemon, struct glet_error *err)
{
    struct glet_frontend_options frontend = daemon->options->frontend;
    frontend.change_plan = change_plan;
    frontend.user = daemon;
    if (glet_frontend_open(&frontend, daemon->service, &daemon->frontend, err) < 0)
        return -1;
    daemon->phase = SERVING;
    int port = glet_frontend_port(daemon->frontend);
    int metrics = glet_frontend_metrics_port(daemon->frontend);
    int admin = glet_frontend_admin_port(daemon->frontend);
    glet_log_info("ready port=%d metrics_port=%d admin_port=%d models=%zu", port, metrics, admin,
                  glet_service_model_count(daemon->service));
    /* For scripts that let the system choose the ports. */
    printf("ready port=%d metrics_port=%d admin_port=%d pid=%ld\n", port, metrics, admin,
           (long)getpid());
    if (fflush(stdout) != 0) {
        glet_log_warning("standard output cannot be written: nobody is told the ports there");
        clearerr(stdout);
    }
    return 0;
}

static int plan_finished(struct daemon *daemon, struct glet_error *err)
{
    uint64_t count;
    if (read(daemon->finished, &count, sizeof count) < 0)
        return 0;
    pthread_join(daemon->plan_thread, NULL);
    daemon->plan_thread_runs = false;
    if (daemon->phase == STARTING) {
        if (daemon->plan_result < 0) {
            *err = daemon->plan_error;
            return -1;
        }
        if (begin_serving(daemon, err) < 0)
            return -1;
    } else if (daemon->plan_result < 0) {
        glet_log_failure(GLET_LOG_ERROR, "plan not changed, the old one serves",
                         &daemon->plan_error);
    }
    if (daemon->phase == SERVING)
        tell_plan(daemon, glet_notify_ready);
    if (daemon->again && daemon->phase == SERVING) {
        daemon->again = false;
        return start_plan_thread(daemon, err);
    }
    return 0;
}

/* While starting: as soon as it serves, because the file may have been read before it changed. */
static int reload(struct daemon *daemon, struct glet_error *err)
{
    if (daemon->phase == DRAINING)
        return 0;
    if (strcmp(daemon->options->plan_path, "-") == 0) {
        glet_log_warning("the plan came from standard input: nothing to read again");
        return 0;
    }
    if (daemon->phase == SERVING)
        glet_notify_reloading();
    return start_plan_thread(daemon, err);
}

static void begin_drain(struct daemon *daemon)
{
    if (daemon->phase == STARTING) {
        glet_log_info("told to end while starting");
        fflush(NULL);
        _exit(0); /* nothing was served, and a build cannot be interrupted */
    }
    uint64_t now_us = glet_clock_us();
    if (daemon->phase == DRAINING) {
        daemon->end_us = now_us;
        return;
    }
    daemon->phase = DRAINING;
    daemon->end_us = now_us + (uint64_t)(daemon->options->drain_s * 1e6);
    glet_log_info("draining seconds=%.1f", daemon->options->drain_s);
    glet_notify_stopping();
    glet_service_unready(daemon->service);
    glet_frontend_drain(daemon->frontend);
}

static int take_signal(struct daemon *daemon, struct glet_error *err)
{
    struct signalfd_siginfo info;
    if (read(daemon->signals, &info, sizeof info) != sizeof info)
        return 0;
    if (info.ssi_signo == SIGHUP)
        return reload(daemon, err);
    begin_drain(daemon);
    return 0;
}

static uint64_t earliest(const struct daemon *daemon)
{
    uint64_t when_us = UINT64_MAX;
    const uint64_t times_us[] = {daemon->settle_us, daemon->end_us, daemon->alive_us};
    for (size_t i = 0; i < sizeof times_us / sizeof times_us[0]; i++)
        if (times_us[i] && times_us[i] < when_us)
            when_us = times_us[i];
    return when_us;
}

/* As poll() wants it. */
static int ms_until(uint64_t when_us)
{
    uint64_t now_us = glet_clock_us();
    if (when_us <= now_us)
        return 0;
    uint64_t left_ms = (when_us - now_us) / 1000 + 1;
    return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

static int timeout_ms(const struct daemon *daemon)
{
    uint64_t when_us = earliest(daemon);
    return when_us == UINT64_MAX ? -1 : ms_until(when_us);
}

/* Not while the threads that answer requests stand still, although this one lives. */
static void say_alive(struct daemon *daemon)
{
    bool stuck = daemon->frontend && glet_frontend_stuck(daemon->frontend);
    if (stuck && !daemon->stuck)
        glet_log_error("an HTTP thread does not come round: the watchdog is told nothing");
    else if (!stuck && daemon->stuck)
        glet_log_warning("the HTTP threads come round again");
    daemon->stuck = stuck;
    if (!stuck)
        glet_notify_alive();
}

static int on_time(struct daemon *daemon, uint64_t now_us, struct glet_error *err)
{
    if (daemon->alive_us && now_us >= daemon->alive_us) {
        say_alive(daemon);
        daemon->alive_us = now_us + glet_notify_interval_us();
    }
    if (daemon->settle_us && now_us >= daemon->settle_us) {
        daemon->settle_us = 0;
        if (glet_plan_watch_changed(&daemon->watch))
            return reload(daemon, err);
    }
    return 0;
}

static int loop(struct daemon *daemon, struct glet_error *err)
{
    while (daemon->phase != DRAINING || glet_clock_us() < daemon->end_us) {
        struct pollfd polled[] = {{.fd = daemon->signals, .events = POLLIN},
                                  {.fd = daemon->finished, .events = POLLIN},
                                  {.fd = daemon->posted, .events = POLLIN},
                                  {.fd = daemon->watch.fd, .events = POLLIN}};
        if (poll(polled, 4, timeout_ms(daemon)) < 0 && errno != EINTR)
            return glet_error_errno(err, errno, "poll");
        if (polled[0].revents && take_signal(daemon, err) < 0)
            return -1;
        if (polled[1].revents && plan_finished(daemon, err) < 0)
            return -1;
        if (polled[2].revents)
            plan_posted(daemon);
        if (polled[3].revents) {
            glet_plan_watch_drain(&daemon->watch);
            daemon->settle_us = glet_clock_us() + SETTLE_US;
        }
        if (on_time(daemon, glet_clock_us(), err) < 0)
            return -1;
    }
    return 0;
}

/* Blocked here, before any thread exists, so that every thread inherits it. */
static int open_descriptors(struct daemon *daemon, struct glet_error *err)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    daemon->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    daemon->finished = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    daemon->posted = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (daemon->signals < 0 || daemon->finished < 0 || daemon->posted < 0)
        return glet_error_errno(err, errno, "signalfd or eventfd");
    const struct glet_daemon_options *options = daemon->options;
    if (!options->watch || strcmp(options->plan_path, "-") == 0)
        return 0;
    return glet_plan_watch_open(&daemon->watch, options->plan_path, err);
}

/* false: it still runs at until_us. */
static bool join_plan_thread(struct daemon *daemon, uint64_t until_us)
{
    struct pollfd finished = {.fd = daemon->finished, .events = POLLIN};
    if (!daemon->plan_thread_runs)
        return true;
    if (poll(&finished, 1, ms_until(until_us)) <= 0)
        return false;
    pthread_join(daemon->plan_thread, NULL);
    return true;
}

/* Where something is left, nothing that it may still touch can be freed: a device call cannot be
   interrupted. */
static void leave(const struct glet_error *failure)
{
    if (failure)
        glet_log_failure(GLET_LOG_ERROR, "ended", failure);
    else
        glet_log_info("ended");
    fflush(NULL);
    _exit(failure ? glet_error_exit_status(failure->code) : 0);
}

/* failure: why it ends; NULL = it was told to. */
static void finish(struct daemon *daemon, const struct glet_error *failure)
{
    double limit_s = daemon->options->finish_s;
    uint64_t until_us = glet_clock_us() + (uint64_t)(limit_s * 1e6);
    bool whole = !daemon->service || glet_service_drain(daemon->service, limit_s);
    whole &= join_plan_thread(daemon, until_us);
    /* What came to its end in the last moment has to be written, too. */
    int left_ms = ms_until(until_us);
    whole &=
        glet_frontend_close(daemon->frontend, left_ms > CLOSE_GRACE_MS ? left_ms : CLOSE_GRACE_MS);
    if (!whole)
        leave(failure);
    glet_service_close(daemon->service);
    glet_plan_watch_close(&daemon->watch);
    if (daemon->signals >= 0)
        close(daemon->signals);
    if (daemon->finished >= 0)
        close(daemon->finished);
    if (daemon->posted >= 0)
        close(daemon->posted);
}

int glet_daemon_run(const struct glet_daemon_options *options, struct glet_error *err)
{
    struct daemon daemon = {
        .options = options, .signals = -1, .finished = -1, .posted = -1, .watch = {.fd = -1}};
    if (glet_notify_interval_us() > 0)
        daemon.alive_us = glet_clock_us();
    int result = open_descriptors(&daemon, err);
    if (result == 0)
        result = start_plan_thread(&daemon, err);
    if (result == 0)
        result = loop(&daemon, err);
    finish(&daemon, result < 0 ? err : NULL);
    if (result == 0)
        glet_log_info("ended");
    return result;
}
