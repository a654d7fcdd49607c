/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_NET_JOB_H
#define GLET_TESTS_NET_JOB_H

/* A small model, what the CPU makes of random inputs, and whether a net on a fake driver under fake
   libraries makes the same. */

#include "runtime/device/cuda/net/cuda_net.h"
#include "tests/doubles/cuda/fake_libraries.h"

/* Models as onnx_from_text() reads them. */
extern const char net_convolutions[], net_attention[], net_little[];

enum { BATCH = 2, MAX_IO = 4 };

struct job {
    struct glet_model *model;
    void *inputs[MAX_IO], *got[MAX_IO], *wanted[MAX_IO];
};

void job_start(struct job *job, const char *text);
void job_end(struct job *job);
double job_error(const struct job *job); /* of got[0], relative L2 */

/* One life of a gpu-let with one net; the error of what it computed, or -1 with err filled. */
double job_life(struct job *job, enum glet_cuda_precision precision, const char *folder,
                struct glet_error *err);

/* No rule of the libraries or of the driver was broken, and nothing is left. */
void job_check_clean(const char *when);

/* A clean life whose error is below the tolerance, where libraries refuse what is named. */
void job_expect(struct job *job, enum glet_cuda_precision precision, int refusals, double tolerance,
                const char *what);

#endif
