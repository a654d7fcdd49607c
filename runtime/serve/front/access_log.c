/* SPDX-License-Identifier: Apache-2.0 */

/* Two buffers: one is filled under a lock that is held for a memcpy, the other is written without
   it. */

#include "runtime/serve/front/access_log.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_BYTES 262144
#define TELL_US      60000000 /* between two lines that say that lines are lost */

struct glet_access_log {
    FILE *stream;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    bool closing;
    uint64_t dropped;
    bool cut;         /* the last line written lacks its end; the thread's */
    uint64_t told_us; /* when it was last told that lines are lost; the thread's; 0 = never */
    size_t used;
    char *filling, *writing;
    char memory[2][BUFFER_BYTES];
};

/* How much was written; less than length: errno says why. */
static size_t write_all(int descriptor, const char *text, size_t length)
{
    size_t written = 0;
    while (written < length) {
        ssize_t n = write(descriptor, text + written, length - written);
        if (n > 0)
            written += (size_t)n;
        else if (n == 0 || errno != EINTR)
            break;
    }
    return written;
}

/* Returns how many lines were lost; one that was cut is. */
static uint64_t write_lines(struct glet_access_log *log, const char *text, size_t length)
{
    int descriptor = fileno(log->stream);
    if (log->cut && write_all(descriptor, "\n", 1) == 1)
        log->cut = false;
    size_t written = log->cut ? 0 : write_all(descriptor, text, length);
    if (written > 0)
        log->cut = text[written - 1] != '\n';
    uint64_t lost = 0;
    for (size_t i = written; i < length; i++)
        lost += text[i] == '\n';
    return lost;
}

static void tell_lost(struct glet_access_log *log, int why, uint64_t dropped)
{
    uint64_t now_us = glet_clock_us();
    if (log->told_us && now_us - log->told_us < TELL_US)
        return;
    log->told_us = now_us;
    glet_log_error("the access log cannot be written, lines are lost reason=%s lost=%ju",
                   strerror(why), (uintmax_t)dropped);
}

static void *thread_main(void *user)
{
    struct glet_access_log *log = user;
    pthread_mutex_lock(&log->lock);
    for (;;) {
        while (log->used == 0 && !log->closing)
            pthread_cond_wait(&log->filled, &log->lock);
        if (log->used == 0)
            break;
        size_t length = log->used;
        char *full = log->filling;
        log->filling = log->writing;
        log->writing = full;
        log->used = 0;
        pthread_mutex_unlock(&log->lock);
        uint64_t lost = write_lines(log, full, length);
        int why = errno;
        pthread_mutex_lock(&log->lock);
        log->dropped += lost;
        if (lost > 0)
            tell_lost(log, why, log->dropped);
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

int glet_access_log_open(FILE *stream, struct glet_access_log **out, struct glet_error *err)
{
    struct glet_access_log *log = glet_alloc(1, sizeof *log, err);
    if (!log)
        return -1;
    log->stream = stream;
    log->filling = log->memory[0];
    log->writing = log->memory[1];
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->filled, NULL);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&log->thread, NULL, thread_main, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status) {
        free(log);
        return glet_error_errno(err, status, "cannot start thread http-log");
    }
    (void)pthread_setname_np(log->thread, "http-log");
    *out = log;
    return 0;
}

void glet_access_log_close(struct glet_access_log *log)
{
    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    log->closing = true;
    pthread_cond_signal(&log->filled);
    pthread_mutex_unlock(&log->lock);
    pthread_join(log->thread, NULL);
    pthread_mutex_destroy(&log->lock);
    pthread_cond_destroy(&log->filled);
    free(log);
}

void glet_access_log_add(struct glet_access_log *log, const char *line, size_t length)
{
    pthread_mutex_lock(&log->lock);
    if (length > BUFFER_BYTES - log->used) {
        log->dropped++;
    } else {
        memcpy(log->filling + log->used, line, length);
        bool first = log->used == 0;
        log->used += length;
        if (first)
            pthread_cond_signal(&log->filled);
    }
    pthread_mutex_unlock(&log->lock);
}

uint64_t glet_access_log_dropped(struct glet_access_log *log)
{
    pthread_mutex_lock(&log->lock);
    uint64_t dropped = log->dropped;
    pthread_mutex_unlock(&log->lock);
    return dropped;
}
