/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators that only move data. Transposing, slicing and expanding are strides and cost nothing
 * here; a concatenation along the channels of feature maps is written by its producers.
 */
#include "runtime/device/cuda/plan/builder.h"

#include <string.h>

/* -- concatenation ----------------------------------------------------------------------------- */

/* Operators whose kernels write a feature map with any pitch. */
static bool writes_maps(const struct glet_cuda_builder *b, int tensor)
{
    const struct glet_tensor *t = glet_cuda_tensor(b, tensor);
    if (t->producer < 0 || t->view_of >= 0 || t->rank < 3 || t->rank > 4 ||
        !glet_cuda_is_float(b, tensor))
        return false;
    switch (b->graph->nodes[t->producer].op) {
    case GLET_OP_CONV:
    case GLET_OP_MAX_POOL:
    case GLET_OP_AVG_POOL:
    case GLET_OP_BATCH_NORM:
    case GLET_OP_BINARY:
    case GLET_OP_UNARY:
    case GLET_OP_CONCAT:
    case GLET_OP_RESIZE:
        return true;
    default:
        return false;
    }
}

static bool joins_channels(const struct glet_cuda_builder *b, const struct glet_node *node)
{
    const struct glet_tensor *y = glet_cuda_tensor(b, node->output);
    if (node->op != GLET_OP_CONCAT || node->axis != 1 || y->rank < 3 || y->rank > 4 ||
        !glet_cuda_is_float(b, node->output))
        return false;
    for (int i = 0; i < node->input_count; i++)
        if (writes_maps(b, node->inputs[i]))
            return true;
    return false;
}

/* All inputs lie side by side in one larger result already: this one is a part of it. */
static bool is_inside(const struct glet_cuda_builder *b, const struct glet_node *node)
{
    const struct glet_cuda_part *first = &b->parts[node->inputs[0]];
    int64_t channel = first->channel;
    for (int i = 0; i < node->input_count; i++) {
        const struct glet_cuda_part *part = &b->parts[node->inputs[i]];
        if (part->host < 0 || part->host != first->host || part->channel != channel)
            return false;
        channel += glet_cuda_tensor(b, node->inputs[i])->dims[1];
    }
    return true;
}

static void place_inputs(struct glet_cuda_builder *b, const struct glet_node *node)
{
    const struct glet_cuda_part *own = &b->parts[node->output];
    int host = own->host >= 0 ? own->host : node->output;
    int64_t channel = own->host >= 0 ? own->channel : 0, vector = glet_cuda_vector(b->plan);
    for (int i = 0; i < node->input_count; i++) {
        int input = node->inputs[i];
        int64_t channels = glet_cuda_tensor(b, input)->dims[1];
        bool whole = channels % vector == 0 || (i == node->input_count - 1 && own->host < 0);
        if (writes_maps(b, input) && b->parts[input].host < 0 && channel % vector == 0 && whole)
            b->parts[input] = (struct glet_cuda_part){host, channel};
        channel += channels;
    }
}

/* From the last to the first, so that nested and growing concatenations find the largest. */
void glet_cuda_plan_parts(struct glet_cuda_builder *b)
{
    for (int n = b->graph->node_count - 1; n >= 0; n--) {
        const struct glet_node *node = &b->graph->nodes[n];
        if (!joins_channels(b, node))
            continue;
        if (b->parts[node->output].host < 0 && is_inside(b, node))
            b->parts[node->output] = b->parts[node->inputs[0]];
        else
            place_inputs(b, node);
    }
}

static int copy_part(struct glet_cuda_builder *b, int tensor, const struct glet_cuda_place *part,
                     struct glet_error *err)
{
    struct glet_cuda_place from, to = *part;
    /* a reshaped tensor whose strides cannot say so is copied in its own shape */
    for (int t = tensor;; t = glet_cuda_tensor(b, t)->view_of) {
        const struct glet_tensor *shape = glet_cuda_tensor(b, t);
        if (!glet_cuda_reshape(part, shape->rank, shape->dims, &to))
            break;
        if (shape->view_of < 0) {
            if (glet_cuda_want(b, t, GLET_CUDA_RAW, &from, err) < 0)
                return -1;
            return glet_cuda_places_equal(&from, &to) ? 0 : glet_cuda_copy(b, &from, &to, err);
        }
    }
    return glet_cuda_want(b, tensor, GLET_CUDA_RAW, &from, err) < 0
               ? -1
               : glet_cuda_copy(b, &from, part, err);
}

int glet_cuda_plan_concat(struct glet_cuda_builder *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *y = glet_cuda_tensor(b, node->output);
    bool map = joins_channels(b, node);
    struct glet_cuda_place out;
    if (map && b->parts[node->output].host < 0) {
        struct glet_cuda_place *host = &b->hosts[node->output];
        if (host->buffer < 0) {
            if (glet_cuda_define(b, node->output, GLET_CUDA_NHWC, host, err) < 0)
                return -1;
        } else if (glet_cuda_define_at(b, node->output, host, err) < 0) {
            return -1;
        }
        out = *host;
    } else if (glet_cuda_define(b, node->output, map ? GLET_CUDA_NHWC : GLET_CUDA_ROWS, &out, err) <
               0) {
        return -1;
    }
    int64_t at = 0;
    bool last_is_there = false;
    for (int i = 0; i < node->input_count; i++) {
        const struct glet_tensor *x = glet_cuda_tensor(b, node->inputs[i]);
        struct glet_cuda_place part = out;
        part.dims[node->axis] = x->dims[node->axis];
        part.offset += at * out.strides[node->axis];
        part.channels = 0;
        at += x->dims[node->axis];
        if (x->dims[node->axis] == 0)
            continue;
        int before = b->plan->step_count;
        if (copy_part(b, node->inputs[i], &part, err) < 0)
            return -1;
        last_is_there = b->plan->step_count == before;
    }
    if (at != y->dims[node->axis])
        return glet_cuda_unsupported(b, err, "parts that do not add up");
    return map && !last_is_there ? glet_cuda_clear_channels(b, &out, err) : 0;
}

/* -- strides ----------------------------------------------------------------------------------- */

int glet_cuda_plan_strides(struct glet_cuda_builder *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cuda_tensor(b, node->inputs[0]);
    const struct glet_tensor *y = glet_cuda_tensor(b, node->output);
    struct glet_cuda_place place;
    if (glet_cuda_want(b, node->inputs[0], GLET_CUDA_ANY, &place, err) < 0)
        return -1;
    switch (node->op) {
    case GLET_OP_TRANSPOSE:
        place = glet_cuda_permute(&place, node->perm);
        break;
    case GLET_OP_EXPAND:
        place = glet_cuda_broadcast(&place, y->rank, y->dims);
        break;
    default:
        for (int i = 0; i < x->rank; i++) {
            place.offset += node->starts[i] * place.strides[i];
            place.strides[i] *= node->steps[i];
            place.dims[i] = y->dims[i];
        }
        break;
    }
    place.channels = 0;
    return glet_cuda_define_at(b, node->output, &place, err);
}

/* -- the others -------------------------------------------------------------------------------- */

int glet_cuda_plan_gather(struct glet_cuda_builder *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cuda_tensor(b, node->inputs[0]);
    const struct glet_tensor *indices = glet_cuda_tensor(b, node->inputs[1]);
    struct glet_cuda_place p[3];
    int64_t dims[3] = {1, x->dims[node->axis], 1}, count = glet_tensor_elements(indices);
    for (int i = 0; i < x->rank; i++)
        if (i != node->axis)
            dims[i < node->axis ? 0 : 2] *= x->dims[i];
    if (indices->dtype != GLET_INT64 && indices->dtype != GLET_INT32)
        return glet_cuda_unsupported(b, err, "indices of %s", glet_dtype_name(indices->dtype));
    if (glet_cuda_want(b, node->inputs[0], GLET_CUDA_ROWS, &p[0], err) < 0 ||
        glet_cuda_want(b, node->inputs[1], GLET_CUDA_ROWS, &p[1], err) < 0 ||
        glet_cuda_define(b, node->output, GLET_CUDA_ROWS, &p[2], err) < 0)
        return -1;
    int64_t out_dims[3] = {dims[0], count, dims[2]};
    if (!glet_cuda_reshape(&p[0], 3, dims, &p[0]) || !glet_cuda_reshape(&p[1], 1, &count, &p[1]) ||
        !glet_cuda_reshape(&p[2], 3, out_dims, &p[2]))
        return glet_error_set(err, GLET_ERR_INTERNAL, "rows that are not rows");
    return glet_cuda_step_add(b, GLET_CUDA_GATHER, p, 3, err) ? 0 : -1;
}

int glet_cuda_plan_pad(struct glet_cuda_builder *b, struct glet_error *err)
{
    struct glet_cuda_place p[2];
    const struct glet_tensor *x = glet_cuda_tensor(b, b->node->inputs[0]);
    if (!glet_cuda_is_float(b, b->node->inputs[0]) || x->rank > 4)
        return glet_cuda_unsupported(b, err, "more than four dimensions, or integers");
    bool map = x->rank >= 3 && glet_cuda_lies_as_map(b, b->node->inputs[0]);
    enum glet_cuda_layout layout = map ? GLET_CUDA_NHWC : GLET_CUDA_ROWS;
    if (glet_cuda_want(b, b->node->inputs[0], GLET_CUDA_ANY, &p[0], err) < 0 ||
        glet_cuda_define(b, b->node->output, layout, &p[1], err) < 0)
        return -1;
    if (!glet_cuda_step_add(b, GLET_CUDA_PAD, p, 2, err))
        return -1;
    return map ? glet_cuda_clear_channels(b, &p[1], err) : 0;
}
