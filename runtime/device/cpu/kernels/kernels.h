/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_KERNELS_H
#define GLET_CPU_KERNELS_H

/*
 * What oneDNN has no primitive for, on row-major tensors of any held type. Pure functions of their
 * arguments that use the calling thread's team (team.h) where the work is worth it.
 */

#include "common/error.h"
#include "runtime/device/cpu/kernels/simd.h"
#include "runtime/engine/graph.h"

#include <stddef.h>
#include <stdint.h>

/* Work below this many elements is not worth waking another thread: about 10 us of memory
   traffic. */
enum { GLET_CPU_PARALLEL_ELEMENTS = 16384 };

/* ---- loops over several operands (kernels_loop.c) ---- */

enum { GLET_CPU_LOOP_OPERANDS = 4 };

/* A loop nest with a stride, in elements, per operand and dimension; operand 0 is the result. */
struct glet_cpu_loop {
    int rank, operands;
    int64_t dims[GLET_MAX_RANK];
    int64_t strides[GLET_CPU_LOOP_OPERANDS][GLET_MAX_RANK];
};

/* Row-major result of these dimensions, no other operand yet. */
struct glet_cpu_loop glet_cpu_loop_new(int rank, const int64_t *dims);
/* Adds an operand that numpy's rules broadcast to the result. */
void glet_cpu_loop_broadcast(struct glet_cpu_loop *loop, int rank, const int64_t *dims);
/* Drops dimensions of 1 and merges neighbours that every operand walks as one. Rank is >= 1. */
void glet_cpu_loop_simplify(struct glet_cpu_loop *loop);
/* Calls body for every row (the innermost dimension) with each operand's offset in elements; on the
   team when the loop is long. */
void glet_cpu_loop_run(const struct glet_cpu_loop *loop,
                       void (*body)(const int64_t *offsets, int64_t n, void *data), void *data);

/* ---- elementwise (kernels_generic.c) ---- */

void glet_cpu_convert(void *out, enum glet_dtype to, const void *in, enum glet_dtype from,
                      int64_t count);
/* operands: result, a, b. a and b are of type `dtype`; comparisons give GLET_BOOL. */
void glet_cpu_binary(const struct glet_cpu_loop *loop, enum glet_binary op, enum glet_dtype dtype,
                     void *out, const void *a, const void *b);
/* NOT, NEG, ABS, SIGN, CLIP, RELU on types that are not fp32. False if there is no such kernel. */
bool glet_cpu_unary_generic(enum glet_dtype dtype, const struct glet_activation *activation,
                            void *out, const void *in, int64_t count);
/* operands: result, condition, a, b */
void glet_cpu_where(const struct glet_cpu_loop *loop, size_t element_bytes, void *out,
                    const unsigned char *condition, const void *a, const void *b);

/* ---- movement (kernels_move.c) ---- */

/* operands: result, source; offsets already in the pointers */
void glet_cpu_copy(const struct glet_cpu_loop *loop, size_t element_bytes, void *out,
                   const void *in);
/* outer x axis x inner_bytes from indices[count]; negative indices count from the end. An index
   outside the axis, which a request may carry, gives zeros: other requests share the batch. */
void glet_cpu_gather(void *out, const void *data, const void *indices, enum glet_dtype index_dtype,
                     int64_t outer, int64_t axis, int64_t count, size_t inner_bytes);
/* Row-major pad; mode as in struct glet_node. `value` is one element. */
void glet_cpu_pad(void *out, const int64_t *out_dims, const void *in, const int64_t *in_dims,
                  const int64_t *begin, int rank, int mode, size_t element_bytes,
                  const void *value);

/* ---- reductions (kernels_reduce.c) ---- */

/* Over the dimensions of axes_mask. op is one of the GLET_OP_REDUCE_*. */
void glet_cpu_reduce(enum glet_op op, enum glet_dtype dtype, void *out, const void *in, int rank,
                     const int64_t *dims, uint32_t axes_mask);
/* First index of the largest of `axis` elements. */
void glet_cpu_arg_max(int64_t *out, const void *in, enum glet_dtype dtype, int64_t outer,
                      int64_t axis, int64_t inner);
/* Softmax of alpha * in over an axis that is not the last one. */
void glet_cpu_softmax_strided(float *out, const float *in, int64_t outer, int64_t axis,
                              int64_t inner, float alpha);

/* ---- windows (kernels_window.c) ---- */

/* y = x / (k + alpha / size * sum of squares over `size` channels)^beta, N x C x inner */
void glet_cpu_lrn(float *out, const float *in, int64_t batch, int64_t channels, int64_t inner,
                  int size, float alpha, float beta, float k);

/* One dimension of a resize: out[i] = (1 - weight[i]) * in[low[i]] + weight[i] * in[high[i]] */
struct glet_cpu_taps {
    int64_t in, out;
    int32_t *low, *high;
    float *weight;
};
/* Separable over the last `spatial` dimensions; `nearest` takes low[] and copies. */
void glet_cpu_resize(void *out, const void *in, int64_t outer, int spatial,
                     const struct glet_cpu_taps *taps, bool nearest, size_t element_bytes);

#endif
