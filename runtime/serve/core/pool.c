/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/serve/core/pool.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void unload(struct glet_loaded *loaded)
{
    glet_model_free(loaded->model);
    free(loaded->name);
    free(loaded->path);
    free(loaded);
}

static struct glet_loaded *load(const struct glet_pool *pool, const char *name, const char *path,
                                const struct stat *file, struct glet_error *err)
{
    struct glet_loaded *loaded = glet_alloc(1, sizeof *loaded, err);
    if (!loaded)
        return NULL;
    struct glet_model_options options = {.random_weights = pool->random_weights,
                                         .no_weights = pool->no_weights,
                                         .seed = pool->seed,
                                         .name = name};
    uint64_t start_us = glet_clock_us();
    loaded->file = *file;
    loaded->name = glet_strdup(name, err);
    loaded->path = loaded->name ? glet_strdup(path, err) : NULL;
    if (!loaded->path || glet_model_load(path, &options, &loaded->model, err) < 0) {
        unload(loaded);
        return NULL;
    }
    glet_log_info("model loaded name=%s file=%s weight_mib=%.1f ms=%.1f", name, path,
                  (double)glet_model_weight_bytes(loaded->model) / 1048576,
                  (double)(glet_clock_us() - start_us) / 1000);
    return loaded;
}

int glet_pool_get(struct glet_pool *pool, const char *name, const char *path,
                  struct glet_loaded **out, struct glet_error *err)
{
    struct stat file;
    /* A file that is gone does not take away what is loaded from it. */
    bool there = stat(path, &file) == 0;
    int reason = errno;
    struct glet_loaded *loaded = pool->first;
    while (loaded && (strcmp(loaded->name, name) != 0 || strcmp(loaded->path, path) != 0 ||
                      (there && !same_file(&loaded->file, &file))))
        loaded = loaded->next;
    if (!loaded && !there)
        return glet_error_errno(err, reason, "%s", path);
    if (!loaded) {
        loaded = load(pool, name, path, &file, err);
        if (!loaded)
            return -1;
        loaded->next = pool->first;
        pool->first = loaded;
    }
    loaded->users++;
    *out = loaded;
    return 0;
}

void glet_pool_put(struct glet_pool *pool, struct glet_loaded *loaded)
{
    if (!loaded || --loaded->users > 0)
        return;
    struct glet_loaded **link = &pool->first;
    while (*link != loaded)
        link = &(*link)->next;
    *link = loaded->next;
    pool->forget(pool->user, loaded->model);
    glet_log_info("model unloaded name=%s file=%s", loaded->name, loaded->path);
    unload(loaded);
}
