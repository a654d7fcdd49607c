/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tail is the longest run of nodes at the end that are fully connected layers of one row per
 * request, and the activations and softmaxes between them. The binding of a model visits its nodes
 * in the same order whatever the batch, so that one index cuts both graphs; that is checked, not
 * trusted.
 */
#include "runtime/device/cpu/net/net_split.h"

#include <string.h>

/* Weights below this many elements (1 MiB) stay in the cache between rows. */
static const int64_t WEIGHTS_WORTH_ELEMENTS = 1 << 18;

static bool is_row_wise(const struct glet_graph *graph, const struct glet_node *node,
                        int64_t *weights)
{
    const struct glet_tensor *y = &graph->tensors[node->output];
    const struct glet_tensor *x = &graph->tensors[node->inputs[0]];
    if (y->rank != 2 || y->dims[0] != graph->batch || x->rank != 2 || x->dims[0] != graph->batch)
        return false;
    switch (node->op) {
    case GLET_OP_UNARY:
        return true;
    case GLET_OP_SOFTMAX:
        return node->axis == 1 && !node->has_mask;
    case GLET_OP_MATMUL: {
        const struct glet_tensor *w = &graph->tensors[node->inputs[1]];
        *weights += w->data ? glet_tensor_elements(w) : 0;
        return w->data && w->rank == 2 && !node->trans_a && !node->has_residual;
    }
    default:
        return false;
    }
}

static int first_of_tail(const struct glet_graph *graph, int64_t *weights)
{
    int first = graph->node_count;
    *weights = 0;
    while (first > 0 && is_row_wise(graph, &graph->nodes[first - 1], weights))
        first--;
    return first;
}

static bool same_structure(const struct glet_graph *a, const struct glet_graph *b)
{
    if (a->node_count != b->node_count || a->tensor_count != b->tensor_count ||
        a->input_count != b->input_count || a->output_count != b->output_count)
        return false;
    for (int i = 0; i < a->node_count; i++)
        if (a->nodes[i].op != b->nodes[i].op || a->nodes[i].output != b->nodes[i].output ||
            a->nodes[i].input_count != b->nodes[i].input_count ||
            memcmp(a->nodes[i].inputs, b->nodes[i].inputs,
                   (size_t)a->nodes[i].input_count * sizeof(int)) != 0)
            return false;
    for (int i = 0; i < a->output_count; i++)
        if (a->outputs[i] != b->outputs[i])
            return false;
    return true;
}

static bool add(int *list, int *count, int value)
{
    for (int i = 0; i < *count; i++)
        if (list[i] == value)
            return true;
    if (*count == GLET_CPU_SPLIT_TENSORS)
        return false;
    list[(*count)++] = value;
    return true;
}

static bool made_in_tail(const struct glet_graph *graph, int tensor, int first)
{
    return graph->tensors[glet_graph_storage(graph, tensor)].producer >= first;
}

static bool find_crossing(const struct glet_graph *graph, int first, struct glet_cpu_split *split)
{
    for (int n = first; n < graph->node_count; n++)
        for (int i = 0; i < graph->nodes[n].input_count; i++) {
            int root = glet_graph_storage(graph, graph->nodes[n].inputs[i]);
            if (!graph->tensors[root].data && graph->tensors[root].producer < first &&
                !add(split->crossing, &split->crossing_count, root))
                return false;
        }
    for (int i = 0; i < graph->output_count; i++) {
        bool tail = made_in_tail(graph, graph->outputs[i], first);
        int *count = tail ? &split->tail_output_count : &split->head_output_count;
        if (*count == GLET_CPU_SPLIT_TENSORS)
            return false;
        (tail ? split->tail_outputs : split->head_outputs)[(*count)++] = i;
    }
    return true;
}

bool glet_cpu_split_graph(const struct glet_graph *row, const struct glet_graph *batch,
                          struct glet_cpu_split *split)
{
    int64_t weights;
    int first = first_of_tail(batch, &weights);
    memset(split, 0, sizeof *split);
    if (first == 0 || weights < WEIGHTS_WORTH_ELEMENTS || !same_structure(row, batch) ||
        !find_crossing(batch, first, split))
        return false;
    for (int i = 0; i < split->crossing_count; i++)
        split->head_tensors[i] = split->crossing[i];
    for (int i = 0; i < split->head_output_count; i++)
        split->head_tensors[split->crossing_count + i] = row->outputs[split->head_outputs[i]];
    for (int i = 0; i < split->tail_output_count; i++)
        split->tail_tensors[i] = batch->outputs[split->tail_outputs[i]];
    split->head = *row;
    split->head.node_count = first;
    split->head.outputs = split->head_tensors;
    split->head.output_count = split->crossing_count + split->head_output_count;
    split->tail = *batch;
    split->tail.nodes = batch->nodes + first;
    split->tail.node_count = batch->node_count - first;
    split->tail.inputs = split->crossing;
    split->tail.input_count = split->crossing_count;
    split->tail.outputs = split->tail_tensors;
    split->tail.output_count = split->tail_output_count;
    return true;
}
