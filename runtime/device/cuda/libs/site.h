/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_SITE_H
#define GLET_CUDA_SITE_H

/* Where nets run, as the device makes it: a gpu-let, and what all gpu-lets of a device share. */

#include "common/error.h"
#include "runtime/device/cuda/driver/api.h"
#include "runtime/device/cuda/plan/precision.h"
#include "runtime/engine/model.h"

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

#endif
