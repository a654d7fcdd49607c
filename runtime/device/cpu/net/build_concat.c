/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concatenation, free of charge where possible.
 *
 * With one image per run, channels are the outermost dimension of every layout that is used
 * (row-major, and blocks of 8 or 16 channels), so a part of a concatenation along channels is a
 * contiguous range of its result: whoever computes the part writes it there. DenseNet concatenates
 * the same tensors again and again, each time with one more; there the shorter result is itself a
 * part, at the front of the longer one, and a whole block of the network shares one buffer.
 *
 * What cannot be placed is copied.
 */
#include "runtime/device/cpu/net/program_parts.h"

#include "runtime/device/cpu/kernels/kernels.h"

#include <string.h>

static bool is_channel_concat(const struct glet_graph *graph, const struct glet_node *node)
{
    const struct glet_tensor *y = &graph->tensors[node->output];
    return node->op == GLET_OP_CONCAT && node->axis == 1 && y->rank >= 3 && y->dims[0] == 1 &&
           y->dtype == GLET_FLOAT32;
}

static const struct glet_node *producer(const struct glet_graph *graph, int tensor)
{
    int node = graph->tensors[tensor].producer;
    return node < 0 ? NULL : &graph->nodes[node];
}

/* Whether the parts of the concatenation that made `part` are the first parts of `node`. */
static bool is_prefix(const struct glet_graph *graph, int part, const struct glet_node *node)
{
    const struct glet_node *inner = producer(graph, part);
    if (!inner || !is_channel_concat(graph, inner) || inner->input_count > node->input_count)
        return false;
    return memcmp(inner->inputs, node->inputs, (size_t)inner->input_count * sizeof(int)) == 0;
}

static bool may_place(const struct glet_cpu_program *program, int tensor)
{
    const struct glet_tensor *t = &program->graph->tensors[tensor];
    return t->view_of < 0 && t->producer >= 0 && program->placements[tensor].into < 0;
}

void glet_cpu_plan_concats(struct glet_cpu_program *program)
{
    const struct glet_graph *graph = program->graph;
    for (int n = 0; n < graph->node_count; n++) {
        const struct glet_node *node = &graph->nodes[n];
        if (!is_channel_concat(graph, node))
            continue;
        int first = 0;
        int64_t channel = 0;
        int earlier = program->placements[node->inputs[0]].into;
        while (earlier >= 0 && program->placements[earlier].into >= 0)
            earlier = program->placements[earlier].into;
        if (earlier >= 0 && is_prefix(graph, earlier, node)) {
            program->placements[earlier].into = node->output;
            first = producer(graph, earlier)->input_count;
            channel = graph->tensors[earlier].dims[1];
        }
        for (int i = first; i < node->input_count; i++) {
            int part = node->inputs[i];
            if (may_place(program, part)) {
                program->placements[part].into = node->output;
                program->placements[part].channel = channel;
            }
            channel += graph->tensors[part].dims[1];
        }
    }
}

/* The result that holds the tensor in the end, and where in it. */
static int outermost(const struct glet_cpu_program *program, int tensor, int64_t *channel)
{
    *channel = 0;
    while (program->placements[tensor].into >= 0) {
        *channel += program->placements[tensor].channel;
        tensor = program->placements[tensor].into;
    }
    return tensor;
}

static size_t channel_bytes(const struct glet_tensor *tensor)
{
    return glet_tensor_bytes(tensor) / (size_t)tensor->dims[1];
}

static dnnl_memory_desc_t blocked_md(const struct glet_tensor *t, int64_t block)
{
    static const dnnl_format_tag_t by_16[] = {dnnl_nCw16c, dnnl_nChw16c, dnnl_nCdhw16c};
    static const dnnl_format_tag_t by_8[] = {dnnl_nCw8c, dnnl_nChw8c, dnnl_nCdhw8c};
    dnnl_memory_desc_t md;
    if (block == 1)
        return glet_dnnl_plain(t->rank, t->dims);
    dnnl_dims_t dims = {0};
    memcpy(dims, t->dims, (size_t)t->rank * sizeof dims[0]);
    dnnl_memory_desc_init_by_tag(&md, t->rank, dims, dnnl_f32,
                                 block == 16 ? by_16[t->rank - 3] : by_8[t->rank - 3]);
    return md;
}

static bool block_is_usable(const dnnl_memory_desc_t *md, int64_t block)
{
    return !glet_dnnl_has_padding(md) && (block == 1 || block == 8 || block == 16) &&
           md->ndims <= 5;
}

/* A range of the outermost result's memory, which is made on first use. */
static int part_of(struct glet_cpu_build *b, int whole, int64_t block, int64_t channel,
                   size_t size_bytes, struct glet_error *err)
{
    struct glet_cpu_placement *placement = &b->program->placements[whole];
    const struct glet_tensor *t = glet_cpu_tensor(b, whole);
    if (placement->memory == GLET_CPU_NO_BUFFER) {
        int memory = glet_cpu_temporary(b, glet_tensor_bytes(t), err);
        if (memory < 0)
            return GLET_CPU_FAILED;
        placement->memory = memory;
        placement->block = block;
    }
    struct glet_cpu_buffer part = {.kind = GLET_CPU_ARENA,
                                   .size_bytes = size_bytes,
                                   .parent = placement->memory,
                                   .parent_offset_bytes = (size_t)channel * channel_bytes(t),
                                   .first_step = -1,
                                   .last_step = -1};
    int buffer = glet_cpu_buffer_add(b->program, &part, err);
    return buffer < 0 ? GLET_CPU_FAILED : buffer;
}

int glet_cpu_placed_buffer(struct glet_cpu_build *b, int tensor, const dnnl_memory_desc_t *md,
                           struct glet_error *err)
{
    int64_t channel, block = glet_dnnl_channel_block(md);
    int whole = outermost(b->program, tensor, &channel);
    if (whole == tensor || !block_is_usable(md, block) ||
        md->ndims != glet_cpu_tensor(b, tensor)->rank)
        return GLET_CPU_NO_BUFFER;
    const struct glet_cpu_placement *placement = &b->program->placements[whole];
    if (channel % block != 0 || glet_cpu_tensor(b, whole)->dims[1] % block != 0 ||
        (placement->memory != GLET_CPU_NO_BUFFER && placement->block != block))
        return GLET_CPU_NO_BUFFER;
    return part_of(b, whole, block, channel, dnnl_memory_desc_get_size(md), err);
}

struct copy_params {
    struct glet_cpu_loop loop;
    size_t element_bytes;
    size_t out_offset_bytes;
};

static int copy_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    const struct copy_params *p = params;
    (void)err;
    glet_cpu_copy(&p->loop, p->element_bytes, (char *)operands[0] + p->out_offset_bytes,
                  operands[1]);
    return 0;
}

/* Whether some form of the part already lies where it belongs. */
static bool is_in_place(const struct glet_cpu_build *b, int part, int memory, size_t offset_bytes)
{
    for (const struct glet_cpu_form *form = b->program->forms[part]; form; form = form->next) {
        size_t offset;
        if (glet_cpu_buffer_root(b->program, form->buffer, &offset) == memory &&
            offset == offset_bytes)
            return true;
    }
    return false;
}

/* All parts in one buffer, those that are not there yet copied. */
static int concat_placed(struct glet_cpu_build *b, int whole, int64_t block, int64_t channel,
                         struct glet_error *err)
{
    const struct glet_tensor *y = glet_cpu_tensor(b, b->node->output);
    dnnl_memory_desc_t y_md = blocked_md(y, block);
    int memory = part_of(b, whole, block, channel, glet_tensor_bytes(y), err);
    if (memory < 0)
        return -1;
    int root_memory = b->program->placements[whole].memory;
    for (int i = 0; i < b->node->input_count; i++) {
        int part = b->node->inputs[i];
        const struct glet_tensor *t = glet_cpu_tensor(b, part);
        size_t offset = (size_t)channel * channel_bytes(y);
        channel += t->dims[1];
        if (is_in_place(b, glet_graph_storage(b->graph, part), root_memory, offset))
            continue;
        dnnl_memory_desc_t from_md, to_md = blocked_md(t, block);
        int from;
        if (glet_cpu_current(b, part, &from_md, &from, err) < 0)
            return -1;
        int to = part_of(b, whole, block, channel - t->dims[1], glet_tensor_bytes(t), err);
        if (to < 0 || glet_cpu_add_reorder(b, from, &from_md, to, &to_md, err) < 0)
            return -1;
    }
    return glet_cpu_define_in(b, b->node->output, &y_md, memory, err) < 0 ? -1 : 0;
}

/* The block that every part can have: the first blocked part's if it divides all, else 0. */
static int64_t common_block(struct glet_cpu_build *b, struct glet_error *err)
{
    int64_t block = 0;
    for (int i = 0; i < b->node->input_count; i++) {
        dnnl_memory_desc_t md;
        int buffer;
        if (glet_cpu_current(b, b->node->inputs[i], &md, &buffer, err) < 0)
            return -1;
        int64_t own = glet_dnnl_channel_block(&md);
        if (block == 0 && own > 1 && block_is_usable(&md, own))
            block = own;
    }
    for (int i = 0; i < b->node->input_count && block > 0; i++)
        if (glet_cpu_tensor(b, b->node->inputs[i])->dims[1] % block != 0)
            block = 0;
    return block;
}

/* Every part is copied: `outer` runs of `run` elements each, to every `whole` elements. */
static int concat_copied(struct glet_cpu_build *b, int axis, int64_t block, struct glet_error *err)
{
    const struct glet_tensor *y = glet_cpu_tensor(b, b->node->output);
    int64_t outer = 1, whole = 1, at = 0;
    for (int i = 0; i < y->rank; i++)
        *(i < axis ? &outer : &whole) *= y->dims[i];
    dnnl_memory_desc_t y_md = {0};
    if (block > 0)
        y_md = blocked_md(y, block);
    int to = block > 0 ? glet_cpu_define(b, b->node->output, &y_md, err)
                       : glet_cpu_define_plain(b, b->node->output, err);
    for (int i = 0; i < b->node->input_count && to >= 0; i++) {
        int part = b->node->inputs[i];
        const struct glet_tensor *t = glet_cpu_tensor(b, part);
        int64_t count = glet_tensor_elements(t), run = outer > 0 ? count / outer : 0;
        if (count == 0)
            continue;
        dnnl_memory_desc_t t_md = {0};
        if (block > 0)
            t_md = blocked_md(t, block);
        int from =
            block > 0 ? glet_cpu_want(b, part, &t_md, err) : glet_cpu_want_plain(b, part, err);
        if (from < 0)
            return -1;
        struct copy_params params = {.loop = {.rank = 2,
                                              .operands = 2,
                                              .dims = {outer, run},
                                              .strides = {{whole, 1}, {run, 1}}},
                                     .element_bytes =
                                         glet_dtype_size(glet_cpu_held_dtype(y->dtype))};
        params.out_offset_bytes = (size_t)at * params.element_bytes;
        at += run;
        int buffers[] = {to, from};
        if (glet_cpu_add_kernel(b, copy_kernel, buffers, 2, &params, sizeof params, err) < 0)
            return -1;
    }
    return to < 0 ? -1 : 0;
}

int glet_cpu_build_concat(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_tensor *y = glet_cpu_tensor(b, b->node->output);
    if (!glet_cpu_is_float(b, b->node->output) || b->node->axis != 1 || y->rank < 3 || y->rank > 5)
        return concat_copied(b, b->node->axis, 0, err);
    if (is_channel_concat(b->graph, b->node)) {
        int64_t channel;
        int whole = outermost(b->program, b->node->output, &channel);
        const struct glet_cpu_placement *placement = &b->program->placements[whole];
        int64_t block = placement->block;
        if (placement->memory != GLET_CPU_NO_BUFFER) {
            bool divides = channel % block == 0 && y->dims[1] % block == 0;
            for (int i = 0; i < b->node->input_count && divides; i++)
                divides = glet_cpu_tensor(b, b->node->inputs[i])->dims[1] % block == 0;
            if (divides)
                return concat_placed(b, whole, block, channel, err);
        }
    }
    int64_t block = common_block(b, err);
    return block < 0 ? -1 : concat_copied(b, 1, block, err);
}
