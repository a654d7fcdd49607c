/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of operators, and what all lowering functions need: attributes, inputs, outputs,
 * errors.
 */
#include "runtime/engine/lower.h"

#include "runtime/engine/onnx_tensor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* In alphabetical order: bsearch() is not worth it, but people read the list in errors. */
static const struct glet_operator operators[] = {
    {"Abs", 1, 1, glet_lower_unary, GLET_ACT_ABS},
    {"Add", 2, 2, glet_lower_binary, GLET_ADD},
    {"And", 2, 2, glet_lower_binary, GLET_AND},
    {"ArgMax", 1, 1, glet_lower_arg_max, 0},
    {"AveragePool", 1, 1, glet_lower_pool, GLET_OP_AVG_POOL},
    {"BatchNormalization", 5, 5, glet_lower_batch_norm, 0},
    {"Cast", 1, 1, glet_lower_cast, 0},
    {"Ceil", 1, 1, glet_lower_unary, GLET_ACT_CEIL},
    {"Clip", 1, 3, glet_lower_clip, 0},
    {"Concat", 1, INT32_MAX, glet_lower_concat, 0},
    {"Constant", 0, 0, glet_lower_constant, 0},
    {"ConstantOfShape", 1, 1, glet_lower_constant_of_shape, 0},
    {"Conv", 2, 3, glet_lower_conv, 0},
    {"ConvTranspose", 2, 3, glet_lower_conv_transpose, 0},
    {"Cos", 1, 1, glet_lower_unary, GLET_ACT_COS},
    {"DepthToSpace", 1, 1, glet_lower_depth, 0},
    {"Div", 2, 2, glet_lower_binary, GLET_DIV},
    {"Dropout", 1, 3, glet_lower_identity, 0},
    {"Elu", 1, 1, glet_lower_unary, GLET_ACT_ELU},
    {"Equal", 2, 2, glet_lower_binary, GLET_EQUAL},
    {"Erf", 1, 1, glet_lower_unary, GLET_ACT_ERF},
    {"Exp", 1, 1, glet_lower_unary, GLET_ACT_EXP},
    {"Expand", 2, 2, glet_lower_expand, 0},
    {"Flatten", 1, 1, glet_lower_flatten, 0},
    {"Floor", 1, 1, glet_lower_unary, GLET_ACT_FLOOR},
    {"Gather", 2, 2, glet_lower_gather, 0},
    {"GatherND", 2, 2, glet_lower_gather_nd, 0},
    {"Gelu", 1, 1, glet_lower_gelu, 0},
    {"Gemm", 2, 3, glet_lower_gemm, 0},
    {"GlobalAveragePool", 1, 1, glet_lower_global_pool, GLET_OP_AVG_POOL},
    {"GlobalMaxPool", 1, 1, glet_lower_global_pool, GLET_OP_MAX_POOL},
    {"Greater", 2, 2, glet_lower_binary, GLET_GREATER},
    {"GreaterOrEqual", 2, 2, glet_lower_binary, GLET_GREATER_EQUAL},
    {"HardSigmoid", 1, 1, glet_lower_unary, GLET_ACT_HARD_SIGMOID},
    {"HardSwish", 1, 1, glet_lower_unary, GLET_ACT_HARD_SWISH},
    {"Identity", 1, 1, glet_lower_identity, 0},
    {"IsNaN", 1, 1, glet_lower_is_nan, 0},
    {"LRN", 1, 1, glet_lower_lrn, 0},
    {"LayerNormalization", 2, 3, glet_lower_layer_norm, 0},
    {"LeakyRelu", 1, 1, glet_lower_unary, GLET_ACT_LEAKY_RELU},
    {"Less", 2, 2, glet_lower_binary, GLET_LESS},
    {"LessOrEqual", 2, 2, glet_lower_binary, GLET_LESS_EQUAL},
    {"Log", 1, 1, glet_lower_unary, GLET_ACT_LOG},
    {"LogSoftmax", 1, 1, glet_lower_softmax, 1},
    {"MatMul", 2, 2, glet_lower_matmul, 0},
    {"Max", 1, INT32_MAX, glet_lower_binary, GLET_MAX},
    {"MaxPool", 1, 1, glet_lower_pool, GLET_OP_MAX_POOL},
    {"Min", 1, INT32_MAX, glet_lower_binary, GLET_MIN},
    {"Mod", 2, 2, glet_lower_binary, GLET_MOD},
    {"Mul", 2, 2, glet_lower_binary, GLET_MUL},
    {"Neg", 1, 1, glet_lower_unary, GLET_ACT_NEG},
    {"Not", 1, 1, glet_lower_unary, GLET_ACT_NOT},
    {"Or", 2, 2, glet_lower_binary, GLET_OR},
    {"PRelu", 2, 2, glet_lower_prelu, 0},
    {"Pad", 1, 4, glet_lower_pad, 0},
    {"Pow", 2, 2, glet_lower_binary, GLET_POW},
    {"Range", 3, 3, glet_lower_range, 0},
    {"Reciprocal", 1, 1, glet_lower_unary, GLET_ACT_RECIPROCAL},
    {"ReduceMax", 1, 2, glet_lower_reduce, GLET_OP_REDUCE_MAX},
    {"ReduceMean", 1, 2, glet_lower_reduce, GLET_OP_REDUCE_MEAN},
    {"ReduceMin", 1, 2, glet_lower_reduce, GLET_OP_REDUCE_MIN},
    {"ReduceSum", 1, 2, glet_lower_reduce, GLET_OP_REDUCE_SUM},
    {"Relu", 1, 1, glet_lower_unary, GLET_ACT_RELU},
    {"Reshape", 2, 2, glet_lower_reshape, 0},
    {"Resize", 1, 4, glet_lower_resize, 0},
    {"Round", 1, 1, glet_lower_unary, GLET_ACT_ROUND},
    {"Shape", 1, 1, glet_lower_shape, 0},
    {"Sigmoid", 1, 1, glet_lower_unary, GLET_ACT_SIGMOID},
    {"Sign", 1, 1, glet_lower_unary, GLET_ACT_SIGN},
    {"Sin", 1, 1, glet_lower_unary, GLET_ACT_SIN},
    {"Size", 1, 1, glet_lower_size, 0},
    {"Slice", 3, 5, glet_lower_slice, 0},
    {"Softmax", 1, 1, glet_lower_softmax, 0},
    {"Softplus", 1, 1, glet_lower_unary, GLET_ACT_SOFTPLUS},
    {"SpaceToDepth", 1, 1, glet_lower_depth, 1},
    {"Split", 1, 2, glet_lower_split, 0},
    {"Sqrt", 1, 1, glet_lower_unary, GLET_ACT_SQRT},
    {"Squeeze", 1, 2, glet_lower_squeeze, 0},
    {"Sub", 2, 2, glet_lower_binary, GLET_SUB},
    {"Sum", 1, INT32_MAX, glet_lower_binary, GLET_ADD},
    {"Tanh", 1, 1, glet_lower_unary, GLET_ACT_TANH},
    {"Tile", 2, 2, glet_lower_tile, 0},
    {"Transpose", 1, 1, glet_lower_transpose, 0},
    {"Unsqueeze", 1, 2, glet_lower_unsqueeze, 0},
    {"Where", 3, 3, glet_lower_where, 0},
    {"Xor", 2, 2, glet_lower_binary, GLET_XOR},
};

enum { OPERATOR_COUNT = sizeof operators / sizeof operators[0] };

static bool span_is(struct glet_span span, const char *text)
{
    return span.bytes == strlen(text) && (!span.bytes || memcmp(span.at, text, span.bytes) == 0);
}

void glet_operator_list(char *text, size_t capacity)
{
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < OPERATOR_COUNT && length < capacity; i++)
        length += (size_t)snprintf(text + length, capacity - length, "%s%s", i ? " " : "",
                                   operators[i].name);
}

static int unsupported(const struct glet_model_node *node, struct glet_error *err)
{
    char list[700];
    struct glet_span domain = node->onnx->domain, type = node->onnx->op_type;
    bool own = domain.bytes > 0 && !span_is(domain, "ai.onnx");
    int domain_bytes = own ? (int)(domain.bytes < 40 ? domain.bytes : 40) : 0;
    glet_operator_list(list, sizeof list);
    return glet_error_set(err, GLET_ERR_UNSUPPORTED,
                          "node \"%.60s\": operator %.*s%s%.*s is not supported; supported: %s",
                          node->name, domain_bytes, own ? (const char *)domain.at : "",
                          own ? "." : "", (int)(type.bytes < 40 ? type.bytes : 40),
                          type.at ? (const char *)type.at : "", list);
}

const struct glet_operator *glet_operator_find(const struct glet_model *model,
                                               const struct glet_model_node *node,
                                               struct glet_error *err)
{
    (void)model;
    struct glet_span domain = node->onnx->domain;
    bool standard = domain.bytes == 0 || span_is(domain, "ai.onnx");
    for (size_t i = 0; i < OPERATOR_COUNT && standard; i++) {
        const struct glet_operator *op = &operators[i];
        if (!span_is(node->onnx->op_type, op->name))
            continue;
        bool present = node->output_count > 0 && node->outputs[0] >= 0;
        for (int j = 0; j < op->min_inputs && present; j++)
            present = j < node->input_count && node->inputs[j] >= 0;
        if (present && node->input_count <= op->max_inputs)
            return op;
        glet_error_set(err, GLET_ERR_INPUT, "node \"%s\" (%s): %d inputs, %d outputs do not fit",
                       node->name, op->name, node->input_count, node->output_count);
        return NULL;
    }
    unsupported(node, err);
    return NULL;
}

const glet_onnx_Attribute *glet_attr(const struct glet_model_node *node, const char *name)
{
    const glet_onnx_Attribute *attributes = node->onnx->attribute.at;
    for (uint32_t i = 0; i < node->onnx->attribute.count; i++) {
        if (span_is(attributes[i].name, name))
            return &attributes[i];
    }
    return NULL;
}

bool glet_attr_has(const struct glet_model_node *node, const char *name)
{
    return glet_attr(node, name) != NULL;
}

int64_t glet_attr_int(const struct glet_model_node *node, const char *name, int64_t otherwise)
{
    const glet_onnx_Attribute *attribute = glet_attr(node, name);
    return attribute && attribute->has_i ? attribute->i : otherwise;
}

float glet_attr_float(const struct glet_model_node *node, const char *name, float otherwise)
{
    const glet_onnx_Attribute *attribute = glet_attr(node, name);
    return attribute && attribute->has_f ? attribute->f : otherwise;
}

bool glet_attr_is(const struct glet_model_node *node, const char *name, const char *text)
{
    const glet_onnx_Attribute *attribute = glet_attr(node, name);
    return attribute && attribute->s.at && span_is(attribute->s, text);
}

int glet_attr_ints(const struct glet_model_node *node, const char *name, const int64_t **values)
{
    const glet_onnx_Attribute *attribute = glet_attr(node, name);
    if (!attribute)
        return -1;
    *values = attribute->ints.at;
    return (int)attribute->ints.count;
}

int glet_in(const struct glet_bind *b, const struct glet_model_node *node, int i)
{
    return i < node->input_count && node->inputs[i] >= 0 ? b->of_value[node->inputs[i]] : -1;
}

int glet_out(struct glet_bind *b, const struct glet_model_node *node, int i, int tensor)
{
    if (tensor < 0)
        return -1;
    if (i < node->output_count && node->outputs[i] >= 0)
        b->of_value[node->outputs[i]] = tensor;
    return 0;
}

bool glet_out_wanted(const struct glet_bind *b, const struct glet_model_node *node, int i)
{
    /* Named but read by nobody is not wanted. */
    return i < node->output_count && node->outputs[i] >= 0 &&
           b->model->values[node->outputs[i]].readers > 0;
}

int glet_refuse(struct glet_bind *b, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return glet_error_set(b->err, GLET_ERR_UNSUPPORTED, "%s: not supported", text);
}

int glet_bad_node(struct glet_bind *b, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return glet_error_set(b->err, GLET_ERR_INPUT, "%s", text);
}

int glet_axis(struct glet_bind *b, int64_t axis, int rank)
{
    if (axis >= -rank && axis < rank)
        return (int)(axis < 0 ? axis + rank : axis);
    return glet_bad_node(b, "axis %" PRId64 " of a tensor with %d dimensions", axis, rank);
}

int glet_const_ints(struct glet_bind *b, int tensor, const char *what, int64_t *values,
                    int capacity)
{
    const struct glet_tensor *constant = glet_bind_tensor(b, tensor);
    if (!constant->data)
        return glet_refuse(b, "a %s that is computed from the input", what);
    int64_t elements = glet_tensor_elements(constant);
    if (constant->rank > 1 || elements > capacity)
        return glet_bad_node(b, "%s has %" PRId64 " elements", what, elements);
    for (int i = 0; i < (int)elements; i++)
        values[i] = glet_tensor_int(constant, i);
    return (int)elements;
}

int glet_list_arg(struct glet_bind *b, const struct glet_model_node *node, int i, const char *name,
                  int64_t *values, bool *absent_out)
{
    *absent_out = false;
    int tensor = glet_in(b, node, i);
    if (tensor >= 0)
        return glet_const_ints(b, tensor, name, values, GLET_MAX_RANK);
    const int64_t *list;
    int count = glet_attr_ints(node, name, &list);
    if (count > GLET_MAX_RANK)
        return glet_bad_node(b, "%s has %d elements", name, count);
    if (count < 0) {
        *absent_out = true;
        return 0;
    }
    if (count)
        memcpy(values, list, sizeof *values * (size_t)count);
    return count;
}
