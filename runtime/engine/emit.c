/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last step of binding: what the outputs need, and nothing else, as one packed graph. Numbers
 * are dealt anew, views point at storage, and constants that were computed while binding move to
 * the model's pool, where the next batch finds the same ones.
 */
#include "runtime/engine/bind.h"
#include "runtime/engine/model_private.h"

#include <string.h>

struct emitter {
    struct glet_bind *b;
    int *new_number; /* by old tensor number; -1 = not needed yet */
    int *kept;       /* old numbers in the order of the new ones */
    size_t kept_count;
};

static int no_memory(struct glet_bind *b)
{
    return glet_error_set(b->err, GLET_ERR_NOMEM, "out of memory");
}

/* The new number of a tensor. Views of the same shape are the storage itself. */
static int keep(struct emitter *e, int old)
{
    int storage = glet_bind_storage(e->b, old);
    struct glet_shape shape = glet_bind_shape(e->b, old);
    struct glet_shape own = glet_bind_shape(e->b, storage);
    if (storage != old && glet_shape_same(&shape, &own))
        old = storage;
    if (storage != old)
        keep(e, storage);
    if (e->new_number[old] < 0) {
        e->new_number[old] = (int)e->kept_count;
        e->kept[e->kept_count++] = old;
    }
    return e->new_number[old];
}

static int stable_data(struct glet_bind *b, struct glet_tensor *tensor)
{
    if (tensor->data && tensor->producer != GLET_BIND_STABLE) {
        tensor->data =
            glet_constant_pool_intern(b->model->pool, tensor->data, glet_tensor_bytes(tensor));
        if (!tensor->data)
            return no_memory(b);
    }
    return 0;
}

static int fill_tensors(struct emitter *e, struct glet_graph *graph)
{
    graph->tensor_count = (int)e->kept_count;
    graph->tensors = glet_arena_array(graph->arena, e->kept_count, sizeof *graph->tensors);
    if (!graph->tensors)
        return no_memory(e->b);
    for (size_t i = 0; i < e->kept_count; i++) {
        struct glet_tensor *tensor = &graph->tensors[i];
        *tensor = *e->b->tensors[e->kept[i]];
        if (stable_data(e->b, tensor) < 0)
            return -1;
        if (tensor->view_of >= 0)
            tensor->view_of = e->new_number[glet_bind_storage(e->b, e->kept[i])];
        tensor->producer = -1;
    }
    return 0;
}

static int fill_nodes(struct emitter *e, struct glet_graph *graph, size_t count)
{
    graph->nodes = glet_arena_array(graph->arena, count, sizeof *graph->nodes);
    if (!graph->nodes)
        return no_memory(e->b);
    for (size_t i = 0; i < e->b->node_count; i++) {
        const struct glet_node *old = e->b->nodes[i];
        if (!old)
            continue;
        struct glet_node *node = &graph->nodes[graph->node_count];
        *node = *old;
        node->inputs =
            glet_arena_array(graph->arena, (size_t)old->input_count, sizeof *node->inputs);
        if (!node->inputs)
            return no_memory(e->b);
        for (int k = 0; k < old->input_count; k++)
            node->inputs[k] = keep(e, old->inputs[k]);
        node->output = keep(e, old->output);
        if (glet_tensor_elements(&graph->tensors[node->output]) == 0)
            return glet_error_set(e->b->err, GLET_ERR_UNSUPPORTED,
                                  "node \"%s\": an empty result is not supported", node->name);
        graph->tensors[node->output].producer = graph->node_count++;
    }
    return 0;
}

static int fill_ends(struct emitter *e, struct glet_graph *graph, const int *outputs)
{
    const struct glet_model *model = e->b->model;
    graph->inputs = glet_arena_array(graph->arena, model->input_count, sizeof *graph->inputs);
    graph->outputs = glet_arena_array(graph->arena, model->output_count, sizeof *graph->outputs);
    if (!graph->inputs || !graph->outputs)
        return no_memory(e->b);
    graph->input_count = (int)model->input_count;
    graph->output_count = (int)model->output_count;
    for (size_t i = 0; i < model->input_count; i++)
        graph->inputs[i] = keep(e, e->b->of_value[model->input_values[i]]);
    for (size_t i = 0; i < model->output_count; i++) {
        graph->outputs[i] = keep(e, outputs[i]);
        /* Fusion may have left the name of an inner value. */
        struct glet_tensor *tensor = &graph->tensors[graph->outputs[i]];
        if (tensor->producer >= 0 || tensor->view_of >= 0)
            tensor->name = model->outputs[i].name;
    }
    return 0;
}

/* Numbers everything that is needed: inputs, then each node's inputs and output in order. */
static size_t number_all(struct emitter *e, const int *outputs)
{
    const struct glet_model *model = e->b->model;
    size_t count = 0;
    for (size_t i = 0; i < model->input_count; i++)
        keep(e, e->b->of_value[model->input_values[i]]);
    for (size_t i = 0; i < e->b->node_count; i++) {
        const struct glet_node *node = e->b->nodes[i];
        if (!node)
            continue;
        count++;
        for (int k = 0; k < node->input_count; k++)
            keep(e, node->inputs[k]);
        keep(e, node->output);
    }
    for (size_t i = 0; i < model->output_count; i++)
        keep(e, outputs[i]);
    return count;
}

int glet_bind_emit(struct glet_bind *b, const int *outputs, struct glet_graph **out)
{
    struct emitter e = {b, glet_arena_array(b->arena, b->tensor_count, sizeof(int)),
                        glet_arena_array(b->arena, b->tensor_count, sizeof(int)), 0};
    struct glet_arena *arena = glet_arena_new();
    struct glet_graph *graph = arena ? glet_arena_alloc(arena, sizeof *graph) : NULL;
    if (!e.new_number || !e.kept || !graph) {
        glet_arena_free(arena);
        return no_memory(b);
    }
    memset(e.new_number, 0xff, sizeof(int) * b->tensor_count);
    graph->batch = b->batch;
    graph->arena = arena;
    size_t count = number_all(&e, outputs);
    if (fill_tensors(&e, graph) < 0 || fill_nodes(&e, graph, count) < 0 ||
        fill_ends(&e, graph, outputs) < 0) {
        glet_graph_free(graph);
        return -1;
    }
    *out = graph;
    return 0;
}
