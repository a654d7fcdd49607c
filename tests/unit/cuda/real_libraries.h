/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_REAL_LIBRARIES_H
#define GLET_TESTS_REAL_LIBRARIES_H

/* NVIDIA's own cuDNN and cuBLASLt, asked without a GPU, for tests: a site on which nothing runs. */

#include "runtime/device/cuda/libs/dnn_graph.h"

struct glet_cuda_store {
    const struct glet_cuda_libraries *libraries;
    struct glet_choice_cache *choices;
    enum glet_cuda_precision precision; /* the test's to set */
};
extern struct glet_cuda_store real_store;
extern struct glet_cuda_site real_site;

int real_libraries_open(void); /* 0, or the status to exit with */
void real_libraries_close(void);

/* Engines for the pattern, on whatever GPU; -1 = it is none, or a descriptor was refused. */
int64_t real_engines_of(const struct glet_dnn_graph *graph);

/* Whether cuDNN makes a plan for an H100: of what it suggests first, of its fallback, or none. It asks
   no GPU for that, but a driver for the addresses of kernels (no_gpu_driver.c). */
enum real_plan { REAL_PLAN_NONE, REAL_PLAN_FALLBACK, REAL_PLAN_SUGGESTED };
enum real_plan real_h100_plan_of(const struct glet_dnn_graph *graph);

#endif
