/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_ACTION_H
#define GLET_CUDA_ACTION_H

/*
 * What is enqueued for a step: one to three calls, complete with addresses. Choosing between the
 * ways to compute a step happens here, before anything is recorded: by time, where several can, and
 * with everything that a way leaves to kernels of ours.
 */

#include "runtime/device/cuda/libs/dnn_graph.h"
#include "runtime/device/cuda/libs/gemm.h"

struct glet_cuda_action {
    enum { GLET_CUDA_LAUNCH, GLET_CUDA_CUDNN, GLET_CUDA_CUBLASLT } kind;
    int step;
    CUfunction function;
    struct glet_cuda_launch launch;
    struct glet_dnn_plan dnn;
    struct glet_lt_plan lt;
};

/* The actions of one net, growing while it is built. */
struct glet_cuda_actions {
    const struct glet_cuda_site *site;
    const struct glet_cuda_plan *plan;
    void **bases; /* one more than the plan has buffers: the last is scratch of scratch_bytes */
    size_t scratch_bytes;
    struct glet_cuda_action *items;
    size_t count, capacity;
    int step;
};

GLET_MUST_CHECK
int glet_cuda_act_launch(struct glet_cuda_actions *actions, const struct glet_cuda_step *step,
                         struct glet_error *err);
GLET_MUST_CHECK
int glet_cuda_act_dnn(struct glet_cuda_actions *actions, struct glet_dnn_plan *plan,
                      struct glet_error *err); /* takes *plan over, also on failure */
GLET_MUST_CHECK
int glet_cuda_act_lt(struct glet_cuda_actions *actions, struct glet_lt_plan *plan,
                     struct glet_error *err); /* likewise */

/* One way to do a step: 1 = its actions were added, 0 = it cannot, -1 = an error. */
struct glet_cuda_way {
    const char *name;
    int (*act)(const void *context, struct glet_error *err);
};
/*
 * Adds the actions of the way that the cache has for a step with just these ways; else of the
 * fastest of the first `rivals` ways, timed with all that they add; where none of those can, of the
 * first of the others that can. Returns as a way does.
 */
GLET_MUST_CHECK
int glet_cuda_act_best(struct glet_cuda_actions *actions, const struct glet_cuda_step *step,
                       const struct glet_cuda_way *ways, int count, int rivals, const void *context,
                       struct glet_error *err);

/* Steps of the libraries. */
GLET_MUST_CHECK
int glet_cuda_act_conv(struct glet_cuda_actions *actions, const struct glet_cuda_step *step,
                       struct glet_error *err);
GLET_MUST_CHECK
int glet_cuda_act_gemm(struct glet_cuda_actions *actions, const struct glet_cuda_step *step,
                       struct glet_error *err);
GLET_MUST_CHECK
int glet_cuda_act_attention(struct glet_cuda_actions *actions, const struct glet_cuda_step *step,
                            struct glet_error *err);

GLET_MUST_CHECK
int glet_cuda_action_enqueue(const struct glet_cuda_site *site,
                             const struct glet_cuda_action *action, struct glet_error *err);
void glet_cuda_actions_fini(struct glet_cuda_actions *actions);

/* Scratch that glet_cuda_act_conv() may want for this step. */
size_t glet_cuda_conv_scratch_bytes(const struct glet_cuda_step *step);

enum { GLET_CUDA_KEY_BYTES = 2048 };
/* A key for the cache of choices: what is computed on which places, on this device and site. */
void glet_cuda_choice_key(const struct glet_cuda_actions *actions, const char *way,
                          const struct glet_cuda_step *step, char *key, size_t size);

#endif
