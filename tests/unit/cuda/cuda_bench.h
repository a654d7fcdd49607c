/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_CUDA_BENCH_H
#define GLET_TESTS_CUDA_BENCH_H

/* A gpu-let on the fake driver, for tests of nets: what the CUDA device does around them. */

#include "runtime/device/cuda/net/cuda_net.h"

struct bench {
    const struct glet_cuda_api *api;
    CUdevice device;
    CUcontext context;
    struct glet_cuda_store *store;
    bool borrows; /* the store */
    struct glet_cuda_site site;
};

/* Kernels run on the host from here on. folder: of the cache, or NULL. */
GLET_MUST_CHECK
int bench_open(struct bench *bench, enum glet_cuda_precision precision, const char *folder,
               struct glet_error *err);
/* Another gpu-let of the same device, on the thread that will use it; ended before the first is. */
GLET_MUST_CHECK
int bench_open_beside(struct bench *bench, const struct bench *first, struct glet_error *err);
void bench_close(struct bench *bench); /* also what a failed bench_open() left */

/* Captures the net into a graph and replays it on these inputs, rows after rows. */
GLET_MUST_CHECK
int bench_run(struct bench *bench, struct glet_cuda_net *net, const struct glet_model *model,
              int batch, void *const *inputs, void *const *outputs, struct glet_error *err);

#endif
