/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_ENGINE_ONNX_READER_H
#define GLET_ENGINE_ONNX_READER_H

/*
 * The wire format of an ONNX file, decoded without copying: texts and weights are spans of the
 * caller's memory, arrays lie in the caller's arena, so results live as long as both. Repeated
 * messages are glet_vec of the generated struct; repeated numbers glet_vec of int64_t or float;
 * a tensor's typed data stay packed as they are. Safe from any thread.
 */

#include "common/error.h"
#include "runtime/engine/arena.h"

#include <pb.h>

#include "onnx.pb.h"

/* Decodes a whole file. GLET_ERR_INPUT (malformed), GLET_ERR_NOMEM. */
GLET_MUST_CHECK
int glet_onnx_read(const uint8_t *bytes, size_t length_bytes, struct glet_arena *arena,
                   glet_onnx_Model *out, struct glet_error *err);

/* Decodes the tensor of an attribute, a span that glet_onnx_read() returned. */
GLET_MUST_CHECK
int glet_onnx_read_tensor(struct glet_span bytes, struct glet_arena *arena, glet_onnx_Tensor *out,
                          struct glet_error *err);

/*
 * Unpacks a packed field of varints into values[count]. Returns the number of values that the span
 * holds (all are counted, the first `count` are stored), or -1 if it is malformed.
 */
int64_t glet_onnx_varints(struct glet_span packed, int64_t *values, int64_t count);

#endif
