/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_ISOLATION_H
#define GLET_CUDA_ISOLATION_H

/* Where gpu-lets were seen to run, and whether any two met. Pure. */

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

enum { GLET_CUDA_MAX_SMS = 1024 };

struct glet_cuda_seen {
    uint64_t blocks[GLET_CUDA_MAX_SMS]; /* of one gpu-let on each SM */
    int sm_limit;                       /* SMs that it has */
};

/* Adds what blocks wrote; GLET_ERR_DEVICE: no GPU has such an SM. */
GLET_MUST_CHECK
int glet_cuda_seen_add(struct glet_cuda_seen *seen, const uint32_t *sms, size_t count,
                       struct glet_error *err);
int glet_cuda_seen_sms(const struct glet_cuda_seen *seen);

/* GLET_ERR_DEVICE names the SMs on which two of the gpu-lets met, or the gpu-let that ran on more
   SMs than it has. */
GLET_MUST_CHECK
int glet_cuda_seen_apart(const struct glet_cuda_seen *seen, size_t count, struct glet_error *err);

#endif
