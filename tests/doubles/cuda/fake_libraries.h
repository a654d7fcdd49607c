/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_FAKE_LIBRARIES_H
#define GLET_FAKE_LIBRARIES_H

/*
 * cuDNN and cuBLASLt without a GPU, in one shared library that GPULET_LIBCUDNN and
 * GPULET_LIBCUBLASLT name. They run on the fake driver (fake_cuda.h) and compute what is asked,
 * slowly, so that whole nets give right results.
 *
 * Checked: attributes that a descriptor has, with their types and counts; set before finalised, and
 * everything that is needed; finalised before used; nothing finalised or asked of heuristics while
 * the thread captures; a workspace where the plan wants one; aligned pointers; the stream set; no use
 * after destruction; no leak.
 */

#include <stdbool.h>

/* What engines do not support. */
enum fake_refusal {
    FAKE_REFUSE_NOTHING = 0,
    FAKE_REFUSE_FUSED = 1,     /* graphs of a convolution and more */
    FAKE_REFUSE_PITCHED = 2,   /* a result with gaps between its pixels */
    FAKE_REFUSE_CONV = 4,      /* every convolution */
    FAKE_REFUSE_ATTENTION = 8, /* graphs that begin with a product */
    FAKE_REFUSE_SM_TARGET = 32,
    FAKE_REFUSE_CHAINS = 64, /* of more than a residual, a bias and a function */
    FAKE_REFUSE_GEMM = 16,   /* cuBLASLt finds no algorithm where there is a convolution's way */
};
void fake_libraries_reset(int refusals);
/* From now on the nth call of either library (1 = the next) fails; 0: none. */
void fake_libraries_fail(long nth);
long fake_libraries_calls(void);
int fake_libraries_plans(void);      /* execution plans finalised since the reset */
int fake_libraries_heuristics(void); /* of either library, asked since the reset */
int fake_libraries_breaches(void);
const char *fake_libraries_breach(void); /* the first; "" = none */
int fake_libraries_live(void);           /* descriptors and handles that exist */

#endif
