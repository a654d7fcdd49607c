/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_BUILDER_H
#define GLET_CUDA_BUILDER_H

/*
 * What the planners of single operators (cuda_plan_*.c) work with: asking for a tensor in a layout,
 * defining a result, adding a step.
 */

#include "runtime/device/cuda/plan/step_plan.h"

enum glet_cuda_layout {
    GLET_CUDA_ANY,  /* whatever strides, in the held type */
    GLET_CUDA_RAW,  /* whatever strides and type */
    GLET_CUDA_ROWS, /* dense, row-major */
    GLET_CUDA_LAST, /* the last dimension is contiguous */
    GLET_CUDA_NHWC, /* a feature map: see step_plan.h */
};

struct glet_cuda_form;  /* one place of a tensor's values */
struct glet_cuda_part { /* where in a concatenation's result a tensor is written */
    int host;           /* the outermost result; -1 = in none */
    int64_t channel;
};

struct glet_cuda_builder {
    struct glet_cuda_plan *plan;
    const struct glet_graph *graph;
    const struct glet_node *node; /* being planned; NULL for the outputs */
    struct glet_cuda_form **forms;
    struct glet_cuda_part *parts;
    struct glet_cuda_place *hosts; /* of results that have parts; buffer -1 = not yet */
    int *uses;                     /* of a tensor's bytes, by nodes and outputs */
};

/* -- places, without side effects ---------------------------------------------------------------*/

const struct glet_tensor *glet_cuda_tensor(const struct glet_cuda_builder *b, int tensor);
bool glet_cuda_is_float(const struct glet_cuda_builder *b, int tensor);
enum glet_dtype glet_cuda_held(const struct glet_cuda_plan *plan, enum glet_dtype dtype);
int64_t glet_cuda_vector(const struct glet_cuda_plan *plan); /* held elements in 16 bytes */
int64_t glet_cuda_padded(const struct glet_cuda_plan *plan, int64_t channels);

struct glet_cuda_place glet_cuda_none(void);
struct glet_cuda_place glet_cuda_rows(int buffer, enum glet_dtype dtype, int rank,
                                      const int64_t *dims);
/* The same bytes under another shape, where strides can say it. */
bool glet_cuda_reshape(const struct glet_cuda_place *place, int rank, const int64_t *dims,
                       struct glet_cuda_place *out);
struct glet_cuda_place glet_cuda_permute(const struct glet_cuda_place *place, const int *perm);
/* numpy's broadcasting: stride 0 along what it lacks. */
struct glet_cuda_place glet_cuda_broadcast(const struct glet_cuda_place *place, int rank,
                                           const int64_t *dims);
/* N x C x spatial as N x C x H x W. */
struct glet_cuda_place glet_cuda_lift(const struct glet_cuda_place *place);
bool glet_cuda_is_map(const struct glet_cuda_plan *plan, const struct glet_cuda_place *place,
                      struct glet_cuda_place *normal);

/* -- planning ---------------------------------------------------------------------------------- */

/* The tensor in a layout, converted by a step if it is nowhere in it yet. */
GLET_MUST_CHECK
int glet_cuda_want(struct glet_cuda_builder *b, int tensor, enum glet_cuda_layout layout,
                   struct glet_cuda_place *out, struct glet_error *err);
/* Whether the tensor lies as a feature map already. */
bool glet_cuda_lies_as_map(struct glet_cuda_builder *b, int tensor);

/* Memory for a result: GLET_CUDA_ROWS or GLET_CUDA_NHWC. */
GLET_MUST_CHECK
int glet_cuda_define(struct glet_cuda_builder *b, int tensor, enum glet_cuda_layout layout,
                     struct glet_cuda_place *out, struct glet_error *err);
/* The tensor is (also) there. */
GLET_MUST_CHECK
int glet_cuda_define_at(struct glet_cuda_builder *b, int tensor,
                        const struct glet_cuda_place *place, struct glet_error *err);
void glet_cuda_forget_forms(struct glet_cuda_builder *b, int tensor);
GLET_MUST_CHECK
int glet_cuda_buffer_add(struct glet_cuda_builder *b, enum glet_cuda_buffer_kind kind, size_t bytes,
                         struct glet_error *err);
/* A constant as packed; weight->bytes is set here. Equal ones share a buffer. */
GLET_MUST_CHECK
int glet_cuda_weight_add(struct glet_cuda_builder *b, struct glet_cuda_weight *weight,
                         struct glet_error *err);
/* A vector constant of `count` values padded with zeros to `padded`, in the held type. */
GLET_MUST_CHECK
int glet_cuda_want_vector(struct glet_cuda_builder *b, int tensor, int64_t padded,
                          struct glet_cuda_place *out, struct glet_error *err);

/* Adds a step; its pointer is good until the next. NULL: out of memory. */
struct glet_cuda_step *glet_cuda_step_add(struct glet_cuda_builder *b,
                                          enum glet_cuda_step_kind kind,
                                          const struct glet_cuda_place *places, int count,
                                          struct glet_error *err);
GLET_MUST_CHECK
int glet_cuda_copy(struct glet_cuda_builder *b, const struct glet_cuda_place *from,
                   const struct glet_cuda_place *to, struct glet_error *err);
/* Zeros in the channels beyond the tensor's own. */
GLET_MUST_CHECK
int glet_cuda_clear_channels(struct glet_cuda_builder *b, const struct glet_cuda_place *map,
                             struct glet_error *err);
int glet_cuda_unsupported(const struct glet_cuda_builder *b, struct glet_error *err,
                          const char *format, ...) GLET_PRINTF(3, 4);

/* -- operators: each plans b->node ------------------------------------------------------------- */

typedef int (*glet_cuda_planner)(struct glet_cuda_builder *b, struct glet_error *err);
int glet_cuda_plan_conv(struct glet_cuda_builder *b, struct glet_error *err);
int glet_cuda_plan_conv_transpose(struct glet_cuda_builder *b, struct glet_error *err);
int glet_cuda_plan_pool(struct glet_cuda_builder *b, struct glet_error *err);
int glet_cuda_plan_lrn(struct glet_cuda_builder *b, struct glet_error *err);
int glet_cuda_plan_resize(struct glet_cuda_builder *b, struct glet_error *err);
int glet_cuda_plan_matmul(struct glet_cuda_builder *b, struct glet_error *err);
int glet_cuda_plan_attention(struct glet_cuda_builder *b, struct glet_error *err);
int glet_cuda_plan_elementwise(struct glet_cuda_builder *b, struct glet_error *err);
int glet_cuda_plan_softmax(struct glet_cuda_builder *b, struct glet_error *err);
int glet_cuda_plan_layer_norm(struct glet_cuda_builder *b, struct glet_error *err);
int glet_cuda_plan_reduce(struct glet_cuda_builder *b, struct glet_error *err);
int glet_cuda_plan_arg_max(struct glet_cuda_builder *b, struct glet_error *err);
int glet_cuda_plan_concat(struct glet_cuda_builder *b, struct glet_error *err);
int glet_cuda_plan_strides(struct glet_cuda_builder *b, struct glet_error *err);
int glet_cuda_plan_gather(struct glet_cuda_builder *b, struct glet_error *err);
int glet_cuda_plan_pad(struct glet_cuda_builder *b, struct glet_error *err);

/* Products that can be one with b->node, which is the first of them; returns how many, >= 1. */
int glet_cuda_beside(const struct glet_cuda_builder *b,
                     const struct glet_node *nodes[GLET_CUDA_MAX_BESIDE]);
/* Their weights (input 1) or biases (input 2) side by side. */
GLET_MUST_CHECK
int glet_cuda_weights_beside(struct glet_cuda_builder *b, const struct glet_node *const *nodes,
                             int count, int input, struct glet_cuda_place *out,
                             struct glet_error *err);
/* Memory for their common result y, whose shape is given, and each result's place in it. */
GLET_MUST_CHECK
int glet_cuda_define_beside(struct glet_cuda_builder *b, const struct glet_node *const *nodes,
                            int count, struct glet_cuda_place *y, struct glet_error *err);

/* Decides, before anything else, which tensors are written into a concatenation's result. */
void glet_cuda_plan_parts(struct glet_cuda_builder *b);
/* Appends the copy of a tensor to the last step where that made it and nobody else reads it. */
bool glet_cuda_extend_map(struct glet_cuda_builder *b, int tensor,
                          const struct glet_cuda_place *to);

#endif
