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
#include "runtime/device/cuda/libs/site.h"
#include "runtime/device/device.h"
#include "runtime/engine/model.h"

#include <stddef.h>

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
