/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resize: sizes or scales, one of five coordinate rules, nearest or linear. Cubic, antialiasing and
 * cropping are refused.
 */
#include "runtime/engine/lower.h"
#include "runtime/engine/onnx_tensor.h"

#include <inttypes.h>
#include <math.h>

static int read_mode(struct glet_bind *b, const struct glet_model_node *node,
                     struct glet_node *resize)
{
    static const char *const rules[] = {
        [GLET_HALF_PIXEL] = "half_pixel",
        [GLET_PYTORCH_HALF_PIXEL] = "pytorch_half_pixel",
        [GLET_ASYMMETRIC] = "asymmetric",
        [GLET_ALIGN_CORNERS] = "align_corners",
    };
    static const char *const roundings[] = {
        [GLET_ROUND_PREFER_FLOOR] = "round_prefer_floor",
        [GLET_ROUND_PREFER_CEIL] = "round_prefer_ceil",
        [GLET_ROUND_FLOOR] = "floor",
        [GLET_ROUND_CEIL] = "ceil",
    };
    resize->mode = glet_attr_is(node, "mode", "linear");
    if (glet_attr_is(node, "mode", "cubic") || glet_attr_int(node, "antialias", 0) != 0)
        return glet_refuse(b, "cubic or antialiased resizing");
    if (glet_attr_has(node, "axes") || (glet_attr_has(node, "keep_aspect_ratio_policy") &&
                                        !glet_attr_is(node, "keep_aspect_ratio_policy", "stretch")))
        return glet_refuse(b, "axes or an aspect ratio policy");
    bool known = !glet_attr_has(node, "coordinate_transformation_mode");
    for (unsigned i = 0; i < 4 && !known; i++) {
        known = glet_attr_is(node, "coordinate_transformation_mode", rules[i]);
        resize->coordinates = (enum glet_coordinates)i;
    }
    if (!known)
        return glet_refuse(b, "that coordinate transformation");
    known = !glet_attr_has(node, "nearest_mode");
    for (unsigned i = 0; i < 4 && !known; i++) {
        known = glet_attr_is(node, "nearest_mode", roundings[i]);
        resize->rounding = (enum glet_rounding)i;
    }
    return known ? 0 : glet_bad_node(b, "unknown nearest_mode");
}

int glet_lower_resize(struct glet_bind *b, const struct glet_model_node *node)
{
    struct glet_node resize = glet_bind_node(GLET_OP_RESIZE);
    int x = glet_in(b, node, 0), scales = glet_in(b, node, 2), sizes = glet_in(b, node, 3);
    struct glet_shape from = glet_bind_shape(b, x), to = from;
    if (read_mode(b, node, &resize) < 0)
        return -1;
    bool by_size = sizes >= 0 && glet_bind_tensor(b, sizes)->rank == 1 &&
                   glet_bind_tensor(b, sizes)->dims[0] > 0;
    int given = by_size ? sizes : scales;
    if (given < 0 || !glet_bind_is_constant(b, given))
        return glet_refuse(b, "a size that is computed from the input");
    const struct glet_tensor *values = glet_bind_tensor(b, given);
    if (glet_tensor_elements(values) != from.rank)
        return glet_bad_node(b, "sizes for %" PRId64 " dimensions of %d",
                             glet_tensor_elements(values), from.rank);
    for (int i = 0; i < from.rank; i++) {
        double value = glet_tensor_float(values, i);
        double extent = by_size ? value : floor((double)from.dims[i] * value);
        if (!(extent >= 1.0 && extent <= (double)INT32_MAX) || from.dims[i] < 1)
            return glet_bad_node(b, "bad size of dimension %d", i);
        to.dims[i] = (int64_t)extent;
        resize.scales[i] = (float)(by_size ? extent / (double)from.dims[i] : value);
    }
    if (glet_shape_same(&from, &to))
        return glet_out(b, node, 0, x);
    return glet_out(b, node, 0,
                    glet_bind_add(b, &resize, &x, 1, glet_bind_tensor(b, x)->dtype, &to));
}
