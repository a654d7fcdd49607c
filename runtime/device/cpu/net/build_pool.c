/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pooling, in whatever layout its input has.
 */
#include "runtime/device/cpu/net/build.h"

static dnnl_alg_kind_t algorithm(const struct glet_node *node)
{
    if (node->op == GLET_OP_MAX_POOL)
        return dnnl_pooling_max;
    return node->count_include_pad ? dnnl_pooling_avg_include_padding
                                   : dnnl_pooling_avg_exclude_padding;
}

int glet_cpu_build_pool(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cpu_tensor(b, node->inputs[0]);
    const struct glet_tensor *y = glet_cpu_tensor(b, node->output);
    int spatial = x->rank - 2;
    if (!glet_cpu_is_float(b, node->inputs[0]))
        return glet_cpu_unsupported(b, err, "type %s", glet_dtype_name(x->dtype));
    if (spatial < 1 || spatial > GLET_MAX_SPATIAL)
        return glet_cpu_unsupported(b, err, "%d dimensions", x->rank);
    dnnl_dims_t strides, kernel, dilations, begin, end;
    for (int i = 0; i < spatial; i++) {
        strides[i] = node->strides[i] > 0 ? node->strides[i] : 1;
        kernel[i] = node->kernel[i];
        dilations[i] = node->dilations[i] > 0 ? node->dilations[i] - 1 : 0;
        begin[i] = node->pads_begin[i];
        end[i] = node->pads_end[i];
    }
    dnnl_memory_desc_t x_md, y_md = glet_dnnl_any(y->rank, y->dims);
    int from;
    if (glet_cpu_current(b, node->inputs[0], &x_md, &from, err) < 0)
        return -1;
    dnnl_primitive_attr_t attributes = glet_cpu_attributes(false, NULL, err);
    if (!attributes)
        return -1;
    dnnl_pooling_v2_desc_t desc;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t status =
        dnnl_pooling_v2_forward_desc_init(&desc, dnnl_forward_inference, algorithm(node), &x_md,
                                          &y_md, strides, kernel, dilations, begin, end);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&pd, &desc, attributes, glet_cpu_engine(b), NULL);
    dnnl_primitive_attr_destroy(attributes);
    if (glet_dnnl_check(status, "pooling", err) < 0)
        return -1;
    y_md = *dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0);
    int to = glet_cpu_define(b, node->output, &y_md, err);
    if (to < 0) {
        dnnl_primitive_desc_destroy(pd);
        return -1;
    }
    struct glet_cpu_operand operands[] = {{DNNL_ARG_SRC, from, x_md}, {DNNL_ARG_DST, to, y_md}};
    return glet_cpu_add_primitive(b, pd, operands, 2, err);
}
