/* SPDX-License-Identifier: Apache-2.0 */
/*
 * softmax(alpha q k^T + mask) v in three steps: a batched product into a score matrix per head, the
 * softmax in place, a batched product into the result. Heads are strides: with q, k, v as the
 * projections leave them (B x S x heads * d) nothing is transposed.
 */
#include "runtime/device/cpu/net/build.h"

#include "runtime/device/cpu/kernels/kernels.h"
#include "runtime/device/cpu/kernels/team.h"

#include <string.h>

struct attention_shape {
    int64_t batch, heads, queries, keys, depth, value_depth;
};

/* B x heads x S x d with the strides of either arrangement; `transposed` swaps the last two. */
static dnnl_memory_desc_t head_md(bool packed, int64_t batch, int64_t heads, int64_t length,
                                  int64_t depth, bool transposed)
{
    int64_t dims[4] = {batch, heads, length, depth};
    int64_t strides[4] = {heads * length * depth, length * depth, depth, 1};
    if (packed) {
        strides[1] = depth;
        strides[2] = heads * depth;
    }
    if (transposed) {
        dims[2] = depth;
        dims[3] = length;
        int64_t stride = strides[2];
        strides[2] = strides[3];
        strides[3] = stride;
    }
    return glet_dnnl_strided(4, dims, strides);
}

static int add_product(struct glet_cpu_build *b, int x, const dnnl_memory_desc_t *x_md, int w,
                       const dnnl_memory_desc_t *w_md, int y, const dnnl_memory_desc_t *y_md,
                       struct glet_error *err)
{
    dnnl_primitive_attr_t attributes = glet_cpu_attributes(false, NULL, err);
    if (!attributes)
        return -1;
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t status = dnnl_matmul_desc_init(&desc, x_md, w_md, NULL, y_md);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&pd, &desc, attributes, glet_cpu_engine(b), NULL);
    dnnl_primitive_attr_destroy(attributes);
    if (glet_dnnl_check(status, "attention", err) < 0)
        return -1;
    struct glet_cpu_operand operands[] = {
        {DNNL_ARG_SRC, x, *x_md}, {DNNL_ARG_WEIGHTS, w, *w_md}, {DNNL_ARG_DST, y, *y_md}};
    return glet_cpu_add_primitive(b, pd, operands, 3, err);
}

struct scores_params {
    struct glet_cpu_loop loop; /* scores, scores, mask */
    bool has_mask;
    float alpha;
    long rows, n;
};

struct scores_job {
    const struct scores_params *p;
    float *scores;
    const float *mask;
};

static void scores_part(int part, int parts, void *data)
{
    const struct scores_job *job = data;
    const struct scores_params *p = job->p;
    long begin, end;
    glet_cpu_split(p->rows, part, parts, &begin, &end);
    for (long row = begin; row < end; row++) {
        int64_t mask_offset = 0, rest = row;
        for (int i = 2; i >= 0; i--) {
            mask_offset += rest % p->loop.dims[i] * p->loop.strides[1][i];
            rest /= p->loop.dims[i];
        }
        glet_cpu_simd()->softmax(job->scores + row * p->n, job->scores + row * p->n,
                                 p->has_mask ? job->mask + mask_offset : NULL,
                                 (int)p->loop.strides[1][3], p->alpha, p->n);
    }
}

static int scores_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    struct scores_job job = {params, operands[0], operands[1]};
    (void)err;
    glet_cpu_team_run(scores_part, &job);
    return 0;
}

static int get_shape(const struct glet_cpu_build *b, struct attention_shape *s,
                     struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *q = glet_cpu_tensor(b, node->inputs[0]);
    const struct glet_tensor *k = glet_cpu_tensor(b, node->inputs[1]);
    const struct glet_tensor *v = glet_cpu_tensor(b, node->inputs[2]);
    bool packed = node->heads > 0;
    int rank = packed ? 3 : 4;
    for (int i = 0; i < node->input_count; i++)
        if (!glet_cpu_is_float(b, node->inputs[i]))
            return glet_cpu_unsupported(b, err, "types other than FP32");
    if (q->rank != rank || k->rank != rank || v->rank != rank)
        return glet_cpu_unsupported(b, err, "operands of %d dimensions", q->rank);
    s->batch = q->dims[0];
    s->heads = packed ? node->heads : q->dims[1];
    s->queries = q->dims[rank - 2];
    s->keys = k->dims[rank - 2];
    s->depth = packed ? q->dims[2] / s->heads : q->dims[3];
    s->value_depth = packed ? v->dims[2] / s->heads : v->dims[3];
    return 0;
}

int glet_cpu_build_attention(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    bool packed = node->heads > 0;
    struct attention_shape s = {0};
    if (get_shape(b, &s, err) < 0)
        return -1;
    int64_t score_dims[4] = {s.batch, s.heads, s.queries, s.keys};
    int q = glet_cpu_want_plain(b, node->inputs[0], err);
    int k = q < 0 ? -1 : glet_cpu_want_plain(b, node->inputs[1], err);
    int v = k < 0 ? -1 : glet_cpu_want_plain(b, node->inputs[2], err);
    int scores =
        v < 0 ? -1
              : glet_cpu_temporary(
                    b, (size_t)(s.batch * s.heads * s.queries * s.keys) * sizeof(float), err);
    if (scores < 0)
        return -1;
    dnnl_memory_desc_t q_md = head_md(packed, s.batch, s.heads, s.queries, s.depth, false);
    dnnl_memory_desc_t k_md = head_md(packed, s.batch, s.heads, s.keys, s.depth, true);
    dnnl_memory_desc_t v_md = head_md(packed, s.batch, s.heads, s.keys, s.value_depth, false);
    dnnl_memory_desc_t y_md = head_md(packed, s.batch, s.heads, s.queries, s.value_depth, false);
    dnnl_memory_desc_t scores_md = glet_dnnl_plain(4, score_dims);
    if (add_product(b, q, &q_md, k, &k_md, scores, &scores_md, err) < 0)
        return -1;
    struct scores_params params = {.loop = glet_cpu_loop_new(4, score_dims),
                                   .has_mask = node->has_mask,
                                   .alpha = node->alpha,
                                   .rows = s.batch * s.heads * s.queries,
                                   .n = s.keys};
    int buffers[2] = {scores, GLET_CPU_NO_BUFFER};
    if (node->has_mask) {
        const struct glet_tensor *mask = glet_cpu_tensor(b, node->inputs[3]);
        glet_cpu_loop_broadcast(&params.loop, mask->rank, mask->dims);
        if ((buffers[1] = glet_cpu_want_plain(b, node->inputs[3], err)) < 0)
            return -1;
    }
    if (glet_cpu_add_kernel(b, scores_kernel, buffers, 2, &params, sizeof params, err) < 0)
        return -1;
    int y = glet_cpu_define_plain(b, node->output, err);
    return y < 0 ? -1 : add_product(b, scores, &scores_md, v, &v_md, y, &y_md, err);
}
