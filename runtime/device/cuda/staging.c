/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for whom where a batch runs beside the one before it:
 *
 *     copy_in    taken (of the one before), host to landing, arrived
 *     stream     arrived, landing to net, taken, the net, done (of the one before), net to leaving,
 *                ready
 *     copy_out   ready, leaving to host, done
 *
 * Two streams for copies, since a copy out waits for its net, and the next copy in must not wait
 * behind it. Nothing waits for what was never recorded.
 */
#include "runtime/device/cuda/staging.h"

#include "common/memory.h"
#include "runtime/device/device_ops.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- memory: arrays of blocks, of which the first that is missing ends an array --- */

typedef const struct glet_model_io *(*io_of)(const struct glet_model *model, size_t i);

static size_t bytes_of(const struct glet_cuda_staging *staging, io_of io, size_t i, size_t rows)
{
    return io(staging->model, i)->bytes * rows;
}

static int check_sizes(const struct glet_cuda_staging *staging, io_of io, size_t count,
                       struct glet_error *err)
{
    size_t bytes;
    for (size_t i = 0; i < count; i++)
        if (__builtin_mul_overflow(io(staging->model, i)->bytes, staging->batch, &bytes))
            return glet_error_set(err, GLET_ERR_NOMEM, "a batch of %zu does not fit into memory",
                                  staging->batch);
    return 0;
}

/* Rows that carry no request are computed, so they must hold numbers: zero. */
static int make_pinned(struct glet_cuda_staging *staging, io_of io, size_t count, void ***out,
                       struct glet_error *err)
{
    void **blocks = *out = glet_alloc(count + 1, sizeof *blocks, err);
    if (!blocks)
        return -1;
    for (size_t i = 0; i < count; i++) {
        size_t bytes = bytes_of(staging, io, i, staging->batch);
        bytes = bytes ? bytes : 1;
        void *block;
        if (GLET_CUDA_TRY(staging->site->api, err, cuMemHostAlloc, &block, bytes, 0) < 0)
            return -1;
        blocks[i] = memset(block, 0, bytes);
    }
    return 0;
}

static int make_places(struct glet_cuda_staging *staging, io_of io, size_t count, CUdeviceptr **out,
                       struct glet_error *err)
{
    CUdeviceptr *blocks = *out = glet_alloc(count + 1, sizeof *blocks, err);
    if (!blocks)
        return -1;
    for (size_t i = 0; i < count; i++) {
        size_t bytes = bytes_of(staging, io, i, staging->batch);
        CUdeviceptr block;
        if (GLET_CUDA_TRY(staging->site->api, err, cuMemAlloc, &block, bytes ? bytes : 1) < 0)
            return -1;
        blocks[i] = block;
        staging->device_bytes += bytes;
    }
    return 0;
}

static int make_feeds(struct glet_cuda_staging *staging, struct glet_error *err)
{
    size_t count = staging->input_count;
    staging->fed = glet_alloc(count * staging->batch + 1, sizeof *staging->fed, err);
    staging->fed_counts = staging->fed ? glet_alloc(count + 1, sizeof(size_t), err) : NULL;
    return staging->fed_counts ? 0 : -1;
}

static int make_event(const struct glet_cuda_staging *staging, unsigned flags, CUevent *out,
                      struct glet_error *err)
{
    return GLET_CUDA_TRY(staging->site->api, err, cuEventCreate, out,
                         flags | CU_EVENT_DISABLE_TIMING);
}

static int make_slot(struct glet_cuda_staging *staging, struct glet_cuda_slot *slot,
                     struct glet_error *err)
{
    if (make_pinned(staging, glet_model_input, staging->input_count, &slot->inputs, err) < 0 ||
        make_pinned(staging, glet_model_output, staging->output_count, &slot->outputs, err) < 0)
        return -1;
    return make_event(staging, CU_EVENT_BLOCKING_SYNC, &slot->done, err);
}

int glet_cuda_staging_init(struct glet_cuda_staging *staging, const struct glet_cuda_site *site,
                           const struct glet_cuda_net *net, const struct glet_model *model,
                           int batch, struct glet_error *err)
{
    size_t inputs = glet_model_input_count(model), outputs = glet_model_output_count(model);
    *staging = (struct glet_cuda_staging){.site = site,
                                          .net = net,
                                          .model = model,
                                          .batch = (size_t)batch,
                                          .input_count = inputs,
                                          .output_count = outputs};
    if (check_sizes(staging, glet_model_input, inputs, err) < 0 ||
        check_sizes(staging, glet_model_output, outputs, err) < 0 || make_feeds(staging, err) < 0 ||
        make_places(staging, glet_model_input, inputs, &staging->landing, err) < 0 ||
        make_places(staging, glet_model_output, outputs, &staging->leaving, err) < 0 ||
        make_event(staging, 0, &staging->arrived, err) < 0 ||
        make_event(staging, 0, &staging->taken, err) < 0 ||
        make_event(staging, 0, &staging->ready, err) < 0)
        return -1;
    for (int i = 0; i < GLET_CUDA_SLOTS; i++)
        if (make_slot(staging, &staging->slots[i], err) < 0)
            return -1;
    return 0;
}

static void free_pinned(const struct glet_cuda_api *api, void **blocks)
{
    for (size_t i = 0; blocks && blocks[i]; i++)
        (void)api->cuMemFreeHost(blocks[i]);
    free(blocks);
}

static void free_places(const struct glet_cuda_api *api, CUdeviceptr *blocks)
{
    for (size_t i = 0; blocks && blocks[i]; i++)
        (void)api->cuMemFree(blocks[i]);
    free(blocks);
}

void glet_cuda_staging_fini(struct glet_cuda_staging *staging)
{
    if (!staging->site)
        return;
    const struct glet_cuda_api *api = staging->site->api;
    const CUevent events[] = {staging->arrived, staging->taken, staging->ready,
                              staging->slots[0].done, staging->slots[1].done};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (events[i])
            (void)api->cuEventDestroy(events[i]);
    for (int i = 0; i < GLET_CUDA_SLOTS; i++) {
        free_pinned(api, staging->slots[i].inputs);
        free_pinned(api, staging->slots[i].outputs);
    }
    free_places(api, staging->landing);
    free_places(api, staging->leaving);
    free(staging->fed);
    free(staging->fed_counts);
}

/* --- copies --- */

static int wait_on(const struct glet_cuda_site *site, CUstream stream, CUevent event,
                   struct glet_error *err)
{
    return GLET_CUDA_TRY(site->api, err, cuStreamWaitEvent, stream, event, 0);
}

bool glet_cuda_staging_feed(struct glet_cuda_staging *staging, size_t input, int first, int rows,
                            const void *memory)
{
    struct glet_cuda_fed *fed = &staging->fed[input * staging->batch];
    size_t *count = &staging->fed_counts[input];
    if (bytes_of(staging, glet_model_input, input, (size_t)rows) <= GLET_CUDA_MOST_COPIED_BYTES)
        return false;
    assert(*count == 0 || fed[*count - 1].first + fed[*count - 1].rows <= (size_t)first);
    fed[(*count)++] = (struct glet_cuda_fed){memory, (size_t)first, (size_t)rows};
    return true;
}

/* Rows of an input, from `first` up to `end`, which are at `from`. */
static int rows_from_host(const struct glet_cuda_staging *staging, size_t input, bool beside,
                          const unsigned char *from, size_t first, size_t end,
                          struct glet_error *err)
{
    const struct glet_cuda_site *site = staging->site;
    CUdeviceptr to = beside ? staging->landing[input] : glet_cuda_net_input(staging->net, input);
    if (first == end)
        return 0;
    return GLET_CUDA_TRY(site->api, err, cuMemcpyHtoDAsync,
                         to + bytes_of(staging, glet_model_input, input, first), from,
                         bytes_of(staging, glet_model_input, input, end - first),
                         beside ? site->copy_in : site->stream);
}

/* What is fed, and what lies between in staging memory. */
static int input_from_host(const struct glet_cuda_staging *staging,
                           const struct glet_cuda_slot *slot, size_t input, size_t used,
                           bool beside, struct glet_error *err)
{
    const struct glet_cuda_fed *fed = &staging->fed[input * staging->batch];
    const unsigned char *own = slot->inputs[input];
    size_t row_bytes = bytes_of(staging, glet_model_input, input, 1), done = 0;
    for (size_t i = 0; i < staging->fed_counts[input]; i++) {
        size_t first = fed[i].first, end = first + fed[i].rows;
        if (rows_from_host(staging, input, beside, own + done * row_bytes, done, first, err) < 0 ||
            rows_from_host(staging, input, beside, fed[i].memory, first, end, err) < 0)
            return -1;
        done = end;
    }
    return rows_from_host(staging, input, beside, own + done * row_bytes, done, used, err);
}

static int from_host(const struct glet_cuda_staging *staging, const struct glet_cuda_slot *slot,
                     int used, bool beside, struct glet_error *err)
{
    for (size_t i = 0; i < staging->input_count; i++)
        if (input_from_host(staging, slot, i, (size_t)used, beside, err) < 0)
            return -1;
    return 0;
}

static int to_host(const struct glet_cuda_staging *staging, const struct glet_cuda_slot *slot,
                   int used, bool beside, struct glet_error *err)
{
    const struct glet_cuda_site *site = staging->site;
    CUstream stream = beside ? site->copy_out : site->stream;
    for (size_t i = 0; i < staging->output_count; i++) {
        CUdeviceptr from = beside ? staging->leaving[i] : glet_cuda_net_output(staging->net, i);
        size_t bytes = bytes_of(staging, glet_model_output, i, (size_t)used);
        if (GLET_CUDA_TRY(site->api, err, cuMemcpyDtoHAsync, slot->outputs[i], from, bytes,
                          stream) < 0)
            return -1;
    }
    return GLET_CUDA_TRY(site->api, err, cuEventRecord, slot->done, stream);
}

static int move(const struct glet_cuda_staging *staging, CUdeviceptr to, CUdeviceptr from,
                size_t bytes, struct glet_error *err)
{
    const struct glet_cuda_site *site = staging->site;
    return GLET_CUDA_TRY(site->api, err, cuMemcpyDtoDAsync, to, from, bytes, site->stream);
}

static int bring_in(const struct glet_cuda_staging *staging, const struct glet_cuda_slot *slot,
                    int used, bool beside, struct glet_error *err)
{
    const struct glet_cuda_site *site = staging->site;
    if (!beside)
        return from_host(staging, slot, used, false, err);
    if (wait_on(site, site->copy_in, staging->taken, err) < 0 ||
        from_host(staging, slot, used, true, err) < 0 ||
        GLET_CUDA_TRY(site->api, err, cuEventRecord, staging->arrived, site->copy_in) < 0 ||
        wait_on(site, site->stream, staging->arrived, err) < 0)
        return -1;
    for (size_t k = 0; k < staging->input_count; k++)
        if (move(staging, glet_cuda_net_input(staging->net, k), staging->landing[k],
                 bytes_of(staging, glet_model_input, k, (size_t)used), err) < 0)
            return -1;
    return GLET_CUDA_TRY(site->api, err, cuEventRecord, staging->taken, site->stream);
}

int glet_cuda_staging_in(struct glet_cuda_staging *staging, int i, int used, bool beside,
                         struct glet_error *err)
{
    int rc = bring_in(staging, &staging->slots[i], used, beside, err);
    memset(staging->fed_counts, 0, staging->input_count * sizeof *staging->fed_counts);
    return rc;
}

int glet_cuda_staging_out(const struct glet_cuda_staging *staging, int i, int used, bool beside,
                          struct glet_error *err)
{
    const struct glet_cuda_site *site = staging->site;
    const struct glet_cuda_slot *slot = &staging->slots[i], *before = &staging->slots[!i];
    if (!beside)
        return to_host(staging, slot, used, false, err);
    if (wait_on(site, site->stream, before->done, err) < 0)
        return -1;
    for (size_t k = 0; k < staging->output_count; k++)
        if (move(staging, staging->leaving[k], glet_cuda_net_output(staging->net, k),
                 bytes_of(staging, glet_model_output, k, (size_t)used), err) < 0)
            return -1;
    if (GLET_CUDA_TRY(site->api, err, cuEventRecord, staging->ready, site->stream) < 0 ||
        wait_on(site, site->copy_out, staging->ready, err) < 0)
        return -1;
    return to_host(staging, slot, used, true, err);
}
