/* SPDX-License-Identifier: Apache-2.0 */

/* Two buffers: one is filled under a lock that is held for a memcpy, the other is written without
   it. */

#include "runtime/serve/front/access_log.h"

#include "common/memory.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define BUFFER_BYTES 262144

struct glet_access_log {
    FILE *stream;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    bool closing;
    uint64_t dropped;
    size_t used;
    char *filling, *writing;
    char memory[2][BUFFER_BYTES];
};

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
        fwrite(full, 1, length, log->stream);
        fflush(log->stream);
        pthread_mutex_lock(&log->lock);
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
