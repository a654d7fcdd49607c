/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products that read the same input, as the projections to q, k and v do, are one product with
 * their weights side by side: one launch instead of three, and the input is read once. Each result
 * is then a range of columns of one larger matrix, which costs nothing where the readers take any
 * pitch: attention does, and transposing is strides.
 */
#include "runtime/device/cuda/plan/builder.h"

#include <math.h>

static bool is_read_by_strides(const struct glet_cuda_builder *b, int tensor)
{
    const struct glet_graph *graph = b->graph;
    for (int i = 0; i < graph->output_count; i++)
        if (glet_graph_storage(graph, graph->outputs[i]) == tensor)
            return false;
    for (int n = 0; n < graph->node_count; n++) {
        const struct glet_node *node = &graph->nodes[n];
        for (int i = 0; i < node->input_count; i++)
            if (node->inputs[i] >= 0 && glet_graph_storage(graph, node->inputs[i]) == tensor &&
                node->op != GLET_OP_ATTENTION && node->op != GLET_OP_TRANSPOSE)
                return false;
    }
    return true;
}

/* A matrix of weights, perhaps a bias, and nothing after them; columns that keep vectors whole. */
static bool is_projection(const struct glet_cuda_builder *b, const struct glet_node *node)
{
    if (node->op != GLET_OP_MATMUL || node->trans_a || node->has_residual ||
        node->activation.kind != GLET_ACT_NONE)
        return false;
    const struct glet_tensor *w = glet_cuda_tensor(b, node->inputs[1]);
    const struct glet_tensor *y = glet_cuda_tensor(b, node->output);
    int64_t columns = y->rank > 0 ? y->dims[y->rank - 1] : 0;
    if (!w->data || w->rank != 2 || columns % glet_cuda_vector(b->plan) != 0)
        return false;
    if (node->has_bias) {
        const struct glet_tensor *bias = glet_cuda_tensor(b, node->inputs[2]);
        if (!bias->data || glet_tensor_elements(bias) != columns || bias->dtype != w->dtype)
            return false;
    }
    return is_read_by_strides(b, node->output);
}

static bool same_but_for_columns(const struct glet_cuda_builder *b, const struct glet_node *first,
                                 const struct glet_node *other)
{
    return first->inputs[0] == other->inputs[0] && first->trans_b == other->trans_b &&
           first->has_bias == other->has_bias && fabsf(first->alpha - other->alpha) <= 0.0F &&
           glet_cuda_tensor(b, first->inputs[1])->dtype ==
               glet_cuda_tensor(b, other->inputs[1])->dtype;
}

int glet_cuda_beside(const struct glet_cuda_builder *b,
                     const struct glet_node *nodes[GLET_CUDA_MAX_BESIDE])
{
    int count = 1;
    nodes[0] = b->node;
    if (!is_projection(b, b->node))
        return count;
    const struct glet_node *end = b->graph->nodes + b->graph->node_count;
    for (const struct glet_node *node = b->node + 1; node < end && count < GLET_CUDA_MAX_BESIDE;
         node++)
        if (node->op == GLET_OP_MATMUL && same_but_for_columns(b, b->node, node) &&
            is_projection(b, node))
            nodes[count++] = node;
    return count;
}

int glet_cuda_weights_beside(struct glet_cuda_builder *b, const struct glet_node *const *nodes,
                             int count, int input, struct glet_cuda_place *out,
                             struct glet_error *err)
{
    const struct glet_tensor *first = glet_cuda_tensor(b, nodes[0]->inputs[input]);
    bool stacked = input == 1 && nodes[0]->trans_b; /* a row per column of the result */
    struct glet_cuda_weight weight = {.from = first->dtype,
                                      .to = glet_cuda_held(b->plan, first->dtype),
                                      .packing = GLET_CUDA_PACK_BESIDE,
                                      .rows = input == 1 && !stacked ? first->dims[0] : 1};
    for (int i = 0; i < count; i++) {
        const struct glet_tensor *t = glet_cuda_tensor(b, nodes[i]->inputs[input]);
        weight.count += glet_tensor_elements(t);
        weight.beside[i].data = t->data;
        weight.beside[i].columns = glet_tensor_elements(t) / weight.rows;
    }
    int buffer = glet_cuda_weight_add(b, &weight, err);
    if (buffer < 0)
        return -1;
    int64_t matrix[2] = {weight.rows, weight.count / weight.rows};
    if (stacked) {
        matrix[1] = first->dims[1];
        matrix[0] = weight.count / matrix[1];
    }
    *out = input == 1 ? glet_cuda_rows(buffer, weight.to, 2, matrix)
                      : glet_cuda_rows(buffer, weight.to, 1, &weight.count);
    return 0;
}

int glet_cuda_define_beside(struct glet_cuda_builder *b, const struct glet_node *const *nodes,
                            int count, struct glet_cuda_place *y, struct glet_error *err)
{
    struct glet_cuda_place part = *y;
    y->buffer = glet_cuda_buffer_add(
        b, GLET_CUDA_ARENA, (size_t)glet_cuda_place_count(y) * glet_dtype_size(y->dtype), err);
    if (y->buffer < 0)
        return -1;
    part.buffer = y->buffer;
    for (int i = 0; i < count; i++) {
        const struct glet_tensor *t = glet_cuda_tensor(b, nodes[i]->output);
        part.dims[part.rank - 1] = t->dims[t->rank - 1];
        if (glet_cuda_define_at(b, nodes[i]->output, &part, err) < 0)
            return -1;
        part.offset += t->dims[t->rank - 1];
    }
    return 0;
}
