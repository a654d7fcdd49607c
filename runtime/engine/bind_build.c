/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building the graph: tensors, views, constants, nodes. Every node passes glet_bind_add(), which
 * computes it at once if its inputs are constants and small, replaces it where something cheaper is
 * the same, and appends it otherwise.
 */
#include "common/memory.h"
#include "runtime/engine/bind.h"
#include "runtime/engine/model_private.h"
#include "runtime/engine/numeric.h"
#include "runtime/engine/onnx_tensor.h"

#include <string.h>

/*
 * Results of this many elements at most are computed when binding. Shape arithmetic is a handful of
 * elements; position embeddings of 512 x 768 are 393216. Larger constants would cost memory for
 * each batch and are better computed by the device.
 */
#define FOLD_ELEMENTS ((int64_t)1 << 19)

/* A graph's numbers are int, and an executor's memory plan adds up all its tensors. */
#define MOST_TENSORS ((size_t)1 << 24)

static int no_memory(struct glet_bind *b)
{
    return glet_error_set(b->err, GLET_ERR_NOMEM, "out of memory");
}

struct glet_tensor *glet_bind_tensor(const struct glet_bind *b, int number)
{
    return b->tensors[number];
}

struct glet_shape glet_bind_shape(const struct glet_bind *b, int number)
{
    struct glet_shape shape = {.rank = b->tensors[number]->rank};
    memcpy(shape.dims, b->tensors[number]->dims, sizeof shape.dims);
    return shape;
}

bool glet_shape_same(const struct glet_shape *a, const struct glet_shape *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, sizeof a->dims[0] * (size_t)a->rank) == 0;
}

int64_t glet_shape_elements(const struct glet_shape *shape)
{
    int64_t elements = 1;
    for (int i = 0; i < shape->rank; i++)
        elements *= shape->dims[i];
    return elements;
}

bool glet_shape_broadcast(const struct glet_shape *a, const struct glet_shape *b,
                          struct glet_shape *out)
{
    struct glet_shape shape = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int i = 1; i <= shape.rank; i++) {
        int64_t x = i <= a->rank ? a->dims[a->rank - i] : 1;
        int64_t y = i <= b->rank ? b->dims[b->rank - i] : 1;
        if (x != y && x != 1 && y != 1)
            return false;
        shape.dims[shape.rank - i] = x == 1 ? y : x;
    }
    *out = shape;
    return true;
}

int glet_bind_new_tensor(struct glet_bind *b, enum glet_dtype dtype, const struct glet_shape *shape)
{
    if (glet_shape_bytes(dtype, shape->dims, shape->rank, b->err) < 0)
        return -1;
    if (b->tensor_count >= MOST_TENSORS)
        return glet_error_set(b->err, GLET_ERR_INPUT, "the graph is too large");
    if (glet_reserve(&b->tensors, &b->tensor_capacity, b->tensor_count + 1, sizeof *b->tensors,
                     b->err) < 0)
        return -1;
    struct glet_tensor *tensor = glet_arena_alloc(b->arena, sizeof *tensor);
    if (!tensor)
        return no_memory(b);
    *tensor = (struct glet_tensor){.name = b->result_name ? b->result_name : "",
                                   .dtype = dtype,
                                   .rank = shape->rank,
                                   .view_of = -1,
                                   .producer = -1};
    memcpy(tensor->dims, shape->dims, sizeof shape->dims[0] * (size_t)shape->rank);
    b->tensors[b->tensor_count] = tensor;
    return (int)b->tensor_count++;
}

int glet_bind_constant(struct glet_bind *b, enum glet_dtype dtype, const struct glet_shape *shape,
                       const void *data)
{
    int number = glet_bind_new_tensor(b, dtype, shape);
    if (number < 0)
        return -1;
    const struct glet_mapping *file = &b->model->file;
    bool in_file = file->bytes && (const uint8_t *)data >= file->bytes &&
                   (const uint8_t *)data < file->bytes + file->length_bytes;
    b->tensors[number]->data = data;
    b->tensors[number]->producer = in_file ? GLET_BIND_STABLE : -1;
    return number;
}

int glet_bind_weight(struct glet_bind *b, enum glet_dtype dtype, const struct glet_shape *shape,
                     const void *data)
{
    int number = glet_bind_constant(b, dtype, shape, data);
    if (number >= 0)
        b->tensors[number]->producer = GLET_BIND_STABLE;
    return number;
}

int glet_bind_ints(struct glet_bind *b, const int64_t *values, int count, bool scalar)
{
    int64_t *copy = glet_arena_array(b->arena, (size_t)count, sizeof *copy);
    if (!copy)
        return no_memory(b);
    if (count)
        memcpy(copy, values, sizeof *copy * (size_t)count);
    struct glet_shape shape = {scalar ? 0 : 1, {count}};
    return glet_bind_constant(b, GLET_INT64, &shape, copy);
}

int glet_bind_scalar(struct glet_bind *b, enum glet_dtype dtype, double value)
{
    double *copy = glet_arena_alloc(b->arena, sizeof *copy);
    if (!copy)
        return no_memory(b);
    memset(copy, 0, sizeof *copy);
    glet_number_put_float(dtype, copy, 0, value);
    struct glet_shape shape = {0, {0}};
    return glet_bind_constant(b, dtype, &shape, copy);
}

int glet_bind_storage(const struct glet_bind *b, int tensor)
{
    while (b->tensors[tensor]->view_of >= 0)
        tensor = b->tensors[tensor]->view_of;
    return tensor;
}

int glet_bind_view(struct glet_bind *b, int tensor, const struct glet_shape *shape)
{
    struct glet_shape own = glet_bind_shape(b, tensor);
    if (glet_shape_same(&own, shape))
        return tensor;
    enum glet_dtype dtype = b->tensors[tensor]->dtype;
    const void *data = b->tensors[tensor]->data;
    if (data && b->tensors[tensor]->producer == GLET_BIND_STABLE)
        return glet_bind_weight(b, dtype, shape, data);
    if (data)
        return glet_bind_constant(b, dtype, shape, data);
    int storage = glet_bind_storage(b, tensor);
    own = glet_bind_shape(b, storage);
    if (glet_shape_same(&own, shape))
        return storage;
    int number = glet_bind_new_tensor(b, dtype, shape);
    if (number >= 0)
        b->tensors[number]->view_of = storage;
    return number;
}

struct glet_node glet_bind_node(enum glet_op op)
{
    struct glet_node node = {.op = op, .alpha = 1.0f, .group = 1};
    for (int i = 0; i < GLET_MAX_RANK; i++)
        node.steps[i] = 1;
    for (int i = 0; i < GLET_MAX_SPATIAL; i++)
        node.kernel[i] = node.strides[i] = node.dilations[i] = 1;
    return node;
}

int glet_bind_append(struct glet_bind *b, const struct glet_node *node, const int *inputs,
                     int count, enum glet_dtype dtype, const struct glet_shape *shape)
{
    if (glet_reserve(&b->nodes, &b->node_capacity, b->node_count + 1, sizeof *b->nodes, b->err) < 0)
        return -1;
    struct glet_node *copy = glet_arena_alloc(b->arena, sizeof *copy);
    /* Room for a bias and a residual, which fusion may add. */
    int *copied_inputs = glet_arena_array(b->arena, (size_t)count + 2, sizeof *inputs);
    int output = glet_bind_new_tensor(b, dtype, shape);
    if (!copy || !copied_inputs)
        return no_memory(b);
    if (output < 0)
        return -1;
    *copy = *node;
    memcpy(copied_inputs, inputs, sizeof *inputs * (size_t)count);
    copy->inputs = copied_inputs;
    copy->input_count = count;
    copy->output = output;
    copy->name = b->node_name ? b->node_name : "";
    b->tensors[output]->producer = (int)b->node_count;
    b->nodes[b->node_count++] = copy;
    return output;
}

/* 1 = *out_number is the result, 0 = not folded, -1 = error. */
static int try_fold(struct glet_bind *b, const struct glet_node *node, const int *inputs, int count,
                    enum glet_dtype dtype, const struct glet_shape *shape, int *out_number)
{
    const struct glet_tensor *tensors[16];
    if (count > (int)(sizeof tensors / sizeof tensors[0]) ||
        glet_shape_bytes(dtype, shape->dims, shape->rank, b->err) < 0 ||
        glet_shape_elements(shape) > FOLD_ELEMENTS || glet_shape_elements(shape) > b->fold_budget)
        return 0;
    for (int i = 0; i < count; i++) {
        tensors[i] = b->tensors[inputs[i]];
        if (!tensors[i]->data)
            return 0;
    }
    struct glet_tensor result = {.dtype = dtype, .rank = shape->rank};
    memcpy(result.dims, shape->dims, sizeof result.dims);
    void *data = glet_arena_alloc(b->arena, glet_tensor_bytes(&result));
    if (!data)
        return no_memory(b);
    b->fold_budget -= glet_shape_elements(shape);
    int folded = glet_fold(node, tensors, &result, data, b->err);
    if (folded == 1)
        *out_number = glet_bind_constant(b, dtype, shape, data);
    return folded == 1 && *out_number < 0 ? -1 : folded;
}

int glet_bind_add(struct glet_bind *b, const struct glet_node *node, const int *inputs, int count,
                  enum glet_dtype dtype, const struct glet_shape *shape)
{
    if (glet_shape_bytes(dtype, shape->dims, shape->rank, b->err) < 0)
        return -1;
    int number = -1;
    /* A transposed matrix waits: a product may read it as it lies in the file. */
    bool waits = node->op == GLET_OP_TRANSPOSE && shape->rank == 2 && dtype == GLET_FLOAT32;
    int folded = waits ? 0 : try_fold(b, node, inputs, count, dtype, shape, &number);
    if (folded != 0)
        return folded < 0 ? -1 : number;
    number = glet_simplify(b, node, inputs, count, dtype, shape);
    if (number == -1)
        number = glet_simplify_patterns(b, node, inputs, count, dtype, shape);
    if (number != -1)
        return number < 0 ? -1 : number;
    return glet_bind_append(b, node, inputs, count, dtype, shape);
}

int glet_bind_fold_rest(struct glet_bind *b)
{
    for (size_t i = 0; i < b->node_count; i++) {
        const struct glet_node *node = b->nodes[i];
        int number = -1;
        if (!node)
            continue;
        struct glet_shape shape = glet_bind_shape(b, node->output);
        struct glet_tensor *output = b->tensors[node->output];
        int folded =
            try_fold(b, node, node->inputs, node->input_count, output->dtype, &shape, &number);
        if (folded < 0)
            return -1;
        if (folded == 1) {
            output->data = b->tensors[number]->data;
            output->producer = -1;
            b->nodes[i] = NULL;
        }
    }
    for (size_t i = 0; i < b->tensor_count; i++) {
        struct glet_tensor *view = b->tensors[i];
        const struct glet_tensor *storage = b->tensors[glet_bind_storage(b, (int)i)];
        if (view->view_of >= 0 && storage->data) {
            view->data = storage->data;
            view->producer = storage->producer;
            view->view_of = -1;
        }
    }
    return 0;
}

int glet_bind_unary(struct glet_bind *b, enum glet_activation_kind kind, float first, float second,
                    int x)
{
    struct glet_node node = glet_bind_node(GLET_OP_UNARY);
    node.activation = (struct glet_activation){kind, first, second};
    struct glet_shape shape = glet_bind_shape(b, x);
    return glet_bind_add(b, &node, &x, 1, b->tensors[x]->dtype, &shape);
}

int glet_bind_binary(struct glet_bind *b, enum glet_binary binary, int x, int y)
{
    struct glet_node node = glet_bind_node(GLET_OP_BINARY);
    node.binary = binary;
    struct glet_shape left = glet_bind_shape(b, x), right = glet_bind_shape(b, y), shape;
    if (!glet_shape_broadcast(&left, &right, &shape))
        return glet_error_set(b->err, GLET_ERR_INPUT, "the shapes of \"%s\" and \"%s\" do not fit",
                              b->tensors[x]->name, b->tensors[y]->name);
    if (b->tensors[x]->dtype != b->tensors[y]->dtype)
        return glet_error_set(b->err, GLET_ERR_INPUT, "\"%s\" is %s, \"%s\" is %s",
                              b->tensors[x]->name, glet_dtype_name(b->tensors[x]->dtype),
                              b->tensors[y]->name, glet_dtype_name(b->tensors[y]->dtype));
    bool compares = binary >= GLET_EQUAL && binary <= GLET_XOR;
    int inputs[] = {x, y};
    return glet_bind_add(b, &node, inputs, 2, compares ? GLET_BOOL : b->tensors[x]->dtype, &shape);
}

int glet_bind_transpose(struct glet_bind *b, int x, const int *perm)
{
    struct glet_node node = glet_bind_node(GLET_OP_TRANSPOSE);
    struct glet_shape from = glet_bind_shape(b, x), to = {.rank = from.rank};
    for (int i = 0; i < from.rank; i++) {
        node.perm[i] = perm[i];
        to.dims[i] = from.dims[perm[i]];
    }
    return glet_bind_add(b, &node, &x, 1, b->tensors[x]->dtype, &to);
}

int glet_bind_expand(struct glet_bind *b, int x, const struct glet_shape *shape)
{
    struct glet_shape from = glet_bind_shape(b, x), to;
    if (!glet_shape_broadcast(&from, shape, &to) || !glet_shape_same(&to, shape))
        return glet_error_set(b->err, GLET_ERR_INPUT, "\"%s\" does not broadcast to that shape",
                              b->tensors[x]->name);
    struct glet_node node = glet_bind_node(GLET_OP_EXPAND);
    return glet_bind_add(b, &node, &x, 1, b->tensors[x]->dtype, shape);
}

struct glet_node *glet_bind_producer(const struct glet_bind *b, int tensor)
{
    int node = b->tensors[glet_bind_storage(b, tensor)]->producer;
    return node < 0 ? NULL : b->nodes[node];
}

struct glet_node *glet_bind_maker(const struct glet_bind *b, int tensor)
{
    struct glet_node *node = glet_bind_producer(b, tensor);
    return node && node->output == tensor ? node : NULL;
}

bool glet_bind_is_constant(const struct glet_bind *b, int tensor)
{
    return b->tensors[tensor]->data != NULL;
}

bool glet_bind_uniform(const struct glet_bind *b, int tensor, double *value_out)
{
    const struct glet_tensor *constant = b->tensors[tensor];
    if (!constant->data)
        return false;
    int64_t elements = glet_tensor_elements(constant);
    /* Nobody writes a scale as a large tensor; looking through weights would cost page-ins. */
    if (elements < 1 || elements > 4096)
        return false;
    size_t size = glet_dtype_size(constant->dtype);
    for (int64_t i = 1; i < elements; i++) {
        if (memcmp(constant->data, (const char *)constant->data + (size_t)i * size, size) != 0)
            return false;
    }
    *value_out = glet_tensor_float(constant, 0);
    return true;
}
