/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving elements without looking at them: strided copies (Transpose, Slice, Expand, Concat),
 * Gather and Pad. A copy whose innermost dimension is contiguous on both sides is memcpy by rows; a
 * transposition walks square tiles, so that both sides touch each cache line once.
 */
#include "runtime/device/cpu/kernels/kernels.h"

#include "runtime/device/cpu/kernels/team.h"

#include <string.h>

struct copy_job {
    const struct glet_cpu_loop *loop;
    size_t size;
    char *out;
    const char *in;
};

#define COPY_ROW(type)                                                                             \
    do {                                                                                           \
        type *to = (type *)(void *)job->out + offsets[0];                                          \
        const type *from = (const type *)(const void *)job->in + offsets[1];                       \
        if (in_step == 0)                                                                          \
            for (int64_t i = 0; i < n; i++)                                                        \
                to[i * out_step] = *from;                                                          \
        else                                                                                       \
            for (int64_t i = 0; i < n; i++)                                                        \
                to[i * out_step] = from[i * in_step];                                              \
    } while (0)

static void copy_row(const int64_t *offsets, int64_t n, void *data)
{
    const struct copy_job *job = data;
    int last = job->loop->rank - 1;
    int64_t out_step = job->loop->strides[0][last], in_step = job->loop->strides[1][last];
    if (out_step == 1 && in_step == 1) {
        memcpy(job->out + offsets[0] * (int64_t)job->size,
               job->in + offsets[1] * (int64_t)job->size, (size_t)n * job->size);
        return;
    }
    switch (job->size) {
    case 1:
        COPY_ROW(uint8_t);
        break;
    case 2:
        COPY_ROW(uint16_t);
        break;
    case 4:
        COPY_ROW(uint32_t);
        break;
    default:
        COPY_ROW(uint64_t);
    }
}

enum { TILE = 16 }; /* fp32 elements of one cache line */

/* Four-byte elements; the last dimension is contiguous in the result, `fast` in the source. */
static void copy_tiles(const struct glet_cpu_loop *loop, int fast, float *out, const float *in)
{
    int last = loop->rank - 1;
    int64_t columns = loop->dims[last], rows = loop->dims[fast];
    int64_t in_step = loop->strides[1][last], out_step = loop->strides[0][fast];
    for (int64_t r = 0; r < rows; r += TILE)
        for (int64_t c = 0; c < columns; c += TILE) {
            int64_t r_end = r + TILE < rows ? r + TILE : rows;
            int64_t c_end = c + TILE < columns ? c + TILE : columns;
            for (int64_t i = r; i < r_end; i++)
                for (int64_t j = c; j < c_end; j++)
                    out[i * out_step + j] = in[i + j * in_step];
        }
}

struct tile_job {
    const struct glet_cpu_loop *whole;
    int fast;
    float *out;
    const float *in;
};

static void tile_row(const int64_t *offsets, int64_t n, void *data)
{
    const struct tile_job *job = data;
    (void)n;
    copy_tiles(job->whole, job->fast, job->out + offsets[0], job->in + offsets[1]);
}

/* A dimension that is contiguous in the source, when the last one is not; -1 = none. */
static int fast_dimension(const struct glet_cpu_loop *loop)
{
    int last = loop->rank - 1;
    if (loop->strides[0][last] != 1 || loop->strides[1][last] <= 1)
        return -1;
    for (int i = 0; i < last; i++)
        if (loop->strides[1][i] == 1 && loop->dims[i] >= TILE)
            return i;
    return -1;
}

void glet_cpu_copy(const struct glet_cpu_loop *loop, size_t element_bytes, void *out,
                   const void *in)
{
    int fast = element_bytes == sizeof(float) ? fast_dimension(loop) : -1;
    if (fast < 0) {
        struct copy_job job = {loop, element_bytes, out, in};
        glet_cpu_loop_run(loop, copy_row, &job);
        return;
    }
    /* the outer dimensions as a loop of their own, whose rows are single elements */
    struct glet_cpu_loop outer = {.operands = 2};
    for (int i = 0; i < loop->rank - 1; i++) {
        if (i == fast)
            continue;
        outer.dims[outer.rank] = loop->dims[i];
        outer.strides[0][outer.rank] = loop->strides[0][i];
        outer.strides[1][outer.rank++] = loop->strides[1][i];
    }
    outer.dims[outer.rank++] = 1;
    struct tile_job job = {loop, fast, out, in};
    glet_cpu_loop_run(&outer, tile_row, &job);
}

struct gather_job {
    char *out;
    const char *data;
    const void *indices;
    enum glet_dtype dtype;
    int64_t axis, count;
    size_t inner_bytes;
    int64_t rows;
};

static int64_t index_at(const struct gather_job *job, int64_t i)
{
    return job->dtype == GLET_INT32 ? ((const int32_t *)job->indices)[i]
                                    : ((const int64_t *)job->indices)[i];
}

static void gather_part(int part, int parts, void *data)
{
    const struct gather_job *job = data;
    long begin, end;
    glet_cpu_split(job->rows, part, parts, &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        int64_t outer = row / job->count;
        int64_t index = index_at(job, row % job->count);
        if (index < 0)
            index += job->axis;
        char *to = job->out + (size_t)row * job->inner_bytes;
        if (index < 0 || index >= job->axis)
            memset(to, 0, job->inner_bytes);
        else
            memcpy(to, job->data + (size_t)(outer * job->axis + index) * job->inner_bytes,
                   job->inner_bytes);
    }
}

void glet_cpu_gather(void *out, const void *data, const void *indices, enum glet_dtype index_dtype,
                     int64_t outer, int64_t axis, int64_t count, size_t inner_bytes)
{
    struct gather_job job = {out,  data,  indices,     index_dtype,
                             axis, count, inner_bytes, outer * count};
    if ((size_t)job.rows * inner_bytes < GLET_CPU_PARALLEL_ELEMENTS * sizeof(float))
        gather_part(0, 1, &job);
    else
        glet_cpu_team_run(gather_part, &job);
}

/* Where position i of a padded dimension comes from; -1 = the constant. */
static int64_t pad_source(int64_t i, int64_t begin, int64_t size, int mode)
{
    int64_t at = i - begin;
    if (mode == 0)
        return at >= 0 && at < size ? at : -1;
    if (mode == 2 || size == 1)
        return at < 0 ? 0 : at >= size ? size - 1 : at;
    int64_t period = 2 * (size - 1);
    at %= period;
    if (at < 0)
        at += period;
    return at < size ? at : period - at;
}

void glet_cpu_pad(void *out, const int64_t *out_dims, const void *in, const int64_t *in_dims,
                  const int64_t *begin, int rank, int mode, size_t element_bytes, const void *value)
{
    int64_t count = 1, in_strides[GLET_MAX_RANK], index[GLET_MAX_RANK] = {0}, stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        count *= out_dims[i];
        in_strides[i] = stride;
        stride *= in_dims[i];
    }
    char *to = out;
    for (int64_t k = 0; k < count; k++, to += element_bytes) {
        int64_t from = 0;
        for (int i = 0; i < rank && from >= 0; i++) {
            int64_t at = pad_source(index[i], begin[i], in_dims[i], mode);
            from = at < 0 ? -1 : from + at * in_strides[i];
        }
        memcpy(to,
               from < 0 ? (const char *)value : (const char *)in + from * (int64_t)element_bytes,
               element_bytes);
        for (int i = rank - 1; i >= 0 && ++index[i] == out_dims[i]; i--)
            index[i] = 0;
    }
}
