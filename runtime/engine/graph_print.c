/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bound graph as text: one line per node, in execution order. The golden listings of the tests
 * are this text, so it says everything that the passes decide and nothing that varies (no
 * pointers).
 */
#include "runtime/engine/graph.h"

#include <inttypes.h>

static void print_shape(const struct glet_tensor *tensor, FILE *out)
{
    fprintf(out, "%s[", glet_dtype_name(tensor->dtype));
    for (int i = 0; i < tensor->rank; i++)
        fprintf(out, "%s%" PRId64, i ? "," : "", tensor->dims[i]);
    fputc(']', out);
}

/* %7 is the result of node 7, $x an input, #w a constant; views show the shape they give. */
static void print_operand(const struct glet_graph *graph, int number, FILE *out)
{
    const struct glet_tensor *tensor = &graph->tensors[number];
    const struct glet_tensor *storage = &graph->tensors[glet_graph_storage(graph, number)];
    if (storage->data)
        fputc('#', out);
    else if (storage->producer >= 0)
        fprintf(out, "%%%d", storage->producer);
    else
        fprintf(out, "$%s", storage->name);
    if (tensor->data || tensor != storage)
        print_shape(tensor, out);
}

static void print_activation(const struct glet_activation *activation, FILE *out)
{
    fputs(glet_activation_name(activation->kind), out);
    switch (activation->kind) {
    case GLET_ACT_CLIP:
    case GLET_ACT_HARD_SIGMOID:
    case GLET_ACT_LINEAR:
        fprintf(out, "(%.6g,%.6g)", (double)activation->a, (double)activation->b);
        break;
    case GLET_ACT_LEAKY_RELU:
    case GLET_ACT_SWISH:
    case GLET_ACT_ELU:
        fprintf(out, "(%.6g)", (double)activation->a);
        break;
    default:
        break;
    }
}

static void print_list(const char *name, const int64_t *values, int count, int64_t plain, FILE *out)
{
    bool all_plain = true;
    for (int i = 0; i < count; i++)
        all_plain = all_plain && values[i] == plain;
    if (all_plain)
        return;
    fprintf(out, " %s=", name);
    for (int i = 0; i < count; i++)
        fprintf(out, "%s%" PRId64, i ? "," : "", values[i]);
}

static void print_window(const struct glet_node *node, int rank, FILE *out)
{
    int spatial = rank - 2;
    print_list("kernel", node->kernel, spatial, 1, out);
    print_list("strides", node->strides, spatial, 1, out);
    print_list("dilations", node->dilations, spatial, 1, out);
    print_list("pads", node->pads_begin, spatial, 0, out);
    print_list("pads_end", node->pads_end, spatial, 0, out);
    if (node->group > 1)
        fprintf(out, " group=%" PRId64, node->group);
    if (node->count_include_pad)
        fputs(" count_include_pad", out);
}

static void print_details(const struct glet_graph *graph, const struct glet_node *node, FILE *out)
{
    int rank = graph->tensors[node->output].rank;
    switch (node->op) {
    case GLET_OP_CONV:
    case GLET_OP_CONV_TRANSPOSE:
    case GLET_OP_MAX_POOL:
    case GLET_OP_AVG_POOL:
        print_window(node, rank, out);
        break;
    case GLET_OP_MATMUL:
        fprintf(out, "%s%s", node->trans_a ? " trans_a" : "", node->trans_b ? " trans_b" : "");
        break;
    case GLET_OP_LAYER_NORM:
        fprintf(out, " axis=%d epsilon=%.6g", node->axis, (double)node->epsilon);
        break;
    case GLET_OP_SOFTMAX:
    case GLET_OP_CONCAT:
    case GLET_OP_GATHER:
    case GLET_OP_ARG_MAX:
        fprintf(out, " axis=%d", node->axis);
        break;
    case GLET_OP_LRN:
        fprintf(out, " size=%d", node->mode);
        break;
    case GLET_OP_SLICE:
        print_list("starts", node->starts, rank, 0, out);
        print_list("steps", node->steps, rank, 1, out);
        break;
    case GLET_OP_PAD:
        print_list("begin", node->pads_begin, rank, 0, out);
        print_list("end", node->pads_end, rank, 0, out);
        fprintf(out, " mode=%d value=%.6g", node->mode, (double)node->alpha);
        break;
    case GLET_OP_TRANSPOSE:
        fputs(" perm=", out);
        for (int i = 0; i < rank; i++)
            fprintf(out, "%s%d", i ? "," : "", node->perm[i]);
        break;
    case GLET_OP_RESIZE:
        fprintf(out, " mode=%d coordinates=%d rounding=%d", node->mode, (int)node->coordinates,
                (int)node->rounding);
        break;
    case GLET_OP_REDUCE_MEAN:
    case GLET_OP_REDUCE_SUM:
    case GLET_OP_REDUCE_MAX:
    case GLET_OP_REDUCE_MIN:
        fprintf(out, " axes=0x%x", (unsigned)node->axes_mask);
        break;
    case GLET_OP_ATTENTION:
        fprintf(out, " heads=%d", node->heads);
        break;
    default:
        break;
    }
    bool scaled =
        node->op == GLET_OP_MATMUL || node->op == GLET_OP_SOFTMAX || node->op == GLET_OP_ATTENTION;
    if (scaled && (node->alpha < 1.0f || node->alpha > 1.0f))
        fprintf(out, " alpha=%.6g", (double)node->alpha);
}

static void print_node(const struct glet_graph *graph, int index, FILE *out)
{
    const struct glet_node *node = &graph->nodes[index];
    fprintf(out, "%%%d ", index);
    print_shape(&graph->tensors[node->output], out);
    fprintf(out, " = %s", glet_op_name(node->op));
    if (node->op == GLET_OP_BINARY)
        fprintf(out, ".%s", glet_binary_name(node->binary));
    if (node->op == GLET_OP_UNARY) {
        fputc('.', out);
        print_activation(&node->activation, out);
    }
    for (int i = 0; i < node->input_count; i++) {
        fputc(' ', out);
        print_operand(graph, node->inputs[i], out);
    }
    print_details(graph, node, out);
    fprintf(out, "%s%s%s", node->has_bias ? " +bias" : "", node->has_residual ? " +residual" : "",
            node->has_mask ? " +mask" : "");
    if (node->op != GLET_OP_UNARY && node->activation.kind != GLET_ACT_NONE) {
        fputs(" +", out);
        print_activation(&node->activation, out);
    }
    fputc('\n', out);
}

void glet_graph_print(const struct glet_graph *graph, FILE *out)
{
    for (int i = 0; i < graph->input_count; i++) {
        const struct glet_tensor *tensor = &graph->tensors[graph->inputs[i]];
        fprintf(out, "input %s ", tensor->name);
        print_shape(tensor, out);
        fputc('\n', out);
    }
    for (int i = 0; i < graph->node_count; i++)
        print_node(graph, i, out);
    for (int i = 0; i < graph->output_count; i++) {
        const struct glet_tensor *tensor = &graph->tensors[graph->outputs[i]];
        fprintf(out, "output %s ", tensor->name);
        print_shape(tensor, out);
        fputs(" = ", out);
        print_operand(graph, graph->outputs[i], out);
        fputc('\n', out);
    }
}
