/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_ONNX_TEXT_H
#define GLET_TESTS_ONNX_TEXT_H

/*
 * Small ONNX models from text, one thing a line:
 *
 *     opset 17
 *     input  NAME float|int64|bool DIMS        DIMS: 2,3 or batch,3; "-" = scalar
 *     weight NAME DIMS [VALUE]                 float32, all VALUE; without it the data are left out
 *     ints   NAME DIMS VALUES                  int64
 *     node   OP INPUTS OUTPUTS [name=1,2] [name:0.5] [name'text]      "_" = input left out
 *     output NAME
 *
 * "#" starts a comment line. Bad text aborts: the text is the test's own.
 */

#include "runtime/engine/model.h"

#include <stddef.h>
#include <stdint.h>

struct onnx_bytes {
    uint8_t *bytes; /* the caller's to free() */
    size_t length, capacity;
};

struct onnx_bytes onnx_from_text(const char *text);

/* Protobuf fields, for files that the text cannot say. */
void onnx_put_bytes(struct onnx_bytes *out, int field, const void *bytes, size_t length);
void onnx_put_int(struct onnx_bytes *out, int field, int64_t value);

/* Loads a model from memory (through an anonymous file). */
int onnx_load(const void *bytes, size_t length, const struct glet_model_options *options,
              struct glet_model **out, struct glet_error *err);

/* Loads the text with random weights, binds it and returns the listing; or the error's message with
   "error: " in front. The caller frees it. */
char *onnx_listing(const char *text, int batch);

#endif
