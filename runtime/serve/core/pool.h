/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_POOL_H
#define GLET_POOL_H

/*
 * The models that are loaded, each once however many gpu-lets run it and however often the plan
 * changes. A file that was replaced (another inode, size or time) is another model. Used under the
 * service's change lock only.
 */

#include "common/error.h"
#include "runtime/engine/model.h"

#include <sys/stat.h>

struct glet_loaded {
    char *name, *path;
    struct stat file;
    struct glet_model *model;
    int users;
    struct glet_loaded *next;
};

struct glet_pool {
    struct glet_loaded *first;
    bool random_weights, no_weights;
    uint64_t seed;
    /* Called before a model is freed: devices keep packed weights of it. */
    void (*forget)(void *user, const struct glet_model *model);
    void *user;
};

/* Loads the file, or finds it loaded; glet_pool_put() it once per success. */
GLET_MUST_CHECK
int glet_pool_get(struct glet_pool *pool, const char *name, const char *path,
                  struct glet_loaded **out, struct glet_error *err);
void glet_pool_put(struct glet_pool *pool, struct glet_loaded *loaded); /* NULL is accepted */

#endif
