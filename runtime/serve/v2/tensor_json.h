/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TENSOR_JSON_H
#define GLET_TENSOR_JSON_H

/* A tensor's `data`: numbers in nested or flat arrays, row-major, to and from memory. Pure. */

#include "runtime/serve/text.h"
#include "runtime/serve/v2/json_reader.h"
#include "runtime/serve/v2/v2_model.h"

/*
 * Reads the array that comes next into out, *count elements of type; more than capacity is an
 * error. Errors are the reader's. type->kind is not OPAQUE.
 */
bool glet_tensor_json_read(struct glet_json_reader *reader, const struct glet_v2_datatype *type,
                           void *out, size_t capacity, size_t *count);

/* Appends a flat array. false: it holds an infinity or NaN, which JSON cannot express. */
bool glet_tensor_json_write(struct glet_text *text, const struct glet_v2_datatype *type,
                            const void *data, size_t count);

#endif
