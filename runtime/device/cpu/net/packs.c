/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of packed constants: a list per device under one lock, searched linearly by (address,
 * layout) through a small hash. Some constants are made when a graph is bound and die with it, and
 * another may then lie at the same address, so a checksum of the content is part of the key; it is
 * read at memory speed, once per build. Packing happens under the lock: two nets of one model built
 * at the same time would otherwise pack the same weights twice, and building is not serving.
 */
#include "runtime/device/cpu/net/packs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024, ALIGNMENT_BYTES = 64 };

struct pack {
    struct pack *next;
    struct glet_cpu_constant constant;
    uint64_t checksum;
    int kind; /* 0 = layout `md`; else the caller's */
    int64_t parameter;
    dnnl_memory_desc_t md;
    void *bytes;
    size_t size_bytes;
};

struct glet_cpu_packs {
    pthread_mutex_t lock;
    struct pack *buckets[BUCKETS];
    size_t size_bytes;
};

int glet_cpu_packs_new(struct glet_cpu_packs **out, struct glet_error *err)
{
    struct glet_cpu_packs *packs = calloc(1, sizeof *packs);
    if (!packs)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory for packed weights");
    pthread_mutex_init(&packs->lock, NULL);
    *out = packs;
    return 0;
}

static void pack_free(struct pack *pack)
{
    free(pack->bytes);
    free(pack);
}

void glet_cpu_packs_free(struct glet_cpu_packs *packs)
{
    if (!packs)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (packs->buckets[i]) {
            struct pack *pack = packs->buckets[i];
            packs->buckets[i] = pack->next;
            pack_free(pack);
        }
    pthread_mutex_destroy(&packs->lock);
    free(packs);
}

size_t glet_cpu_packs_bytes(struct glet_cpu_packs *packs)
{
    pthread_mutex_lock(&packs->lock);
    size_t size_bytes = packs->size_bytes;
    pthread_mutex_unlock(&packs->lock);
    return size_bytes;
}

static struct pack **bucket_of(struct glet_cpu_packs *packs, const void *data)
{
    uint64_t hash = (uint64_t)(uintptr_t)data * 0x9e3779b97f4a7c15u; /* Fibonacci hashing */
    return &packs->buckets[hash >> 54];
}

static uint64_t checksum_of(const struct glet_cpu_constant *constant)
{
    const unsigned char *bytes = constant->data;
    size_t size = constant->size_bytes;
    uint64_t lanes[4] = {1, 2, 3, 4}; /* independent chains, so that the multiplications overlap */
    size_t i = 0;
    for (; i + sizeof lanes <= size; i += sizeof lanes) {
        uint64_t words[4];
        memcpy(words, bytes + i, sizeof words);
        for (int k = 0; k < 4; k++)
            lanes[k] = (lanes[k] ^ words[k]) * 0x9e3779b97f4a7c15u;
    }
    for (; i < size; i++)
        lanes[0] = (lanes[0] ^ bytes[i]) * 0x9e3779b97f4a7c15u;
    uint64_t sum = size;
    for (int k = 0; k < 4; k++)
        sum = (sum ^ (lanes[k] ^ lanes[k] >> 29)) * 0xbf58476d1ce4e5b9u;
    return sum;
}

static struct pack *find(struct glet_cpu_packs *packs, const struct pack *key, bool with_layout)
{
    for (struct pack *p = *bucket_of(packs, key->constant.data); p; p = p->next)
        if (p->constant.data == key->constant.data && p->checksum == key->checksum &&
            p->kind == key->kind && p->parameter == key->parameter &&
            (!with_layout || dnnl_memory_desc_equal(&p->md, &key->md)))
            return p;
    return NULL;
}

/* A copy of the key with zeroed bytes to fill. */
static struct pack *add(const struct pack *key, size_t size_bytes, struct glet_error *err)
{
    size_t rounded = (size_bytes + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
    struct pack *pack = malloc(sizeof *pack);
    void *bytes = aligned_alloc(ALIGNMENT_BYTES, rounded ? rounded : ALIGNMENT_BYTES);
    if (!pack || !bytes) {
        free(pack);
        free(bytes);
        glet_error_set(err, GLET_ERR_NOMEM, "out of memory for %zu bytes of packed weights",
                       size_bytes);
        return NULL;
    }
    memset(bytes, 0, rounded);
    *pack = *key;
    pack->bytes = bytes;
    pack->size_bytes = size_bytes;
    return pack;
}

static void link_pack(struct glet_cpu_packs *packs, struct pack *pack)
{
    struct pack **bucket = bucket_of(packs, pack->constant.data);
    pack->next = *bucket;
    *bucket = pack;
    packs->size_bytes += pack->size_bytes;
}

void glet_cpu_packs_forget(struct glet_cpu_packs *packs, const struct glet_model *model)
{
    pthread_mutex_lock(&packs->lock);
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct pack **link = &packs->buckets[i]; *link;) {
            struct pack *pack = *link;
            if (pack->constant.model != model) {
                link = &pack->next;
                continue;
            }
            *link = pack->next;
            packs->size_bytes -= pack->size_bytes;
            pack_free(pack);
        }
    pthread_mutex_unlock(&packs->lock);
}

int glet_cpu_packs_get(struct glet_cpu_packs *packs, const struct glet_cpu_constant *constant,
                       const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to,
                       const void **packed_out, struct glet_error *err)
{
    struct pack key = {.constant = *constant, .checksum = checksum_of(constant), .md = *to};
    int rc = 0;
    pthread_mutex_lock(&packs->lock);
    struct pack *pack = find(packs, &key, true);
    if (!pack) {
        pack = add(&key, dnnl_memory_desc_get_size(to), err);
        rc = pack ? glet_dnnl_convert(from, constant->data, to, pack->bytes, err) : -1;
        if (rc == 0)
            link_pack(packs, pack);
        else if (pack)
            pack_free(pack);
    }
    if (rc == 0)
        *packed_out = pack->bytes;
    pthread_mutex_unlock(&packs->lock);
    return rc;
}

int glet_cpu_packs_make(struct glet_cpu_packs *packs, const struct glet_cpu_constant *constant,
                        int kind, int64_t parameter, size_t size_bytes,
                        void (*fill)(void *out, const void *data, const void *context),
                        const void *context, const void **packed_out, struct glet_error *err)
{
    struct pack key = {.constant = *constant,
                       .checksum = checksum_of(constant),
                       .kind = kind,
                       .parameter = parameter};
    int rc = 0;
    pthread_mutex_lock(&packs->lock);
    struct pack *pack = find(packs, &key, false);
    if (!pack) {
        pack = add(&key, size_bytes, err);
        rc = pack ? 0 : -1;
        if (pack) {
            fill(pack->bytes, constant->data, context);
            link_pack(packs, pack);
        }
    }
    if (rc == 0)
        *packed_out = pack->bytes;
    pthread_mutex_unlock(&packs->lock);
    return rc;
}
