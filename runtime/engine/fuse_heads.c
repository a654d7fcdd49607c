/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention between projections: exporters split B x S x (heads * d) into heads by a view and a
 * transposition, for q, k and v, and join the result again. An attention kernel can read the
 * projections as they are, which saves four passes over the activations.
 */
#include "runtime/engine/bind.h"

static bool splits_heads(const struct glet_node *node)
{
    static const int perm[] = {0, 2, 1, 3};
    if (!node || node->op != GLET_OP_TRANSPOSE)
        return false;
    for (int i = 0; i < 4; i++) {
        if (node->perm[i] != perm[i])
            return false;
    }
    return true;
}

/* Heads joined: B x S x H x d as B x S x (H * d). */
static struct glet_shape joined(const struct glet_bind *b, int tensor)
{
    struct glet_shape shape = glet_bind_shape(b, tensor);
    return (struct glet_shape){3, {shape.dims[0], shape.dims[1], shape.dims[2] * shape.dims[3]}};
}

static int join(struct glet_bind *b, struct glet_node *attention, size_t index)
{
    const struct glet_node *transpose = b->nodes[index];
    struct glet_shape result = glet_bind_shape(b, transpose->output);
    int sources[3];
    for (int i = 0; i < 3; i++) {
        const struct glet_node *split = glet_bind_maker(b, attention->inputs[i]);
        if (!splits_heads(split))
            return 0;
        sources[i] = split->inputs[0];
        struct glet_shape shape = glet_bind_shape(b, sources[i]);
        if (shape.dims[3] != result.dims[3])
            return 0;
    }
    for (int i = 0; i < 3; i++) {
        struct glet_shape shape = joined(b, sources[i]);
        attention->inputs[i] = glet_bind_view(b, sources[i], &shape);
        if (attention->inputs[i] < 0)
            return -1;
    }
    attention->heads = (int)result.dims[2];
    /* Nobody else reads the old output: its tensor takes the new shape. */
    struct glet_shape shape = joined(b, transpose->output);
    struct glet_tensor *output = b->tensors[attention->output];
    output->rank = shape.rank;
    for (int i = 0; i < shape.rank; i++)
        output->dims[i] = shape.dims[i];
    glet_bind_absorb(b, index, attention);
    return 0;
}

int glet_fuse_heads(struct glet_bind *b)
{
    for (size_t i = 0; i < b->node_count; i++) {
        const struct glet_node *node = b->nodes[i];
        if (!splits_heads(node))
            continue;
        struct glet_node *attention = glet_bind_maker(b, node->inputs[0]);
        if (!attention || attention->op != GLET_OP_ATTENTION || attention->heads ||
            b->uses[attention->output] != 1)
            continue;
        if (join(b, attention, i) < 0)
            return -1;
    }
    return 0;
}
