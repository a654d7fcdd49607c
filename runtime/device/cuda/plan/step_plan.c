/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a graph to a plan: one planner per operator in the graph's order, then the outputs, then
 * every buffer's lifetime is known and the arena is laid out.
 */
#include "runtime/device/cuda/plan/builder.h"

#include "common/memory.h"
#include "runtime/engine/memory_plan.h"

#include <stdlib.h>
#include <string.h>

static const glet_cuda_planner planners[GLET_OP_COUNT] = {
    [GLET_OP_CONV] = glet_cuda_plan_conv,
    [GLET_OP_CONV_TRANSPOSE] = glet_cuda_plan_conv_transpose,
    [GLET_OP_MATMUL] = glet_cuda_plan_matmul,
    [GLET_OP_MAX_POOL] = glet_cuda_plan_pool,
    [GLET_OP_AVG_POOL] = glet_cuda_plan_pool,
    [GLET_OP_LRN] = glet_cuda_plan_lrn,
    [GLET_OP_BATCH_NORM] = glet_cuda_plan_elementwise,
    [GLET_OP_LAYER_NORM] = glet_cuda_plan_layer_norm,
    [GLET_OP_SOFTMAX] = glet_cuda_plan_softmax,
    [GLET_OP_BINARY] = glet_cuda_plan_elementwise,
    [GLET_OP_UNARY] = glet_cuda_plan_elementwise,
    [GLET_OP_WHERE] = glet_cuda_plan_elementwise,
    [GLET_OP_CAST] = glet_cuda_plan_elementwise,
    [GLET_OP_CONCAT] = glet_cuda_plan_concat,
    [GLET_OP_SLICE] = glet_cuda_plan_strides,
    [GLET_OP_TRANSPOSE] = glet_cuda_plan_strides,
    [GLET_OP_EXPAND] = glet_cuda_plan_strides,
    [GLET_OP_GATHER] = glet_cuda_plan_gather,
    [GLET_OP_PAD] = glet_cuda_plan_pad,
    [GLET_OP_RESIZE] = glet_cuda_plan_resize,
    [GLET_OP_REDUCE_MEAN] = glet_cuda_plan_reduce,
    [GLET_OP_REDUCE_SUM] = glet_cuda_plan_reduce,
    [GLET_OP_REDUCE_MAX] = glet_cuda_plan_reduce,
    [GLET_OP_REDUCE_MIN] = glet_cuda_plan_reduce,
    [GLET_OP_ARG_MAX] = glet_cuda_plan_arg_max,
    [GLET_OP_ATTENTION] = glet_cuda_plan_attention,
};

static int start(struct glet_cuda_builder *b, struct glet_error *err)
{
    const struct glet_graph *graph = b->graph;
    size_t count = (size_t)graph->tensor_count + 1;
    b->forms = glet_alloc(count, sizeof(struct glet_cuda_form *), err);
    b->parts = b->forms ? glet_alloc(count, sizeof *b->parts, err) : NULL;
    b->hosts = b->parts ? glet_alloc(count, sizeof *b->hosts, err) : NULL;
    b->uses = b->hosts ? glet_alloc(count, sizeof *b->uses, err) : NULL;
    if (!b->uses)
        return -1;
    for (size_t i = 0; i < count; i++) {
        b->parts[i].host = -1;
        b->hosts[i] = glet_cuda_none();
    }
    for (int n = 0; n < graph->node_count; n++)
        for (int i = 0; i < graph->nodes[n].input_count; i++)
            if (graph->nodes[n].inputs[i] >= 0)
                b->uses[glet_graph_storage(graph, graph->nodes[n].inputs[i])]++;
    for (int i = 0; i < graph->output_count; i++)
        b->uses[glet_graph_storage(graph, graph->outputs[i])]++;
    for (int i = 0; i < graph->input_count; i++) {
        const struct glet_tensor *t = &graph->tensors[graph->inputs[i]];
        int buffer = glet_cuda_buffer_add(b, GLET_CUDA_INPUT, glet_tensor_bytes(t), err);
        if (buffer < 0)
            return -1;
        b->plan->buffers[buffer].index = i;
        struct glet_cuda_place place = glet_cuda_rows(buffer, t->dtype, t->rank, t->dims);
        if (glet_cuda_define_at(b, graph->inputs[i], &place, err) < 0)
            return -1;
    }
    return 0;
}

static int plan_nodes(struct glet_cuda_builder *b, struct glet_error *err)
{
    for (int n = 0; n < b->graph->node_count; n++) {
        b->node = &b->graph->nodes[n];
        for (int i = 0; i < b->node->input_count; i++) {
            int input = b->node->inputs[i];
            if (input >= 0 && glet_cuda_tensor(b, input)->dtype == GLET_BFLOAT16)
                return glet_cuda_unsupported(b, err, "BF16");
        }
        if ((unsigned)b->node->op >= GLET_OP_COUNT || !planners[b->node->op])
            return glet_cuda_unsupported(b, err, "there is no kernel");
        if (planners[b->node->op](b, err) < 0) {
            if (strstr(err->message, b->node->name))
                return -1;
            return glet_error_context(err, "node %s", b->node->name);
        }
    }
    b->node = NULL;
    return 0;
}

/* The memory of an output is its own: the step that makes it writes there where it can. */
static int plan_output(struct glet_cuda_builder *b, int i, struct glet_error *err)
{
    int tensor = b->graph->outputs[i];
    const struct glet_tensor *t = glet_cuda_tensor(b, tensor);
    struct glet_cuda_plan *plan = b->plan;
    struct glet_cuda_place from;
    if (glet_cuda_want(b, tensor, GLET_CUDA_RAW, &from, err) < 0)
        return -1;
    struct glet_cuda_place rows = glet_cuda_rows(from.buffer, t->dtype, t->rank, t->dims);
    struct glet_cuda_buffer *source = &plan->buffers[from.buffer];
    if (source->kind == GLET_CUDA_ARENA && glet_cuda_places_equal(&rows, &from) &&
        source->bytes == glet_tensor_bytes(t)) {
        source->kind = GLET_CUDA_OUTPUT;
        source->index = i;
        return 0;
    }
    rows.buffer = glet_cuda_buffer_add(b, GLET_CUDA_OUTPUT, glet_tensor_bytes(t), err);
    if (rows.buffer < 0)
        return -1;
    plan->buffers[rows.buffer].index = i;
    if (glet_cuda_extend_map(b, tensor, &rows))
        return 0;
    return glet_cuda_copy(b, &from, &rows, err);
}

static int place_buffers(struct glet_cuda_plan *plan, struct glet_error *err)
{
    size_t count = 0;
    struct glet_memory_block *blocks =
        glet_alloc((size_t)plan->buffer_count + 1, sizeof *blocks, err);
    if (!blocks)
        return -1;
    for (int i = 0; i < plan->buffer_count; i++) {
        const struct glet_cuda_buffer *buffer = &plan->buffers[i];
        if (buffer->kind == GLET_CUDA_ARENA && buffer->first_step >= 0)
            blocks[count++] = (struct glet_memory_block){.size_bytes = buffer->bytes,
                                                         .first_step = buffer->first_step,
                                                         .last_step = buffer->last_step};
    }
    int rc = glet_memory_plan(blocks, count, GLET_CUDA_ALIGN_BYTES, &plan->arena_bytes, err);
    plan->arena_bound_bytes = glet_memory_plan_lower_bound(blocks, count, GLET_CUDA_ALIGN_BYTES);
    count = 0;
    for (int i = 0; i < plan->buffer_count; i++) {
        struct glet_cuda_buffer *buffer = &plan->buffers[i];
        if (buffer->kind == GLET_CUDA_ARENA && buffer->first_step >= 0)
            buffer->offset_bytes = blocks[count++].offset_bytes;
    }
    free(blocks);
    return rc;
}

static int build(struct glet_cuda_builder *b, struct glet_error *err)
{
    if (start(b, err) < 0)
        return -1;
    glet_cuda_plan_parts(b);
    if (plan_nodes(b, err) < 0)
        return -1;
    for (int i = 0; i < b->graph->output_count; i++)
        if (plan_output(b, i, err) < 0)
            return -1;
    return place_buffers(b->plan, err);
}

int glet_cuda_plan_new(const struct glet_graph *graph, enum glet_cuda_precision precision,
                       struct glet_cuda_plan **out, struct glet_error *err)
{
    struct glet_cuda_plan *plan = glet_alloc(1, sizeof *plan, err);
    if (!plan)
        return -1;
    plan->graph = graph;
    plan->precision = precision;
    plan->type = precision == GLET_CUDA_FP16 ? GLET_FLOAT16 : GLET_FLOAT32;
    struct glet_cuda_builder b = {.plan = plan, .graph = graph};
    int rc = build(&b, err);
    for (int i = 0; b.forms && i < graph->tensor_count; i++)
        glet_cuda_forget_forms(&b, i);
    free(b.forms);
    free(b.parts);
    free(b.hosts);
    free(b.uses);
    if (rc < 0) {
        glet_cuda_plan_free(plan);
        return -1;
    }
    *out = plan;
    return 0;
}

void glet_cuda_plan_free(struct glet_cuda_plan *plan)
{
    if (!plan)
        return;
    free(plan->steps);
    free(plan->buffers);
    free(plan);
}
