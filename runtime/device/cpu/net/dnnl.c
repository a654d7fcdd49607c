/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oneDNN behind our errors and tensors. The engine is process-wide: it holds no threads and no
 * memory of its own, and primitives built by one thread may run on another because every net brings
 * its own scratchpad.
 */
#include "runtime/device/cpu/net/dnnl.h"

#include <pthread.h>
#include <string.h>

static dnnl_engine_t the_engine;
static dnnl_stream_t the_stream;
static dnnl_status_t start_status;
static pthread_once_t start_once = PTHREAD_ONCE_INIT;

int glet_dnnl_check(dnnl_status_t status, const char *what, struct glet_error *err)
{
    switch (status) {
    case dnnl_success:
        return 0;
    case dnnl_out_of_memory:
        return glet_error_set(err, GLET_ERR_NOMEM, "%s: out of memory", what);
    case dnnl_unimplemented:
        return glet_error_set(err, GLET_ERR_UNSUPPORTED, "%s: no oneDNN implementation", what);
    case dnnl_invalid_arguments:
        return glet_error_set(err, GLET_ERR_UNSUPPORTED, "%s: oneDNN does not accept this shape",
                              what);
    default:
        return glet_error_set(err, GLET_ERR_DEVICE, "%s: oneDNN error %d", what, (int)status);
    }
}

static void start(void)
{
    start_status = dnnl_engine_create(&the_engine, dnnl_cpu, 0);
    if (start_status == dnnl_success)
        start_status = dnnl_stream_create(&the_stream, the_engine, dnnl_stream_default_flags);
}

int glet_dnnl_start(dnnl_engine_t *engine, dnnl_stream_t *stream, struct glet_error *err)
{
    pthread_once(&start_once, start);
    if (glet_dnnl_check(start_status, "starting oneDNN", err) < 0)
        return -1;
    *engine = the_engine;
    *stream = the_stream;
    return 0;
}

dnnl_memory_desc_t glet_dnnl_strided(int rank, const int64_t *dims, const int64_t *strides)
{
    dnnl_memory_desc_t md;
    dnnl_dims_t one = {1};
    dnnl_status_t status =
        rank == 0 ? dnnl_memory_desc_init_by_strides(&md, 1, one, dnnl_f32, one)
                  : dnnl_memory_desc_init_by_strides(&md, rank, dims, dnnl_f32, strides);
    if (status != dnnl_success)
        memset(&md, 0, sizeof md); /* the primitive that gets it refuses it */
    return md;
}

dnnl_memory_desc_t glet_dnnl_plain(int rank, const int64_t *dims)
{
    int64_t strides[DNNL_MAX_NDIMS];
    int64_t stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= dims[i] > 0 ? dims[i] : 1;
    }
    return glet_dnnl_strided(rank, dims, strides);
}

dnnl_memory_desc_t glet_dnnl_any(int rank, const int64_t *dims)
{
    dnnl_memory_desc_t md;
    if (rank == 0)
        return glet_dnnl_plain(0, dims);
    if (dnnl_memory_desc_init_by_tag(&md, rank, dims, dnnl_f32, dnnl_format_tag_any) !=
        dnnl_success)
        memset(&md, 0, sizeof md);
    return md;
}

bool glet_dnnl_has_padding(const dnnl_memory_desc_t *md)
{
    for (int i = 0; i < md->ndims; i++)
        if (md->padded_dims[i] != md->dims[i])
            return true;
    return false;
}

bool glet_dnnl_is_plain(const dnnl_memory_desc_t *md)
{
    if (md->format_kind != dnnl_blocked || glet_dnnl_has_padding(md) || md->offset0 != 0)
        return false;
    const dnnl_blocking_desc_t *blocking = &md->format_desc.blocking;
    if (blocking->inner_nblks > 1)
        return false;
    int64_t stride = 1;
    for (int i = md->ndims - 1; i >= 0; i--) {
        if (md->dims[i] == 1)
            continue;
        int64_t expect = stride;
        /* a block of the innermost dimension that counts is row-major again */
        if (blocking->inner_nblks == 1 && blocking->inner_idxs[0] == i) {
            if (stride != 1)
                return false;
            if (md->dims[i] != blocking->inner_blks[0] &&
                blocking->strides[i] != blocking->inner_blks[0])
                return false;
        } else if (blocking->strides[i] != expect) {
            return false;
        }
        stride *= md->dims[i];
    }
    return true;
}

int64_t glet_dnnl_channel_block(const dnnl_memory_desc_t *md)
{
    if (md->format_kind != dnnl_blocked || md->ndims < 2 || md->offset0 != 0)
        return 0;
    if (glet_dnnl_is_plain(md))
        return 1;
    const dnnl_blocking_desc_t *blocking = &md->format_desc.blocking;
    int64_t block = 1, channels = md->padded_dims[1];
    if (blocking->inner_nblks == 1 && blocking->inner_idxs[0] == 1)
        block = blocking->inner_blks[0];
    else if (blocking->inner_nblks == 0 && blocking->strides[1] == 1)
        block = channels; /* channels-last */
    else
        return 0;
    int64_t stride = block;
    for (int i = md->ndims - 1; i >= 2; i--) {
        if (md->dims[i] != 1 && blocking->strides[i] != stride)
            return 0;
        stride *= md->dims[i];
    }
    if (block != channels && blocking->strides[1] != stride)
        return 0;
    stride *= channels / block;
    return md->dims[0] == 1 || blocking->strides[0] == stride ? block : 0;
}

int glet_dnnl_convert(const dnnl_memory_desc_t *from, const void *from_data,
                      const dnnl_memory_desc_t *to, void *to_data, struct glet_error *err)
{
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    if (glet_dnnl_start(&engine, &stream, err) < 0)
        return -1;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t source = NULL, target = NULL;
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&pd, from, engine, to, engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&primitive, pd);
    if (status == dnnl_success)
        status = dnnl_memory_create(&source, from, engine, (void *)(uintptr_t)from_data);
    if (status == dnnl_success)
        status = dnnl_memory_create(&target, to, engine, to_data);
    if (status == dnnl_success) {
        dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, target}};
        status = dnnl_primitive_execute(primitive, stream, 2, args);
    }
    if (status == dnnl_success)
        status = dnnl_stream_wait(stream);
    dnnl_memory_destroy(target);
    dnnl_memory_destroy(source);
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(pd);
    return glet_dnnl_check(status, "converting a layout", err);
}
