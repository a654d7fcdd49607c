/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators computed on constants while binding: the shape arithmetic that exporters leave in a
 * graph, and small tables such as position embeddings. Elementwise arithmetic is done in double or
 * int64, element by element; movement is a walk over the output that copies elements from where
 * strides say. Speed matters little: bind_build.c limits the sizes.
 */
#include "runtime/engine/bind.h"
#include "runtime/engine/fold_scalar.h"
#include "runtime/engine/numeric.h"

#include <string.h>

/* Steps through a shape in row-major order, keeping one offset per operand up to date. */
struct walk {
    const struct glet_tensor *shape;
    int64_t at[GLET_MAX_RANK];
    int64_t strides[3][GLET_MAX_RANK]; /* in elements */
    int64_t offset[3];
};

static void row_major(const struct glet_tensor *tensor, int64_t *strides)
{
    int64_t stride = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= tensor->dims[i];
    }
}

/* Strides of an operand that broadcasts to the walk's shape. */
static void walk_broadcast(struct walk *walk, int operand, const struct glet_tensor *tensor)
{
    int64_t strides[GLET_MAX_RANK];
    int lead = walk->shape->rank - tensor->rank;
    row_major(tensor, strides);
    for (int i = 0; i < walk->shape->rank; i++) {
        bool moves = i >= lead && tensor->dims[i - lead] != 1;
        walk->strides[operand][i] = moves ? strides[i - lead] : 0;
    }
}

static void walk_next(struct walk *walk)
{
    for (int i = walk->shape->rank - 1; i >= 0; i--) {
        bool wraps = ++walk->at[i] == walk->shape->dims[i];
        for (int k = 0; k < 3; k++)
            walk->offset[k] +=
                wraps ? -(walk->at[i] - 1) * walk->strides[k][i] : walk->strides[k][i];
        if (!wraps)
            return;
        walk->at[i] = 0;
    }
}

static int fold_unary(const struct glet_node *node, const struct glet_tensor *x,
                      struct glet_tensor *out, void *data)
{
    int64_t elements = glet_tensor_elements(out);
    bool floating = glet_dtype_is_float(x->dtype);
    if (!glet_scalar_unary_known(node->activation.kind, floating))
        return 0;
    for (int64_t i = 0; i < elements; i++) {
        if (floating)
            glet_number_put_float(
                out->dtype, data, i,
                glet_scalar_unary(&node->activation, glet_number_float(x->dtype, x->data, i)));
        else
            glet_number_put_int(out->dtype, data, i,
                                glet_scalar_unary_int(node->activation.kind,
                                                      glet_number_int(x->dtype, x->data, i)));
    }
    return 1;
}

static int fold_binary(const struct glet_node *node, const struct glet_tensor *const *in,
                       struct glet_tensor *out, void *data, struct glet_error *err)
{
    const struct glet_tensor *x = in[0], *y = in[1];
    struct walk walk = {.shape = out};
    walk_broadcast(&walk, 0, x);
    walk_broadcast(&walk, 1, y);
    int64_t elements = glet_tensor_elements(out);
    for (int64_t i = 0; i < elements; i++, walk_next(&walk)) {
        if (glet_dtype_is_float(x->dtype)) {
            double result = glet_scalar_binary(
                node->binary, glet_number_float(x->dtype, x->data, walk.offset[0]),
                glet_number_float(y->dtype, y->data, walk.offset[1]));
            glet_number_put_float(out->dtype, data, i, result);
        } else {
            int64_t result;
            if (!glet_scalar_binary_int(
                    node->binary, glet_number_int(x->dtype, x->data, walk.offset[0]),
                    glet_number_int(y->dtype, y->data, walk.offset[1]), &result))
                return glet_error_set(err, GLET_ERR_INPUT, "division by zero");
            glet_number_put_int(out->dtype, data, i, result);
        }
    }
    return 1;
}

/* Copies the walk's operand 0, element by element. */
static int copy_walk(struct walk *walk, const struct glet_tensor *x, const struct glet_tensor *out,
                     void *data)
{
    size_t size = glet_dtype_size(out->dtype);
    int64_t elements = glet_tensor_elements(out);
    for (int64_t i = 0; i < elements; i++, walk_next(walk))
        memcpy((char *)data + (size_t)i * size,
               (const char *)x->data + (size_t)walk->offset[0] * size, size);
    return 1;
}

static int fold_where(const struct glet_tensor *const *in, const struct glet_tensor *out,
                      void *data)
{
    struct walk walk = {.shape = out};
    for (int k = 0; k < 3; k++)
        walk_broadcast(&walk, k, in[k]);
    size_t size = glet_dtype_size(out->dtype);
    int64_t elements = glet_tensor_elements(out);
    for (int64_t i = 0; i < elements; i++, walk_next(&walk)) {
        int chosen = glet_number_int(GLET_BOOL, in[0]->data, walk.offset[0]) ? 1 : 2;
        memcpy((char *)data + (size_t)i * size,
               (const char *)in[chosen]->data + (size_t)walk.offset[chosen] * size, size);
    }
    return 1;
}

static int fold_cast(const struct glet_tensor *x, const struct glet_tensor *out, void *data)
{
    int64_t elements = glet_tensor_elements(out);
    for (int64_t i = 0; i < elements; i++) {
        if (glet_dtype_is_float(x->dtype))
            glet_number_put_float(out->dtype, data, i, glet_number_float(x->dtype, x->data, i));
        else
            glet_number_put_int(out->dtype, data, i, glet_number_int(x->dtype, x->data, i));
    }
    return 1;
}

static int fold_concat(const struct glet_node *node, const struct glet_tensor *const *in,
                       const struct glet_tensor *out, void *data)
{
    size_t size = glet_dtype_size(out->dtype);
    int64_t outer = 1, inner = 1;
    for (int i = 0; i < node->axis; i++)
        outer *= out->dims[i];
    for (int i = node->axis + 1; i < out->rank; i++)
        inner *= out->dims[i];
    char *at = data;
    for (int64_t o = 0; o < outer; o++) {
        int64_t filled = 0;
        for (int k = 0; filled < out->dims[node->axis]; k++) {
            size_t bytes = (size_t)(in[k]->dims[node->axis] * inner) * size;
            if (bytes)
                memcpy(at, (const char *)in[k]->data + (size_t)o * bytes, bytes);
            at += bytes;
            filled += in[k]->dims[node->axis];
        }
    }
    return 1;
}

static int fold_move(const struct glet_node *node, const struct glet_tensor *x,
                     const struct glet_tensor *out, void *data)
{
    struct walk walk = {.shape = out};
    int64_t strides[GLET_MAX_RANK];
    row_major(x, strides);
    switch (node->op) {
    case GLET_OP_EXPAND:
        walk_broadcast(&walk, 0, x);
        break;
    case GLET_OP_TRANSPOSE:
        for (int i = 0; i < out->rank; i++)
            walk.strides[0][i] = strides[node->perm[i]];
        break;
    default:
        for (int i = 0; i < out->rank; i++) {
            walk.strides[0][i] = strides[i] * node->steps[i];
            walk.offset[0] += strides[i] * node->starts[i];
        }
        break;
    }
    return copy_walk(&walk, x, out, data);
}

static int fold_gather(const struct glet_node *node, const struct glet_tensor *const *in,
                       const struct glet_tensor *out, void *data, struct glet_error *err)
{
    const struct glet_tensor *x = in[0], *indices = in[1];
    int64_t outer = 1, inner = 1, extent = x->dims[node->axis];
    for (int i = 0; i < node->axis; i++)
        outer *= x->dims[i];
    for (int i = node->axis + 1; i < x->rank; i++)
        inner *= x->dims[i];
    size_t bytes = (size_t)inner * glet_dtype_size(out->dtype);
    int64_t count = glet_tensor_elements(indices);
    char *at = data;
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < count; i++, at += bytes) {
            int64_t index = glet_number_int(indices->dtype, indices->data, i);
            index += index < 0 ? extent : 0;
            if (index < 0 || index >= extent)
                return glet_error_set(err, GLET_ERR_INPUT, "an index is out of range");
            memcpy(at, (const char *)x->data + (size_t)(o * extent + index) * bytes, bytes);
        }
    }
    return 1;
}

int glet_fold(const struct glet_node *node, const struct glet_tensor *const *inputs,
              struct glet_tensor *out, void *data, struct glet_error *err)
{
    switch (node->op) {
    case GLET_OP_UNARY:
        return fold_unary(node, inputs[0], out, data);
    case GLET_OP_BINARY:
        return fold_binary(node, inputs, out, data, err);
    case GLET_OP_WHERE:
        return fold_where(inputs, out, data);
    case GLET_OP_CAST:
        return fold_cast(inputs[0], out, data);
    case GLET_OP_CONCAT:
        return fold_concat(node, inputs, out, data);
    case GLET_OP_SLICE:
    case GLET_OP_TRANSPOSE:
    case GLET_OP_EXPAND:
        return fold_move(node, inputs[0], out, data);
    case GLET_OP_GATHER:
        return fold_gather(node, inputs, out, data, err);
    default:
        return 0;
    }
}
