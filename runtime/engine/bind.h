/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_ENGINE_BIND_H
#define GLET_ENGINE_BIND_H

/*
 * The graph while it is being bound: tensors and nodes that still may be merged or dropped. Adding
 * a node simplifies at once what can be seen from the node backwards (constants, identities,
 * patterns that are one operator); what depends on who else uses a result is left to the fusion
 * passes.
 *
 * All functions that add return a tensor number, or -1 with b->err filled. Everything lives in
 * b->arena; not shared between threads.
 */

#include "runtime/engine/arena.h"
#include "runtime/engine/graph.h"
#include "runtime/engine/model.h"

#include <stdbool.h>

struct glet_bind {
    const struct glet_model *model;
    int batch;
    struct glet_arena *arena;
    struct glet_tensor **tensors; /* in the arena; the array grows */
    size_t tensor_count, tensor_capacity;
    struct glet_node **nodes; /* in execution order; NULL = dropped */
    size_t node_count, node_capacity;
    int *of_value;           /* tensor number of each value of the model; -1 = not computed yet */
    int64_t fold_budget;     /* elements that may still be computed */
    const char *node_name;   /* of the ONNX node being lowered */
    const char *result_name; /* of the value being computed */
    struct glet_error *err;
    /* kept up by glet_bind_count_uses(): edges into each storage, by tensor number */
    int *uses;
};

struct glet_shape {
    int rank;
    int64_t dims[GLET_MAX_RANK];
};

struct glet_tensor *glet_bind_tensor(const struct glet_bind *b, int number);
struct glet_shape glet_bind_shape(const struct glet_bind *b, int number);
bool glet_shape_same(const struct glet_shape *a, const struct glet_shape *b);
int64_t glet_shape_elements(const struct glet_shape *shape);

/* numpy's rule; false if the shapes do not broadcast. */
bool glet_shape_broadcast(const struct glet_shape *a, const struct glet_shape *b,
                          struct glet_shape *out);

/* A tensor without bytes yet: an input, or the result of a node to be made. Shapes that overflow
   are an error. */
int glet_bind_new_tensor(struct glet_bind *b, enum glet_dtype dtype,
                         const struct glet_shape *shape);

/* The `producer` of a constant whose data live as long as the model; other constants are -1. */
enum { GLET_BIND_STABLE = -2 };

/* A constant whose data live in b->arena (or in the file, which is noticed). */
int glet_bind_constant(struct glet_bind *b, enum glet_dtype dtype, const struct glet_shape *shape,
                       const void *data);
/* A constant whose data live as long as the model. */
int glet_bind_weight(struct glet_bind *b, enum glet_dtype dtype, const struct glet_shape *shape,
                     const void *data);
int glet_bind_ints(struct glet_bind *b, const int64_t *values, int count, bool scalar);
int glet_bind_scalar(struct glet_bind *b, enum glet_dtype dtype, double value);

/* The same elements under another shape: a view, a constant, or the tensor itself. */
int glet_bind_view(struct glet_bind *b, int tensor, const struct glet_shape *shape);

/* The tensor that holds the bytes. */
int glet_bind_storage(const struct glet_bind *b, int tensor);

/* Zeroed node with scales and steps at their neutral values. */
struct glet_node glet_bind_node(enum glet_op op);

/*
 * Adds a node (a template on the caller's stack; inputs are copied) with an output of this type and
 * shape, or finds something simpler.
 */
int glet_bind_add(struct glet_bind *b, const struct glet_node *node, const int *inputs, int count,
                  enum glet_dtype dtype, const struct glet_shape *shape);

/* Without looking for something simpler. */
int glet_bind_append(struct glet_bind *b, const struct glet_node *node, const int *inputs,
                     int count, enum glet_dtype dtype, const struct glet_shape *shape);

/* Common nodes. */
int glet_bind_unary(struct glet_bind *b, enum glet_activation_kind kind, float first, float second,
                    int x);
int glet_bind_binary(struct glet_bind *b, enum glet_binary binary, int x, int y);
int glet_bind_transpose(struct glet_bind *b, int x, const int *perm);
int glet_bind_expand(struct glet_bind *b, int x, const struct glet_shape *shape);

/* The node that computes a tensor's bytes, through views; NULL for inputs and constants. */
struct glet_node *glet_bind_producer(const struct glet_bind *b, int tensor);
/* The same, but only if the tensor is that node's output itself. */
struct glet_node *glet_bind_maker(const struct glet_bind *b, int tensor);
bool glet_bind_is_constant(const struct glet_bind *b, int tensor);

/* A floating-point constant whose elements are all the same. */
bool glet_bind_uniform(const struct glet_bind *b, int tensor, double *value_out);

/* simplify.c: a tensor that is what the node would compute; -1 = none found, -2 = error. */
int glet_simplify(struct glet_bind *b, const struct glet_node *node, const int *inputs, int count,
                  enum glet_dtype dtype, const struct glet_shape *shape);
/* simplify_norm.c: the same for layer normalisation, GELU, softmax and attention. */
int glet_simplify_patterns(struct glet_bind *b, const struct glet_node *node, const int *inputs,
                           int count, enum glet_dtype dtype, const struct glet_shape *shape);

/* fold.c: computes the node on constants. 1 = done, 0 = not something that is folded, -1 = error.
 */
int glet_fold(const struct glet_node *node, const struct glet_tensor *const *inputs,
              struct glet_tensor *out, void *data, struct glet_error *err);

/* Passes over the whole graph. 0 / -1. */
int glet_bind_count_uses(struct glet_bind *b, const int *outputs, size_t output_count);
/* Moves node p, which a later node at `index` has become part of, to that place; the later node's
   output becomes a view of p's. */
void glet_bind_absorb(struct glet_bind *b, size_t index, struct glet_node *p);
/* Computes what depends on constants only and is still there (bind_build.c). */
int glet_bind_fold_rest(struct glet_bind *b);
int glet_fuse_batch_norm(struct glet_bind *b);
int glet_fuse_epilogues(struct glet_bind *b);
int glet_fuse_heads(struct glet_bind *b);

/* emit.c: drops what no output needs and packs the rest into a graph. */
GLET_MUST_CHECK
int glet_bind_emit(struct glet_bind *b, const int *outputs, struct glet_graph **out);

#endif
