/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_ENGINE_ONNX_TENSOR_H
#define GLET_ENGINE_ONNX_TENSOR_H

/*
 * ONNX tensors as our tensors: type, dimensions, and where the data lie. Data stay in the file
 * wherever the file holds them as bytes; only varints (int32_data, int64_data) are unpacked into
 * the arena.
 */

#include "common/error.h"
#include "runtime/engine/external_data.h"
#include "runtime/engine/graph.h"
#include "runtime/engine/onnx_reader.h"

/* ONNX's TensorProto.DataType. Returns -1 for what we have no type for. */
int glet_onnx_dtype(int64_t onnx_type);

/*
 * Number of bytes of a shape, or -1 with the reason in err: a negative or overflowing dimension.
 */
GLET_MUST_CHECK
int64_t glet_shape_bytes(enum glet_dtype dtype, const int64_t *dims, int rank,
                         struct glet_error *err);

/*
 * Fills *out (out->data stays NULL, and *missing_out is true, when the tensor has elements but the
 * file holds no data at all). name: for messages, kept as out->name. external may be NULL: then
 * external data are refused. GLET_ERR_INPUT, GLET_ERR_UNSUPPORTED (type, rank), GLET_ERR_IO,
 * GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_onnx_tensor(const glet_onnx_Tensor *tensor, const char *name, struct glet_arena *arena,
                     struct glet_external *external, struct glet_tensor *out, bool *missing_out,
                     struct glet_error *err);

/* Element i of a constant as a number; `i` within its elements. */
int64_t glet_tensor_int(const struct glet_tensor *tensor, int64_t i);
double glet_tensor_float(const struct glet_tensor *tensor, int64_t i);

#endif
