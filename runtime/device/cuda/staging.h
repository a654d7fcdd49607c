/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_STAGING_H
#define GLET_CUDA_STAGING_H

/*
 * What the batches of one net pass through between host and net, and the copies in both directions.
 *
 * A batch that nothing runs beside is copied on the gpu-let's own stream, straight into the net's
 * inputs and out of its outputs. One that begins while another computes cannot be: the net's memory
 * is in use. Its input is copied to a landing place by the stream for copies in, and moved from
 * there into the net in between two batches, which takes the GPU's own bandwidth instead of the
 * bus; its output is moved to a leaving place in the same way, which the stream for copies out
 * empties while the next batch computes. Places in pinned memory are double, since the host fills
 * one batch and reads another while copies run. Rows may also come from pinned memory elsewhere: the
 * copies of a batch then begin there.
 *
 * Threads: those of the net's gpu-let.
 */

#include "runtime/device/cuda/net/cuda_net.h"

enum { GLET_CUDA_SLOTS = 2 };

struct glet_cuda_slot {
    void **inputs, **outputs; /* pinned, of a whole batch */
    CUevent done;             /* the outputs are there */
};

struct glet_cuda_fed { /* rows that the next batch has elsewhere */
    const unsigned char *memory;
    size_t first, rows;
};

struct glet_cuda_staging {
    const struct glet_cuda_site *site;
    const struct glet_cuda_net *net;
    const struct glet_model *model;
    size_t batch, input_count, output_count;
    struct glet_cuda_slot slots[GLET_CUDA_SLOTS];
    struct glet_cuda_fed *fed; /* of input i from i * batch on, in the order of the rows */
    size_t *fed_counts;
    CUdeviceptr *landing, *leaving;
    size_t device_bytes;           /* of these */
    CUevent arrived, taken, ready; /* landing is filled, landing is free, leaving is filled */
};

/* Allocates everything; inputs hold zeros. What is borrowed outlives it. After a failure
   glet_cuda_staging_fini() is due as well. GLET_ERR_NOMEM (host or device), GLET_ERR_DEVICE. */
GLET_MUST_CHECK
int glet_cuda_staging_init(struct glet_cuda_staging *staging, const struct glet_cuda_site *site,
                           const struct glet_cuda_net *net, const struct glet_model *model,
                           int batch, struct glet_error *err);
void glet_cuda_staging_fini(struct glet_cuda_staging *staging); /* the GPU must be done */

/* glet_executor_feed() of the batch that is enqueued next. */
bool glet_cuda_staging_feed(struct glet_cuda_staging *staging, size_t input, int first, int rows,
                            const void *memory);

/*
 * Enqueue the copies of `used` rows of the batch in slots[i]: what the site's stream is given after
 * the first has the inputs, and what it was given before the second makes the outputs, which are
 * there when slots[i].done is reached. beside: the batch before may still be on its way.
 */
GLET_MUST_CHECK
int glet_cuda_staging_in(struct glet_cuda_staging *staging, int i, int used, bool beside,
                         struct glet_error *err);
GLET_MUST_CHECK
int glet_cuda_staging_out(const struct glet_cuda_staging *staging, int i, int used, bool beside,
                          struct glet_error *err);

#endif
