/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_NET_H
#define GLET_CUDA_NET_H

/*
 * A model at one batch, built for a gpu-let: what the CUDA device calls to record a batch.
 *
 * Everything is prepared by glet_cuda_net_build(): weights are on the GPU (once per device), device
 * memory is planned and allocated, every library plan is chosen and every kernel loaded. Recording
 * only enqueues: the caller captures it into a CUDA graph, and a request replays that graph. After
 * the build nothing allocates, loads, or synchronises.
 *
 * Threads: a net belongs to its gpu-let's worker thread, on which the site's context is current.
 */

#include "common/error.h"
#include "runtime/device/cuda/cuda_api.h"
#include "runtime/device/cuda/cuda_precision.h"
#include "runtime/device/device.h"
#include "runtime/engine/model.h"

#include <stddef.h>

/* What all nets of one device share: weights on the GPU, the kernel module, the libraries that are
   open, the cache of library plans. Safe from any thread. */
struct glet_cuda_store;

/* Where a net runs: one gpu-let. Borrowed from the device; outlives its nets. */
struct glet_cuda_site {
    const struct glet_cuda_api *api;
    struct glet_cuda_store *store;
    CUcontext context; /* of the green context, or the primary one where there is one gpu-let */
    CUstream stream;   /* of that context; the only one that a net uses */
    CUstream copy_in, copy_out; /* of that context: from and to the host beside what computes */
    int sm_count, device_sms;   /* of the gpu-let, read back from the driver; of the device */
    void *handles; /* cuDNN's and cuBLASLt's handles of this gpu-let; owned by the site, made and
                      ended by glet_cuda_site_open() / _close() */
};

/* cache_dir: where choices of library plans are kept between runs; NULL = nowhere. The context that
   is current owns the weights. GLET_ERR_DEVICE names the library or symbol that is missing. */
GLET_MUST_CHECK
int glet_cuda_store_new(const struct glet_cuda_api *api, CUdevice device,
                        enum glet_cuda_precision precision, const char *cache_dir,
                        struct glet_cuda_store **out, struct glet_error *err);
void glet_cuda_store_free(struct glet_cuda_store *store); /* NULL is accepted; nets must be gone */
void glet_cuda_store_forget(struct glet_cuda_store *store, const struct glet_model *model);

/* Versions of the libraries that compute, as one line: what a measured latency depends on. */
const char *glet_cuda_store_versions(const struct glet_cuda_store *store);

/* Makes and ends the library handles and the workspace of a gpu-let, on its worker's thread. */
GLET_MUST_CHECK int glet_cuda_site_open(struct glet_cuda_site *site, struct glet_error *err);
void glet_cuda_site_close(struct glet_cuda_site *site);

struct glet_cuda_net;

/*
 * Builds `model` at `batch`. site and model are borrowed and outlive the net.
 * GLET_ERR_UNSUPPORTED (names node, operator, types), GLET_ERR_NOMEM (host or device),
 * GLET_ERR_DEVICE (a library or the driver failed: which call, and its text).
 */
GLET_MUST_CHECK
int glet_cuda_net_build(struct glet_cuda_site *site, const struct glet_model *model, int batch,
                        struct glet_cuda_net **out, struct glet_error *err);
void glet_cuda_net_free(struct glet_cuda_net *net); /* NULL is accepted; the GPU must be done */

/* Device memory of input / output i in the model's own type and row-major layout with the batch
   outermost, batch x glet_model_input(model, i)->bytes: what is copied from and to the host. */
CUdeviceptr glet_cuda_net_input(const struct glet_cuda_net *net, size_t i);
CUdeviceptr glet_cuda_net_output(const struct glet_cuda_net *net, size_t i);

/* Enqueues one whole batch on the site's stream: safe while that stream is being captured. */
GLET_MUST_CHECK int glet_cuda_net_record(struct glet_cuda_net *net, struct glet_error *err);

size_t glet_cuda_net_activation_bytes(const struct glet_cuda_net *net); /* and its staging */
/* glet_executor_steps(), on the site's stream. */
GLET_MUST_CHECK
int glet_cuda_net_steps(struct glet_cuda_net *net, struct glet_step_time **out, size_t *count_out,
                        struct glet_error *err);

size_t glet_cuda_net_step_count(const struct glet_cuda_net *net);
const char *glet_cuda_net_step_name(const struct glet_cuda_net *net, size_t i);

#endif
