/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_ENGINE_LOWER_H
#define GLET_ENGINE_LOWER_H

/*
 * From ONNX operators to ours, one node at a time, with every shape known. A lowering function
 * reads the node's attributes and inputs, infers shapes, and either adds nodes to the graph under
 * construction or finds that nothing has to be computed (an alias, a view, a constant).
 */

#include "runtime/engine/bind.h"
#include "runtime/engine/model_private.h"

#include <stdbool.h>

struct glet_operator {
    const char *name; /* ONNX's */
    int min_inputs, max_inputs;
    int (*lower)(struct glet_bind *b, const struct glet_model_node *node);
    int variant; /* for functions that serve several operators */
};

/* The operator of a node, or NULL: GLET_ERR_UNSUPPORTED names node, operator and what there is;
   GLET_ERR_INPUT a wrong number of inputs or no output. */
const struct glet_operator *glet_operator_find(const struct glet_model *model,
                                               const struct glet_model_node *node,
                                               struct glet_error *err);

/* Space-separated names of all operators. */
void glet_operator_list(char *text, size_t capacity);

/* Attributes; the default if absent. Text attributes compare with glet_attr_is(). */
int64_t glet_attr_int(const struct glet_model_node *node, const char *name, int64_t otherwise);
float glet_attr_float(const struct glet_model_node *node, const char *name, float otherwise);
bool glet_attr_is(const struct glet_model_node *node, const char *name, const char *text);
bool glet_attr_has(const struct glet_model_node *node, const char *name);
/* Number of integers, or -1 if absent. */
int glet_attr_ints(const struct glet_model_node *node, const char *name, const int64_t **values);
const glet_onnx_Attribute *glet_attr(const struct glet_model_node *node, const char *name);

/* Tensor numbers of a node's inputs: -1 where left out. */
int glet_in(const struct glet_bind *b, const struct glet_model_node *node, int i);
/* Says what output i is; returns 0, or -1 if tensor < 0 (so that calls nest). */
int glet_out(struct glet_bind *b, const struct glet_model_node *node, int i, int tensor);
bool glet_out_wanted(const struct glet_bind *b, const struct glet_model_node *node, int i);

/* Fails with "what is wrong"; the caller's caller names node and operator. */
int glet_refuse(struct glet_bind *b, const char *format, ...) GLET_PRINTF(2, 3);   /* UNSUPPORTED */
int glet_bad_node(struct glet_bind *b, const char *format, ...) GLET_PRINTF(2, 3); /* INPUT */

/* An axis in [-rank, rank) made non-negative; -1 with an error otherwise. */
int glet_axis(struct glet_bind *b, int64_t axis, int rank);

/* Integers of a constant input: their number (<= capacity), or -1 with an error that says what
   (for example "shape") has to be constant. */
int glet_const_ints(struct glet_bind *b, int tensor, const char *what, int64_t *values,
                    int capacity);
/* Integers that newer opsets pass as input i and older ones as an attribute: their number, 0 when
   absent (absent_out true), -1 with an error. */
int glet_list_arg(struct glet_bind *b, const struct glet_model_node *node, int i, const char *name,
                  int64_t *values, bool *absent_out);

/* The families; one function per operator or group of operators (table in lower.c). */
int glet_lower_unary(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_clip(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_gelu(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_prelu(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_binary(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_is_nan(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_where(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_cast(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_identity(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_constant(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_constant_of_shape(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_range(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_shape(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_size(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_reshape(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_flatten(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_squeeze(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_unsqueeze(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_expand(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_tile(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_concat(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_split(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_slice(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_transpose(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_depth(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_gather(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_gather_nd(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_pad(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_resize(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_reduce(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_arg_max(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_softmax(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_layer_norm(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_batch_norm(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_lrn(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_conv(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_conv_transpose(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_pool(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_global_pool(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_matmul(struct glet_bind *b, const struct glet_model_node *node);
int glet_lower_gemm(struct glet_bind *b, const struct glet_model_node *node);

#endif
