/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_BUILD_H
#define GLET_CPU_BUILD_H

/*
 * What the builders of the single operators (build_conv.c, build_matmul.c, ...) work with: a program
 * under construction.
 *
 * A *buffer* is a piece of memory with a number: a range of the arena (placed when the program is
 * finished), a constant, or a graph input or output that the caller binds. A tensor has one or more
 * *forms*: its values in some layout in some buffer. A builder asks for its operands in the form
 * that it wants, which adds conversion steps where that form does not exist yet, defines the form
 * of its result, and adds steps.
 *
 * Floating-point tensors are held as fp32 whatever the graph says; fp16, bf16 and fp64 are
 * converted where they enter and leave. Other types are held as they are.
 */

#include "common/error.h"
#include "runtime/device/cpu/net/dnnl.h"
#include "runtime/device/cpu/net/packs.h"
#include "runtime/engine/graph.h"

#include <dnnl.h>
#include <stddef.h>

struct glet_cpu_program;

enum { GLET_CPU_MAX_OPERANDS = 10, GLET_CPU_NO_BUFFER = -1 };

/* A kernel of ours: operand pointers in the order of its step, its parameters. Runs on the worker's
   thread, may use glet_cpu_team_run(). Fails only with GLET_ERR_INPUT for data out of range. */
typedef int (*glet_cpu_kernel)(void *const *operands, const void *params, struct glet_error *err);

struct glet_cpu_operand {
    int argument; /* DNNL_ARG_...; 0 in steps of our own kernels */
    int buffer;   /* number; GLET_CPU_NO_BUFFER = a NULL pointer */
    dnnl_memory_desc_t md;
};

/* The operator under construction: what every builder gets. */
struct glet_cpu_build {
    struct glet_cpu_program *program;
    const struct glet_graph *graph;
    const struct glet_node *node; /* NULL outside a node */
    int node_index;
};

/* ---- tensors and their forms ---- */

const struct glet_tensor *glet_cpu_tensor(const struct glet_cpu_build *b, int tensor);
enum glet_dtype glet_cpu_held_dtype(enum glet_dtype dtype);
bool glet_cpu_is_float(const struct glet_cpu_build *b, int tensor);

/* Buffer with the row-major form of the tensor; -1 on failure. */
GLET_MUST_CHECK int glet_cpu_want_plain(struct glet_cpu_build *b, int tensor,
                                        struct glet_error *err);
/* Buffer with the fp32 tensor in layout `md`; md's dimensions may regroup the tensor's (same
   elements in row-major order), except that a form other than row-major must have the tensor's own
   dimensions to be found again. Constants are packed through the cache. -1 on failure. */
GLET_MUST_CHECK int glet_cpu_want(struct glet_cpu_build *b, int tensor,
                                  const dnnl_memory_desc_t *md, struct glet_error *err);
/* The form that exists already, preferring one that is not row-major: its layout and buffer.
   For types that are not floating-point, only *buffer is meaningful. -1 on failure. */
GLET_MUST_CHECK int glet_cpu_current(struct glet_cpu_build *b, int tensor, dnnl_memory_desc_t *md,
                                     int *buffer, struct glet_error *err);
/* As glet_cpu_want_plain(), and forgets all other forms: before the values change in place. */
GLET_MUST_CHECK int glet_cpu_keep_plain(struct glet_cpu_build *b, int tensor,
                                        struct glet_error *err);
/* Memory for a node's result in row-major or in layout md; -1 on failure. */
GLET_MUST_CHECK int glet_cpu_define_plain(struct glet_cpu_build *b, int tensor,
                                          struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_define(struct glet_cpu_build *b, int tensor,
                                    const dnnl_memory_desc_t *md, struct glet_error *err);
/* The result takes over the memory of an operand: only after glet_cpu_may_overwrite(). */
GLET_MUST_CHECK int glet_cpu_define_in(struct glet_cpu_build *b, int tensor,
                                       const dnnl_memory_desc_t *md, int buffer,
                                       struct glet_error *err);

/* Whether this node is the last to use the tensor, which lies in the arena, and names it once. */
bool glet_cpu_may_overwrite(const struct glet_cpu_build *b, int tensor, int buffer);

/* Data of a constant tensor, or NULL. Row-major, the tensor's own type. */
const void *glet_cpu_constant_data(const struct glet_cpu_build *b, int tensor);

/* Adds a step that converts types; a copy when they are the same. */
GLET_MUST_CHECK
int glet_cpu_add_convert(struct glet_cpu_build *b, int to, enum glet_dtype to_dtype, int from,
                         enum glet_dtype from_dtype, int64_t count, struct glet_error *err);

/* ---- buffers and steps ---- */

GLET_MUST_CHECK int glet_cpu_temporary(struct glet_cpu_build *b, size_t size_bytes,
                                       struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_constant_buffer(struct glet_cpu_build *b, const void *data,
                                             struct glet_error *err);
/* Zeroed memory that lives as long as the program. */
void *glet_cpu_alloc(struct glet_cpu_build *b, size_t size_bytes, struct glet_error *err);

/* Copies params. */
GLET_MUST_CHECK
int glet_cpu_add_kernel(struct glet_cpu_build *b, glet_cpu_kernel kernel, const int *buffers,
                        int count, const void *params, size_t params_bytes, struct glet_error *err);
/* Takes pd over (destroys it, on failure too). A scratchpad operand is added where needed. */
GLET_MUST_CHECK
int glet_cpu_add_primitive(struct glet_cpu_build *b, dnnl_primitive_desc_t pd,
                           const struct glet_cpu_operand *operands, int count,
                           struct glet_error *err);
/* Adds a conversion between layouts. */
GLET_MUST_CHECK
int glet_cpu_add_reorder(struct glet_cpu_build *b, int from, const dnnl_memory_desc_t *from_md,
                         int to, const dnnl_memory_desc_t *to_md, struct glet_error *err);

dnnl_engine_t glet_cpu_engine(const struct glet_cpu_build *b);
struct glet_cpu_packs *glet_cpu_packs_of(const struct glet_cpu_build *b);
const struct glet_model *glet_cpu_model_of(const struct glet_cpu_build *b);

/* ---- attributes ---- */

/* User-mode scratchpad and these post-operations; NULL on failure. */
dnnl_primitive_attr_t glet_cpu_attributes(bool residual, const struct glet_activation *activation,
                                          struct glet_error *err);
/* Whether oneDNN can apply it as a post-operation. GLET_ACT_NONE counts as yes. */
bool glet_cpu_can_fuse(const struct glet_activation *activation);
/* Applies an activation that could not be fused to the node's result, in place. */
GLET_MUST_CHECK
int glet_cpu_activate(struct glet_cpu_build *b, int tensor, struct glet_error *err);

/* GLET_ERR_UNSUPPORTED "node NAME: OP: ..." */
int glet_cpu_unsupported(const struct glet_cpu_build *b, struct glet_error *err, const char *format,
                         ...) GLET_PRINTF(3, 4);

/* ---- one per operator family ---- */

GLET_MUST_CHECK int glet_cpu_build_conv(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_conv_transpose(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_matmul(struct glet_cpu_build *b, struct glet_error *err);
/* A layer for a single row, y = act(x w + bias), without residual (build_single_row.c). */
bool glet_cpu_wants_single_row(int64_t m, int64_t k, int64_t n);
GLET_MUST_CHECK int glet_cpu_build_single_row(struct glet_cpu_build *b, int64_t k, int64_t n,
                                              int bias, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_pool(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_batch_norm(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_layer_norm(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_softmax(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_lrn(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_binary(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_unary(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_where(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_cast(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_concat(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_strided_copy(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_gather(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_pad(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_resize(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_reduce(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_arg_max(struct glet_cpu_build *b, struct glet_error *err);
GLET_MUST_CHECK int glet_cpu_build_attention(struct glet_cpu_build *b, struct glet_error *err);

#endif
