/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building a program from a graph, and running it.
 *
 * Build: one builder per operator, in the graph's order; then the outputs; then every buffer's
 * lifetime is known, the arena is planned and all pointers are set. A step is one oneDNN primitive
 * or one kernel of ours; running it touches nothing but those pointers.
 */
#include "runtime/device/cpu/net/program_parts.h"

#include "runtime/device/cpu/kernels/kernels.h"
#include "runtime/engine/memory_plan.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT_BYTES = 64 }; /* a cache line, and a vector register of AVX-512 */

typedef int (*builder)(struct glet_cpu_build *b, struct glet_error *err);

static const builder builders[GLET_OP_COUNT] = {
    [GLET_OP_CONV] = glet_cpu_build_conv,
    [GLET_OP_MATMUL] = glet_cpu_build_matmul,
    [GLET_OP_CONV_TRANSPOSE] = glet_cpu_build_conv_transpose,
    [GLET_OP_MAX_POOL] = glet_cpu_build_pool,
    [GLET_OP_AVG_POOL] = glet_cpu_build_pool,
    [GLET_OP_BATCH_NORM] = glet_cpu_build_batch_norm,
    [GLET_OP_LAYER_NORM] = glet_cpu_build_layer_norm,
    [GLET_OP_SOFTMAX] = glet_cpu_build_softmax,
    [GLET_OP_LRN] = glet_cpu_build_lrn,
    [GLET_OP_BINARY] = glet_cpu_build_binary,
    [GLET_OP_UNARY] = glet_cpu_build_unary,
    [GLET_OP_WHERE] = glet_cpu_build_where,
    [GLET_OP_CAST] = glet_cpu_build_cast,
    [GLET_OP_CONCAT] = glet_cpu_build_concat,
    [GLET_OP_SLICE] = glet_cpu_build_strided_copy,
    [GLET_OP_TRANSPOSE] = glet_cpu_build_strided_copy,
    [GLET_OP_EXPAND] = glet_cpu_build_strided_copy,
    [GLET_OP_GATHER] = glet_cpu_build_gather,
    [GLET_OP_PAD] = glet_cpu_build_pad,
    [GLET_OP_RESIZE] = glet_cpu_build_resize,
    [GLET_OP_REDUCE_MEAN] = glet_cpu_build_reduce,
    [GLET_OP_REDUCE_SUM] = glet_cpu_build_reduce,
    [GLET_OP_REDUCE_MAX] = glet_cpu_build_reduce,
    [GLET_OP_REDUCE_MIN] = glet_cpu_build_reduce,
    [GLET_OP_ARG_MAX] = glet_cpu_build_arg_max,
    [GLET_OP_ATTENTION] = glet_cpu_build_attention,
};

static int find_last_uses(struct glet_cpu_program *program, struct glet_error *err)
{
    const struct glet_graph *graph = program->graph;
    size_t count = graph->tensor_count > 0 ? (size_t)graph->tensor_count : 1;
    program->forms = calloc(count, sizeof(struct glet_cpu_form *));
    program->placements = calloc(count, sizeof *program->placements);
    program->last_use = calloc(count, sizeof *program->last_use);
    if (!program->forms || !program->placements || !program->last_use)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory for %zu tensors", count);
    for (size_t i = 0; i < count; i++) {
        program->last_use[i] = -1;
        program->placements[i].into = -1;
        program->placements[i].memory = GLET_CPU_NO_BUFFER;
    }
    for (int n = 0; n < graph->node_count; n++)
        for (int i = 0; i < graph->nodes[n].input_count; i++)
            if (graph->nodes[n].inputs[i] >= 0)
                program->last_use[glet_graph_storage(graph, graph->nodes[n].inputs[i])] = n;
    for (int i = 0; i < graph->output_count; i++)
        program->last_use[glet_graph_storage(graph, graph->outputs[i])] = INT_MAX;
    return 0;
}

static int build_nodes(struct glet_cpu_build *b, struct glet_error *err)
{
    for (int n = 0; n < b->graph->node_count; n++) {
        b->node = &b->graph->nodes[n];
        b->node_index = n;
        if ((unsigned)b->node->op >= GLET_OP_COUNT || !builders[b->node->op])
            return glet_cpu_unsupported(b, err, "no CPU kernel");
        if (builders[b->node->op](b, err) < 0) {
            if (strstr(err->message, b->node->name))
                return -1;
            return glet_error_context(err, "node %s", b->node->name);
        }
    }
    b->node = NULL;
    return 0;
}

/* An output's memory is the caller's: the step that computes it writes there where it can. */
static int build_output(struct glet_cpu_build *b, int i, struct glet_error *err)
{
    int tensor = b->graph->outputs[i];
    const struct glet_tensor *t = glet_cpu_tensor(b, tensor);
    int buffer = glet_cpu_want_plain(b, tensor, err);
    if (buffer < 0)
        return -1;
    struct glet_cpu_buffer *source = &b->program->buffers[buffer];
    if (source->kind == GLET_CPU_ARENA && source->parent < 0 &&
        source->size_bytes == glet_tensor_bytes(t) && glet_cpu_held_dtype(t->dtype) == t->dtype) {
        source->kind = GLET_CPU_OUTPUT;
        source->index = i;
        return 0;
    }
    struct glet_cpu_buffer output = {.kind = GLET_CPU_OUTPUT,
                                     .index = i,
                                     .size_bytes = glet_tensor_bytes(t),
                                     .parent = -1,
                                     .first_step = -1,
                                     .last_step = -1};
    int target = glet_cpu_buffer_add(b->program, &output, err);
    if (target < 0)
        return -1;
    return glet_cpu_add_convert(b, target, t->dtype, buffer, glet_cpu_held_dtype(t->dtype),
                                glet_tensor_elements(t), err);
}

static void set_operand(struct glet_cpu_step *step, int i, void *pointer)
{
    step->pointers[i] = pointer;
    if (step->primitive)
        dnnl_memory_set_data_handle(step->arguments[i].memory, pointer);
}

static void set_pointers(struct glet_cpu_program *program, enum glet_cpu_buffer_kind kind,
                         int index, void *base)
{
    for (int s = 0; s < program->step_count; s++) {
        struct glet_cpu_step *step = &program->steps[s];
        for (int i = 0; i < step->count; i++) {
            if (step->buffers[i] < 0)
                continue;
            size_t offset;
            const struct glet_cpu_buffer *buffer =
                &program->buffers[glet_cpu_buffer_root(program, step->buffers[i], &offset)];
            if (buffer->kind != kind)
                continue;
            if (kind == GLET_CPU_CONSTANT)
                set_operand(step, i, (char *)(uintptr_t)buffer->data + offset);
            else if (kind == GLET_CPU_ARENA)
                set_operand(step, i, (char *)base + buffer->offset_bytes + offset);
            else if (buffer->index == index)
                set_operand(step, i, (char *)base + offset);
        }
    }
}

static int place_buffers(struct glet_cpu_program *program, struct glet_error *err)
{
    size_t count = 0;
    struct glet_memory_block *blocks = calloc((size_t)program->buffer_count + 1, sizeof *blocks);
    if (!blocks)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory for a memory plan");
    for (int i = 0; i < program->buffer_count; i++) {
        const struct glet_cpu_buffer *buffer = &program->buffers[i];
        if (buffer->kind == GLET_CPU_ARENA && buffer->parent < 0 && buffer->first_step >= 0)
            blocks[count++] = (struct glet_memory_block){.size_bytes = buffer->size_bytes,
                                                         .first_step = buffer->first_step,
                                                         .last_step = buffer->last_step};
    }
    int rc = glet_memory_plan(blocks, count, ALIGNMENT_BYTES, &program->arena_bytes, err);
    program->bound_bytes = glet_memory_plan_lower_bound(blocks, count, ALIGNMENT_BYTES);
    count = 0;
    for (int i = 0; i < program->buffer_count; i++) {
        struct glet_cpu_buffer *buffer = &program->buffers[i];
        if (buffer->kind == GLET_CPU_ARENA && buffer->parent < 0 && buffer->first_step >= 0)
            buffer->offset_bytes = blocks[count++].offset_bytes;
    }
    free(blocks);
    if (rc < 0)
        return -1;
    size_t size_bytes = program->arena_bytes + ALIGNMENT_BYTES;
    program->arena = aligned_alloc(ALIGNMENT_BYTES, size_bytes);
    if (!program->arena)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory for %zu bytes of activations",
                              size_bytes);
    memset(program->arena, 0, size_bytes); /* pages are there before the first request */
    set_pointers(program, GLET_CPU_ARENA, 0, program->arena);
    set_pointers(program, GLET_CPU_CONSTANT, 0, NULL);
    return 0;
}

static int build(struct glet_cpu_program *program, struct glet_error *err)
{
    struct glet_cpu_build b = {.program = program, .graph = program->graph};
    dnnl_stream_t shared;
    if (glet_dnnl_start(&program->engine, &shared, err) < 0 ||
        glet_dnnl_check(
            dnnl_stream_create(&program->stream, program->engine, dnnl_stream_default_flags),
            "creating a stream", err) < 0 ||
        find_last_uses(program, err) < 0)
        return -1;
    glet_cpu_plan_concats(program);
    if (build_nodes(&b, err) < 0)
        return -1;
    for (int i = 0; i < program->graph->output_count; i++)
        if (build_output(&b, i, err) < 0)
            return -1;
    return place_buffers(program, err);
}

int glet_cpu_program_build(const struct glet_graph *graph, struct glet_cpu_packs *packs,
                           const struct glet_model *model, struct glet_cpu_program **out,
                           struct glet_error *err)
{
    struct glet_cpu_program *program = calloc(1, sizeof *program);
    if (!program)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory for a program");
    program->graph = graph;
    program->packs = packs;
    program->model = model;
    if (build(program, err) < 0) {
        glet_cpu_program_free(program);
        return -1;
    }
    *out = program;
    return 0;
}

void glet_cpu_program_free(struct glet_cpu_program *program)
{
    if (!program)
        return;
    for (int s = 0; s < program->step_count; s++) {
        struct glet_cpu_step *step = &program->steps[s];
        if (!step->primitive)
            continue;
        for (int i = 0; i < step->count; i++)
            dnnl_memory_destroy(step->arguments[i].memory);
        dnnl_primitive_destroy(step->primitive);
    }
    while (program->chunks) {
        struct glet_cpu_chunk *chunk = program->chunks;
        program->chunks = chunk->next;
        free(chunk);
    }
    dnnl_stream_destroy(program->stream);
    free(program->forms);
    free(program->placements);
    free(program->last_use);
    free(program->arena);
    free(program->buffers);
    free(program->steps);
    free(program);
}

void glet_cpu_program_bind_input(struct glet_cpu_program *program, size_t i, const void *data)
{
    set_pointers(program, GLET_CPU_INPUT, (int)i, (void *)(uintptr_t)data);
}

void glet_cpu_program_bind_output(struct glet_cpu_program *program, size_t i, void *data)
{
    set_pointers(program, GLET_CPU_OUTPUT, (int)i, data);
}

size_t glet_cpu_program_step_count(const struct glet_cpu_program *program)
{
    return (size_t)program->step_count;
}

const char *glet_cpu_program_step_name(const struct glet_cpu_program *program, size_t i)
{
    return program->steps[i].name;
}

int glet_cpu_program_step(struct glet_cpu_program *program, size_t i, struct glet_error *err)
{
    const struct glet_cpu_step *step = &program->steps[i];
    if (!step->primitive) {
        if (step->kernel(step->pointers, step->params, err) < 0)
            return glet_error_context(err, "node %s", step->name);
        return 0;
    }
    dnnl_status_t status =
        dnnl_primitive_execute(step->primitive, program->stream, step->count, step->arguments);
    if (status != dnnl_success)
        return glet_error_set(err, GLET_ERR_DEVICE, "node %s: oneDNN error %d", step->name,
                              (int)status);
    return 0;
}

size_t glet_cpu_program_activation_bytes(const struct glet_cpu_program *program)
{
    return program->arena_bytes;
}

size_t glet_cpu_program_activation_bound_bytes(const struct glet_cpu_program *program)
{
    return program->bound_bytes;
}
