/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elementwise operators as MAP steps. An operator whose value only the next one reads becomes one
 * more operation of the same step, so that a chain costs one pass over memory.
 */
#include "runtime/device/cuda/plan/builder.h"

#include <string.h>

struct chain {
    struct glet_cuda_place inputs[GLET_CUDA_MAP_INPUTS];
    int input_count;
    struct glet_cuda_map_operation operations[GLET_CUDA_MAP_OPERATIONS];
    int operation_count;
    bool integer;
};

/* The step that has just been added, if it made this tensor and nobody else reads it. */
static struct glet_cuda_step *last_map_of(const struct glet_cuda_builder *b, int tensor,
                                          const struct glet_cuda_place *place)
{
    if (b->plan->step_count == 0)
        return NULL;
    struct glet_cuda_step *step = &b->plan->steps[b->plan->step_count - 1];
    if (step->kind != GLET_CUDA_MAP || !step->node ||
        b->uses[glet_graph_storage(b->graph, tensor)] != 1 ||
        glet_graph_storage(b->graph, tensor) != step->node->output ||
        b->parts[step->node->output].host >= 0)
        return NULL;
    struct glet_cuda_place made = step->places[step->place_count - 1];
    if (made.buffer != place->buffer || made.rank != place->rank)
        return NULL;
    for (int i = 0; i < made.rank; i++)
        if (made.strides[i] != place->strides[i] && made.dims[i] > 1)
            return NULL;
    return step;
}

static void abandon(struct glet_cuda_builder *b, struct glet_cuda_step *step)
{
    struct glet_cuda_buffer *buffer = &b->plan->buffers[step->places[step->place_count - 1].buffer];
    buffer->first_step = buffer->last_step = -1;
}

static void touch(struct glet_cuda_builder *b, const struct glet_cuda_place *place, int step)
{
    struct glet_cuda_buffer *buffer = &b->plan->buffers[place->buffer];
    if (buffer->first_step < 0)
        buffer->first_step = step;
    if (buffer->last_step < step)
        buffer->last_step = step;
}

bool glet_cuda_extend_map(struct glet_cuda_builder *b, int tensor, const struct glet_cuda_place *to)
{
    struct glet_cuda_place from;
    struct glet_error err = {0};
    if (glet_cuda_want(b, tensor, GLET_CUDA_RAW, &from, &err) < 0 ||
        glet_cuda_tensor(b, tensor)->view_of >= 0)
        return false;
    struct glet_cuda_step *step = last_map_of(b, tensor, &from);
    if (!step || step->places[step->place_count - 1].dims[1] != to->dims[1])
        return false;
    abandon(b, step);
    step->places[step->place_count - 1] = *to;
    touch(b, to, b->plan->step_count - 1);
    return true;
}

static bool same_dims(const struct glet_cuda_place *place, const struct glet_tensor *t)
{
    if (place->rank != t->rank)
        return false;
    for (int i = 0; i < t->rank; i++)
        if (place->dims[i] != t->dims[i])
            return false;
    return true;
}

static int add_input(struct chain *chain, const struct glet_cuda_place *place)
{
    chain->inputs[chain->input_count] = *place;
    return chain->input_count++;
}

static void add_operation(struct chain *chain, struct glet_cuda_map_operation operation)
{
    chain->operations[chain->operation_count++] = operation;
}

/* Where the chain starts: the operand that the last step made, else the first. */
static int start_chain(struct glet_cuda_builder *b, const struct glet_cuda_place *places, int count,
                       bool integer, struct chain *chain, bool *extends)
{
    const struct glet_tensor *y = glet_cuda_tensor(b, b->node->output);
    int candidates = b->node->op == GLET_OP_BINARY ? count : 1;
    for (int i = 0; i < candidates; i++) {
        struct glet_cuda_step *step = last_map_of(b, b->node->inputs[i], &places[i]);
        if (!step || !same_dims(&step->places[step->place_count - 1], y) ||
            !same_dims(&places[i], y) || step->integer != integer ||
            step->place_count - 1 + count - 1 > GLET_CUDA_MAP_INPUTS ||
            step->operation_count + 3 > GLET_CUDA_MAP_OPERATIONS)
            continue;
        memcpy(chain->inputs, step->places,
               (size_t)(step->place_count - 1) * sizeof step->places[0]);
        memcpy(chain->operations, step->operations, sizeof step->operations);
        chain->input_count = step->place_count - 1;
        chain->operation_count = step->operation_count;
        *extends = true;
        return i;
    }
    add_input(chain, &places[0]);
    return 0;
}

static void add_node(struct glet_cuda_builder *b, const struct glet_cuda_place *places, int first,
                     struct chain *chain)
{
    const struct glet_node *node = b->node;
    struct glet_cuda_map_operation op = {.code = GLET_CUDA_MAP_ACTIVATION,
                                         .activation = node->activation};
    switch (node->op) {
    case GLET_OP_BINARY:
        op.code = GLET_CUDA_MAP_BINARY;
        op.binary = node->binary;
        op.swapped = first == 1;
        op.input = add_input(chain, &places[1 - first]);
        break;
    case GLET_OP_WHERE:
    case GLET_OP_BATCH_NORM:
        op.code = node->op == GLET_OP_WHERE ? GLET_CUDA_MAP_SELECT : GLET_CUDA_MAP_SCALE;
        op.input = add_input(chain, &places[1]);
        add_input(chain, &places[2]);
        break;
    case GLET_OP_CAST:
        op.code = GLET_CUDA_MAP_CAST;
        op.cast = glet_cuda_tensor(b, node->output)->dtype;
        break;
    default:
        break;
    }
    add_operation(chain, op);
    if (node->op != GLET_OP_UNARY && node->activation.kind != GLET_ACT_NONE)
        add_operation(chain, (struct glet_cuda_map_operation){.code = GLET_CUDA_MAP_ACTIVATION,
                                                              .activation = node->activation});
}

/* Whether the values are whole numbers that FP32 may not hold. A cast to BOOL only asks for zero.
 */
static bool computes_integers(const struct glet_cuda_builder *b)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *y = glet_cuda_tensor(b, node->output);
    if (node->op == GLET_OP_CAST && (y->dtype == GLET_BOOL || glet_cuda_is_float(b, node->output)))
        return false;
    for (int i = node->op == GLET_OP_WHERE; i < node->input_count; i++)
        if (glet_cuda_is_float(b, node->inputs[i]))
            return false;
    return true;
}

/* Computes the padding too where every operand has it; true then. */
static bool pad_channels(struct glet_cuda_place *inputs, int count, struct glet_cuda_place *y)
{
    for (int i = 0; i < count; i++)
        if (inputs[i].strides[1] != 0 && inputs[i].channels < y->channels)
            return false;
    for (int i = 0; i < count; i++)
        inputs[i].dims[1] = y->channels;
    y->dims[1] = y->channels;
    return true;
}

static int operand(struct glet_cuda_builder *b, int i, bool map, struct glet_cuda_place *out,
                   struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *y = glet_cuda_tensor(b, node->output);
    const struct glet_tensor *t = glet_cuda_tensor(b, node->inputs[i]);
    if (node->op == GLET_OP_BATCH_NORM && i > 0) { /* a value per channel */
        int64_t dims[GLET_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
        int64_t channels = y->rank > 1 ? y->dims[1] : 1;
        if (glet_cuda_want_vector(b, node->inputs[i], glet_cuda_padded(b->plan, channels), out,
                                  err) < 0)
            return -1;
        int64_t there = out->channels;
        dims[1] = channels;
        if (!glet_cuda_reshape(out, y->rank, dims, out))
            return glet_cuda_unsupported(b, err, "a scale of another size");
        out->channels = there;
        return 0;
    }
    bool as_map = map && t->rank == y->rank && glet_cuda_lies_as_map(b, node->inputs[i]);
    enum glet_cuda_layout layout = as_map ? GLET_CUDA_NHWC : GLET_CUDA_RAW;
    return glet_cuda_want(b, node->inputs[i], layout, out, err);
}

static bool makes_map(struct glet_cuda_builder *b)
{
    const struct glet_tensor *y = glet_cuda_tensor(b, b->node->output);
    if (y->rank < 3 || y->rank > 4 || !glet_cuda_is_float(b, b->node->output))
        return false;
    for (int i = 0; i < b->node->input_count; i++) {
        const struct glet_tensor *x = glet_cuda_tensor(b, b->node->inputs[i]);
        struct glet_cuda_place shape = {.rank = x->rank};
        memcpy(shape.dims, x->dims, sizeof x->dims);
        if (same_dims(&shape, y) && x->dims[1] > 1 && glet_cuda_lies_as_map(b, b->node->inputs[i]))
            return true;
    }
    return false;
}

/* A feature map of rank 3 and rows are told apart by who made them. */
int glet_cuda_plan_elementwise(struct glet_cuda_builder *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *y = glet_cuda_tensor(b, node->output);
    struct glet_cuda_place places[3], out;
    struct chain chain = {.integer = computes_integers(b)};
    bool map = makes_map(b), extends = false;
    int count = node->input_count;
    if (count < 1 || count > 3)
        return glet_cuda_unsupported(b, err, "%d operands", count);
    for (int i = 0; i < count; i++) {
        if (operand(b, i, map, &places[i], err) < 0)
            return -1;
        int64_t channels = places[i].channels;
        places[i] = glet_cuda_broadcast(&places[i], y->rank, y->dims);
        places[i].channels = channels;
    }
    int first = start_chain(b, places, count, chain.integer, &chain, &extends);
    if (glet_cuda_define(b, node->output, map ? GLET_CUDA_NHWC : GLET_CUDA_ROWS, &out, err) < 0)
        return -1;
    add_node(b, places, first, &chain);
    struct glet_cuda_place logical = out;
    bool padded =
        !map || out.channels == out.dims[1] || pad_channels(chain.inputs, chain.input_count, &out);
    struct glet_cuda_place all[GLET_CUDA_MAP_INPUTS + 1];
    memcpy(all, chain.inputs, (size_t)chain.input_count * sizeof all[0]);
    all[chain.input_count] = out;
    if (extends) {
        abandon(b, &b->plan->steps[b->plan->step_count - 1]);
        b->plan->step_count--;
    }
    struct glet_cuda_step *step =
        glet_cuda_step_add(b, GLET_CUDA_MAP, all, chain.input_count + 1, err);
    if (!step)
        return -1;
    step->integer = chain.integer;
    step->operation_count = chain.operation_count;
    memcpy(step->operations, chain.operations, sizeof step->operations);
    return padded ? 0 : glet_cuda_clear_channels(b, &logical, err);
}
