/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Normalisations: scale and shift per channel (what is left of a batch normalisation), layer
 * normalisation, softmax, local response normalisation.
 */
#include "runtime/device/cpu/net/build.h"

#include "runtime/device/cpu/kernels/kernels.h"
#include "runtime/device/cpu/kernels/team.h"

#include <string.h>

/* ---- BatchNormalization ---- */

struct scale_params {
    long batch, channels, inner, block;
    struct glet_activation activation;
};

struct scale_job {
    const struct scale_params *p;
    float *out;
    const float *in, *scale, *shift;
};

static void scale_part(int part, int parts, void *data)
{
    const struct scale_job *job = data;
    const struct scale_params *p = job->p;
    long groups = p->channels / p->block, begin, end;
    glet_cpu_split(p->batch * groups, part, parts, &begin, &end);
    for (long g = begin; g < end; g++) {
        long at = g * p->inner * p->block, c = g % groups * p->block;
        glet_cpu_simd()->scale_shift(job->out + at, job->in + at, 1, p->inner, p->block,
                                     job->scale + c, job->shift + c, &p->activation);
    }
}

static int scale_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    struct scale_job job = {params, operands[0], operands[1], operands[2], operands[3]};
    (void)err;
    glet_cpu_team_run(scale_part, &job);
    return 0;
}

int glet_cpu_build_batch_norm(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cpu_tensor(b, node->inputs[0]);
    if (!glet_cpu_is_float(b, node->inputs[0]) || x->rank < 2)
        return glet_cpu_unsupported(b, err, "type %s with %d dimensions", glet_dtype_name(x->dtype),
                                    x->rank);
    dnnl_memory_desc_t md;
    int buffers[4];
    if (glet_cpu_current(b, node->inputs[0], &md, &buffers[1], err) < 0)
        return -1;
    struct scale_params params = {.batch = x->dims[0],
                                  .channels = x->dims[1],
                                  .inner = 1,
                                  .block = glet_dnnl_channel_block(&md),
                                  .activation = node->activation};
    for (int i = 2; i < x->rank; i++)
        params.inner *= x->dims[i];
    if (params.block == 0 || glet_dnnl_has_padding(&md)) {
        md = glet_dnnl_plain(x->rank, x->dims);
        params.block = 1;
        if ((buffers[1] = glet_cpu_want_plain(b, node->inputs[0], err)) < 0)
            return -1;
    }
    if ((buffers[2] = glet_cpu_want_plain(b, node->inputs[1], err)) < 0 ||
        (buffers[3] = glet_cpu_want_plain(b, node->inputs[2], err)) < 0)
        return -1;
    buffers[0] = glet_cpu_may_overwrite(b, node->inputs[0], buffers[1])
                     ? glet_cpu_define_in(b, node->output, &md, buffers[1], err)
                     : glet_cpu_define(b, node->output, &md, err);
    if (buffers[0] < 0)
        return -1;
    return glet_cpu_add_kernel(b, scale_kernel, buffers, 4, &params, sizeof params, err);
}

/* ---- LayerNormalization ---- */

struct rows_params {
    long rows, n;
    float epsilon;
};

struct rows_job {
    const struct rows_params *p;
    float *out;
    const float *in, *scale, *bias;
};

static void layer_norm_part(int part, int parts, void *data)
{
    const struct rows_job *job = data;
    long begin, end, n = job->p->n;
    glet_cpu_split(job->p->rows, part, parts, &begin, &end);
    for (long row = begin; row < end; row++)
        glet_cpu_simd()->layer_norm(job->out + row * n, job->in + row * n, job->scale, job->bias,
                                    job->p->epsilon, n);
}

static int layer_norm_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    struct rows_job job = {params, operands[0], operands[1], operands[2], operands[3]};
    (void)err;
    glet_cpu_team_run(layer_norm_part, &job);
    return 0;
}

int glet_cpu_build_layer_norm(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cpu_tensor(b, node->inputs[0]);
    if (!glet_cpu_is_float(b, node->inputs[0]))
        return glet_cpu_unsupported(b, err, "type %s", glet_dtype_name(x->dtype));
    struct rows_params params = {.rows = 1, .n = 1, .epsilon = node->epsilon};
    for (int i = 0; i < x->rank; i++)
        *(i < node->axis ? &params.rows : &params.n) *= x->dims[i];
    if (glet_tensor_elements(glet_cpu_tensor(b, node->inputs[1])) != params.n ||
        (node->has_bias && glet_tensor_elements(glet_cpu_tensor(b, node->inputs[2])) != params.n))
        return glet_cpu_unsupported(b, err, "a scale or bias that is broadcast");
    dnnl_memory_desc_t md = glet_dnnl_plain(x->rank, x->dims);
    int buffers[4] = {-1, glet_cpu_want_plain(b, node->inputs[0], err), -1, -1};
    if (buffers[1] < 0 || (buffers[2] = glet_cpu_want_plain(b, node->inputs[1], err)) < 0 ||
        (node->has_bias && (buffers[3] = glet_cpu_want_plain(b, node->inputs[2], err)) < 0))
        return -1;
    buffers[0] = glet_cpu_may_overwrite(b, node->inputs[0], buffers[1])
                     ? glet_cpu_define_in(b, node->output, &md, buffers[1], err)
                     : glet_cpu_define_plain(b, node->output, err);
    if (buffers[0] < 0)
        return -1;
    return glet_cpu_add_kernel(b, layer_norm_kernel, buffers, 4, &params, sizeof params, err);
}

/* ---- Softmax ---- */

struct softmax_params {
    struct glet_cpu_loop loop; /* result, x [, mask]; the last dimension is the softmax's */
    bool has_mask;
    float alpha;
    int64_t outer, axis, inner; /* inner > 1: not the last axis */
};

struct softmax_job {
    const struct softmax_params *p;
    float *out;
    const float *in, *mask;
};

static void softmax_row(const int64_t *offsets, const struct softmax_job *job)
{
    const struct softmax_params *p = job->p;
    int last = p->loop.rank - 1;
    glet_cpu_simd()->softmax(job->out + offsets[0], job->in + offsets[1],
                             p->has_mask ? job->mask + offsets[2] : NULL,
                             (int)p->loop.strides[2][last], p->alpha, p->axis);
}

static void softmax_part(int part, int parts, void *data)
{
    const struct softmax_job *job = data;
    const struct glet_cpu_loop *loop = &job->p->loop;
    long begin, end;
    glet_cpu_split(job->p->outer, part, parts, &begin, &end);
    for (long row = begin; row < end; row++) {
        int64_t offsets[GLET_CPU_LOOP_OPERANDS] = {0}, rest = row;
        for (int i = loop->rank - 2; i >= 0; i--) {
            int64_t index = rest % loop->dims[i];
            rest /= loop->dims[i];
            for (int k = 0; k < loop->operands; k++)
                offsets[k] += index * loop->strides[k][i];
        }
        softmax_row(offsets, job);
    }
}

static int softmax_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    struct softmax_job job = {params, operands[0], operands[1], operands[2]};
    (void)err;
    if (job.p->inner > 1)
        glet_cpu_softmax_strided(job.out, job.in, job.p->outer, job.p->axis, job.p->inner,
                                 job.p->alpha);
    else
        glet_cpu_team_run(softmax_part, &job);
    return 0;
}

int glet_cpu_build_softmax(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cpu_tensor(b, node->inputs[0]);
    const struct glet_tensor *y = glet_cpu_tensor(b, node->output);
    if (!glet_cpu_is_float(b, node->inputs[0]))
        return glet_cpu_unsupported(b, err, "type %s", glet_dtype_name(x->dtype));
    struct softmax_params params = {.loop = glet_cpu_loop_new(y->rank, y->dims),
                                    .has_mask = node->has_mask,
                                    .alpha = node->alpha,
                                    .outer = 1,
                                    .axis = x->rank > 0 ? x->dims[node->axis] : 1,
                                    .inner = 1};
    for (int i = 0; i < x->rank; i++)
        if (i != node->axis)
            *(i < node->axis ? &params.outer : &params.inner) *= x->dims[i];
    if (params.inner > 1 && params.has_mask)
        return glet_cpu_unsupported(b, err, "a mask on an axis that is not the last");
    glet_cpu_loop_broadcast(&params.loop, x->rank, x->dims);
    dnnl_memory_desc_t md = glet_dnnl_plain(x->rank, x->dims);
    int buffers[3] = {-1, glet_cpu_want_plain(b, node->inputs[0], err), -1};
    if (params.has_mask) {
        const struct glet_tensor *mask = glet_cpu_tensor(b, node->inputs[1]);
        glet_cpu_loop_broadcast(&params.loop, mask->rank, mask->dims);
        if ((buffers[2] = glet_cpu_want_plain(b, node->inputs[1], err)) < 0)
            return -1;
    }
    if (params.inner == 1 && params.axis == 1) { /* also rank 0: rows of one element */
        params.loop.dims[params.loop.rank] = 1;
        params.loop.rank = params.loop.rank < GLET_MAX_RANK ? params.loop.rank + 1 : GLET_MAX_RANK;
    }
    if (buffers[1] < 0)
        return -1;
    buffers[0] = glet_cpu_may_overwrite(b, node->inputs[0], buffers[1])
                     ? glet_cpu_define_in(b, node->output, &md, buffers[1], err)
                     : glet_cpu_define_plain(b, node->output, err);
    if (buffers[0] < 0)
        return -1;
    return glet_cpu_add_kernel(b, softmax_kernel, buffers, 3, &params, sizeof params, err);
}

/* ---- LRN ---- */

struct lrn_params {
    int64_t batch, channels, inner;
    int size;
    float alpha, beta, k;
};

static int lrn_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    const struct lrn_params *p = params;
    (void)err;
    glet_cpu_lrn(operands[0], operands[1], p->batch, p->channels, p->inner, p->size, p->alpha,
                 p->beta, p->k);
    return 0;
}

int glet_cpu_build_lrn(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cpu_tensor(b, node->inputs[0]);
    if (!glet_cpu_is_float(b, node->inputs[0]) || x->rank < 2)
        return glet_cpu_unsupported(b, err, "type %s", glet_dtype_name(x->dtype));
    struct lrn_params params = {.batch = x->dims[0],
                                .channels = x->dims[1],
                                .inner = 1,
                                .size = node->mode,
                                .alpha = node->alpha,
                                .beta = node->beta,
                                .k = node->epsilon};
    for (int i = 2; i < x->rank; i++)
        params.inner *= x->dims[i];
    int from = glet_cpu_want_plain(b, node->inputs[0], err);
    int to = from < 0 ? -1 : glet_cpu_define_plain(b, node->output, err);
    if (to < 0)
        return -1;
    int buffers[] = {to, from};
    return glet_cpu_add_kernel(b, lrn_kernel, buffers, 2, &params, sizeof params, err);
}
