/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the nets of one device share. Weights are a list under one lock, found by address, packing
 * and a digest of the content: some constants are made when a graph is bound and die with it, and
 * another may then lie at the same address. Packing and uploading happen under the lock, so that two
 * nets of one model do not both do it; building is not serving.
 *
 */
#include "runtime/device/cuda/libs/device_store.h"

#include "common/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct upload {
    struct upload *next;
    const struct glet_model *model;
    struct glet_cuda_weight weight;
    uint64_t digest;
    CUdeviceptr memory;
};

struct glet_cuda_store {
    const struct glet_cuda_api *api;
    const struct glet_cuda_libraries *libraries;
    enum glet_cuda_precision precision;
    struct glet_choice_cache *choices;
    char versions[64], identity[256];
    pthread_mutex_t lock;
    struct upload *uploads;
    size_t bytes;
};

static int describe(struct glet_cuda_store *store, CUdevice device, struct glet_error *err)
{
    char name[96] = "";
    int sms = 0;
    if (GLET_CUDA_TRY(store->api, err, cuDeviceGetName, name, sizeof name - 1, device) < 0 ||
        GLET_CUDA_TRY(store->api, err, cuDeviceGetAttribute, &sms,
                      CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device) < 0)
        return -1;
    snprintf(store->versions, sizeof store->versions, "cuDNN %zu, cuBLASLt %zu",
             store->libraries->cudnn_version, store->libraries->cublaslt_version);
    snprintf(store->identity, sizeof store->identity, "%s, %d SMs, driver %d, %s", name, sms,
             store->api->driver_version, store->versions);
    return 0;
}

int glet_cuda_store_new(const struct glet_cuda_api *api, CUdevice device,
                        enum glet_cuda_precision precision, const char *cache_dir,
                        struct glet_cuda_store **out, struct glet_error *err)
{
    struct glet_cuda_store *store = glet_alloc(1, sizeof *store, err);
    if (!store)
        return -1;
    store->api = api;
    store->precision = precision;
    pthread_mutex_init(&store->lock, NULL);
    if (glet_cuda_libraries_open(&store->libraries, err) < 0 || describe(store, device, err) < 0 ||
        glet_choice_cache_new(cache_dir, &store->choices, err) < 0) {
        glet_cuda_store_free(store);
        return -1;
    }
    *out = store;
    return 0;
}

void glet_cuda_store_free(struct glet_cuda_store *store)
{
    if (!store)
        return;
    while (store->uploads) {
        struct upload *upload = store->uploads;
        store->uploads = upload->next;
        (void)store->api->cuMemFree(upload->memory);
        free(upload);
    }
    glet_choice_cache_free(store->choices);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

void glet_cuda_store_forget(struct glet_cuda_store *store, const struct glet_model *model)
{
    pthread_mutex_lock(&store->lock);
    for (struct upload **link = &store->uploads; *link;) {
        struct upload *upload = *link;
        if (upload->model != model) {
            link = &upload->next;
            continue;
        }
        *link = upload->next;
        store->bytes -= upload->weight.bytes;
        (void)store->api->cuMemFree(upload->memory);
        free(upload);
    }
    pthread_mutex_unlock(&store->lock);
}

const struct glet_cuda_libraries *glet_cuda_store_libraries(const struct glet_cuda_store *store)
{
    return store->libraries;
}

enum glet_cuda_precision glet_cuda_store_precision(const struct glet_cuda_store *store)
{
    return store->precision;
}

struct glet_choice_cache *glet_cuda_store_choices(struct glet_cuda_store *store)
{
    return store->choices;
}

const char *glet_cuda_store_versions(const struct glet_cuda_store *store)
{
    return store->versions;
}

const char *glet_cuda_store_identity(const struct glet_cuda_store *store)
{
    return store->identity;
}

size_t glet_cuda_store_weight_bytes(struct glet_cuda_store *store)
{
    pthread_mutex_lock(&store->lock);
    size_t bytes = store->bytes;
    pthread_mutex_unlock(&store->lock);
    return bytes;
}

/* -- weights ----------------------------------------------------------------------------------- */

static uint64_t digest_of_bytes(const unsigned char *bytes, size_t size)
{
    size_t i = 0;
    uint64_t lanes[4] = {1, 2, 3, 4}; /* independent, so that the multiplications overlap */
    for (; i + sizeof lanes <= size; i += sizeof lanes) {
        uint64_t words[4];
        memcpy(words, bytes + i, sizeof words);
        for (int k = 0; k < 4; k++)
            lanes[k] = ((lanes[k] ^ words[k]) * 0x9e3779b97f4a7c15u) ^ (lanes[k] >> 31);
    }
    for (; i < size; i++)
        lanes[0] = (lanes[0] ^ bytes[i]) * 0x9e3779b97f4a7c15u;
    return lanes[0] ^ (lanes[1] << 1 | lanes[1] >> 63) ^ (lanes[2] << 2 | lanes[2] >> 62) ^
           (lanes[3] << 3 | lanes[3] >> 61);
}

static uint64_t digest_of(const struct glet_cuda_weight *weight)
{
    size_t size = glet_dtype_size(weight->from);
    if (weight->packing != GLET_CUDA_PACK_BESIDE)
        return digest_of_bytes(weight->data, (size_t)weight->count * size);
    uint64_t digest = 0;
    for (int i = 0; i < GLET_CUDA_MAX_BESIDE && weight->beside[i].columns > 0; i++)
        digest = digest * 31 +
                 digest_of_bytes(weight->beside[i].data,
                                 (size_t)(weight->rows * weight->beside[i].columns) * size);
    return digest;
}

/* Packed straight into pinned memory, which the copy engine reads. */
static int copy_to_device(const struct glet_cuda_site *site, const struct glet_cuda_weight *weight,
                          CUdeviceptr memory, struct glet_error *err)
{
    void *packed;
    if (GLET_CUDA_TRY(site->api, err, cuMemHostAlloc, &packed, weight->bytes, 0) < 0)
        return -1;
    glet_cuda_weight_pack(weight, packed);
    int rc = GLET_CUDA_TRY(site->api, err, cuMemcpyHtoDAsync, memory, packed, weight->bytes,
                           site->stream);
    if (rc == 0)
        rc = GLET_CUDA_TRY(site->api, err, cuStreamSynchronize, site->stream);
    (void)site->api->cuMemFreeHost(packed);
    return rc;
}

static struct upload *upload_new(const struct glet_cuda_site *site, const struct glet_model *model,
                                 const struct glet_cuda_weight *weight, uint64_t digest,
                                 struct glet_error *err)
{
    struct upload *upload = glet_alloc(1, sizeof *upload, err);
    if (!upload)
        return NULL;
    *upload = (struct upload){.model = model, .weight = *weight, .digest = digest};
    if (GLET_CUDA_TRY(site->api, err, cuMemAlloc, &upload->memory, weight->bytes) < 0) {
        free(upload);
        return NULL;
    }
    if (copy_to_device(site, weight, upload->memory, err) < 0) {
        (void)site->api->cuMemFree(upload->memory);
        free(upload);
        return NULL;
    }
    return upload;
}

int glet_cuda_store_weight(const struct glet_cuda_site *site, const struct glet_model *model,
                           const struct glet_cuda_weight *weight, CUdeviceptr *out,
                           struct glet_error *err)
{
    struct glet_cuda_store *store = site->store;
    uint64_t digest = digest_of(weight);
    pthread_mutex_lock(&store->lock);
    struct upload *upload = store->uploads;
    while (upload && !(upload->model == model && upload->digest == digest &&
                       glet_cuda_weight_same(&upload->weight, weight)))
        upload = upload->next;
    if (!upload && (upload = upload_new(site, model, weight, digest, err))) {
        upload->next = store->uploads;
        store->uploads = upload;
        store->bytes += weight->bytes;
    }
    if (upload)
        *out = upload->memory;
    pthread_mutex_unlock(&store->lock);
    return upload ? 0 : -1;
}
