/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/device/cpu/cores/helper.h"

#include "common/memory.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct glet_cpu_helper {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* one condition: at most one thread waits at either end */
    glet_cpu_job job;       /* NULL = idle; all below under mutex */
    void *argument;
    bool done, quit;
    int rc;
    struct glet_error err;
};

static void *work(void *opaque)
{
    struct glet_cpu_helper *helper = opaque;
    pthread_mutex_lock(&helper->mutex);
    for (;;) {
        while (!helper->quit && (!helper->job || helper->done))
            pthread_cond_wait(&helper->changed, &helper->mutex);
        if (helper->quit)
            break;
        pthread_mutex_unlock(&helper->mutex);
        int rc = helper->job(helper->argument, &helper->err);
        pthread_mutex_lock(&helper->mutex);
        helper->rc = rc;
        helper->done = true;
        pthread_cond_signal(&helper->changed);
    }
    pthread_mutex_unlock(&helper->mutex);
    return NULL;
}

int glet_cpu_helper_new(const char *name, struct glet_cpu_helper **out, struct glet_error *err)
{
    struct glet_cpu_helper *helper = glet_alloc(1, sizeof *helper, err);
    if (!helper)
        return -1;
    pthread_mutex_init(&helper->mutex, NULL);
    pthread_cond_init(&helper->changed, NULL);
    int code = pthread_create(&helper->thread, NULL, work, helper);
    if (code != 0) {
        pthread_cond_destroy(&helper->changed);
        pthread_mutex_destroy(&helper->mutex);
        free(helper);
        return glet_error_errno(err, code, "cannot start a thread");
    }
    (void)pthread_setname_np(helper->thread, name);
    *out = helper;
    return 0;
}

void glet_cpu_helper_free(struct glet_cpu_helper *helper)
{
    if (!helper)
        return;
    pthread_mutex_lock(&helper->mutex);
    assert(!helper->job);
    helper->quit = true;
    pthread_cond_signal(&helper->changed);
    pthread_mutex_unlock(&helper->mutex);
    pthread_join(helper->thread, NULL);
    pthread_cond_destroy(&helper->changed);
    pthread_mutex_destroy(&helper->mutex);
    free(helper);
}

void glet_cpu_helper_post(struct glet_cpu_helper *helper, glet_cpu_job job, void *argument)
{
    pthread_mutex_lock(&helper->mutex);
    assert(!helper->job);
    helper->job = job;
    helper->argument = argument;
    helper->done = false;
    pthread_cond_signal(&helper->changed);
    pthread_mutex_unlock(&helper->mutex);
}

int glet_cpu_helper_wait(struct glet_cpu_helper *helper, struct glet_error *err)
{
    pthread_mutex_lock(&helper->mutex);
    while (!helper->done)
        pthread_cond_wait(&helper->changed, &helper->mutex);
    helper->job = NULL;
    int rc = helper->rc;
    if (rc < 0)
        *err = helper->err;
    pthread_mutex_unlock(&helper->mutex);
    return rc;
}
