/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_DNNL_H
#define GLET_CPU_DNNL_H

/*
 * oneDNN's C API (2.x) with our errors: one engine for the process, memory descriptors from our
 * tensors, and layout conversions.
 */

#include "common/error.h"
#include "runtime/engine/graph.h"

#include <dnnl.h>

/* Fails with GLET_ERR_DEVICE, NOMEM or UNSUPPORTED after what oneDNN said; 0 on success. */
GLET_MUST_CHECK
int glet_dnnl_check(dnnl_status_t status, const char *what, struct glet_error *err);

/* The process's CPU engine and a stream on it; made on first use, never destroyed. */
GLET_MUST_CHECK
int glet_dnnl_start(dnnl_engine_t *engine, dnnl_stream_t *stream, struct glet_error *err);

/* Row-major fp32 of these dimensions; rank 0 is described as one dimension of 1. */
dnnl_memory_desc_t glet_dnnl_plain(int rank, const int64_t *dims);
/* The same dimensions with the layout left to the primitive. */
dnnl_memory_desc_t glet_dnnl_any(int rank, const int64_t *dims);
/* fp32 with these strides, in elements. */
dnnl_memory_desc_t glet_dnnl_strided(int rank, const int64_t *dims, const int64_t *strides);

/* Whether the bytes are those of the row-major tensor: no padding, dimensions of 1 do not count. */
bool glet_dnnl_is_plain(const dnnl_memory_desc_t *md);
/* Channels per innermost block when the layout is (outer, C / block, inner, block), with block = 1
   for row-major and block = C for channels-last; 0 for any other layout. */
int64_t glet_dnnl_channel_block(const dnnl_memory_desc_t *md);
bool glet_dnnl_has_padding(const dnnl_memory_desc_t *md);

/* Converts now, with primitives of its own (build time only). */
GLET_MUST_CHECK
int glet_dnnl_convert(const dnnl_memory_desc_t *from, const void *from_data,
                      const dnnl_memory_desc_t *to, void *to_data, struct glet_error *err);

#endif
