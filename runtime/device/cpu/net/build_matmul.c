/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix products. A constant right side is a layer: its rows are all batch dimensions of the left
 * side together, its weights are packed once, and it runs as an inner product with bias, residual
 * and activation in the same primitive. Otherwise it is a batched product of strided matrices, so
 * that transposing costs nothing.
 */
#include "runtime/device/cpu/net/build.h"

#include "runtime/device/cpu/kernels/kernels.h"

#include <string.h>

struct operands_of {
    int a, b, bias, residual; /* tensors; -1 = none */
};

static struct operands_of operands_of(const struct glet_node *node)
{
    struct operands_of o = {node->inputs[0], node->inputs[1], -1, -1};
    int next = 2;
    if (node->has_bias)
        o.bias = node->inputs[next++];
    if (node->has_residual)
        o.residual = node->inputs[next++];
    return o;
}

/* Whether all of it can be done by the primitive: a scaled product with a bias is not. */
static bool is_fusable(const struct glet_node *node)
{
    return node->alpha == 1.0F && glet_cpu_can_fuse(&node->activation);
}

/* Row-major memory of the result that holds the residual, if there is one. */
static int output_memory(struct glet_cpu_build *b, int residual, struct glet_error *err)
{
    const struct glet_tensor *y = glet_cpu_tensor(b, b->node->output);
    if (residual < 0)
        return glet_cpu_define_plain(b, b->node->output, err);
    dnnl_memory_desc_t md = glet_dnnl_plain(y->rank, y->dims);
    int from = glet_cpu_want_plain(b, residual, err);
    if (from < 0)
        return -1;
    if (glet_cpu_may_overwrite(b, residual, from))
        return glet_cpu_define_in(b, b->node->output, &md, from, err);
    int to = glet_cpu_define_plain(b, b->node->output, err);
    if (to < 0 || glet_cpu_add_convert(b, to, GLET_FLOAT32, from, GLET_FLOAT32,
                                       glet_tensor_elements(y), err) < 0)
        return -1;
    return to;
}

static int finish(struct glet_cpu_build *b, dnnl_primitive_desc_t pd,
                  struct glet_cpu_operand *operands, int count, int bias, int residual,
                  const dnnl_memory_desc_t *bias_md, const dnnl_memory_desc_t *y_md,
                  struct glet_error *err)
{
    bool ok = true;
    for (int i = 0; i < count; i++)
        ok = ok && operands[i].buffer >= 0;
    if (ok && bias >= 0) {
        operands[count] =
            (struct glet_cpu_operand){DNNL_ARG_BIAS, glet_cpu_want_plain(b, bias, err), *bias_md};
        ok = operands[count++].buffer >= 0;
    }
    if (ok) {
        operands[count] =
            (struct glet_cpu_operand){DNNL_ARG_DST, output_memory(b, residual, err), *y_md};
        ok = operands[count++].buffer >= 0;
    }
    if (!ok) {
        dnnl_primitive_desc_destroy(pd);
        return -1;
    }
    return glet_cpu_add_primitive(b, pd, operands, count, err);
}

/* ---- a layer ---- */

/* Constant matrix, and the left side's rows are contiguous. */
static bool is_layer(const struct glet_cpu_build *b, const struct operands_of *o)
{
    const struct glet_tensor *a = glet_cpu_tensor(b, o->a), *w = glet_cpu_tensor(b, o->b);
    if (!glet_cpu_constant_data(b, o->b) || w->dtype != GLET_FLOAT32 || w->rank < 2 ||
        a->rank < 1 || b->node->trans_a)
        return false;
    for (int i = 0; i < w->rank - 2; i++)
        if (w->dims[i] != 1)
            return false;
    return true;
}

static int pack_weights(struct glet_cpu_build *b, int tensor, int64_t n, int64_t k,
                        const dnnl_memory_desc_t *packed_md, struct glet_error *err)
{
    const struct glet_tensor *w = glet_cpu_tensor(b, tensor);
    int64_t dims[2] = {n, k};
    int64_t strides[2] = {b->node->trans_b ? k : 1, b->node->trans_b ? 1 : n};
    dnnl_memory_desc_t from = glet_dnnl_strided(2, dims, strides);
    struct glet_cpu_constant constant = {glet_cpu_model_of(b), glet_cpu_constant_data(b, tensor),
                                         glet_tensor_bytes(w)};
    const void *packed;
    if (glet_cpu_packs_get(glet_cpu_packs_of(b), &constant, &from, packed_md, &packed, err) < 0)
        return -1;
    return glet_cpu_constant_buffer(b, packed, err);
}

static int build_layer(struct glet_cpu_build *b, const struct operands_of *o, bool fuse,
                       struct glet_error *err)
{
    const struct glet_tensor *a = glet_cpu_tensor(b, o->a), *w = glet_cpu_tensor(b, o->b);
    int64_t k = a->dims[a->rank - 1];
    int64_t n = w->dims[b->node->trans_b ? w->rank - 2 : w->rank - 1];
    int64_t m = k > 0 ? glet_tensor_elements(a) / k : 0;
    if (fuse && o->residual < 0 && glet_cpu_wants_single_row(m, k, n))
        return glet_cpu_build_single_row(b, k, n, o->bias, err);
    int64_t a_dims[2] = {m, k}, w_dims[2] = {n, k}, y_dims[2] = {m, n};
    dnnl_memory_desc_t a_md = glet_dnnl_plain(2, a_dims), w_md = glet_dnnl_any(2, w_dims);
    dnnl_memory_desc_t y_md = glet_dnnl_plain(2, y_dims), bias_md = glet_dnnl_plain(1, &n);
    dnnl_primitive_attr_t attributes =
        glet_cpu_attributes(fuse && o->residual >= 0, fuse ? &b->node->activation : NULL, err);
    if (!attributes)
        return -1;
    int bias = fuse ? o->bias : -1;
    dnnl_inner_product_desc_t desc;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t status = dnnl_inner_product_forward_desc_init(
        &desc, dnnl_forward_inference, &a_md, &w_md, bias >= 0 ? &bias_md : NULL, &y_md);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&pd, &desc, attributes, glet_cpu_engine(b), NULL);
    dnnl_primitive_attr_destroy(attributes);
    if (glet_dnnl_check(status, "inner product", err) < 0)
        return -1;
    w_md = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    struct glet_cpu_operand operands[4] = {{DNNL_ARG_SRC, glet_cpu_want_plain(b, o->a, err), a_md}};
    operands[1] = (struct glet_cpu_operand){DNNL_ARG_WEIGHTS, -1, w_md};
    if (operands[0].buffer >= 0)
        operands[1].buffer = pack_weights(b, o->b, n, k, &w_md, err);
    return finish(b, pd, operands, 2, bias, fuse ? o->residual : -1, &bias_md, &y_md, err);
}

/* ---- a batched product ---- */

/* The matrix as `rank` dimensions with the last two swapped where asked; vectors become a row (left
   side) or a column (right side). */
static dnnl_memory_desc_t matrix_md(const struct glet_tensor *t, int rank, bool transposed,
                                    bool left)
{
    int64_t own[GLET_MAX_RANK], dims[GLET_MAX_RANK + 2], strides[GLET_MAX_RANK + 2];
    int own_rank = t->rank;
    memcpy(own, t->dims, sizeof own);
    if (own_rank == 1) {
        own[left ? 1 : 0] = t->dims[0];
        own[left ? 0 : 1] = 1;
        own_rank = 2;
    }
    int64_t stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        int at = i - (rank - own_rank);
        dims[i] = at >= 0 ? own[at] : 1;
        strides[i] = stride;
        stride *= dims[i];
    }
    if (transposed) {
        int64_t dim = dims[rank - 1], step = strides[rank - 1];
        dims[rank - 1] = dims[rank - 2];
        strides[rank - 1] = strides[rank - 2];
        dims[rank - 2] = dim;
        strides[rank - 2] = step;
    }
    return glet_dnnl_strided(rank, dims, strides);
}

static int build_product(struct glet_cpu_build *b, const struct operands_of *o, bool fuse,
                         struct glet_error *err)
{
    const struct glet_tensor *x = glet_cpu_tensor(b, o->a), *w = glet_cpu_tensor(b, o->b);
    int rank = x->rank > w->rank ? x->rank : w->rank;
    if (rank < 2)
        rank = 2;
    dnnl_memory_desc_t x_md = matrix_md(x, rank, b->node->trans_a && x->rank > 1, true);
    dnnl_memory_desc_t w_md = matrix_md(w, rank, b->node->trans_b && w->rank > 1, false);
    int64_t y_dims[GLET_MAX_RANK + 2], bias_dims[GLET_MAX_RANK + 2];
    for (int i = 0; i < rank - 2; i++) {
        y_dims[i] = x_md.dims[i] > w_md.dims[i] ? x_md.dims[i] : w_md.dims[i];
        bias_dims[i] = 1;
    }
    y_dims[rank - 2] = x_md.dims[rank - 2];
    y_dims[rank - 1] = w_md.dims[rank - 1];
    bias_dims[rank - 2] = 1;
    bias_dims[rank - 1] = y_dims[rank - 1];
    dnnl_memory_desc_t y_md = glet_dnnl_plain(rank, y_dims);
    dnnl_memory_desc_t bias_md = glet_dnnl_plain(rank, bias_dims);
    dnnl_primitive_attr_t attributes =
        glet_cpu_attributes(fuse && o->residual >= 0, fuse ? &b->node->activation : NULL, err);
    if (!attributes)
        return -1;
    int bias = fuse ? o->bias : -1;
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t status =
        dnnl_matmul_desc_init(&desc, &x_md, &w_md, bias >= 0 ? &bias_md : NULL, &y_md);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&pd, &desc, attributes, glet_cpu_engine(b), NULL);
    dnnl_primitive_attr_destroy(attributes);
    if (glet_dnnl_check(status, "matrix product", err) < 0)
        return -1;
    struct glet_cpu_operand operands[4] = {{DNNL_ARG_SRC, glet_cpu_want_plain(b, o->a, err), x_md}};
    operands[1] = (struct glet_cpu_operand){DNNL_ARG_WEIGHTS, -1, w_md};
    if (operands[0].buffer >= 0)
        operands[1].buffer = glet_cpu_want_plain(b, o->b, err);
    return finish(b, pd, operands, 2, bias, fuse ? o->residual : -1, &bias_md, &y_md, err);
}

/* ---- what the primitive could not do ---- */

struct tail_params {
    struct glet_cpu_loop bias, residual;
    bool has_bias, has_residual;
    struct glet_activation scale, activation;
    int64_t count;
};

static int tail_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    const struct tail_params *p = params;
    float *y = operands[0];
    (void)err;
    glet_cpu_simd()->unary(&p->scale, y, y, p->count);
    if (p->has_bias)
        glet_cpu_binary(&p->bias, GLET_ADD, GLET_FLOAT32, y, y, operands[1]);
    if (p->has_residual)
        glet_cpu_binary(&p->residual, GLET_ADD, GLET_FLOAT32, y, y, operands[2]);
    glet_cpu_simd()->unary(&p->activation, y, y, p->count);
    return 0;
}

static struct glet_cpu_loop add_loop(const struct glet_tensor *y, const struct glet_tensor *other)
{
    struct glet_cpu_loop loop = glet_cpu_loop_new(y->rank, y->dims);
    glet_cpu_loop_broadcast(&loop, y->rank, y->dims);
    glet_cpu_loop_broadcast(&loop, other->rank, other->dims);
    glet_cpu_loop_simplify(&loop);
    return loop;
}

static int build_tail(struct glet_cpu_build *b, const struct operands_of *o, struct glet_error *err)
{
    const struct glet_tensor *y = glet_cpu_tensor(b, b->node->output);
    struct tail_params params = {.has_bias = o->bias >= 0,
                                 .has_residual = o->residual >= 0,
                                 .scale = {GLET_ACT_LINEAR, b->node->alpha, 0.0F},
                                 .activation = b->node->activation,
                                 .count = glet_tensor_elements(y)};
    int buffers[] = {glet_cpu_want_plain(b, b->node->output, err), GLET_CPU_NO_BUFFER,
                     GLET_CPU_NO_BUFFER};
    if (buffers[0] < 0)
        return -1;
    if (params.has_bias) {
        params.bias = add_loop(y, glet_cpu_tensor(b, o->bias));
        if ((buffers[1] = glet_cpu_want_plain(b, o->bias, err)) < 0)
            return -1;
    }
    if (params.has_residual) {
        params.residual = add_loop(y, glet_cpu_tensor(b, o->residual));
        if ((buffers[2] = glet_cpu_want_plain(b, o->residual, err)) < 0)
            return -1;
    }
    return glet_cpu_add_kernel(b, tail_kernel, buffers, 3, &params, sizeof params, err);
}

int glet_cpu_build_matmul(struct glet_cpu_build *b, struct glet_error *err)
{
    struct operands_of o = operands_of(b->node);
    for (int i = 0; i < b->node->input_count; i++)
        if (!glet_cpu_is_float(b, b->node->inputs[i]))
            return glet_cpu_unsupported(
                b, err, "type %s", glet_dtype_name(glet_cpu_tensor(b, b->node->inputs[i])->dtype));
    bool fuse = is_fusable(b->node);
    int rc = is_layer(b, &o) ? build_layer(b, &o, fuse, err) : build_product(b, &o, fuse, err);
    return rc < 0 || fuse ? rc : build_tail(b, &o, err);
}
