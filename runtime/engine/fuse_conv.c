/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fusions that need to know who else uses a result: a batch normalisation becomes part of the
 * convolution before it; a bias, a residual and an activation become part of the convolution or
 * matrix product that makes their input. Nodes move to the place of the last one they absorb, so
 * that a residual is there when it is needed. One pass in execution order each.
 */
#include "runtime/engine/bind.h"
#include "runtime/engine/model_private.h"
#include "runtime/engine/numeric.h"

#include <math.h>
#include <string.h>

int glet_bind_count_uses(struct glet_bind *b, const int *outputs, size_t output_count)
{
    b->uses = glet_arena_array(b->arena, b->tensor_count, sizeof *b->uses);
    if (!b->uses)
        return glet_error_set(b->err, GLET_ERR_NOMEM, "out of memory");
    bool *live = glet_arena_array(b->arena, b->node_count, sizeof *live);
    if (!live)
        return glet_error_set(b->err, GLET_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < output_count; i++)
        b->uses[glet_bind_storage(b, outputs[i])]++;
    /* Backwards, so that what only dead nodes use is dead as well. */
    for (size_t i = b->node_count; i-- > 0;) {
        const struct glet_node *node = b->nodes[i];
        if (!node)
            continue;
        if (!b->uses[node->output]) {
            b->nodes[i] = NULL;
            continue;
        }
        for (int k = 0; k < node->input_count; k++)
            b->uses[glet_bind_storage(b, node->inputs[k])]++;
    }
    return 0;
}

void glet_bind_absorb(struct glet_bind *b, size_t index, struct glet_node *p)
{
    const struct glet_node *later = b->nodes[index];
    struct glet_tensor *result = b->tensors[later->output];
    struct glet_tensor *own = b->tensors[p->output];
    b->nodes[own->producer] = NULL;
    b->nodes[index] = p;
    own->producer = (int)index;
    own->name = result->name;
    p->name = later->name;
    result->view_of = p->output;
    result->producer = -1;
    b->uses[p->output] = b->uses[later->output];
}

/* The producer of `tensor` if nobody else uses what it makes. */
static struct glet_node *only_for(const struct glet_bind *b, int tensor)
{
    struct glet_node *node = glet_bind_producer(b, tensor);
    return node && b->uses[node->output] == 1 ? node : NULL;
}

struct scaling {
    const void *weights;
    const float *scale;
    int64_t maps, per_map;
};

static void scale_weights(void *context, void *out)
{
    const struct scaling *s = context;
    float *to = out;
    for (int64_t m = 0; m < s->maps; m++) {
        memcpy(to + m * s->per_map, (const float *)s->weights + m * s->per_map,
               sizeof *to * (size_t)s->per_map);
        for (int64_t i = 0; i < s->per_map; i++)
            to[m * s->per_map + i] *= s->scale[m];
    }
}

static int no_memory(struct glet_bind *b)
{
    return glet_error_set(b->err, GLET_ERR_NOMEM, "out of memory");
}

/* bias * scale + shift */
static int folded_bias(struct glet_bind *b, const struct glet_node *conv, const float *scale,
                       const float *shift, int64_t maps)
{
    float *bias = glet_arena_array(b->arena, (size_t)maps, sizeof *bias);
    if (!bias)
        return no_memory(b);
    for (int64_t m = 0; m < maps; m++) {
        float old = 0.0f;
        if (conv->has_bias)
            old = (float)glet_number_float(GLET_FLOAT32, b->tensors[conv->inputs[2]]->data, m);
        bias[m] = old * scale[m] + shift[m];
    }
    struct glet_shape vector = {1, {maps}};
    return glet_bind_constant(b, GLET_FLOAT32, &vector, bias);
}

/* Scaled weights live in the model's pool: every batch gets the same ones. */
static int folded_weights(struct glet_bind *b, int weights, const float *scale)
{
    const struct glet_tensor *w = b->tensors[weights];
    struct scaling scaling = {w->data, NULL, w->dims[0], glet_tensor_elements(w) / w->dims[0]};
    scaling.scale =
        glet_constant_pool_intern(b->model->pool, scale, sizeof *scale * (size_t)scaling.maps);
    if (!scaling.scale)
        return no_memory(b);
    const void *data = glet_constant_pool_derive(b->model->pool, &scaling, sizeof scaling,
                                                 glet_tensor_bytes(w), scale_weights, &scaling);
    if (!data)
        return no_memory(b);
    struct glet_shape shape = glet_bind_shape(b, weights);
    return glet_bind_weight(b, GLET_FLOAT32, &shape, data);
}

int glet_fuse_batch_norm(struct glet_bind *b)
{
    for (size_t i = 0; i < b->node_count; i++) {
        const struct glet_node *norm = b->nodes[i];
        if (!norm || norm->op != GLET_OP_BATCH_NORM)
            continue;
        struct glet_node *conv = only_for(b, norm->inputs[0]);
        if (!conv || conv->op != GLET_OP_CONV || conv->output != norm->inputs[0] ||
            conv->has_residual || conv->activation.kind != GLET_ACT_NONE)
            continue;
        const struct glet_tensor *w = b->tensors[conv->inputs[1]];
        if (!w->data || w->producer != GLET_BIND_STABLE ||
            (conv->has_bias && !b->tensors[conv->inputs[2]]->data))
            continue;
        const float *scale = b->tensors[norm->inputs[1]]->data;
        const float *shift = b->tensors[norm->inputs[2]]->data;
        int bias = folded_bias(b, conv, scale, shift, w->dims[0]);
        int weights = bias < 0 ? -1 : folded_weights(b, conv->inputs[1], scale);
        if (weights < 0)
            return -1;
        conv->inputs[1] = weights;
        conv->inputs[2] = bias;
        conv->has_bias = true;
        conv->input_count = 3;
        glet_bind_absorb(b, i, conv);
    }
    return 0;
}

static bool fusable_activation(enum glet_activation_kind kind)
{
    switch (kind) {
    case GLET_ACT_RELU:
    case GLET_ACT_LEAKY_RELU:
    case GLET_ACT_CLIP:
    case GLET_ACT_SIGMOID:
    case GLET_ACT_TANH:
    case GLET_ACT_GELU_ERF:
    case GLET_ACT_GELU_TANH:
    case GLET_ACT_HARD_SIGMOID:
    case GLET_ACT_HARD_SWISH:
    case GLET_ACT_SWISH:
    case GLET_ACT_ELU:
        return true;
    default:
        return false;
    }
}

static bool takes_activation(const struct glet_node *node)
{
    if (node->activation.kind != GLET_ACT_NONE)
        return false;
    return node->op == GLET_OP_CONV || node->op == GLET_OP_MATMUL ||
           node->op == GLET_OP_BATCH_NORM ||
           (node->op == GLET_OP_BINARY && node->binary <= GLET_MAX);
}

static void fuse_activation(struct glet_bind *b, size_t index)
{
    const struct glet_node *unary = b->nodes[index];
    struct glet_node *p = only_for(b, unary->inputs[0]);
    if (!p || b->tensors[p->output]->dtype != GLET_FLOAT32 || !takes_activation(p))
        return;
    const struct glet_activation *f = &unary->activation;
    if (fusable_activation(f->kind)) {
        p->activation = *f;
    } else if (f->kind == GLET_ACT_LINEAR && fabsf(f->b) <= 0.0f && p->op == GLET_OP_MATMUL &&
               !p->has_bias && !p->has_residual) {
        p->alpha *= f->a;
    } else {
        return;
    }
    glet_bind_absorb(b, index, p);
}

/* Is `addend` one value per output channel of p, added to `sum`? */
static bool is_bias(const struct glet_bind *b, const struct glet_node *p, int addend, int sum)
{
    const struct glet_tensor *vector = b->tensors[addend], *out = b->tensors[p->output];
    const struct glet_tensor *result = b->tensors[sum];
    int axis = p->op == GLET_OP_CONV ? 1 : result->rank - 1;
    if (!vector->data || p->has_bias || result->rank < 1 ||
        (p->op == GLET_OP_CONV ? result->rank != out->rank
                               : result->dims[axis] != out->dims[out->rank - 1]))
        return false;
    int own = axis - (result->rank - vector->rank);
    return own >= 0 && vector->dims[own] == result->dims[axis] &&
           glet_tensor_elements(vector) == result->dims[axis];
}

/* Does the node that makes operand k of the sum take the other operand? 1 as a bias, 2 as a
   residual, 0 not at all. */
static int takes_addend(const struct glet_bind *b, const struct glet_node *sum, int k)
{
    int operand = sum->inputs[k], other = sum->inputs[1 - k];
    const struct glet_node *p = only_for(b, operand);
    if (!p || (p->op != GLET_OP_CONV && p->op != GLET_OP_MATMUL) || p->has_residual ||
        p->activation.kind != GLET_ACT_NONE || b->tensors[p->output]->dtype != GLET_FLOAT32 ||
        glet_tensor_elements(b->tensors[operand]) != glet_tensor_elements(b->tensors[sum->output]))
        return 0;
    if (is_bias(b, p, other, sum->output))
        return 1;
    bool same =
        glet_tensor_elements(b->tensors[other]) == glet_tensor_elements(b->tensors[sum->output]);
    return same && glet_bind_storage(b, other) != p->output ? 2 : 0;
}

static int fuse_addend(struct glet_bind *b, size_t index)
{
    const struct glet_node *sum = b->nodes[index];
    int best = -1, how = 0;
    for (int k = 0; k < 2; k++) {
        int kind = takes_addend(b, sum, k);
        /* Of two convolutions the later one adds the other's result. */
        if (kind && (best < 0 || glet_bind_producer(b, sum->inputs[k])->output >
                                     glet_bind_producer(b, sum->inputs[best])->output)) {
            best = k;
            how = kind;
        }
    }
    if (best < 0)
        return 0;
    struct glet_node *p = glet_bind_producer(b, sum->inputs[best]);
    struct glet_shape shape = glet_bind_shape(b, p->output);
    if (how == 1)
        shape = (struct glet_shape){
            1, {p->op == GLET_OP_CONV ? shape.dims[1] : shape.dims[shape.rank - 1]}};
    int addend = glet_bind_view(b, sum->inputs[1 - best], &shape);
    if (addend < 0)
        return -1;
    p->inputs[p->input_count++] = addend;
    *(how == 1 ? &p->has_bias : &p->has_residual) = true;
    glet_bind_absorb(b, index, p);
    return 0;
}

int glet_fuse_epilogues(struct glet_bind *b)
{
    for (size_t i = 0; i < b->node_count; i++) {
        const struct glet_node *node = b->nodes[i];
        if (!node)
            continue;
        if (node->op == GLET_OP_UNARY)
            fuse_activation(b, i);
        else if (node->op == GLET_OP_BINARY && node->binary == GLET_ADD && fuse_addend(b, i) < 0)
            return -1;
    }
    return 0;
}
