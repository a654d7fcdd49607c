/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions, with bias, residual and activation in the same primitive. A residual is added in
 * the memory that already holds it whenever this node is the last that needs it, so that the sum
 * costs one read.
 */
#include "runtime/device/cpu/net/build.h"

#include <string.h>

struct conv_shape {
    int spatial;
    dnnl_dims_t weight_dims; /* grouped where the primitive wants it */
    int weight_rank;
    dnnl_dims_t dilations, strides, pads_begin, pads_end;
};

static int check_types(const struct glet_cpu_build *b, struct glet_error *err)
{
    for (int i = 0; i < b->node->input_count; i++)
        if (b->node->inputs[i] >= 0 && !glet_cpu_is_float(b, b->node->inputs[i]))
            return glet_cpu_unsupported(
                b, err, "type %s", glet_dtype_name(glet_cpu_tensor(b, b->node->inputs[i])->dtype));
    const struct glet_tensor *x = glet_cpu_tensor(b, b->node->inputs[0]);
    if (x->rank < 3 || x->rank > 2 + GLET_MAX_SPATIAL)
        return glet_cpu_unsupported(b, err, "%d dimensions", x->rank);
    return 0;
}

static void fill_shape(const struct glet_cpu_build *b, struct conv_shape *shape)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cpu_tensor(b, node->inputs[0]);
    const struct glet_tensor *w = glet_cpu_tensor(b, node->inputs[1]);
    shape->spatial = x->rank - 2;
    shape->weight_rank = 0;
    int64_t group = node->group > 0 ? node->group : 1;
    if (group > 1) {
        shape->weight_dims[shape->weight_rank++] = group;
        shape->weight_dims[shape->weight_rank++] = w->dims[0] / group;
    } else {
        shape->weight_dims[shape->weight_rank++] = w->dims[0];
    }
    for (int i = 1; i < w->rank; i++)
        shape->weight_dims[shape->weight_rank++] = w->dims[i];
    for (int i = 0; i < shape->spatial; i++) {
        shape->strides[i] = node->strides[i] > 0 ? node->strides[i] : 1;
        shape->dilations[i] = node->dilations[i] > 0 ? node->dilations[i] - 1 : 0;
        shape->pads_begin[i] = node->pads_begin[i];
        shape->pads_end[i] = node->pads_end[i];
    }
}

/* The memory of the result: the residual's own where it may be overwritten, else new memory that
   begins as a copy of it. */
static int output_memory(struct glet_cpu_build *b, int residual, const dnnl_memory_desc_t *md,
                         struct glet_error *err)
{
    if (residual < 0)
        return glet_cpu_define(b, b->node->output, md, err);
    int from = glet_cpu_want(b, residual, md, err);
    if (from < 0)
        return -1;
    if (glet_cpu_may_overwrite(b, residual, from))
        return glet_cpu_define_in(b, b->node->output, md, from, err);
    int to = glet_cpu_define(b, b->node->output, md, err);
    if (to < 0 || glet_cpu_add_reorder(b, from, md, to, md, err) < 0)
        return -1;
    return to;
}

/* Blocks of as many channels as a vector register holds where that leaves no padding: what
   oneDNN's direct and Winograd kernels want, and what lets concatenations be written in place
   (build_concat.c). Else the primitive's choice. */
static dnnl_memory_desc_t preferred_layout(const struct glet_tensor *t, bool blocked)
{
    static const dnnl_format_tag_t tags[2][GLET_MAX_SPATIAL] = {
        {dnnl_nCw8c, dnnl_nChw8c, dnnl_nCdhw8c}, {dnnl_nCw16c, dnnl_nChw16c, dnnl_nCdhw16c}};
    bool wide = dnnl_get_effective_cpu_isa() >= dnnl_cpu_isa_avx512_core;
    dnnl_memory_desc_t md;
    dnnl_dims_t dims = {0};
    memcpy(dims, t->dims, (size_t)t->rank * sizeof dims[0]);
    if (!blocked || t->dims[1] % (wide ? 16 : 8) != 0 ||
        dnnl_memory_desc_init_by_tag(&md, t->rank, dims, dnnl_f32, tags[wide][t->rank - 3]) !=
            dnnl_success)
        return glet_dnnl_any(t->rank, t->dims);
    return md;
}

/* Implementations that are there for completeness: any other is faster. */
static bool is_slow(dnnl_primitive_desc_t pd)
{
    const char *name = "";
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
    return strncmp(name, "ref", 3) == 0 || strncmp(name, "gemm", 4) == 0;
}

/*
 * Winograd's algorithm needs 2.25 to 4 times fewer multiplications for a 3 x 3 kernel. Measured on
 * ResNet50 with oneDNN 2.6.3 and AVX-512, one thread: 62.8 ms, against 74.8 ms for direct blocked
 * and 75.4 ms for whatever oneDNN chooses (benchmarks/results/).
 */
static bool wants_winograd(const struct conv_shape *s)
{
    if (s->spatial != 2 || s->weight_rank != 4)
        return false;
    for (int i = 0; i < 2; i++)
        if (s->weight_dims[2 + i] != 3 || s->strides[i] != 1 || s->dilations[i] != 0)
            return false;
    return s->weight_dims[0] % 16 == 0 && s->weight_dims[1] % 16 == 0;
}

/* The best of the candidates that oneDNN has for this shape. */
static dnnl_status_t choose_primitive(const struct glet_cpu_build *b, const struct conv_shape *s,
                                      const struct glet_tensor *x, const struct glet_tensor *y,
                                      const dnnl_memory_desc_t *bias_md,
                                      const_dnnl_primitive_attr_t attributes,
                                      dnnl_primitive_desc_t *out)
{
    static const struct {
        dnnl_alg_kind_t algorithm;
        bool blocked;
    } candidates[] = {{dnnl_convolution_winograd, true},
                      {dnnl_convolution_direct, true},
                      {dnnl_convolution_direct, false}};
    enum { CANDIDATES = sizeof candidates / sizeof candidates[0] };
    dnnl_memory_desc_t w_md = glet_dnnl_any(s->weight_rank, s->weight_dims);
    dnnl_status_t status = dnnl_unimplemented;
    for (int i = 0; i < CANDIDATES; i++) {
        if (candidates[i].algorithm == dnnl_convolution_winograd && !wants_winograd(s))
            continue;
        dnnl_memory_desc_t x_md = preferred_layout(x, candidates[i].blocked);
        dnnl_memory_desc_t y_md = preferred_layout(y, candidates[i].blocked);
        dnnl_convolution_desc_t desc;
        status = dnnl_dilated_convolution_forward_desc_init(
            &desc, dnnl_forward_inference, candidates[i].algorithm, &x_md, &w_md, bias_md, &y_md,
            s->strides, s->dilations, s->pads_begin, s->pads_end);
        if (status == dnnl_success)
            status = dnnl_primitive_desc_create(out, &desc, attributes, glet_cpu_engine(b), NULL);
        if (status != dnnl_success)
            continue;
        if (i == CANDIDATES - 1 || !is_slow(*out))
            break;
        dnnl_primitive_desc_destroy(*out);
    }
    return status;
}

int glet_cpu_build_conv(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    struct conv_shape s;
    if (check_types(b, err) < 0)
        return -1;
    fill_shape(b, &s);
    const struct glet_tensor *x = glet_cpu_tensor(b, node->inputs[0]);
    const struct glet_tensor *y = glet_cpu_tensor(b, node->output);
    int bias = node->has_bias ? node->inputs[2] : -1;
    int residual = node->has_residual ? node->inputs[node->has_bias ? 3 : 2] : -1;
    bool fuse = glet_cpu_can_fuse(&node->activation);

    dnnl_memory_desc_t x_md, y_md, w_md, bias_md = glet_dnnl_plain(1, &y->dims[1]);
    dnnl_primitive_attr_t attributes =
        glet_cpu_attributes(residual >= 0, fuse ? &node->activation : NULL, err);
    if (!attributes)
        return -1;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t status =
        choose_primitive(b, &s, x, y, bias >= 0 ? &bias_md : NULL, attributes, &pd);
    dnnl_primitive_attr_destroy(attributes);
    if (glet_dnnl_check(status, "convolution", err) < 0)
        return -1;
    x_md = *dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0);
    w_md = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    y_md = *dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0);

    struct glet_cpu_operand operands[4] = {{DNNL_ARG_SRC, -1, x_md}, {DNNL_ARG_WEIGHTS, -1, w_md}};
    int count = 2;
    operands[0].buffer = glet_cpu_want(b, node->inputs[0], &x_md, err);
    operands[1].buffer =
        operands[0].buffer < 0 ? -1 : glet_cpu_want(b, node->inputs[1], &w_md, err);
    bool ok = operands[1].buffer >= 0;
    if (ok && bias >= 0) {
        operands[count] =
            (struct glet_cpu_operand){DNNL_ARG_BIAS, glet_cpu_want_plain(b, bias, err), bias_md};
        ok = operands[count++].buffer >= 0;
    }
    if (ok) {
        operands[count] =
            (struct glet_cpu_operand){DNNL_ARG_DST, output_memory(b, residual, &y_md, err), y_md};
        ok = operands[count++].buffer >= 0;
    }
    if (!ok) {
        dnnl_primitive_desc_destroy(pd);
        return -1;
    }
    if (glet_cpu_add_primitive(b, pd, operands, count, err) < 0)
        return -1;
    return fuse ? 0 : glet_cpu_activate(b, node->output, err);
}

/* ONNX holds the weights of a transposed convolution as C x M/group x kernel, oneDNN wants
   [group x] M/group x C/group x kernel: the same bytes under other strides. */
static dnnl_memory_desc_t transposed_weights(const struct glet_tensor *w, int64_t group,
                                             struct conv_shape *s)
{
    dnnl_dims_t strides;
    int64_t inner = 1;
    s->weight_rank = 0;
    for (int i = 2; i < w->rank; i++)
        inner *= w->dims[i];
    if (group > 1) {
        strides[s->weight_rank] = w->dims[0] / group * w->dims[1] * inner;
        s->weight_dims[s->weight_rank++] = group;
    }
    strides[s->weight_rank] = inner;
    s->weight_dims[s->weight_rank++] = w->dims[1];
    strides[s->weight_rank] = w->dims[1] * inner;
    s->weight_dims[s->weight_rank++] = w->dims[0] / group;
    for (int i = 2; i < w->rank; i++) {
        inner /= w->dims[i];
        strides[s->weight_rank] = inner;
        s->weight_dims[s->weight_rank++] = w->dims[i];
    }
    return glet_dnnl_strided(s->weight_rank, s->weight_dims, strides);
}

int glet_cpu_build_conv_transpose(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    struct conv_shape s;
    if (check_types(b, err) < 0)
        return -1;
    fill_shape(b, &s);
    const struct glet_tensor *x = glet_cpu_tensor(b, node->inputs[0]);
    const struct glet_tensor *w = glet_cpu_tensor(b, node->inputs[1]);
    const struct glet_tensor *y = glet_cpu_tensor(b, node->output);
    /* the end of the output that ONNX's output_padding adds is a smaller padding */
    for (int i = 0; i < s.spatial; i++)
        s.pads_end[i] = (x->dims[2 + i] - 1) * s.strides[i] +
                        (w->dims[2 + i] - 1) * (s.dilations[i] + 1) + 1 - y->dims[2 + i] -
                        s.pads_begin[i];
    dnnl_memory_desc_t w_plain = transposed_weights(w, node->group > 0 ? node->group : 1, &s);
    dnnl_memory_desc_t x_md = glet_dnnl_plain(x->rank, x->dims);
    dnnl_memory_desc_t y_md = glet_dnnl_plain(y->rank, y->dims);
    dnnl_memory_desc_t bias_md = glet_dnnl_plain(1, &y->dims[1]);
    bool fuse = glet_cpu_can_fuse(&node->activation);
    dnnl_primitive_attr_t attributes =
        glet_cpu_attributes(false, fuse ? &node->activation : NULL, err);
    if (!attributes)
        return -1;
    dnnl_deconvolution_desc_t desc;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t status = dnnl_dilated_deconvolution_forward_desc_init(
        &desc, dnnl_forward_inference, dnnl_deconvolution_direct, &x_md, &w_plain,
        node->has_bias ? &bias_md : NULL, &y_md, s.strides, s.dilations, s.pads_begin, s.pads_end);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&pd, &desc, attributes, glet_cpu_engine(b), NULL);
    dnnl_primitive_attr_destroy(attributes);
    if (glet_dnnl_check(status, "transposed convolution", err) < 0)
        return -1;
    struct glet_cpu_operand operands[4] = {
        {DNNL_ARG_SRC, glet_cpu_want_plain(b, node->inputs[0], err), x_md},
    };
    int count = 1;
    bool ok = operands[0].buffer >= 0;
    if (ok) {
        operands[count] = (struct glet_cpu_operand){
            DNNL_ARG_WEIGHTS, glet_cpu_want_plain(b, node->inputs[1], err), w_plain};
        ok = operands[count++].buffer >= 0;
    }
    if (ok && node->has_bias) {
        operands[count] = (struct glet_cpu_operand){
            DNNL_ARG_BIAS, glet_cpu_want_plain(b, node->inputs[2], err), bias_md};
        ok = operands[count++].buffer >= 0;
    }
    if (ok) {
        operands[count] = (struct glet_cpu_operand){
            DNNL_ARG_DST, glet_cpu_define_plain(b, node->output, err), y_md};
        ok = operands[count++].buffer >= 0;
    }
    if (!ok) {
        dnnl_primitive_desc_destroy(pd);
        return -1;
    }
    if (glet_cpu_add_primitive(b, pd, operands, count, err) < 0)
        return -1;
    return fuse ? 0 : glet_cpu_activate(b, node->output, err);
}
