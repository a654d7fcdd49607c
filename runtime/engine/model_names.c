/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From names to numbers: ONNX connects nodes by the names of their values. Every name becomes a
 * number by one hash table, each value gets its one origin (initialiser, input, node), and nodes
 * are put into execution order. ONNX promises that order already; we sort anyway, because the sort
 * is also what finds cycles. Linear in nodes and edges.
 */
#include "runtime/engine/lower.h"
#include "runtime/engine/model_private.h"
#include "runtime/engine/onnx_tensor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct resolver {
    struct glet_model *model;
    struct glet_error *err;
    int *table; /* open addressing; value number + 1 */
    size_t table_mask;
};

static int no_memory(struct glet_error *err)
{
    return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
}

static uint64_t hash_name(struct glet_span name)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < name.bytes; i++)
        hash = (hash ^ name.at[i]) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

/* The number of a name, a new one if it was not seen before; -1 = out of memory or a bad name. */
static int value_of(struct resolver *r, struct glet_span name)
{
    if (!name.at)
        name.at = (const uint8_t *)"";
    if (memchr(name.at, 0, name.bytes))
        return glet_error_set(r->err, GLET_ERR_INPUT, "a name contains a NUL byte");
    size_t slot = hash_name(name) & r->table_mask;
    for (; r->table[slot]; slot = (slot + 1) & r->table_mask) {
        const char *known = r->model->values[r->table[slot] - 1].name;
        if (strncmp(known, (const char *)name.at, name.bytes) == 0 && known[name.bytes] == '\0')
            return r->table[slot] - 1;
    }
    int number = r->model->value_count++;
    struct glet_value *value = &r->model->values[number];
    *value = (struct glet_value){
        .name = glet_arena_text(r->model->arena, name.at, name.bytes), .input = -1, .producer = -1};
    if (!value->name)
        return no_memory(r->err);
    r->table[slot] = number + 1;
    return number;
}

static int count_values(struct resolver *r)
{
    const glet_onnx_Graph *graph = &r->model->onnx.graph;
    size_t names = graph->initializer.count + (size_t)graph->input.count + graph->output.count;
    const glet_onnx_Node *nodes = graph->node.at;
    for (uint32_t i = 0; i < graph->node.count; i++)
        names += (size_t)nodes[i].input.count + nodes[i].output.count;
    if (names > INT32_MAX / 4)
        return glet_error_set(r->err, GLET_ERR_INPUT, "the graph is too large");
    size_t slots = 16;
    while (slots < names * 2)
        slots *= 2;
    r->table_mask = slots - 1;
    r->table = calloc(slots, sizeof *r->table);
    r->model->values = glet_arena_array(r->model->arena, names, sizeof *r->model->values);
    return r->table && r->model->values ? 0 : no_memory(r->err);
}

static int take_initialisers(struct resolver *r)
{
    struct glet_model *model = r->model;
    const glet_onnx_Tensor *tensors = model->onnx.graph.initializer.at;
    uint32_t count = model->onnx.graph.initializer.count;
    struct glet_tensor *constants = glet_arena_array(model->arena, count, sizeof *constants);
    if (!constants)
        return no_memory(r->err);
    for (uint32_t i = 0; i < count; i++) {
        int number = value_of(r, tensors[i].name);
        if (number < 0)
            return -1;
        struct glet_value *value = &model->values[number];
        if (value->constant)
            return glet_error_set(r->err, GLET_ERR_INPUT, "tensor \"%s\" is there twice",
                                  value->name);
        bool missing;
        if (glet_onnx_tensor(&tensors[i], value->name, model->arena, model->external, &constants[i],
                             &missing, r->err) < 0)
            return -1;
        value->constant = &constants[i];
        model->weight_bytes += glet_tensor_bytes(&constants[i]);
    }
    return 0;
}

/* Dimension 0 of an input that is no number is the batch, whatever its name; no other dimension may
   be free, or a request would have no size. */
static int take_dim(struct resolver *r, const glet_onnx_Dim *dim, const char *input, int axis,
                    int64_t *out)
{
    bool named = dim->param.bytes > 0;
    if (dim->has_value && !named) {
        if (dim->value < 1)
            return glet_error_set(r->err, GLET_ERR_INPUT, "input \"%s\": dimension %d is %" PRId64,
                                  input, axis, dim->value);
        *out = dim->value;
        return 0;
    }
    *out = GLET_DIM_BATCH;
    if (axis > 0) {
        int shown = dim->param.bytes < 60 ? (int)dim->param.bytes : 60;
        glet_error_set(r->err, GLET_ERR_UNSUPPORTED,
                       "input \"%s\": dimension %d (\"%.*s\") is free; only the batch, dimension "
                       "0, may be",
                       input, axis, named ? shown : 1, named ? (const char *)dim->param.at : "?");
        return glet_error_hint(r->err, "export the model with a fixed size for that dimension");
    }
    return 0;
}

static int take_type(struct resolver *r, const glet_onnx_Value *value, struct glet_model_io *io)
{
    const glet_onnx_TensorType *type = &value->type.tensor_type;
    int dtype = value->has_type && value->type.has_tensor_type && type->has_elem_type
                    ? glet_onnx_dtype(type->elem_type)
                    : -1;
    if (dtype < 0)
        return glet_error_set(r->err, GLET_ERR_UNSUPPORTED,
                              "input \"%s\": not a tensor of a supported type", io->name);
    io->dtype = (enum glet_dtype)dtype;
    uint32_t rank = type->has_shape ? type->shape.dim.count : 0;
    if (rank < (r->model->no_batch ? 0 : 1) || rank > GLET_MAX_RANK)
        return glet_error_set(
            r->err, GLET_ERR_UNSUPPORTED,
            "input \"%s\": %u dimensions; 1 to %d are supported, the first is the "
            "batch",
            io->name, rank, GLET_MAX_RANK);
    io->rank = (int)rank;
    const glet_onnx_Dim *dims = type->shape.dim.at;
    for (int i = 0; i < io->rank; i++) {
        if (take_dim(r, &dims[i], io->name, i, &io->dims[i]) < 0)
            return -1;
    }
    return 0;
}

static int take_inputs(struct resolver *r)
{
    struct glet_model *model = r->model;
    const glet_onnx_Value *inputs = model->onnx.graph.input.at;
    uint32_t count = model->onnx.graph.input.count;
    model->inputs = glet_arena_array(model->arena, count, sizeof *model->inputs);
    model->input_values = glet_arena_array(model->arena, count, sizeof *model->input_values);
    if (!model->inputs || !model->input_values)
        return no_memory(r->err);
    for (uint32_t i = 0; i < count; i++) {
        int number = value_of(r, inputs[i].name);
        if (number < 0)
            return -1;
        struct glet_value *value = &model->values[number];
        /* Before IR version 4 initialisers were listed as inputs as well. */
        if (value->constant)
            continue;
        if (value->input >= 0 || !value->name[0])
            return glet_error_set(r->err, GLET_ERR_INPUT, "input \"%s\" is there twice or unnamed",
                                  value->name);
        struct glet_model_io *io = &model->inputs[model->input_count];
        io->name = value->name;
        if (take_type(r, &inputs[i], io) < 0)
            return -1;
        value->input = (int)model->input_count;
        model->input_values[model->input_count++] = number;
    }
    if (!model->input_count)
        return glet_error_set(r->err, GLET_ERR_INPUT, "the graph has no inputs");
    return 0;
}

/* One batch for all inputs: free in all, or the same number in all. */
static int agree_on_batch(struct resolver *r)
{
    struct glet_model *model = r->model;
    if (model->no_batch) {
        model->fixed_batch = 1;
        return 0;
    }
    int64_t batch = model->inputs[0].dims[0];
    for (size_t i = 1; i < model->input_count; i++) {
        if (model->inputs[i].dims[0] != batch)
            return glet_error_set(
                r->err, GLET_ERR_UNSUPPORTED,
                "inputs \"%s\" and \"%s\" do not have the same batch (dimension 0)",
                model->inputs[0].name, model->inputs[i].name);
    }
    model->batch_free = batch == GLET_DIM_BATCH;
    if (!model->batch_free && batch > INT32_MAX)
        return glet_error_set(r->err, GLET_ERR_INPUT, "input \"%s\": the batch is too large",
                              model->inputs[0].name);
    model->fixed_batch = model->batch_free ? 0 : (int)batch;
    return 0;
}

static int take_outputs(struct resolver *r)
{
    struct glet_model *model = r->model;
    const glet_onnx_Value *outputs = model->onnx.graph.output.at;
    uint32_t count = model->onnx.graph.output.count;
    model->outputs = glet_arena_array(model->arena, count, sizeof *model->outputs);
    model->output_values = glet_arena_array(model->arena, count, sizeof *model->output_values);
    if (!model->outputs || !model->output_values)
        return no_memory(r->err);
    for (uint32_t i = 0; i < count; i++) {
        int number = value_of(r, outputs[i].name);
        if (number < 0)
            return -1;
        struct glet_value *value = &model->values[number];
        value->readers++;
        if (!value->constant && value->input < 0 && value->producer < 0)
            return glet_error_set(r->err, GLET_ERR_INPUT, "output \"%s\" is computed by no node",
                                  value->name);
        model->outputs[i].name = value->name;
        model->output_values[i] = number;
    }
    model->output_count = count;
    if (!count)
        return glet_error_set(r->err, GLET_ERR_INPUT, "the graph has no outputs");
    return 0;
}

static int connect(struct resolver *r, const struct glet_vec *names, int **numbers, int *count)
{
    const struct glet_span *spans = names->at;
    *numbers = glet_arena_array(r->model->arena, names->count, sizeof **numbers);
    if (!*numbers)
        return no_memory(r->err);
    for (uint32_t i = 0; i < names->count; i++) {
        (*numbers)[i] = -1;
        if (spans[i].bytes && ((*numbers)[i] = value_of(r, spans[i])) < 0)
            return -1;
    }
    *count = (int)names->count;
    return 0;
}

static int take_node(struct resolver *r, const glet_onnx_Node *onnx, int index)
{
    struct glet_model *model = r->model;
    struct glet_model_node *node = &model->nodes[index];
    node->onnx = onnx;
    if (connect(r, &onnx->input, &node->inputs, &node->input_count) < 0 ||
        connect(r, &onnx->output, &node->outputs, &node->output_count) < 0)
        return -1;
    node->name = glet_arena_text(model->arena, onnx->name.at, onnx->name.bytes);
    if (!node->name)
        return no_memory(r->err);
    if (!node->name[0] && node->output_count && node->outputs[0] >= 0)
        node->name = model->values[node->outputs[0]].name;
    for (int i = 0; i < node->output_count; i++) {
        if (node->outputs[i] < 0)
            continue;
        struct glet_value *value = &model->values[node->outputs[i]];
        if (value->constant || value->input >= 0 || value->producer >= 0)
            return glet_error_set(r->err, GLET_ERR_INPUT,
                                  "node \"%s\": its output \"%s\" has another origin already",
                                  node->name, value->name);
        value->producer = index;
    }
    node->op = glet_operator_find(model, node, r->err);
    return node->op ? 0 : -1;
}

static int take_nodes(struct resolver *r)
{
    struct glet_model *model = r->model;
    const glet_onnx_Node *nodes = model->onnx.graph.node.at;
    model->node_count = (int)model->onnx.graph.node.count;
    model->nodes = glet_arena_array(model->arena, (size_t)model->node_count, sizeof *model->nodes);
    if (!model->nodes)
        return no_memory(r->err);
    for (int i = 0; i < model->node_count; i++) {
        if (take_node(r, &nodes[i], i) < 0)
            return -1;
    }
    for (int i = 0; i < model->node_count; i++) {
        const struct glet_model_node *node = &model->nodes[i];
        for (int j = 0; j < node->input_count; j++) {
            struct glet_value *value = node->inputs[j] < 0 ? NULL : &model->values[node->inputs[j]];
            if (value && !value->constant && value->input < 0 && value->producer < 0)
                return glet_error_set(r->err, GLET_ERR_INPUT,
                                      "node \"%s\": its input \"%s\" comes from nowhere",
                                      node->name, value->name);
            if (value)
                value->readers++;
        }
    }
    return 0;
}

/* State of the depth-first walk that puts nodes into order. */
struct walk {
    struct glet_model_node *sorted;
    int *stack, *next_input; /* nodes being visited; where each one goes on */
    unsigned char *state;    /* 0 = new, 1 = being visited, 2 = placed */
    int placed;
};

/* Places everything that `first` needs, then `first`. */
static int visit(struct resolver *r, struct walk *walk, int first)
{
    const struct glet_model *model = r->model;
    int depth = 0;
    walk->stack[depth] = first;
    walk->state[first] = 1;
    while (depth >= 0) {
        int current = walk->stack[depth];
        const struct glet_model_node *node = &model->nodes[current];
        if (walk->next_input[current] == node->input_count) {
            walk->state[current] = 2;
            walk->sorted[walk->placed++] = *node;
            depth--;
            continue;
        }
        int value = node->inputs[walk->next_input[current]++];
        int producer = value < 0 ? -1 : model->values[value].producer;
        if (producer < 0 || walk->state[producer] == 2)
            continue;
        if (walk->state[producer] == 1)
            return glet_error_set(r->err, GLET_ERR_INPUT,
                                  "node \"%s\" needs its own result: the graph has a cycle",
                                  model->nodes[producer].name);
        walk->state[producer] = 1;
        walk->stack[++depth] = producer;
    }
    return 0;
}

/* Depth first in file order: a file that is in order stays as it is. Linear in nodes and edges. */
static int sort_nodes(struct resolver *r)
{
    struct glet_model *model = r->model;
    size_t count = (size_t)model->node_count;
    struct walk walk = {glet_arena_array(model->arena, count, sizeof *walk.sorted),
                        calloc(count + 1, sizeof *walk.stack),
                        calloc(count + 1, sizeof *walk.next_input), calloc(count + 1, 1), 0};
    int result = 0;
    if (!walk.sorted || !walk.stack || !walk.next_input || !walk.state)
        result = no_memory(r->err);
    for (int i = 0; i < model->node_count && result == 0; i++) {
        if (walk.state[i] == 0)
            result = visit(r, &walk, i);
    }
    free(walk.stack);
    free(walk.next_input);
    free(walk.state);
    if (result < 0)
        return -1;
    model->nodes = walk.sorted;
    for (int i = 0; i < model->node_count; i++) {
        for (int j = 0; j < model->nodes[i].output_count; j++) {
            if (model->nodes[i].outputs[j] >= 0)
                model->values[model->nodes[i].outputs[j]].producer = i;
        }
    }
    return 0;
}

int glet_model_resolve(struct glet_model *model, struct glet_error *err)
{
    struct resolver r = {.model = model, .err = err};
    int result = 0;
    if (model->onnx.graph.sparse_initializer.count)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED, "sparse initialisers");
    if (count_values(&r) < 0 || take_initialisers(&r) < 0 || take_inputs(&r) < 0 ||
        agree_on_batch(&r) < 0 || take_nodes(&r) < 0 || sort_nodes(&r) < 0 || take_outputs(&r) < 0)
        result = -1;
    free(r.table);
    return result;
}
