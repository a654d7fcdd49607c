/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table of chains under one lock. Binding happens at load and when executors are built,
 * never while requests run, so the lock is not in anybody's way, and a derived constant is computed
 * under it: two threads that bind at once must not both fold a network's weights.
 */
#include "runtime/engine/constant_pool.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024 };

#define ALIGNMENT 64u /* a cache line, and the widest vector register */

struct entry {
    struct entry *next;
    uint64_t hash;
    size_t key_bytes; /* 0: the data are the key */
    size_t length_bytes;
    void *data;
    alignas(8) unsigned char key[];
};

struct glet_constant_pool {
    pthread_mutex_t lock;
    struct entry *buckets[BUCKETS];
};

struct glet_constant_pool *glet_constant_pool_new(void)
{
    struct glet_constant_pool *pool = calloc(1, sizeof *pool);
    if (pool)
        pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

void glet_constant_pool_free(struct glet_constant_pool *pool)
{
    if (!pool)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct entry *entry = pool->buckets[i]; entry;) {
            struct entry *next = entry->next;
            free(entry->data);
            free(entry);
            entry = next;
        }
    }
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* FNV-1a over words; contents are compared as well, so it need not be a strong hash. */
static uint64_t hash_of(const void *bytes, size_t length_bytes)
{
    const unsigned char *at = bytes;
    uint64_t hash = 0xcbf29ce484222325u ^ length_bytes;
    for (; length_bytes >= 8; length_bytes -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        hash = (hash ^ word) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    for (; length_bytes; length_bytes--, at++)
        hash = (hash ^ *at) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

static struct entry *find(const struct glet_constant_pool *pool, uint64_t hash, const void *key,
                          size_t key_bytes, size_t length_bytes)
{
    for (struct entry *entry = pool->buckets[hash % BUCKETS]; entry; entry = entry->next) {
        if (entry->hash != hash || entry->key_bytes != key_bytes ||
            entry->length_bytes != length_bytes)
            continue;
        bool same = key_bytes ? memcmp(entry->key, key, key_bytes) == 0
                              : memcmp(entry->data, key, length_bytes) == 0;
        if (same)
            return entry;
    }
    return NULL;
}

static struct entry *add(struct glet_constant_pool *pool, uint64_t hash, const void *key,
                         size_t key_bytes, size_t length_bytes)
{
    struct entry *entry = malloc(sizeof *entry + key_bytes);
    size_t rounded = (length_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *data = aligned_alloc(ALIGNMENT, rounded ? rounded : ALIGNMENT);
    if (!entry || !data) {
        free(entry);
        free(data);
        return NULL;
    }
    *entry = (struct entry){pool->buckets[hash % BUCKETS], hash, key_bytes, length_bytes, data};
    if (key_bytes)
        memcpy(entry->key, key, key_bytes);
    pool->buckets[hash % BUCKETS] = entry;
    return entry;
}

const void *glet_constant_pool_intern(struct glet_constant_pool *pool, const void *bytes,
                                      size_t length_bytes)
{
    uint64_t hash = hash_of(bytes, length_bytes);
    pthread_mutex_lock(&pool->lock);
    struct entry *entry = find(pool, hash, bytes, 0, length_bytes);
    if (!entry) {
        entry = add(pool, hash, NULL, 0, length_bytes);
        if (entry && length_bytes)
            memcpy(entry->data, bytes, length_bytes);
    }
    pthread_mutex_unlock(&pool->lock);
    return entry ? entry->data : NULL;
}

const void *glet_constant_pool_derive(struct glet_constant_pool *pool, const void *key,
                                      size_t key_bytes, size_t length_bytes,
                                      void (*compute)(void *context, void *out), void *context)
{
    uint64_t hash = hash_of(key, key_bytes);
    pthread_mutex_lock(&pool->lock);
    struct entry *entry = find(pool, hash, key, key_bytes, length_bytes);
    if (!entry) {
        entry = add(pool, hash, key, key_bytes, length_bytes);
        if (entry)
            compute(context, entry->data);
    }
    pthread_mutex_unlock(&pool->lock);
    return entry ? entry->data : NULL;
}
