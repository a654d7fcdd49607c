/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local response normalisation and resizing, on row-major tensors. Neither occurs in a hot place of
 * the networks that we serve.
 */
#include "runtime/device/cpu/kernels/kernels.h"

#include "runtime/device/cpu/kernels/team.h"

#include <math.h>
#include <string.h>

void glet_cpu_lrn(float *out, const float *in, int64_t batch, int64_t channels, int64_t inner,
                  int size, float alpha, float beta, float k)
{
    int64_t before = (size - 1) / 2, after = size - 1 - before;
    for (int64_t n = 0; n < batch; n++)
        for (int64_t c = 0; c < channels; c++) {
            int64_t from = c < before ? 0 : c - before;
            int64_t to = c + after < channels ? c + after : channels - 1;
            const float *x = in + n * channels * inner;
            float *y = out + (n * channels + c) * inner;
            for (int64_t i = 0; i < inner; i++) {
                float squares = 0.0F;
                for (int64_t j = from; j <= to; j++)
                    squares += x[j * inner + i] * x[j * inner + i];
                y[i] = x[c * inner + i] / powf(k + alpha / (float)size * squares, beta);
            }
        }
}

struct resize_job {
    char *out;
    const char *in;
    int64_t outer;
    int spatial;
    const struct glet_cpu_taps *taps;
    bool nearest;
    size_t size;
};

/* Sum over the 2^spatial corners around an output position. */
static float interpolate(const struct resize_job *job, const float *in, const int64_t *index)
{
    float sum = 0.0F;
    for (unsigned corner = 0; corner < 1U << job->spatial; corner++) {
        float weight = 1.0F;
        int64_t offset = 0;
        for (int d = 0; d < job->spatial; d++) {
            const struct glet_cpu_taps *taps = &job->taps[d];
            bool high = corner >> d & 1;
            float part = taps->weight[index[d]];
            weight *= high ? part : 1.0F - part;
            offset = offset * taps->in + (high ? taps->high : taps->low)[index[d]];
        }
        if (weight != 0.0F)
            sum += weight * in[offset];
    }
    return sum;
}

static void resize_part(int part, int parts, void *data)
{
    const struct resize_job *job = data;
    int64_t in_count = 1, out_count = 1;
    for (int d = 0; d < job->spatial; d++) {
        in_count *= job->taps[d].in;
        out_count *= job->taps[d].out;
    }
    long begin, end;
    glet_cpu_split(job->outer, part, parts, &begin, &end);
    for (int64_t o = begin; o < end; o++) {
        const char *in = job->in + (size_t)(o * in_count) * job->size;
        char *out = job->out + (size_t)(o * out_count) * job->size;
        int64_t index[GLET_MAX_RANK] = {0};
        for (int64_t i = 0; i < out_count; i++) {
            if (job->nearest) {
                int64_t offset = 0;
                for (int d = 0; d < job->spatial; d++)
                    offset = offset * job->taps[d].in + job->taps[d].low[index[d]];
                memcpy(out + (size_t)i * job->size, in + (size_t)offset * job->size, job->size);
            } else {
                ((float *)(void *)out)[i] =
                    interpolate(job, (const float *)(const void *)in, index);
            }
            for (int d = job->spatial - 1; d >= 0 && ++index[d] == job->taps[d].out; d--)
                index[d] = 0;
        }
    }
}

void glet_cpu_resize(void *out, const void *in, int64_t outer, int spatial,
                     const struct glet_cpu_taps *taps, bool nearest, size_t element_bytes)
{
    struct resize_job job = {out, in, outer, spatial, taps, nearest, element_bytes};
    glet_cpu_team_run(resize_part, &job);
}
