/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators that move elements: concatenation, slices, transposition, gathering, padding.
 */
#include "runtime/engine/lower.h"
#include "runtime/engine/onnx_tensor.h"

#include <inttypes.h>
#include <string.h>

int glet_lower_concat(struct glet_bind *b, const struct glet_model_node *node)
{
    int count = node->input_count;
    int *inputs = glet_arena_array(b->arena, (size_t)count, sizeof *inputs);
    if (!inputs)
        return glet_error_set(b->err, GLET_ERR_NOMEM, "out of memory");
    struct glet_node concat = glet_bind_node(GLET_OP_CONCAT);
    struct glet_shape shape = {0, {0}};
    for (int i = 0; i < count; i++) {
        inputs[i] = glet_in(b, node, i);
        if (inputs[i] < 0)
            return glet_bad_node(b, "input %d is left out", i);
        struct glet_shape own = glet_bind_shape(b, inputs[i]);
        if (i == 0) {
            shape = own;
            concat.axis = glet_axis(b, glet_attr_int(node, "axis", 0), shape.rank);
            if (concat.axis < 0)
                return -1;
            continue;
        }
        int64_t sum = 0;
        bool fits = own.rank == shape.rank &&
                    glet_bind_tensor(b, inputs[i])->dtype == glet_bind_tensor(b, inputs[0])->dtype;
        if (fits)
            sum = shape.dims[concat.axis] + own.dims[concat.axis];
        if (fits)
            own.dims[concat.axis] = shape.dims[concat.axis];
        if (!fits || !glet_shape_same(&own, &shape))
            return glet_bad_node(b, "input %d does not fit the others", i);
        shape.dims[concat.axis] = sum;
    }
    return glet_out(
        b, node, 0,
        glet_bind_add(b, &concat, inputs, count, glet_bind_tensor(b, inputs[0])->dtype, &shape));
}

static int cut(struct glet_bind *b, int x, int axis, int64_t start, int64_t length)
{
    struct glet_node slice = glet_bind_node(GLET_OP_SLICE);
    struct glet_shape shape = glet_bind_shape(b, x);
    slice.starts[axis] = start;
    shape.dims[axis] = length;
    return glet_bind_add(b, &slice, &x, 1, glet_bind_tensor(b, x)->dtype, &shape);
}

int glet_lower_split(struct glet_bind *b, const struct glet_model_node *node)
{
    int x = glet_in(b, node, 0), sizes = glet_in(b, node, 1), parts = node->output_count;
    struct glet_shape from = glet_bind_shape(b, x);
    int axis = glet_axis(b, glet_attr_int(node, "axis", 0), from.rank);
    if (axis < 0)
        return -1;
    const int64_t *attribute = NULL;
    int listed = glet_attr_ints(node, "split", &attribute);
    bool given = sizes >= 0 || listed >= 0;
    if (sizes >= 0 && (!glet_bind_is_constant(b, sizes) || glet_bind_tensor(b, sizes)->rank != 1))
        return glet_refuse(b, "sizes that are computed from the input");
    int64_t count = sizes >= 0 ? glet_bind_tensor(b, sizes)->dims[0] : listed;
    if (given && count != parts)
        return glet_bad_node(b, "%" PRId64 " sizes for %d outputs", count, parts);
    int64_t each = (from.dims[axis] + parts - 1) / parts, start = 0;
    for (int i = 0; i < parts; i++) {
        int64_t left = from.dims[axis] - start;
        int64_t length = left < each ? left : each;
        if (given)
            length = sizes >= 0 ? glet_tensor_int(glet_bind_tensor(b, sizes), i) : attribute[i];
        if (length < 0 || length > left)
            return glet_bad_node(b, "the parts do not add up to %" PRId64, from.dims[axis]);
        if (glet_out(b, node, i, cut(b, x, axis, start, length)) < 0)
            return -1;
        start += length;
    }
    return start == from.dims[axis]
               ? 0
               : glet_bad_node(b, "the parts do not add up to %" PRId64, from.dims[axis]);
}

/* numpy's rule for a start or an end */
static int64_t bound(int64_t at, int64_t extent, int64_t low, int64_t high)
{
    if (at < 0)
        at = at < -extent ? low : at + extent;
    return at < low ? low : at > high ? high : at;
}

int glet_lower_slice(struct glet_bind *b, const struct glet_model_node *node)
{
    int x = glet_in(b, node, 0);
    struct glet_shape shape = glet_bind_shape(b, x);
    struct glet_node slice = glet_bind_node(GLET_OP_SLICE);
    int64_t starts[GLET_MAX_RANK], ends[GLET_MAX_RANK], axes[GLET_MAX_RANK], steps[GLET_MAX_RANK];
    int count = glet_const_ints(b, glet_in(b, node, 1), "start", starts, GLET_MAX_RANK);
    int end_count =
        count < 0 ? -1 : glet_const_ints(b, glet_in(b, node, 2), "end", ends, GLET_MAX_RANK);
    if (end_count < 0)
        return -1;
    if (end_count != count)
        return glet_bad_node(b, "%d starts, %d ends", count, end_count);
    for (int i = 0; i < count; i++) {
        axes[i] = i;
        steps[i] = 1;
    }
    int axes_in = glet_in(b, node, 3), steps_in = glet_in(b, node, 4);
    if (axes_in >= 0 && glet_const_ints(b, axes_in, "axis", axes, GLET_MAX_RANK) != count)
        return glet_bad_node(b, "the axes do not fit the starts");
    if (steps_in >= 0 && glet_const_ints(b, steps_in, "step", steps, GLET_MAX_RANK) != count)
        return glet_bad_node(b, "the steps do not fit the starts");
    uint32_t seen = 0;
    for (int i = 0; i < count; i++) {
        int axis = glet_axis(b, axes[i], shape.rank);
        if (axis < 0)
            return -1;
        if (steps[i] == 0 || steps[i] == INT64_MIN || seen >> axis & 1u)
            return glet_bad_node(b, "bad step, or an axis twice");
        seen |= 1u << axis;
        int64_t extent = shape.dims[axis], step = steps[i];
        int64_t start = step > 0 ? bound(starts[i], extent, 0, extent)
                                 : bound(starts[i], extent, -1, extent - 1);
        int64_t end =
            step > 0 ? bound(ends[i], extent, 0, extent) : bound(ends[i], extent, -1, extent - 1);
        int64_t span = step > 0 ? end - start : start - end;
        int64_t stride = step > 0 ? step : -step;
        shape.dims[axis] = span > 0 ? (span - 1) / stride + 1 : 0;
        slice.starts[axis] = shape.dims[axis] ? start : 0;
        slice.steps[axis] = shape.dims[axis] > 1 ? step : 1;
    }
    return glet_out(b, node, 0,
                    glet_bind_add(b, &slice, &x, 1, glet_bind_tensor(b, x)->dtype, &shape));
}

int glet_lower_transpose(struct glet_bind *b, const struct glet_model_node *node)
{
    int x = glet_in(b, node, 0), rank = glet_bind_tensor(b, x)->rank, perm[GLET_MAX_RANK];
    const int64_t *given;
    int count = glet_attr_ints(node, "perm", &given);
    bool seen[GLET_MAX_RANK] = {false};
    if (count >= 0 && count != rank)
        return glet_bad_node(b, "perm has %d entries for %d dimensions", count, rank);
    for (int i = 0; i < rank; i++) {
        int64_t from = count < 0 ? rank - 1 - i : given[i];
        if (from < 0 || from >= rank || seen[from])
            return glet_bad_node(b, "perm is not a permutation");
        seen[from] = true;
        perm[i] = (int)from;
    }
    return glet_out(b, node, 0, glet_bind_transpose(b, x, perm));
}

/* Both are a view with the blocks as own dimensions, a transposition, and a view. */
int glet_lower_depth(struct glet_bind *b, const struct glet_model_node *node)
{
    int x = glet_in(b, node, 0);
    struct glet_shape from = glet_bind_shape(b, x);
    int64_t s = glet_attr_int(node, "blocksize", 0);
    bool to_space = node->op->variant == 0, crd = glet_attr_is(node, "mode", "CRD");
    if (from.rank != 4 || s < 1 || s > INT16_MAX ||
        (to_space ? from.dims[1] % (s * s) : from.dims[2] % s || from.dims[3] % s))
        return glet_bad_node(b, "the shape does not divide into blocks");
    int64_t n = from.dims[0], c = from.dims[1], h = from.dims[2], w = from.dims[3];
    struct glet_shape split = {6, {n, c, h / s, s, w / s, s}};
    struct glet_shape to = {4, {n, c * s * s, h / s, w / s}};
    static const int down[] = {0, 3, 5, 1, 2, 4}, dcr[] = {0, 3, 4, 1, 5, 2},
                     by_column[] = {0, 1, 4, 2, 5, 3};
    if (to_space) {
        c /= s * s;
        split = crd ? (struct glet_shape){6, {n, c, s, s, h, w}}
                    : (struct glet_shape){6, {n, s, s, c, h, w}};
        to = (struct glet_shape){4, {n, c, h * s, w * s}};
    }
    int view = glet_bind_view(b, x, &split);
    int moved = view < 0 ? -1
                         : glet_bind_transpose(b, view,
                                               !to_space ? down
                                               : crd     ? by_column
                                                         : dcr);
    return glet_out(b, node, 0, moved < 0 ? -1 : glet_bind_view(b, moved, &to));
}

int glet_lower_gather(struct glet_bind *b, const struct glet_model_node *node)
{
    int inputs[] = {glet_in(b, node, 0), glet_in(b, node, 1)};
    struct glet_node gather = glet_bind_node(GLET_OP_GATHER);
    struct glet_shape data = glet_bind_shape(b, inputs[0]), to = {0, {0}};
    struct glet_shape indices = glet_bind_shape(b, inputs[1]);
    enum glet_dtype index_type = glet_bind_tensor(b, inputs[1])->dtype;
    gather.axis = glet_axis(b, glet_attr_int(node, "axis", 0), data.rank);
    if (gather.axis < 0)
        return -1;
    if (index_type != GLET_INT64 && index_type != GLET_INT32)
        return glet_bad_node(b, "indices of type %s", glet_dtype_name(index_type));
    if (data.rank - 1 + indices.rank > GLET_MAX_RANK)
        return glet_refuse(b, "more than %d dimensions", GLET_MAX_RANK);
    if (data.dims[gather.axis] == 0 && glet_shape_elements(&indices) > 0)
        return glet_bad_node(b, "nothing to gather from");
    for (int i = 0; i < gather.axis; i++)
        to.dims[to.rank++] = data.dims[i];
    for (int i = 0; i < indices.rank; i++)
        to.dims[to.rank++] = indices.dims[i];
    for (int i = gather.axis + 1; i < data.rank; i++)
        to.dims[to.rank++] = data.dims[i];
    return glet_out(
        b, node, 0,
        glet_bind_add(b, &gather, inputs, 2, glet_bind_tensor(b, inputs[0])->dtype, &to));
}

/* Indices of several dimensions at once are indices of those dimensions taken as one; known ones,
   as exporters write them for attention masks. */
int glet_lower_gather_nd(struct glet_bind *b, const struct glet_model_node *node)
{
    int x = glet_in(b, node, 0), given = glet_in(b, node, 1);
    struct glet_shape data = glet_bind_shape(b, x), shape = glet_bind_shape(b, given);
    const struct glet_tensor *indices = glet_bind_tensor(b, given);
    if (!indices->data || glet_attr_int(node, "batch_dims", 0) != 0)
        return glet_refuse(b, "indices that are computed from the input, or batch_dims");
    int64_t depth = shape.rank ? shape.dims[shape.rank - 1] : 0;
    if (depth < 1 || depth > data.rank)
        return glet_bad_node(b, "%" PRId64 " indices for %d dimensions", depth, data.rank);
    struct glet_shape flat = {1, {1}}, to = shape;
    for (int i = 0; i < data.rank; i++) {
        if (i < depth)
            flat.dims[0] *= data.dims[i];
        else
            flat.dims[flat.rank++] = data.dims[i];
    }
    shape.rank--;
    to.rank = shape.rank + flat.rank - 1;
    if (to.rank > GLET_MAX_RANK)
        return glet_refuse(b, "more than %d dimensions", GLET_MAX_RANK);
    for (int i = 1; i < flat.rank; i++)
        to.dims[shape.rank + i - 1] = flat.dims[i];
    int64_t count = glet_shape_elements(&shape);
    int64_t *linear = glet_arena_array(b->arena, (size_t)count, sizeof *linear);
    if (!linear)
        return glet_error_set(b->err, GLET_ERR_NOMEM, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        for (int k = 0; k < (int)depth; k++) {
            int64_t index = glet_tensor_int(indices, i * depth + k);
            index += index < 0 ? data.dims[k] : 0;
            if (index < 0 || index >= data.dims[k])
                return glet_bad_node(b, "an index is out of range");
            linear[i] = linear[i] * data.dims[k] + index;
        }
    }
    struct glet_node gather = glet_bind_node(GLET_OP_GATHER);
    int inputs[] = {glet_bind_view(b, x, &flat), glet_bind_constant(b, GLET_INT64, &shape, linear)};
    if (inputs[0] < 0 || inputs[1] < 0)
        return -1;
    return glet_out(b, node, 0,
                    glet_bind_add(b, &gather, inputs, 2, glet_bind_tensor(b, x)->dtype, &to));
}

int glet_lower_pad(struct glet_bind *b, const struct glet_model_node *node)
{
    int x = glet_in(b, node, 0), value = glet_in(b, node, 2), axes_in = glet_in(b, node, 3);
    struct glet_shape shape = glet_bind_shape(b, x);
    struct glet_node pad = glet_bind_node(GLET_OP_PAD);
    int64_t pads[2 * GLET_MAX_RANK], axes[GLET_MAX_RANK];
    double constant = 0.0;
    if (glet_attr_has(node, "mode") && !glet_attr_is(node, "mode", "constant")) {
        pad.mode = glet_attr_is(node, "mode", "reflect") ? 1 : 2;
        if (pad.mode == 2 && !glet_attr_is(node, "mode", "edge"))
            return glet_refuse(b, "that padding mode");
    }
    if (glet_in(b, node, 1) < 0)
        return glet_bad_node(b, "no sizes");
    int count = glet_const_ints(b, glet_in(b, node, 1), "padding", pads, 2 * GLET_MAX_RANK);
    int sides = shape.rank;
    for (int i = 0; i < shape.rank; i++)
        axes[i] = i;
    if (axes_in >= 0)
        sides = glet_const_ints(b, axes_in, "axis", axes, GLET_MAX_RANK);
    if (count < 0 || sides < 0)
        return -1;
    if (count != 2 * sides)
        return glet_bad_node(b, "%d sizes for %d dimensions", count, sides);
    if (value >= 0 && !glet_bind_uniform(b, value, &constant))
        return glet_refuse(b, "a padding value that is computed from the input");
    pad.alpha = (float)constant;
    uint32_t seen = 0;
    for (int i = 0; i < sides; i++) {
        int axis = glet_axis(b, axes[i], shape.rank);
        if (axis < 0)
            return -1;
        int64_t begin = pads[i], end = pads[i + sides], extent = shape.dims[axis];
        if (seen >> axis & 1u)
            return glet_bad_node(b, "axis %d is there twice", axis);
        seen |= 1u << axis;
        if (begin < -extent || end < -extent || begin > INT32_MAX || end > INT32_MAX ||
            begin + end + extent < 0 || (pad.mode == 1 && (begin >= extent || end >= extent)) ||
            (pad.mode == 2 && extent == 0))
            return glet_bad_node(b, "bad padding of dimension %d", axis);
        pad.pads_begin[axis] = begin;
        pad.pads_end[axis] = end;
        shape.dims[axis] += begin + end;
    }
    return glet_out(b, node, 0,
                    glet_bind_add(b, &pad, &x, 1, glet_bind_tensor(b, x)->dtype, &shape));
}
