/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_ENGINE_GRAPH_H
#define GLET_ENGINE_GRAPH_H

/*
 * The graph that executors consume: bound to one batch, every shape known, only operators that
 * compute. ONNX's aliases, constants, shape arithmetic and views are gone, and the patterns that
 * hardware does in one step are one node.
 *
 * Nodes are in execution order. Tensors are numbered; a node names tensors by number. A tensor is
 * an input, a constant, the result of exactly one node, or a *view*: another tensor's bytes under
 * another shape (Reshape, Flatten, Squeeze, Unsqueeze), which costs nothing.
 */

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define GLET_MAX_RANK  8
#define GLET_DIM_BATCH (-1) /* only in a model's interface, never in a bound graph */

enum glet_dtype {
    GLET_FLOAT32,
    GLET_FLOAT64,
    GLET_FLOAT16,
    GLET_BFLOAT16,
    GLET_INT8,
    GLET_INT16,
    GLET_INT32,
    GLET_INT64,
    GLET_UINT8,
    GLET_UINT16,
    GLET_UINT32,
    GLET_UINT64,
    GLET_BOOL,
};
size_t glet_dtype_size(enum glet_dtype dtype);      /* bytes per element */
const char *glet_dtype_name(enum glet_dtype dtype); /* KServe's name: "FP32", "INT64", ... */

enum glet_op {
    /* fused with bias, then `residual`, then `activation` where a node has them */
    GLET_OP_CONV,   /* x, w [, bias] [, residual]: x is N x C x spatial (1 to 3 dimensions), w is
                       M x C/group x kernel, bias M values, residual has the output's shape */
    GLET_OP_MATMUL, /* a, b [, bias] [, residual]: batched, numpy broadcasting; Gemm becomes this.
                       bias is a vector over the last dimension, residual has the output's shape;
                       trans_a / trans_b swap the last two dimensions; alpha scales the product */
    GLET_OP_CONV_TRANSPOSE, /* x, w [, bias] */
    /* windows; global pooling is a kernel as large as the input. Sizes are explicit: pads_end is
       what the output's shape needs, also where the ONNX node says ceil_mode or SAME */
    GLET_OP_MAX_POOL, /* x; dilations */
    GLET_OP_AVG_POOL, /* x; count_include_pad */
    /* normalisation */
    GLET_OP_BATCH_NORM, /* x, scale, shift: x * scale[c] + shift[c]; with `activation`. Only where
                           it could not be folded into a convolution */
    GLET_OP_LAYER_NORM, /* x, scale [, bias]: over dimensions axis..rank-1; epsilon */
    GLET_OP_SOFTMAX,    /* x [, mask]: over `axis` of alpha * x + mask (mask broadcasts); where
                           everything is -infinity the result is 0, not NaN; so in ATTENTION */
    GLET_OP_LRN,        /* x: over `mode` channels; alpha, beta; epsilon is ONNX's bias */
    /* elementwise, numpy broadcasting */
    GLET_OP_BINARY, /* a, b: `binary`; with `activation` on the result */
    GLET_OP_UNARY,  /* x: `activation` */
    GLET_OP_WHERE,  /* condition, a, b */
    GLET_OP_CAST,   /* x: to the output's dtype */
    /* movement */
    GLET_OP_CONCAT,    /* x0, x1, ...: along axis */
    GLET_OP_SLICE,     /* x: starts >= 0 and steps (may be negative) per dimension; ends follow from
                          the output's shape */
    GLET_OP_TRANSPOSE, /* x: perm */
    GLET_OP_GATHER, /* data, indices (INT32 or INT64): along axis; -1 is the last. Indices that come
                       from a request may be out of range: then any value, never a fault */
    GLET_OP_EXPAND, /* x: broadcast to the output's shape */
    GLET_OP_PAD,    /* x: pads_begin, `alpha` is the constant; only where it could not be folded */
    GLET_OP_RESIZE, /* x: nearest or linear (mode) */
    /* reductions over the dimensions of axes_mask */
    GLET_OP_REDUCE_MEAN,
    GLET_OP_REDUCE_SUM,
    GLET_OP_REDUCE_MAX,
    GLET_OP_REDUCE_MIN,
    GLET_OP_ARG_MAX, /* axis; output INT64; the first of equal values */
    /* fused attention, only when the whole pattern matches:
       q, k, v [, mask]: B x heads x S x d each, softmax(alpha * q k^T + mask) v -> B x heads x S x
       d. With `heads` > 0 q, k, v and the output are B x S x (heads * d), as the projections leave
       them. */
    GLET_OP_ATTENTION,
    GLET_OP_COUNT
};
const char *glet_op_name(enum glet_op op);

enum glet_binary {
    GLET_ADD,
    GLET_SUB,
    GLET_MUL,
    GLET_DIV,
    GLET_POW,
    GLET_MIN,
    GLET_MAX,
    GLET_EQUAL,
    GLET_LESS,
    GLET_GREATER,
    GLET_LESS_EQUAL,
    GLET_GREATER_EQUAL,
    GLET_AND,
    GLET_OR,
    GLET_XOR,
    GLET_MOD,
};

enum glet_activation_kind { /* y = f(x); a and b are parameters */
                            GLET_ACT_NONE,
                            GLET_ACT_RELU,
                            GLET_ACT_LEAKY_RELU, /* a = slope */
                            GLET_ACT_CLIP,       /* a = low, b = high */
                            GLET_ACT_SIGMOID,
                            GLET_ACT_TANH,
                            GLET_ACT_GELU_ERF,
                            GLET_ACT_GELU_TANH,
                            GLET_ACT_HARD_SIGMOID, /* clip(a x + b, 0, 1) */
                            GLET_ACT_HARD_SWISH,   /* x * clip(x / 6 + 0.5, 0, 1) */
                            GLET_ACT_SWISH,        /* x * sigmoid(a x) */
                            GLET_ACT_ELU,          /* a */
                            GLET_ACT_LINEAR,       /* a x + b */
                            GLET_ACT_SQRT,
                            GLET_ACT_EXP,
                            GLET_ACT_LOG,
                            GLET_ACT_ABS,
                            GLET_ACT_NEG,
                            GLET_ACT_ERF,
                            GLET_ACT_RECIPROCAL,
                            GLET_ACT_FLOOR,
                            GLET_ACT_CEIL,
                            GLET_ACT_SQUARE,
                            GLET_ACT_NOT,
                            GLET_ACT_SOFTPLUS,
                            GLET_ACT_SIN,
                            GLET_ACT_COS,
                            GLET_ACT_ROUND,
                            GLET_ACT_SIGN,
};

struct glet_activation {
    enum glet_activation_kind kind;
    float a, b;
};

/* RESIZE: where output position i lies in the input, for n input and m output positions */
enum glet_coordinates {
    GLET_HALF_PIXEL,         /* (i + 0.5) / scale - 0.5 */
    GLET_PYTORCH_HALF_PIXEL, /* the same, 0 where m = 1 */
    GLET_ASYMMETRIC,         /* i / scale */
    GLET_ALIGN_CORNERS,      /* i * (n - 1) / (m - 1) */
};
enum glet_rounding { /* RESIZE nearest */
                     GLET_ROUND_PREFER_FLOOR,
                     GLET_ROUND_PREFER_CEIL,
                     GLET_ROUND_FLOOR,
                     GLET_ROUND_CEIL,
};

struct glet_tensor {
    const char *name; /* ONNX's, for messages; never NULL */
    enum glet_dtype dtype;
    int rank;
    int64_t dims[GLET_MAX_RANK];
    const void *data; /* constants: row-major; *not always aligned* to the type, because weights lie
                         where the file has them: memcpy. NULL = not a constant. The same weights
                         have the same pointer in every graph of one model, whatever the batch, and
                         as long as the model lives: executors share what they pack by it */
    int view_of;      /* number of the tensor whose bytes this is; -1 = its own. Never a constant:
                         a reshaped constant is a constant with the same data */
    int producer;     /* number of the node; -1 = input or constant */
};

enum { GLET_MAX_SPATIAL = 3 };

struct glet_node {
    enum glet_op op;
    const char *name; /* of the ONNX node (the last of a fused group), for messages */
    int *inputs;      /* tensor numbers; the optional ones of the list above come in its order */
    int input_count;
    int output; /* one output: nodes with several are split when binding */
    bool has_bias, has_residual, has_mask;
    struct glet_activation activation;
    enum glet_binary binary;
    /* convolutions and windows; spatial rank = tensor rank - 2 */
    int64_t kernel[GLET_MAX_SPATIAL], strides[GLET_MAX_SPATIAL], dilations[GLET_MAX_SPATIAL];
    int64_t pads_begin[GLET_MAX_RANK], pads_end[GLET_MAX_RANK]; /* windows use the first entries;
                                                                  PAD one per dimension */
    int64_t group;
    bool count_include_pad;
    /* the rest */
    int axis;           /* >= 0 */
    uint32_t axes_mask; /* bit i = dimension i */
    bool trans_a, trans_b;
    float alpha, beta, epsilon;
    int64_t starts[GLET_MAX_RANK], steps[GLET_MAX_RANK];
    int perm[GLET_MAX_RANK];
    int mode; /* RESIZE: 0 nearest, 1 linear; PAD: 0 constant, 1 reflect, 2 edge; LRN: size */
    enum glet_coordinates coordinates;
    enum glet_rounding rounding;
    float scales[GLET_MAX_RANK]; /* RESIZE: output size / input size, as the model says it */
    int heads;
};

struct glet_graph {
    int batch;
    struct glet_tensor *tensors;
    int tensor_count;
    struct glet_node *nodes; /* in execution order */
    int node_count;
    int *inputs, *outputs; /* tensor numbers, in the model's order; an output may be a view, an
                              input or a constant */
    int input_count, output_count;
    void *arena; /* owns everything above but the weights */
};

void glet_graph_free(struct glet_graph *graph); /* NULL is accepted */

int64_t glet_tensor_elements(const struct glet_tensor *tensor);
size_t glet_tensor_bytes(const struct glet_tensor *tensor);

/* The tensor whose bytes this one is, following views to their end. */
int glet_graph_storage(const struct glet_graph *graph, int tensor);

const char *glet_binary_name(enum glet_binary binary);                  /* "add", ... */
const char *glet_activation_name(enum glet_activation_kind activation); /* "relu", ... */

/* Prints one line per node, for people: operators, shapes and fusions. */
void glet_graph_print(const struct glet_graph *graph, FILE *out);

#endif
