/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_STEP_PLAN_H
#define GLET_CUDA_STEP_PLAN_H

/*
 * What a GPU will do for a bound graph, decided without a GPU: a list of steps over *places*.
 *
 * A place says where a tensor lies: a buffer, an offset, and a stride per dimension. Floating-point
 * tensors are held in the plan's type (FP16, or FP32), all others as they are. Feature maps lie
 * with their channels innermost (NHWC) and the pitch of a pixel rounded up to 16 bytes, everything
 * else lies row-major. Transposing, slicing, broadcasting and reshaping are other strides over the
 * same bytes, and a concatenation along channels is a channel offset that its producers write to:
 * data moves only where a step needs a layout that nobody made (a MAP step without operations).
 *
 * Channels between a feature map's own and its pitch hold finite values: the libraries compute on
 * whole vectors, with weights that are zero there.
 *
 * Pure: no device, no library. The same list runs on a GPU (cuda_net.c) and, in tests, on the host.
 */

#include "common/error.h"
#include "runtime/device/cuda/plan/precision.h"
#include "runtime/engine/graph.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    GLET_CUDA_VECTOR_BYTES = 16,   /* of the widest load; what every feature map is aligned to */
    GLET_CUDA_ALIGN_BYTES = 256,   /* of buffers in the arena, as cuMemAlloc aligns */
    GLET_CUDA_MAX_PLACES = 8,      /* of one step */
    GLET_CUDA_MAP_INPUTS = 6,      /* of a MAP step */
    GLET_CUDA_MAP_OPERATIONS = 12, /* of a MAP step */
};

struct glet_cuda_place {
    int buffer;            /* -1 = none (an operand that is left out) */
    int64_t offset;        /* elements */
    enum glet_dtype dtype; /* as it lies */
    int rank;
    int64_t dims[GLET_MAX_RANK], strides[GLET_MAX_RANK]; /* elements; a stride may be 0 or < 0 */
    int64_t channels; /* of a feature map: how many are there and finite, >= dims[1]; else 0 */
};

/* How a constant becomes the bytes of a WEIGHT buffer. */
enum glet_cuda_packing {
    GLET_CUDA_PACK_PLAIN,      /* converted, row-major; zeros up to the buffer's size */
    GLET_CUDA_PACK_KRSC,       /* K x C x R x S -> rows x R x S x columns, zero where padded */
    GLET_CUDA_PACK_DEPTHWISE,  /* C x 1 x R x S -> R x S x columns */
    GLET_CUDA_PACK_TRANSPOSED, /* groups x C x K / groups x R x S -> K x R x S x columns */
    GLET_CUDA_PACK_BESIDE,     /* `rows` rows of each of `beside`, side by side */
};
enum { GLET_CUDA_MAX_BESIDE = 4 };
struct glet_cuda_weight {
    const void *data; /* borrowed from the model or the graph; BESIDE: NULL */
    enum glet_dtype from, to;
    enum glet_cuda_packing packing;
    int64_t count;      /* elements of data, or of all of `beside` */
    int64_t k, c, r, s; /* of a convolution's; TRANSPOSED: c of one group */
    int64_t groups;     /* TRANSPOSED */
    int64_t rows, columns;
    struct {
        const void *data;
        int64_t columns; /* 0 = no more */
    } beside[GLET_CUDA_MAX_BESIDE];
    size_t bytes; /* of the result */
};
/* Writes weight->bytes to out. Finite values beyond FP16's range become its largest. */
void glet_cuda_weight_pack(const struct glet_cuda_weight *weight, void *out);
/* Whether two say the same of the same data. */
bool glet_cuda_weight_same(const struct glet_cuda_weight *a, const struct glet_cuda_weight *b);

enum glet_cuda_buffer_kind {
    GLET_CUDA_ARENA,
    GLET_CUDA_WEIGHT,
    GLET_CUDA_INPUT,  /* as the request brings it: the model's type, row-major */
    GLET_CUDA_OUTPUT, /* likewise */
};
struct glet_cuda_buffer {
    enum glet_cuda_buffer_kind kind;
    int index; /* of the input or output */
    size_t bytes;
    int first_step, last_step; /* -1 = no step uses it */
    size_t offset_bytes;       /* ARENA: in the arena */
    struct glet_cuda_weight weight;
};

enum glet_cuda_step_kind {
    /* by a library. places: x, w, bias, residual, y */
    GLET_CUDA_CONV,
    GLET_CUDA_GEMM,
    GLET_CUDA_ATTENTION, /* q, k, v, mask, y, scores (scratch for the unfused way) */
    /* by our kernels */
    GLET_CUDA_CONV_DIRECT,    /* as CONV, for groups and shapes that libraries do not take */
    GLET_CUDA_CONV_TRANSPOSE, /* as CONV, the other way */
    GLET_CUDA_DEPTHWISE,      /* as CONV, one channel per group */
    GLET_CUDA_POOL,           /* x, y; also global */
    GLET_CUDA_LRN,            /* x, y: over neighbouring channels */
    GLET_CUDA_MAP,            /* inputs ..., y: operations per element */
    GLET_CUDA_SOFTMAX,        /* x, mask, y: rows along the last dimension */
    GLET_CUDA_LAYER_NORM,     /* x, scale, bias, y: rows along the last dimension */
    GLET_CUDA_REDUCE,         /* x, y: y has stride 0 where x is reduced */
    GLET_CUDA_ARG_MAX,        /* x, y: along the last dimension */
    GLET_CUDA_GATHER,         /* data (outer, axis, inner), indices (1 dimension), y */
    GLET_CUDA_PAD,            /* x, y */
    GLET_CUDA_RESIZE,         /* x, y: N x C x H x W */
    GLET_CUDA_STEP_KINDS
};
const char *glet_cuda_step_kind_name(enum glet_cuda_step_kind kind);

/* A MAP step keeps one value per element: input 0, then what each operation makes of it. */
enum glet_cuda_map_code {
    GLET_CUDA_MAP_BINARY,     /* v = v `binary` input; swapped: input `binary` v */
    GLET_CUDA_MAP_ACTIVATION, /* v = activation(v) */
    GLET_CUDA_MAP_SCALE,      /* v = v * input + next input */
    GLET_CUDA_MAP_SELECT,     /* v = v ? input : next input */
    GLET_CUDA_MAP_CAST,       /* v = what the type `cast` makes of it */
};
struct glet_cuda_map_operation {
    enum glet_cuda_map_code code;
    enum glet_binary binary;
    bool swapped;
    int input;
    struct glet_activation activation;
    enum glet_dtype cast;
};

/* y[o][b] = act(alpha * a[o][b] * w[o][b] + bias + residual[o][b]): row-major, m x k times k x n.
   Leading dimensions in elements; `trans`: the matrix lies transposed. */
struct glet_cuda_gemm {
    int64_t m, n, k;
    bool trans_a, trans_b;
    int64_t lda, ldb, ldc, ldy;
    int64_t batch, stride_a, stride_b, stride_c, stride_y;
    int64_t outer, outer_a, outer_b, outer_c, outer_y; /* repeats the whole call */
};
struct glet_cuda_attention {
    int64_t batch, heads, queries, keys, depth, value_depth;
    struct glet_cuda_gemm scores, values; /* the unfused way */
};

struct glet_cuda_step {
    enum glet_cuda_step_kind kind;
    const char *name;             /* of the node */
    const struct glet_node *node; /* its windows, epsilon, ...; NULL for conversions */
    int place_count;
    struct glet_cuda_place places[GLET_CUDA_MAX_PLACES];
    struct glet_activation activation; /* CONV..., GEMM, DEPTHWISE */
    bool integer;                      /* MAP: computes in INT64 instead of FP32 */
    int operation_count;
    struct glet_cuda_map_operation operations[GLET_CUDA_MAP_OPERATIONS];
    struct glet_cuda_gemm gemm;
    struct glet_cuda_attention attention;
};

struct glet_cuda_plan {
    const struct glet_graph *graph;
    enum glet_cuda_precision precision;
    enum glet_dtype type; /* of floating-point tensors: FP16 or FP32 */
    struct glet_cuda_step *steps;
    int step_count;
    struct glet_cuda_buffer *buffers;
    int buffer_count;
    size_t arena_bytes, arena_bound_bytes;
    size_t step_capacity, buffer_capacity;
};

/*
 * Plans a bound graph, which is borrowed and outlives the plan. GLET_ERR_UNSUPPORTED names node,
 * operator and types. GLET_ERR_NOMEM. Safe from any thread.
 */
GLET_MUST_CHECK
int glet_cuda_plan_new(const struct glet_graph *graph, enum glet_cuda_precision precision,
                       struct glet_cuda_plan **out, struct glet_error *err);
void glet_cuda_plan_free(struct glet_cuda_plan *plan); /* NULL is accepted */

/* One line per step, for people and golden files: kinds, places, fusions. */
void glet_cuda_plan_print(const struct glet_cuda_plan *plan, FILE *out);

int64_t glet_cuda_place_count(const struct glet_cuda_place *place); /* elements */

/* Whether two places share a byte; conservative. Both of one buffer's elements. */
bool glet_cuda_places_equal(const struct glet_cuda_place *a, const struct glet_cuda_place *b);

#endif
