/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and sizes of what a bound graph consists of, and its one way out: freeing the arena that
 * holds all of it.
 */
#include "runtime/engine/graph.h"

#include "runtime/engine/arena.h"

#include <stdlib.h>

static const struct {
    size_t bytes;
    const char *name;
} dtypes[] = {
    [GLET_FLOAT32] = {4, "FP32"},  [GLET_FLOAT64] = {8, "FP64"},  [GLET_FLOAT16] = {2, "FP16"},
    [GLET_BFLOAT16] = {2, "BF16"}, [GLET_INT8] = {1, "INT8"},     [GLET_INT16] = {2, "INT16"},
    [GLET_INT32] = {4, "INT32"},   [GLET_INT64] = {8, "INT64"},   [GLET_UINT8] = {1, "UINT8"},
    [GLET_UINT16] = {2, "UINT16"}, [GLET_UINT32] = {4, "UINT32"}, [GLET_UINT64] = {8, "UINT64"},
    [GLET_BOOL] = {1, "BOOL"},
};

static const char *const op_names[GLET_OP_COUNT] = {
    [GLET_OP_CONV] = "conv",
    [GLET_OP_MATMUL] = "matmul",
    [GLET_OP_CONV_TRANSPOSE] = "conv_transpose",
    [GLET_OP_MAX_POOL] = "max_pool",
    [GLET_OP_AVG_POOL] = "avg_pool",
    [GLET_OP_BATCH_NORM] = "batch_norm",
    [GLET_OP_LAYER_NORM] = "layer_norm",
    [GLET_OP_SOFTMAX] = "softmax",
    [GLET_OP_LRN] = "lrn",
    [GLET_OP_BINARY] = "binary",
    [GLET_OP_UNARY] = "unary",
    [GLET_OP_WHERE] = "where",
    [GLET_OP_CAST] = "cast",
    [GLET_OP_CONCAT] = "concat",
    [GLET_OP_SLICE] = "slice",
    [GLET_OP_TRANSPOSE] = "transpose",
    [GLET_OP_GATHER] = "gather",
    [GLET_OP_EXPAND] = "expand",
    [GLET_OP_PAD] = "pad",
    [GLET_OP_RESIZE] = "resize",
    [GLET_OP_REDUCE_MEAN] = "reduce_mean",
    [GLET_OP_REDUCE_SUM] = "reduce_sum",
    [GLET_OP_REDUCE_MAX] = "reduce_max",
    [GLET_OP_REDUCE_MIN] = "reduce_min",
    [GLET_OP_ARG_MAX] = "arg_max",
    [GLET_OP_ATTENTION] = "attention",
};

static const char *const binary_names[] = {
    [GLET_ADD] = "add",
    [GLET_SUB] = "sub",
    [GLET_MUL] = "mul",
    [GLET_DIV] = "div",
    [GLET_POW] = "pow",
    [GLET_MIN] = "min",
    [GLET_MAX] = "max",
    [GLET_EQUAL] = "equal",
    [GLET_LESS] = "less",
    [GLET_GREATER] = "greater",
    [GLET_LESS_EQUAL] = "less_equal",
    [GLET_GREATER_EQUAL] = "greater_equal",
    [GLET_AND] = "and",
    [GLET_OR] = "or",
    [GLET_XOR] = "xor",
    [GLET_MOD] = "mod",
};

static const char *const activation_names[] = {
    [GLET_ACT_NONE] = "none",
    [GLET_ACT_RELU] = "relu",
    [GLET_ACT_LEAKY_RELU] = "leaky_relu",
    [GLET_ACT_CLIP] = "clip",
    [GLET_ACT_SIGMOID] = "sigmoid",
    [GLET_ACT_TANH] = "tanh",
    [GLET_ACT_GELU_ERF] = "gelu_erf",
    [GLET_ACT_GELU_TANH] = "gelu_tanh",
    [GLET_ACT_HARD_SIGMOID] = "hard_sigmoid",
    [GLET_ACT_HARD_SWISH] = "hard_swish",
    [GLET_ACT_SWISH] = "swish",
    [GLET_ACT_ELU] = "elu",
    [GLET_ACT_LINEAR] = "linear",
    [GLET_ACT_SQRT] = "sqrt",
    [GLET_ACT_EXP] = "exp",
    [GLET_ACT_LOG] = "log",
    [GLET_ACT_ABS] = "abs",
    [GLET_ACT_NEG] = "neg",
    [GLET_ACT_ERF] = "erf",
    [GLET_ACT_RECIPROCAL] = "reciprocal",
    [GLET_ACT_FLOOR] = "floor",
    [GLET_ACT_CEIL] = "ceil",
    [GLET_ACT_SQUARE] = "square",
    [GLET_ACT_NOT] = "not",
    [GLET_ACT_SOFTPLUS] = "softplus",
    [GLET_ACT_SIN] = "sin",
    [GLET_ACT_COS] = "cos",
    [GLET_ACT_ROUND] = "round",
    [GLET_ACT_SIGN] = "sign",
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

size_t glet_dtype_size(enum glet_dtype dtype)
{
    return (size_t)dtype < COUNT(dtypes) ? dtypes[dtype].bytes : 0;
}

const char *glet_dtype_name(enum glet_dtype dtype)
{
    return (size_t)dtype < COUNT(dtypes) ? dtypes[dtype].name : "unknown";
}

const char *glet_op_name(enum glet_op op)
{
    return (size_t)op < COUNT(op_names) ? op_names[op] : "unknown";
}

const char *glet_binary_name(enum glet_binary binary)
{
    return (size_t)binary < COUNT(binary_names) ? binary_names[binary] : "unknown";
}

const char *glet_activation_name(enum glet_activation_kind activation)
{
    return (size_t)activation < COUNT(activation_names) ? activation_names[activation] : "unknown";
}

int64_t glet_tensor_elements(const struct glet_tensor *tensor)
{
    int64_t elements = 1;
    for (int i = 0; i < tensor->rank; i++)
        elements *= tensor->dims[i];
    return elements;
}

size_t glet_tensor_bytes(const struct glet_tensor *tensor)
{
    return (size_t)glet_tensor_elements(tensor) * glet_dtype_size(tensor->dtype);
}

int glet_graph_storage(const struct glet_graph *graph, int tensor)
{
    while (graph->tensors[tensor].view_of >= 0)
        tensor = graph->tensors[tensor].view_of;
    return tensor;
}

void glet_graph_free(struct glet_graph *graph)
{
    if (!graph)
        return;
    /* The graph itself lies in its arena. */
    struct glet_arena *arena = graph->arena;
    glet_arena_free(arena);
}
