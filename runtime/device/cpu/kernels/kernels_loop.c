/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop nests over strided operands: numpy broadcasting, slices and transpositions are all strides.
 * Simplifying first makes the common cases (same shapes, one scalar, one vector per channel) one or
 * two dimensions, so that the row body sees long rows.
 */
#include "runtime/device/cpu/kernels/kernels.h"

#include "runtime/device/cpu/kernels/team.h"

#include <string.h>

struct glet_cpu_loop glet_cpu_loop_new(int rank, const int64_t *dims)
{
    struct glet_cpu_loop loop = {.rank = rank, .operands = 1};
    int64_t stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        loop.dims[i] = dims[i];
        loop.strides[0][i] = stride;
        stride *= dims[i];
    }
    return loop;
}

void glet_cpu_loop_broadcast(struct glet_cpu_loop *loop, int rank, const int64_t *dims)
{
    int64_t *strides = loop->strides[loop->operands++];
    int64_t stride = 1;
    for (int i = 0; i < loop->rank; i++)
        strides[i] = 0;
    for (int i = rank - 1; i >= 0; i--) {
        int at = loop->rank - rank + i;
        if (at >= 0 && dims[i] != 1)
            strides[at] = stride;
        stride *= dims[i];
    }
}

static bool mergeable(const struct glet_cpu_loop *loop, int outer, int inner)
{
    for (int k = 0; k < loop->operands; k++)
        if (loop->strides[k][outer] != loop->strides[k][inner] * loop->dims[inner])
            return false;
    return true;
}

void glet_cpu_loop_simplify(struct glet_cpu_loop *loop)
{
    int rank = 0;
    for (int i = 0; i < loop->rank; i++) {
        if (loop->dims[i] == 1)
            continue;
        if (rank > 0 && mergeable(loop, rank - 1, i)) {
            loop->dims[rank - 1] *= loop->dims[i];
            for (int k = 0; k < loop->operands; k++)
                loop->strides[k][rank - 1] = loop->strides[k][i];
            continue;
        }
        loop->dims[rank] = loop->dims[i];
        for (int k = 0; k < loop->operands; k++)
            loop->strides[k][rank] = loop->strides[k][i];
        rank++;
    }
    if (rank == 0) {
        loop->dims[0] = 1;
        for (int k = 0; k < loop->operands; k++)
            loop->strides[k][0] = 1;
        rank = 1;
    }
    loop->rank = rank;
}

struct loop_job {
    const struct glet_cpu_loop *loop;
    void (*body)(const int64_t *offsets, int64_t n, void *data);
    void *data;
    int64_t rows;
};

static void run_rows(const struct loop_job *job, int64_t begin, int64_t end)
{
    const struct glet_cpu_loop *loop = job->loop;
    int last = loop->rank - 1;
    int64_t index[GLET_MAX_RANK] = {0}, offsets[GLET_CPU_LOOP_OPERANDS] = {0};
    int64_t rest = begin;
    for (int i = last - 1; i >= 0; i--) {
        index[i] = rest % loop->dims[i];
        rest /= loop->dims[i];
        for (int k = 0; k < loop->operands; k++)
            offsets[k] += index[i] * loop->strides[k][i];
    }
    for (int64_t row = begin; row < end; row++) {
        job->body(offsets, loop->dims[last], job->data);
        for (int i = last - 1; i >= 0; i--) {
            index[i]++;
            for (int k = 0; k < loop->operands; k++)
                offsets[k] += loop->strides[k][i];
            if (index[i] < loop->dims[i])
                break;
            for (int k = 0; k < loop->operands; k++)
                offsets[k] -= loop->dims[i] * loop->strides[k][i];
            index[i] = 0;
        }
    }
}

static void run_part(int part, int parts, void *data)
{
    const struct loop_job *job = data;
    long begin, end;
    if (job->rows >= parts) {
        glet_cpu_split(job->rows, part, parts, &begin, &end);
        run_rows(job, begin, end);
        return;
    }
    /* fewer rows than threads: cut every row instead */
    const struct glet_cpu_loop *loop = job->loop;
    int last = loop->rank - 1;
    glet_cpu_split(loop->dims[last], part, parts, &begin, &end);
    for (int64_t row = 0; row < job->rows; row++) {
        int64_t offsets[GLET_CPU_LOOP_OPERANDS] = {0}, rest = row;
        for (int i = last - 1; i >= 0; i--) {
            for (int k = 0; k < loop->operands; k++)
                offsets[k] += rest % loop->dims[i] * loop->strides[k][i];
            rest /= loop->dims[i];
        }
        for (int k = 0; k < loop->operands; k++)
            offsets[k] += begin * loop->strides[k][last];
        if (end > begin)
            job->body(offsets, end - begin, job->data);
    }
}

void glet_cpu_loop_run(const struct glet_cpu_loop *loop,
                       void (*body)(const int64_t *offsets, int64_t n, void *data), void *data)
{
    struct loop_job job = {loop, body, data, 1};
    int64_t count = 1;
    for (int i = 0; i < loop->rank; i++)
        count *= loop->dims[i];
    if (count == 0)
        return;
    job.rows = count / loop->dims[loop->rank - 1];
    if (count < GLET_CPU_PARALLEL_ELEMENTS)
        run_rows(&job, 0, job.rows);
    else
        glet_cpu_team_run(run_part, &job);
}
