/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constants, shapes as values, and the operators that only change a shape. With the batch bound,
 * every shape is a constant, so nothing here becomes a node but Expand.
 */
#include "runtime/engine/lower.h"
#include "runtime/engine/numeric.h"
#include "runtime/engine/onnx_tensor.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static int no_memory(struct glet_bind *b)
{
    return glet_error_set(b->err, GLET_ERR_NOMEM, "out of memory");
}

static int tensor_attribute(struct glet_bind *b, const glet_onnx_Attribute *attribute)
{
    glet_onnx_Tensor onnx;
    struct glet_tensor tensor;
    bool missing;
    if (glet_onnx_read_tensor(attribute->t, b->arena, &onnx, b->err) < 0 ||
        glet_onnx_tensor(&onnx, b->result_name, b->arena, NULL, &tensor, &missing, b->err) < 0)
        return -1;
    if (missing)
        return glet_bad_node(b, "the constant has no data");
    struct glet_shape shape = {.rank = tensor.rank};
    memcpy(shape.dims, tensor.dims, sizeof shape.dims);
    return glet_bind_constant(b, tensor.dtype, &shape, tensor.data);
}

int glet_lower_constant(struct glet_bind *b, const struct glet_model_node *node)
{
    const glet_onnx_Attribute *value = glet_attr(node, "value");
    if (value && value->t.at)
        return glet_out(b, node, 0, tensor_attribute(b, value));
    const int64_t *ints;
    int count = glet_attr_ints(node, "value_ints", &ints);
    if (count >= 0)
        return glet_out(b, node, 0, glet_bind_ints(b, ints, count, false));
    if (glet_attr_has(node, "value_int")) {
        int64_t number = glet_attr_int(node, "value_int", 0);
        return glet_out(b, node, 0, glet_bind_ints(b, &number, 1, true));
    }
    if (glet_attr_has(node, "value_float"))
        return glet_out(
            b, node, 0,
            glet_bind_scalar(b, GLET_FLOAT32, (double)glet_attr_float(node, "value_float", 0.0f)));
    const glet_onnx_Attribute *floats = glet_attr(node, "value_floats");
    if (floats) {
        struct glet_shape shape = {1, {floats->floats.count}};
        const void *data = floats->floats.at ? floats->floats.at : "";
        return glet_out(b, node, 0, glet_bind_constant(b, GLET_FLOAT32, &shape, data));
    }
    return glet_refuse(b, "a constant that is neither tensor nor numbers");
}

int glet_lower_constant_of_shape(struct glet_bind *b, const struct glet_model_node *node)
{
    struct glet_shape shape = {0, {0}};
    shape.rank = glet_const_ints(b, glet_in(b, node, 0), "shape", shape.dims, GLET_MAX_RANK);
    if (shape.rank < 0)
        return -1;
    const glet_onnx_Attribute *attribute = glet_attr(node, "value");
    int value = attribute && attribute->t.at ? tensor_attribute(b, attribute)
                                             : glet_bind_scalar(b, GLET_FLOAT32, 0.0);
    if (value < 0)
        return -1;
    const struct glet_tensor *one = glet_bind_tensor(b, value);
    if (glet_tensor_elements(one) != 1)
        return glet_bad_node(b, "the value is not one number");
    struct glet_shape scalar = {0, {0}};
    value = glet_bind_view(b, value, &scalar);
    if (value < 0 || glet_shape_bytes(one->dtype, shape.dims, shape.rank, b->err) < 0)
        return -1;
    return glet_out(b, node, 0, glet_bind_expand(b, value, &shape));
}

int glet_lower_range(struct glet_bind *b, const struct glet_model_node *node)
{
    double ends[3];
    for (int i = 0; i < 3; i++) {
        if (!glet_bind_uniform(b, glet_in(b, node, i), &ends[i]))
            return glet_refuse(b, "a range that is computed from the input");
    }
    double length = ceil((ends[1] - ends[0]) / ends[2]);
    if (!(length <= (double)b->fold_budget))
        return glet_bad_node(b, "the range is too long or has no end");
    struct glet_shape shape = {1, {length > 0.0 ? (int64_t)length : 0}};
    enum glet_dtype dtype = glet_bind_tensor(b, glet_in(b, node, 0))->dtype;
    b->fold_budget -= shape.dims[0];
    void *data = glet_arena_array(b->arena, (size_t)shape.dims[0], sizeof(int64_t));
    if (!data)
        return no_memory(b);
    for (int64_t i = 0; i < shape.dims[0]; i++)
        glet_number_put_float(dtype, data, i, ends[0] + (double)i * ends[2]);
    return glet_out(b, node, 0, glet_bind_constant(b, dtype, &shape, data));
}

int glet_lower_shape(struct glet_bind *b, const struct glet_model_node *node)
{
    struct glet_shape shape = glet_bind_shape(b, glet_in(b, node, 0));
    int64_t start = glet_attr_int(node, "start", 0);
    int64_t end = glet_attr_int(node, "end", shape.rank);
    start += start < 0 ? shape.rank : 0;
    end += end < 0 ? shape.rank : 0;
    start = start < 0 ? 0 : start > shape.rank ? shape.rank : start;
    end = end < start ? start : end > shape.rank ? shape.rank : end;
    return glet_out(b, node, 0, glet_bind_ints(b, shape.dims + start, (int)(end - start), false));
}

int glet_lower_size(struct glet_bind *b, const struct glet_model_node *node)
{
    struct glet_shape shape = glet_bind_shape(b, glet_in(b, node, 0));
    int64_t elements = glet_shape_elements(&shape);
    return glet_out(b, node, 0, glet_bind_ints(b, &elements, 1, true));
}

int glet_lower_reshape(struct glet_bind *b, const struct glet_model_node *node)
{
    int x = glet_in(b, node, 0), hole = -1;
    struct glet_shape from = glet_bind_shape(b, x), to = {0, {0}};
    bool zero_is_zero = glet_attr_int(node, "allowzero", 0) != 0;
    to.rank = glet_const_ints(b, glet_in(b, node, 1), "shape", to.dims, GLET_MAX_RANK);
    if (to.rank < 0)
        return -1;
    int64_t known = 1;
    for (int i = 0; i < to.rank; i++) {
        if (to.dims[i] == 0 && !zero_is_zero && i < from.rank)
            to.dims[i] = from.dims[i];
        if (to.dims[i] == -1 && hole < 0)
            hole = i;
        else if (to.dims[i] < 0 || __builtin_mul_overflow(known, to.dims[i], &known))
            return glet_bad_node(b, "bad dimension %" PRId64, to.dims[i]);
    }
    int64_t elements = glet_shape_elements(&from);
    if (hole >= 0 && known > 0 && elements % known == 0) {
        to.dims[hole] = elements / known;
        known *= to.dims[hole];
    }
    if (known != elements || (hole >= 0 && to.dims[hole] < 0))
        return glet_bad_node(b, "%" PRId64 " elements do not fit into that shape", elements);
    return glet_out(b, node, 0, glet_bind_view(b, x, &to));
}

int glet_lower_flatten(struct glet_bind *b, const struct glet_model_node *node)
{
    int x = glet_in(b, node, 0);
    struct glet_shape from = glet_bind_shape(b, x), to = {2, {1, 1}};
    int64_t axis = glet_attr_int(node, "axis", 1);
    axis += axis < 0 ? from.rank : 0;
    if (axis < 0 || axis > from.rank)
        return glet_bad_node(b, "axis out of range");
    for (int i = 0; i < from.rank; i++)
        to.dims[i >= axis] *= from.dims[i];
    return glet_out(b, node, 0, glet_bind_view(b, x, &to));
}

int glet_lower_squeeze(struct glet_bind *b, const struct glet_model_node *node)
{
    int x = glet_in(b, node, 0);
    struct glet_shape from = glet_bind_shape(b, x), to = {0, {0}};
    int64_t axes[GLET_MAX_RANK];
    bool all, drop[GLET_MAX_RANK] = {false};
    int count = glet_list_arg(b, node, 1, "axes", axes, &all);
    if (count < 0)
        return -1;
    for (int i = 0; i < count; i++) {
        int axis = glet_axis(b, axes[i], from.rank);
        if (axis < 0)
            return -1;
        if (from.dims[axis] != 1)
            return glet_bad_node(b, "dimension %d is not 1", axis);
        drop[axis] = true;
    }
    for (int i = 0; i < from.rank; i++) {
        if (!drop[i] && !(all && from.dims[i] == 1))
            to.dims[to.rank++] = from.dims[i];
    }
    return glet_out(b, node, 0, glet_bind_view(b, x, &to));
}

int glet_lower_unsqueeze(struct glet_bind *b, const struct glet_model_node *node)
{
    int x = glet_in(b, node, 0);
    struct glet_shape from = glet_bind_shape(b, x), to = {0, {0}};
    int64_t axes[GLET_MAX_RANK];
    bool absent, insert[GLET_MAX_RANK] = {false};
    int count = glet_list_arg(b, node, 1, "axes", axes, &absent);
    if (count < 0)
        return -1;
    to.rank = from.rank + count;
    if (to.rank > GLET_MAX_RANK)
        return glet_refuse(b, "%d dimensions", to.rank);
    for (int i = 0; i < count; i++) {
        int axis = glet_axis(b, axes[i], to.rank);
        if (axis < 0)
            return -1;
        if (insert[axis])
            return glet_bad_node(b, "axis %d is there twice", axis);
        insert[axis] = true;
    }
    for (int i = 0, next = 0; i < to.rank; i++)
        to.dims[i] = insert[i] ? 1 : from.dims[next++];
    return glet_out(b, node, 0, glet_bind_view(b, x, &to));
}

int glet_lower_expand(struct glet_bind *b, const struct glet_model_node *node)
{
    int x = glet_in(b, node, 0);
    struct glet_shape from = glet_bind_shape(b, x), wanted = {0, {0}}, to;
    wanted.rank = glet_const_ints(b, glet_in(b, node, 1), "shape", wanted.dims, GLET_MAX_RANK);
    if (wanted.rank < 0)
        return -1;
    if (!glet_shape_broadcast(&from, &wanted, &to))
        return glet_bad_node(b, "the input does not broadcast to the shape");
    if (glet_shape_bytes(glet_bind_tensor(b, x)->dtype, to.dims, to.rank, b->err) < 0)
        return -1;
    return glet_out(b, node, 0, glet_bind_expand(b, x, &to));
}

/* Repeats of dimensions of size 1 are an Expand; others get a dimension for the repeats first. */
int glet_lower_tile(struct glet_bind *b, const struct glet_model_node *node)
{
    int x = glet_in(b, node, 0);
    struct glet_shape from = glet_bind_shape(b, x), split = {0, {0}}, wide = {0, {0}}, to = from;
    int64_t repeats[GLET_MAX_RANK];
    int count =
        glet_const_ints(b, glet_in(b, node, 1), "number of repeats", repeats, GLET_MAX_RANK);
    if (count < 0)
        return -1;
    if (count != from.rank)
        return glet_bad_node(b, "%d repeats for %d dimensions", count, from.rank);
    for (int i = 0; i < from.rank; i++) {
        if (repeats[i] < 0 || __builtin_mul_overflow(from.dims[i], repeats[i], &to.dims[i]))
            return glet_bad_node(b, "bad number of repeats");
        bool extra = repeats[i] != 1 && from.dims[i] != 1;
        if (split.rank + 1 + extra > GLET_MAX_RANK)
            return glet_refuse(b, "repeating that many dimensions");
        if (extra) {
            wide.dims[split.rank] = repeats[i];
            split.dims[split.rank++] = 1;
        }
        wide.dims[split.rank] = extra ? from.dims[i] : to.dims[i];
        split.dims[split.rank++] = from.dims[i];
    }
    wide.rank = split.rank;
    int view = glet_bind_view(b, x, &split);
    if (view < 0 ||
        glet_shape_bytes(glet_bind_tensor(b, x)->dtype, wide.dims, wide.rank, b->err) < 0)
        return -1;
    int expanded = glet_bind_expand(b, view, &wide);
    return glet_out(b, node, 0, expanded < 0 ? -1 : glet_bind_view(b, expanded, &to));
}
