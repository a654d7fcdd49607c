/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node is in disguise, seen from its inputs: identities, views, scaling by a constant, an
 * Expand that broadcasting makes unnecessary. Nothing is removed here; a node whose result nobody
 * uses any more is dropped at the end.
 */
#include "runtime/engine/bind.h"
#include "runtime/engine/numeric.h"
#include "runtime/engine/onnx_tensor.h"

#include <math.h>

enum { NONE = -1, FAILED = -2 };

static int or_failed(int number)
{
    return number < 0 ? FAILED : number;
}

static bool is(double value, double wanted)
{
    return value >= wanted && value <= wanted;
}

/* x under the result's shape, if it has the elements of the result in their order. */
static int same_elements(struct glet_bind *b, int x, enum glet_dtype dtype,
                         const struct glet_shape *shape)
{
    struct glet_shape from = glet_bind_shape(b, x);
    if (glet_bind_tensor(b, x)->dtype != dtype ||
        glet_shape_elements(&from) != glet_shape_elements(shape))
        return NONE;
    return or_failed(glet_bind_view(b, x, shape));
}

/*
 * Elementwise operators on an expanded tensor compute the same thing many times: use what was
 * expanded, and expand the result if broadcasting does not do it anyway.
 */
static int through_expand(struct glet_bind *b, const struct glet_node *node, const int *inputs,
                          int count, enum glet_dtype dtype, const struct glet_shape *shape)
{
    int sources[3];
    bool found = false;
    struct glet_shape small = {0, {0}};
    for (int i = 0; i < count && i < 3; i++) {
        const struct glet_node *maker = glet_bind_maker(b, inputs[i]);
        bool expanded = maker && maker->op == GLET_OP_EXPAND;
        sources[i] = expanded ? maker->inputs[0] : inputs[i];
        found = found || expanded;
        struct glet_shape own = glet_bind_shape(b, sources[i]);
        if (!glet_shape_broadcast(&small, &own, &small))
            return NONE;
    }
    if (!found)
        return NONE;
    int result = glet_bind_add(b, node, sources, count, dtype, &small);
    if (result < 0)
        return FAILED;
    return glet_shape_same(&small, shape) ? result : or_failed(glet_bind_expand(b, result, shape));
}

/* y = scale * x + shift with constant numbers; merges with a linear x where that is exact enough:
   pure scales, or finite factors. */
static int linear(struct glet_bind *b, int x, double scale, double shift,
                  const struct glet_shape *shape)
{
    if (!isfinite((float)scale) || !isfinite((float)shift))
        return NONE;
    const struct glet_node *maker = glet_bind_maker(b, x);
    if (maker && maker->op == GLET_OP_UNARY && maker->activation.kind == GLET_ACT_LINEAR) {
        double merged_scale = scale * (double)maker->activation.a;
        double merged_shift = scale * (double)maker->activation.b + shift;
        if (isfinite((float)merged_scale) && isfinite((float)merged_shift)) {
            x = maker->inputs[0];
            scale = merged_scale;
            shift = merged_shift;
        }
    }
    x = glet_bind_view(b, x, shape);
    if (x < 0)
        return FAILED;
    if (is(scale, 1.0) && is(shift, 0.0))
        return x;
    return or_failed(glet_bind_unary(b, GLET_ACT_LINEAR, (float)scale, (float)shift, x));
}

/* x op constant, or constant op x (swapped), where all elements of the constant are `value`. */
static int with_number(struct glet_bind *b, const struct glet_node *node, int x, double value,
                       bool swapped, const struct glet_shape *shape)
{
    switch (node->binary) {
    case GLET_ADD:
        return linear(b, x, 1.0, value, shape);
    case GLET_SUB:
        return swapped ? linear(b, x, -1.0, value, shape) : linear(b, x, 1.0, -value, shape);
    case GLET_MUL:
        return linear(b, x, value, 0.0, shape);
    case GLET_DIV:
        if (swapped && is(value, 1.0))
            return or_failed(glet_bind_unary(b, GLET_ACT_RECIPROCAL, 0.0f, 0.0f, x));
        return swapped || is(value, 0.0) ? NONE : linear(b, x, 1.0 / value, 0.0, shape);
    case GLET_POW:
        if (swapped)
            return NONE;
        if (is(value, 1.0))
            return x;
        if (is(value, 2.0))
            return or_failed(glet_bind_unary(b, GLET_ACT_SQUARE, 0.0f, 0.0f, x));
        return is(value, 0.5) ? or_failed(glet_bind_unary(b, GLET_ACT_SQRT, 0.0f, 0.0f, x)) : NONE;
    case GLET_MAX:
        return is(value, 0.0) ? or_failed(glet_bind_unary(b, GLET_ACT_RELU, 0.0f, 0.0f, x)) : NONE;
    default:
        return NONE;
    }
}

static bool neutral_element(const struct glet_node *node, double value, bool swapped)
{
    switch (node->binary) {
    case GLET_ADD:
    case GLET_OR:
    case GLET_XOR:
        return is(value, 0.0);
    case GLET_SUB:
        return is(value, 0.0) && !swapped;
    case GLET_MUL:
    case GLET_AND:
        return is(value, 1.0);
    case GLET_DIV:
    case GLET_POW:
        return is(value, 1.0) && !swapped;
    default:
        return false;
    }
}

static int simplify_binary(struct glet_bind *b, const struct glet_node *node, const int *inputs,
                           enum glet_dtype dtype, const struct glet_shape *shape)
{
    for (int i = 0; i < 2; i++) {
        int x = inputs[1 - i];
        double value;
        if (!glet_bind_uniform(b, inputs[i], &value) || glet_bind_is_constant(b, x))
            continue;
        struct glet_shape from = glet_bind_shape(b, x);
        enum glet_dtype type = glet_bind_tensor(b, x)->dtype;
        bool neutral = type == dtype && neutral_element(node, value, i == 0);
        if (glet_shape_elements(&from) != glet_shape_elements(shape)) {
            if (neutral)
                return or_failed(glet_bind_expand(b, x, shape));
            continue;
        }
        int found = NONE;
        if (type == GLET_FLOAT32 && dtype == GLET_FLOAT32)
            found = with_number(b, node, x, value, i == 0, shape);
        else if (neutral)
            found = same_elements(b, x, dtype, shape);
        if (found >= 0)
            return or_failed(glet_bind_view(b, found, shape));
        if (found != NONE)
            return found;
    }
    return NONE;
}

static int simplify_unary(struct glet_bind *b, const struct glet_node *node, int x)
{
    const struct glet_activation *f = &node->activation;
    const struct glet_node *maker = glet_bind_maker(b, x);
    if (f->kind == GLET_ACT_LINEAR && is(f->a, 1.0) && is(f->b, 0.0))
        return x;
    if (!maker || maker->op != GLET_OP_UNARY)
        return NONE;
    const struct glet_activation *g = &maker->activation;
    /* clip(a x + b, 0, h) * c is a hard sigmoid where h * c = 1 */
    if (f->kind == GLET_ACT_LINEAR && is(f->b, 0.0) && g->kind == GLET_ACT_CLIP && is(g->a, 0.0) &&
        fabs((double)f->a * (double)g->b - 1.0) < 1e-6) {
        const struct glet_node *inner = glet_bind_maker(b, maker->inputs[0]);
        if (inner && inner->op == GLET_OP_UNARY && inner->activation.kind == GLET_ACT_LINEAR)
            return or_failed(glet_bind_unary(b, GLET_ACT_HARD_SIGMOID, f->a * inner->activation.a,
                                             f->a * inner->activation.b, inner->inputs[0]));
    }
    return NONE;
}

static bool swaps_last_two(const struct glet_node *node, int rank)
{
    for (int i = 0; i < rank - 2; i++) {
        if (node->perm[i] != i)
            return false;
    }
    return rank >= 2 && node->perm[rank - 1] == rank - 2 && node->perm[rank - 2] == rank - 1;
}

/* The tensor that `tensor` is with its last two dimensions swapped, also through a view that leaves
   those two alone (as where heads are split); NONE if it is not made by such a swap. */
static int unswapped(struct glet_bind *b, int tensor)
{
    const struct glet_node *swap = glet_bind_producer(b, tensor);
    if (!swap || swap->op != GLET_OP_TRANSPOSE)
        return NONE;
    struct glet_shape own = glet_bind_shape(b, tensor);
    struct glet_shape swapped = glet_bind_shape(b, swap->output);
    int last = own.rank - 1;
    if (!swaps_last_two(swap, swapped.rank) || last < 1 ||
        own.dims[last] != swapped.dims[swapped.rank - 1] ||
        own.dims[last - 1] != swapped.dims[swapped.rank - 2])
        return NONE;
    own.dims[last] = own.dims[last - 1];
    own.dims[last - 1] = swapped.dims[swapped.rank - 1];
    return or_failed(glet_bind_view(b, swap->inputs[0], &own));
}

static int simplify_transpose(struct glet_bind *b, const struct glet_node *node, int x,
                              enum glet_dtype dtype, const struct glet_shape *shape)
{
    /* Moving dimensions of size 1 moves nothing. */
    struct glet_shape from = glet_bind_shape(b, x);
    int last = -1;
    bool in_order = true;
    for (int i = 0; i < from.rank; i++) {
        if (from.dims[node->perm[i]] == 1)
            continue;
        in_order = in_order && node->perm[i] > last;
        last = node->perm[i];
    }
    if (in_order)
        return same_elements(b, x, dtype, shape);
    const struct glet_node *maker = glet_bind_maker(b, x);
    if (!maker || maker->op != GLET_OP_TRANSPOSE)
        return swaps_last_two(node, from.rank) ? unswapped(b, x) : NONE;
    int perm[GLET_MAX_RANK];
    for (int i = 0; i < from.rank; i++)
        perm[i] = maker->perm[node->perm[i]];
    return or_failed(glet_bind_transpose(b, maker->inputs[0], perm));
}

static int simplify_slice(struct glet_bind *b, const struct glet_node *node, int x,
                          enum glet_dtype dtype, const struct glet_shape *shape)
{
    for (int i = 0; i < shape->rank; i++) {
        if (node->steps[i] != 1)
            return NONE;
    }
    return same_elements(b, x, dtype, shape);
}

/* Taking every row in order, whatever the shape of the indices. */
static int simplify_gather(struct glet_bind *b, const struct glet_node *node, const int *inputs,
                           enum glet_dtype dtype, const struct glet_shape *shape)
{
    const struct glet_tensor *x = glet_bind_tensor(b, inputs[0]);
    const struct glet_tensor *indices = glet_bind_tensor(b, inputs[1]);
    if (!indices->data || glet_tensor_elements(indices) != x->dims[node->axis])
        return NONE;
    for (int64_t i = 0; i < x->dims[node->axis]; i++) {
        if (glet_tensor_int(indices, i) != i)
            return NONE;
    }
    return same_elements(b, inputs[0], dtype, shape);
}

/*
 * where(x is not a number, 0, x) with x a softmax: exporters guard against rows that are masked
 * altogether. Our softmax gives zeros for those (graph.h), so the guard is nothing.
 */
static bool guards_softmax(const struct glet_bind *b, const int *inputs)
{
    double other;
    const struct glet_node *negation = glet_bind_maker(b, inputs[0]);
    if (!negation || negation->op != GLET_OP_UNARY || negation->activation.kind != GLET_ACT_NOT)
        return false;
    const struct glet_node *equal = glet_bind_maker(b, negation->inputs[0]);
    const struct glet_node *softmax = glet_bind_maker(b, inputs[2]);
    return equal && equal->op == GLET_OP_BINARY && equal->binary == GLET_EQUAL &&
           equal->inputs[0] == inputs[2] && equal->inputs[1] == inputs[2] && softmax &&
           softmax->op == GLET_OP_SOFTMAX && glet_bind_uniform(b, inputs[1], &other) &&
           is(other, 0.0);
}

static int simplify_where(struct glet_bind *b, const int *inputs, const struct glet_shape *shape)
{
    double condition;
    struct glet_shape own = glet_bind_shape(b, inputs[2]);
    if (guards_softmax(b, inputs) && glet_shape_same(&own, shape))
        return inputs[2];
    if (!glet_bind_uniform(b, inputs[0], &condition))
        return NONE;
    return or_failed(glet_bind_expand(b, is(condition, 0.0) ? inputs[2] : inputs[1], shape));
}

static int simplify_expand(struct glet_bind *b, int x, enum glet_dtype dtype,
                           const struct glet_shape *shape)
{
    int same = same_elements(b, x, dtype, shape);
    if (same != NONE)
        return same;
    const struct glet_node *maker = glet_bind_maker(b, x);
    if (maker && maker->op == GLET_OP_EXPAND)
        return or_failed(glet_bind_expand(b, maker->inputs[0], shape));
    return NONE;
}

/* Empty parts are left out; one part is the result. */
static int simplify_concat(struct glet_bind *b, const struct glet_node *node, const int *inputs,
                           int count, enum glet_dtype dtype, const struct glet_shape *shape)
{
    int filled[GLET_MAX_RANK * 2], kept = 0;
    if (count > (int)(sizeof filled / sizeof filled[0]))
        return NONE;
    for (int i = 0; i < count; i++) {
        if (glet_bind_tensor(b, inputs[i])->dims[node->axis] > 0)
            filled[kept++] = inputs[i];
    }
    if (kept == 1)
        return same_elements(b, filled[0], dtype, shape);
    return kept == 0 || kept == count
               ? NONE
               : or_failed(glet_bind_append(b, node, filled, kept, dtype, shape));
}

static int simplify_pad(struct glet_bind *b, const struct glet_node *node, int x,
                        enum glet_dtype dtype, const struct glet_shape *shape)
{
    for (int i = 0; i < shape->rank; i++) {
        if (node->pads_begin[i] || node->pads_end[i])
            return NONE;
    }
    return same_elements(b, x, dtype, shape);
}

/* A Pad of zeros before a window that pads by itself. */
static int absorb_pad(struct glet_bind *b, const struct glet_node *node, const int *inputs,
                      int count, enum glet_dtype dtype, const struct glet_shape *shape)
{
    const struct glet_node *pad = glet_bind_maker(b, inputs[0]);
    if (!pad || pad->op != GLET_OP_PAD || pad->mode != 0 || !is(pad->alpha, 0.0) ||
        pad->pads_begin[0] || pad->pads_end[0] || pad->pads_begin[1] || pad->pads_end[1])
        return NONE;
    struct glet_node copy = *node;
    for (int i = 0; i < shape->rank - 2; i++) {
        bool padded = node->pads_begin[i] || node->pads_end[i];
        if (pad->pads_begin[i + 2] < 0 || pad->pads_end[i + 2] < 0 ||
            (node->op == GLET_OP_AVG_POOL && padded))
            return NONE;
        copy.pads_begin[i] += pad->pads_begin[i + 2];
        copy.pads_end[i] += pad->pads_end[i + 2];
    }
    copy.count_include_pad = node->op == GLET_OP_AVG_POOL;
    int moved[3] = {pad->inputs[0]};
    for (int i = 1; i < count && i < 3; i++)
        moved[i] = inputs[i];
    return or_failed(glet_bind_add(b, &copy, moved, count, dtype, shape));
}

/* A transposed operand is the operand, read the other way. */
static int absorb_transpose(struct glet_bind *b, const struct glet_node *node, const int *inputs,
                            int count, enum glet_dtype dtype, const struct glet_shape *shape)
{
    struct glet_node copy = *node;
    int moved[4];
    bool found = false;
    if (count > 4)
        return NONE;
    for (int i = 0; i < count; i++) {
        moved[i] = inputs[i];
        int source = i < 2 ? unswapped(b, inputs[i]) : NONE;
        if (source == FAILED)
            return FAILED;
        if (source == NONE)
            continue;
        moved[i] = source;
        *(i == 0 ? &copy.trans_a : &copy.trans_b) ^= true;
        found = true;
    }
    return found ? or_failed(glet_bind_add(b, &copy, moved, count, dtype, shape)) : NONE;
}

int glet_simplify(struct glet_bind *b, const struct glet_node *node, const int *inputs, int count,
                  enum glet_dtype dtype, const struct glet_shape *shape)
{
    int found = NONE;
    switch (node->op) {
    case GLET_OP_UNARY:
    case GLET_OP_BINARY:
    case GLET_OP_WHERE:
    case GLET_OP_CAST:
        if (node->op == GLET_OP_BINARY)
            found = simplify_binary(b, node, inputs, dtype, shape);
        if (node->op == GLET_OP_UNARY)
            found = simplify_unary(b, node, inputs[0]);
        if (node->op == GLET_OP_WHERE)
            found = simplify_where(b, inputs, shape);
        if (node->op == GLET_OP_CAST && glet_bind_tensor(b, inputs[0])->dtype == dtype)
            found = inputs[0];
        return found != NONE ? found : through_expand(b, node, inputs, count, dtype, shape);
    case GLET_OP_TRANSPOSE:
        return simplify_transpose(b, node, inputs[0], dtype, shape);
    case GLET_OP_SLICE:
        return simplify_slice(b, node, inputs[0], dtype, shape);
    case GLET_OP_GATHER:
        return simplify_gather(b, node, inputs, dtype, shape);
    case GLET_OP_EXPAND:
        return simplify_expand(b, inputs[0], dtype, shape);
    case GLET_OP_CONCAT:
        return simplify_concat(b, node, inputs, count, dtype, shape);
    case GLET_OP_PAD:
        return simplify_pad(b, node, inputs[0], dtype, shape);
    case GLET_OP_REDUCE_MEAN:
    case GLET_OP_REDUCE_SUM:
    case GLET_OP_REDUCE_MAX:
    case GLET_OP_REDUCE_MIN:
        /* Reducing dimensions of size 1 reduces nothing. */
        return same_elements(b, inputs[0], dtype, shape);
    case GLET_OP_CONV:
    case GLET_OP_AVG_POOL:
        return absorb_pad(b, node, inputs, count, dtype, shape);
    case GLET_OP_MATMUL:
        return absorb_transpose(b, node, inputs, count, dtype, shape);
    default:
        return NONE;
    }
}
