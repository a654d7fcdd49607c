/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_SIMD_H
#define GLET_CPU_SIMD_H

/*
 * The fp32 inner loops, compiled once per instruction set from simd.c and chosen when the
 * process starts. Pure; `out` may be the same memory as an input of the same layout.
 */

#include "runtime/engine/graph.h"

#include <stddef.h>

/* rows x n elements; a stride of 0 repeats: one element, or one row. Strides in elements. */
struct glet_cpu_rows {
    const float *a, *b;
    float *out;
    long rows, n;
    long a_row, b_row, out_row; /* between rows */
    int a_step, b_step;         /* within a row: 0 or 1 */
};

/* Columns of a matrix that one pass of row_times_matrix() computes: three AVX-512 registers, enough
   chains to hide the latency of a fused multiply-add. */
enum { GLET_CPU_PANEL = 48 };

struct glet_cpu_simd {
    const char *name;
    /* out = a op b; arithmetic only, comparisons are in kernels_generic.c */
    void (*binary)(enum glet_binary op, const struct glet_cpu_rows *rows);
    void (*unary)(const struct glet_activation *activation, float *out, const float *in, long n);
    /* `channels` runs of `inner` x `block`: element [c][i][k] is scaled by scale[c * block + k] */
    void (*scale_shift)(float *out, const float *in, long channels, long inner, long block,
                        const float *scale, const float *shift,
                        const struct glet_activation *activation);
    /* softmax over n contiguous elements of alpha * in + mask (mask_step 0 or 1; mask may be NULL)
     */
    void (*softmax)(float *out, const float *in, const float *mask, int mask_step, float alpha,
                    long n);
    /* (in - mean) / sqrt(variance + epsilon) * scale + bias over n elements; bias may be NULL */
    void (*layer_norm)(float *out, const float *in, const float *scale, const float *bias,
                       float epsilon, long n);
    /* out[p * PANEL + j] = sum over i of row[i] * panels[(p * k + i) * PANEL + j] */
    void (*row_times_matrix)(float *out, const float *row, const float *panels, long k,
                             long panel_count);
    float (*sum)(const float *in, long n);
    /* out[i] += in[i] */
    void (*accumulate)(float *out, const float *in, long n);
};

/* The best table that this processor can run. */
const struct glet_cpu_simd *glet_cpu_simd(void);
/* All tables that this processor can run, NULL at the end (for tests). */
const struct glet_cpu_simd *const *glet_cpu_simd_all(void);

#endif
