/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_PACKS_H
#define GLET_CPU_PACKS_H

/*
 * Constants in the layouts that primitives want, packed once per device and shared by every net.
 * See cpu_net.h for what the device sees of it.
 */

#include "runtime/device/cpu/net/cpu_net.h"
#include "runtime/device/cpu/net/dnnl.h"

/* Packings of our own (`kind`). */
enum {
    GLET_CPU_PACK_FP32 = 1, /* converted to fp32 */
    GLET_CPU_PACK_COPY,     /* the same bytes, aligned */
    GLET_CPU_PACK_PANELS    /* a matrix for glet_cpu_simd.row_times_matrix */
};

/* A constant: its address is its identity, as long as its content is the same. */
struct glet_cpu_constant {
    const struct glet_model *model; /* whose it is; for glet_cpu_packs_forget() */
    const void *data;
    size_t size_bytes;
};

/*
 * The constant, laid out as `from`, in the layout `to`. Packed on first use, later calls with an
 * equal layout get the same bytes. Borrowed until the cache is freed. Safe from any thread.
 */
GLET_MUST_CHECK
int glet_cpu_packs_get(struct glet_cpu_packs *packs, const struct glet_cpu_constant *constant,
                       const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to,
                       const void **packed_out, struct glet_error *err);

/*
 * As above for a packing of our own: fill(out, data, context) writes size_bytes. `kind` and
 * `parameter` together with the constant are the key.
 */
GLET_MUST_CHECK
int glet_cpu_packs_make(struct glet_cpu_packs *packs, const struct glet_cpu_constant *constant,
                        int kind, int64_t parameter, size_t size_bytes,
                        void (*fill)(void *out, const void *data, const void *context),
                        const void *context, const void **packed_out, struct glet_error *err);

#endif
