/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof that gpu-lets are apart: a kernel in each, all at once, whose blocks write down the SM
 * they are on (isolation.cu). A million blocks per gpu-let, so that the scheduler has had
 * every occasion to go astray; each stays for some microseconds, so that they fill all the SMs they
 * may.
 *
 * Cost: memory for one round's words per gpu-let; time about rounds x blocks x stay / resident
 * blocks, tens of milliseconds for a gpu-let of 8 SMs with 32 resident blocks each.
 */
#include "runtime/device/cuda/isolation.h"

#include "common/memory.h"
#include "runtime/device/cuda/cuda_partition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 4, ROUND_BLOCKS = 262144, STAY_CLOCKS = 4000 };

extern const unsigned char glet_fatbin_cuda_isolation[];

int glet_cuda_seen_add(struct glet_cuda_seen *seen, const uint32_t *sms, size_t count,
                       struct glet_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (sms[i] >= GLET_CUDA_MAX_SMS)
            return glet_error_set(err, GLET_ERR_DEVICE, "a block ran on SM %u", sms[i]);
        seen->blocks[sms[i]]++;
    }
    return 0;
}

int glet_cuda_seen_sms(const struct glet_cuda_seen *seen)
{
    int count = 0;
    for (size_t sm = 0; sm < GLET_CUDA_MAX_SMS; sm++)
        count += seen->blocks[sm] > 0;
    return count;
}

/* "3, 4, 5" of the SMs that both have; how many there are. */
static int list_shared(const struct glet_cuda_seen *a, const struct glet_cuda_seen *b, char *text,
                       size_t size)
{
    enum { MOST_NAMED = 16 };
    size_t used = 0;
    int count = 0;
    text[0] = '\0';
    for (int sm = 0; sm < GLET_CUDA_MAX_SMS; sm++) {
        if (!a->blocks[sm] || !b->blocks[sm])
            continue;
        if (count < MOST_NAMED && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%d", count ? ", " : "", sm);
        count++;
    }
    if (count > MOST_NAMED && used < size)
        snprintf(text + used, size - used, " and %d more", count - MOST_NAMED);
    return count;
}

int glet_cuda_seen_apart(const struct glet_cuda_seen *seen, size_t count, struct glet_error *err)
{
    char names[160];
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++) {
            int shared = list_shared(&seen[i], &seen[k], names, sizeof names);
            if (shared > 0)
                return glet_error_set(err, GLET_ERR_DEVICE,
                                      "gpu-lets %zu and %zu met on %d SM%s: %s", i, k, shared,
                                      shared == 1 ? "" : "s", names);
        }
    for (size_t i = 0; i < count; i++)
        if (glet_cuda_seen_sms(&seen[i]) > seen[i].sm_limit)
            return glet_error_set(err, GLET_ERR_DEVICE, "gpu-let %zu ran on %d SMs, it has %d", i,
                                  glet_cuda_seen_sms(&seen[i]), seen[i].sm_limit);
    return 0;
}

struct probe { /* of one gpu-let */
    const struct glet_cuda_site *site;
    CUdeviceptr words;
    void *copy; /* pinned */
};

struct check {
    const struct glet_cuda_api *api;
    CUmodule module;
    CUfunction kernel;
    struct probe *probes;
    struct glet_cuda_seen *seen;
    size_t count;
};

static int prepare(struct check *check, struct glet_cuda_partition_set *set, struct glet_error *err)
{
    const struct glet_cuda_api *api = check->api;
    check->probes = glet_alloc(set->base.count, sizeof *check->probes, err);
    check->seen = glet_alloc(set->base.count, sizeof *check->seen, err);
    if (!check->probes || !check->seen ||
        GLET_CUDA_TRY(api, err, cuModuleLoadData, &check->module, glet_fatbin_cuda_isolation) < 0 ||
        GLET_CUDA_TRY(api, err, cuModuleGetFunction, &check->kernel, check->module,
                      "glet_record_sm") < 0)
        return -1;
    while (check->count < set->base.count) {
        struct probe *probe = &check->probes[check->count];
        probe->site = &set->partitions[check->count].site;
        check->seen[check->count++].sm_limit = probe->site->sm_count;
        if (GLET_CUDA_TRY(api, err, cuMemAlloc, &probe->words, ROUND_BLOCKS * sizeof(uint32_t)) <
                0 ||
            GLET_CUDA_TRY(api, err, cuMemHostAlloc, &probe->copy, ROUND_BLOCKS * sizeof(uint32_t),
                          0) < 0)
            return -1;
    }
    return 0;
}

static int enqueue(struct check *check, struct probe *probe, struct glet_error *err)
{
    unsigned long long stay_clocks = STAY_CLOCKS;
    void *parameters[] = {&probe->words, &stay_clocks};
    const struct glet_cuda_api *api = check->api;
    if (GLET_CUDA_TRY(api, err, cuCtxSetCurrent, probe->site->context) < 0 ||
        GLET_CUDA_TRY(api, err, cuLaunchKernel, check->kernel, ROUND_BLOCKS, 1, 1, 1, 1, 1, 0,
                      probe->site->stream, parameters, NULL) < 0)
        return -1;
    return GLET_CUDA_TRY(api, err, cuMemcpyDtoHAsync, probe->copy, probe->words,
                         ROUND_BLOCKS * sizeof(uint32_t), probe->site->stream);
}

static int collect(struct check *check, size_t i, struct glet_error *err)
{
    const struct probe *probe = &check->probes[i];
    if (GLET_CUDA_TRY(check->api, err, cuCtxSetCurrent, probe->site->context) < 0 ||
        GLET_CUDA_TRY(check->api, err, cuStreamSynchronize, probe->site->stream) < 0)
        return -1;
    return glet_cuda_seen_add(&check->seen[i], probe->copy, ROUND_BLOCKS, err);
}

static int run(struct check *check, struct glet_error *err)
{
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < check->count; i++)
            if (enqueue(check, &check->probes[i], err) < 0)
                return -1;
        for (size_t i = 0; i < check->count; i++)
            if (collect(check, i, err) < 0)
                return -1;
    }
    return glet_cuda_seen_apart(check->seen, check->count, err);
}

static void clean_up(struct check *check, CUcontext primary)
{
    const struct glet_cuda_api *api = check->api;
    for (size_t i = 0; i < check->count; i++)
        (void)api->cuStreamSynchronize(check->probes[i].site->stream);
    (void)api->cuCtxSetCurrent(primary);
    for (size_t i = 0; i < check->count; i++) {
        if (check->probes[i].words)
            (void)api->cuMemFree(check->probes[i].words);
        if (check->probes[i].copy)
            (void)api->cuMemFreeHost(check->probes[i].copy);
    }
    if (check->module)
        (void)api->cuModuleUnload(check->module);
    free(check->probes);
    free(check->seen);
}

int glet_cuda_partitions_verify(struct glet_partition_set *base, uint64_t *blocks_out,
                                struct glet_error *err)
{
    struct glet_cuda_partition_set *set = (struct glet_cuda_partition_set *)base;
    struct check check = {.api = set->device->api};
    CUcontext before;
    if (glet_cuda_enter(check.api, set->device->primary, &before, err) < 0)
        return -1;
    int rc = prepare(&check, set, err);
    if (rc == 0)
        rc = run(&check, err);
    for (size_t i = 0; rc == 0 && i < check.count; i++)
        atomic_store(&set->partitions[i].seen_sms, glet_cuda_seen_sms(&check.seen[i]));
    clean_up(&check, set->device->primary);
    glet_cuda_leave(check.api, before);
    if (rc == 0)
        *blocks_out = (uint64_t)ROUNDS * ROUND_BLOCKS;
    return rc;
}
