/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_ENGINE_ONNX_SINK_H
#define GLET_ENGINE_ONNX_SINK_H

/* What the generated ONNX messages are made of; included by them. */

#include <stddef.h>
#include <stdint.h>

/* Bytes of the mapped file; at = NULL where the field is absent. */
struct glet_span {
    const uint8_t *at;
    size_t bytes;
};

/* An array in the reader's arena. */
struct glet_vec {
    void *at;
    uint32_t count, capacity;
};

#endif
