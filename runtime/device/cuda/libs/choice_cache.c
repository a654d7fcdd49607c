/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file is three parts, each on its own line: the format, the key, the value (which may have lines
 * of its own). A value that a library refuses is overwritten by the next one that works.
 */
#include "runtime/device/cuda/libs/choice_cache.h"

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/sha256.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char FORMAT[] = "gpulet-choice/1";
enum { MAX_FILE_BYTES = 32 << 20 }; /* a plan may bring its compiled kernels */

struct entry {
    struct entry *next;
    char *key, *value;
};
struct glet_choice_cache {
    pthread_mutex_t lock;
    char *folder; /* NULL = none */
    struct entry *entries;
};

int glet_choice_cache_new(const char *folder, struct glet_choice_cache **out,
                          struct glet_error *err)
{
    struct glet_choice_cache *cache = glet_alloc(1, sizeof *cache, err);
    if (!cache)
        return -1;
    if (folder && !(cache->folder = glet_strdup(folder, err))) {
        free(cache);
        return -1;
    }
    pthread_mutex_init(&cache->lock, NULL);
    *out = cache;
    return 0;
}

void glet_choice_cache_free(struct glet_choice_cache *cache)
{
    if (!cache)
        return;
    while (cache->entries) {
        struct entry *entry = cache->entries;
        cache->entries = entry->next;
        free(entry->key);
        free(entry->value);
        free(entry);
    }
    pthread_mutex_destroy(&cache->lock);
    free(cache->folder);
    free(cache);
}

static struct entry *find(const struct glet_choice_cache *cache, const char *key)
{
    for (struct entry *entry = cache->entries; entry; entry = entry->next)
        if (strcmp(entry->key, key) == 0)
            return entry;
    return NULL;
}

static void remember(struct glet_choice_cache *cache, const char *key, const char *value)
{
    struct entry *entry = find(cache, key);
    if (entry) {
        char *copy = strdup(value);
        if (copy) {
            free(entry->value);
            entry->value = copy;
        }
        return;
    }
    entry = calloc(1, sizeof *entry);
    if (!entry)
        return;
    entry->key = strdup(key);
    entry->value = strdup(value);
    if (!entry->key || !entry->value) {
        free(entry->key);
        free(entry->value);
        free(entry);
        return;
    }
    entry->next = cache->entries;
    cache->entries = entry;
}

static char *path_of(const struct glet_choice_cache *cache, const char *key)
{
    char hex[65];
    struct glet_error err;
    glet_sha256_hex(key, strlen(key), hex);
    return glet_format(&err, "%s/%.32s", cache->folder, hex);
}

/* NULL: no file, or not one of ours. */
static char *read_value(const struct glet_choice_cache *cache, const char *key)
{
    struct glet_error err;
    char *path = path_of(cache, key), *text = NULL, *value = NULL;
    size_t length;
    if (!path || access(path, F_OK) != 0) {
        free(path);
        return NULL;
    }
    if (glet_file_read(path, MAX_FILE_BYTES, &text, &length, &err) < 0) {
        glet_log_failure(GLET_LOG_WARNING, "cached choice ignored", &err);
        free(path);
        return NULL;
    }
    size_t head = strlen(FORMAT), body = strlen(key);
    bool ours = length == strlen(text) && length > head + body + 2 &&
                strncmp(text, FORMAT, head) == 0 && text[head] == '\n' &&
                strncmp(text + head + 1, key, body) == 0 && text[head + 1 + body] == '\n' &&
                text[length - 1] == '\n';
    if (ours) {
        text[length - 1] = '\0';
        value = strdup(text + head + body + 2);
    } else {
        glet_log_warning("cached choice ignored: damaged file=%s", path);
    }
    free(text);
    free(path);
    return value;
}

char *glet_choice_cache_get(struct glet_choice_cache *cache, const char *key)
{
    pthread_mutex_lock(&cache->lock);
    const struct entry *entry = find(cache, key);
    char *value = entry ? strdup(entry->value) : NULL;
    if (!entry && cache->folder && (value = read_value(cache, key)))
        remember(cache, key, value);
    pthread_mutex_unlock(&cache->lock);
    return value;
}

void glet_choice_cache_put(struct glet_choice_cache *cache, const char *key, const char *value)
{
    struct glet_error err;
    pthread_mutex_lock(&cache->lock);
    remember(cache, key, value);
    char *path = cache->folder ? path_of(cache, key) : NULL;
    char *text = path ? glet_format(&err, "%s\n%s\n%s\n", FORMAT, key, value) : NULL;
    if (text && glet_file_write(path, text, strlen(text), &err) < 0)
        glet_log_failure(GLET_LOG_WARNING, "choice not cached", &err);
    free(text);
    free(path);
    pthread_mutex_unlock(&cache->lock);
}
