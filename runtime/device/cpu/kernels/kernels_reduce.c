/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reductions. Reduced and kept dimensions are walked as two loop nests; the innermost loop is
 * either a contiguous sum (the last dimension is reduced) or a contiguous accumulation (it is
 * kept), both vectorised for fp32.
 */
#include "runtime/device/cpu/kernels/kernels.h"

#include "runtime/device/cpu/kernels/team.h"

#include <math.h>
#include <string.h>

struct nest {
    int rank;
    int64_t dims[GLET_MAX_RANK], strides[GLET_MAX_RANK];
    int64_t count;
};

static void nest_add(struct nest *nest, int64_t dim, int64_t stride)
{
    nest->count *= dim;
    if (nest->rank > 0 && nest->strides[nest->rank - 1] == dim * stride) {
        nest->dims[nest->rank - 1] *= dim;
        nest->strides[nest->rank - 1] = stride;
        return;
    }
    nest->dims[nest->rank] = dim;
    nest->strides[nest->rank++] = stride;
}

static int64_t nest_offset(const struct nest *nest, int64_t position)
{
    int64_t offset = 0;
    for (int i = nest->rank - 1; i >= 0; i--) {
        offset += position % nest->dims[i] * nest->strides[i];
        position /= nest->dims[i];
    }
    return offset;
}

struct reduce_job {
    enum glet_op op;
    enum glet_dtype dtype;
    void *out;
    const void *in;
    struct nest kept, reduced;
};

static float float_step(enum glet_op op, float total, float x)
{
    switch (op) {
    case GLET_OP_REDUCE_MAX:
        return x > total || x != x ? x : total;
    case GLET_OP_REDUCE_MIN:
        return x < total || x != x ? x : total;
    default:
        return total + x;
    }
}

static float float_one(const struct reduce_job *job, const float *in)
{
    const struct nest *reduced = &job->reduced;
    bool sums = job->op == GLET_OP_REDUCE_SUM || job->op == GLET_OP_REDUCE_MEAN;
    int64_t inner = reduced->rank > 0 ? reduced->dims[reduced->rank - 1] : 1;
    int64_t step = reduced->rank > 0 ? reduced->strides[reduced->rank - 1] : 1;
    double sum = 0.0;
    float best = job->op == GLET_OP_REDUCE_MAX ? -INFINITY : INFINITY;
    for (int64_t i = 0; i < reduced->count; i += inner) {
        const float *row = in + nest_offset(reduced, i);
        if (sums && step == 1)
            sum += (double)glet_cpu_simd()->sum(row, inner);
        else if (sums)
            for (int64_t k = 0; k < inner; k++)
                sum += (double)row[k * step];
        else
            for (int64_t k = 0; k < inner; k++)
                best = float_step(job->op, best, row[k * step]);
    }
    if (!sums)
        return best;
    return (float)(job->op == GLET_OP_REDUCE_MEAN ? sum / (double)reduced->count : sum);
}

/* The kept row at `out` when its elements are contiguous in the source: whole rows at a time. */
static void float_rows(const struct reduce_job *job, float *out, const float *in, int64_t n)
{
    const struct nest *reduced = &job->reduced;
    bool sums = job->op == GLET_OP_REDUCE_SUM || job->op == GLET_OP_REDUCE_MEAN;
    for (int64_t i = 0; i < reduced->count; i++) {
        const float *row = in + nest_offset(reduced, i);
        if (i == 0)
            memcpy(out, row, (size_t)n * sizeof *out);
        else if (sums)
            glet_cpu_simd()->accumulate(out, row, n);
        else
            for (int64_t k = 0; k < n; k++)
                out[k] = float_step(job->op, out[k], row[k]);
    }
    if (job->op == GLET_OP_REDUCE_MEAN) {
        struct glet_activation scale = {GLET_ACT_LINEAR, 1.0F / (float)reduced->count, 0.0F};
        glet_cpu_simd()->unary(&scale, out, out, n);
    }
}

static int64_t load(const struct reduce_job *job, int64_t i)
{
    int64_t value;
    glet_cpu_convert(&value, GLET_INT64,
                     (const char *)job->in + (size_t)i * glet_dtype_size(job->dtype), job->dtype,
                     1);
    return value;
}

static void int_one(const struct reduce_job *job, int64_t out_index, int64_t base)
{
    const struct nest *reduced = &job->reduced;
    int64_t total = 0;
    for (int64_t i = 0; i < reduced->count; i++) {
        int64_t x = load(job, base + nest_offset(reduced, i));
        if (i == 0)
            total = x;
        else if (job->op == GLET_OP_REDUCE_MAX)
            total = x > total ? x : total;
        else if (job->op == GLET_OP_REDUCE_MIN)
            total = x < total ? x : total;
        else
            total = (int64_t)((uint64_t)total + (uint64_t)x);
    }
    if (job->op == GLET_OP_REDUCE_MEAN && reduced->count > 0)
        total /= reduced->count;
    size_t size = glet_dtype_size(job->dtype);
    glet_cpu_convert((char *)job->out + (size_t)out_index * size, job->dtype, &total, GLET_INT64,
                     1);
}

static void reduce_part(int part, int parts, void *data)
{
    const struct reduce_job *job = data;
    const struct nest *kept = &job->kept;
    int64_t inner = kept->rank > 0 ? kept->dims[kept->rank - 1] : 1;
    bool rows = job->dtype == GLET_FLOAT32 && kept->rank > 0 &&
                kept->strides[kept->rank - 1] == 1 && inner >= 8;
    long begin, end;
    glet_cpu_split(rows ? kept->count / inner : kept->count, part, parts, &begin, &end);
    for (long i = begin; i < end; i++) {
        if (rows)
            float_rows(job, (float *)job->out + i * inner,
                       (const float *)job->in + nest_offset(kept, i * inner), inner);
        else if (job->dtype == GLET_FLOAT32)
            ((float *)job->out)[i] = float_one(job, (const float *)job->in + nest_offset(kept, i));
        else
            int_one(job, i, nest_offset(kept, i));
    }
}

void glet_cpu_reduce(enum glet_op op, enum glet_dtype dtype, void *out, const void *in, int rank,
                     const int64_t *dims, uint32_t axes_mask)
{
    struct reduce_job job = {
        .op = op, .dtype = dtype, .out = out, .in = in, .kept.count = 1, .reduced.count = 1};
    int64_t strides[GLET_MAX_RANK], stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= dims[i];
    }
    for (int i = 0; i < rank; i++)
        if (dims[i] != 1)
            nest_add(axes_mask >> i & 1 ? &job.reduced : &job.kept, dims[i], strides[i]);
    if (job.kept.count * job.reduced.count < GLET_CPU_PARALLEL_ELEMENTS)
        reduce_part(0, 1, &job);
    else
        glet_cpu_team_run(reduce_part, &job);
}

void glet_cpu_arg_max(int64_t *out, const void *in, enum glet_dtype dtype, int64_t outer,
                      int64_t axis, int64_t inner)
{
    size_t size = glet_dtype_size(dtype);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            int64_t best = 0, best_int = 0;
            float best_float = 0.0F;
            for (int64_t k = 0; k < axis; k++) {
                int64_t at = (o * axis + k) * inner + i;
                if (dtype == GLET_FLOAT32) {
                    float x = ((const float *)in)[at];
                    if (k == 0 || x > best_float) {
                        best_float = x;
                        best = k;
                    }
                    continue;
                }
                int64_t x;
                glet_cpu_convert(&x, GLET_INT64, (const char *)in + (size_t)at * size, dtype, 1);
                if (k == 0 || x > best_int) {
                    best_int = x;
                    best = k;
                }
            }
            out[o * inner + i] = best;
        }
}

void glet_cpu_softmax_strided(float *out, const float *in, int64_t outer, int64_t axis,
                              int64_t inner, float alpha)
{
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            const float *x = in + o * axis * inner + i;
            float *y = out + o * axis * inner + i;
            float most = -INFINITY, total = 0.0F;
            for (int64_t k = 0; k < axis; k++)
                most = fmaxf(most, alpha * x[k * inner]);
            for (int64_t k = 0; k < axis; k++) {
                y[k * inner] = expf(alpha * x[k * inner] - most);
                total += y[k * inner];
            }
            for (int64_t k = 0; k < axis; k++)
                y[k * inner] /= total;
        }
}
