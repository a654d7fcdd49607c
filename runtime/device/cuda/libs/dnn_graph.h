/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_DNN_GRAPH_H
#define GLET_CUDA_DNN_GRAPH_H

/*
 * cuDNN's backend API in the shape that we use: a graph of operations over tensors, the engines that
 * can run it, the fastest of them. Operations append and remember the first failure, so that a graph
 * is written down without a check per line; glet_dnn_graph_choose() reports it.
 */

#include "runtime/device/cuda/libs/device_store.h"

enum { GLET_DNN_MAX_DESCRIPTORS = 96, GLET_DNN_MAX_OPERATIONS = 12, GLET_DNN_MAX_OPERANDS = 8 };

struct glet_dnn_graph {
    const struct glet_cuda_site *site;
    cudnnBackendDescriptor_t descriptors[GLET_DNN_MAX_DESCRIPTORS]; /* destroyed with the graph */
    int descriptor_count;
    cudnnBackendDescriptor_t operations[GLET_DNN_MAX_OPERATIONS];
    int operation_count;
    int64_t next_id;
    int64_t ids[GLET_DNN_MAX_OPERANDS];
    void *pointers[GLET_DNN_MAX_OPERANDS];
    int operand_count;
    bool is_product; /* has a matrix product: a network has few that differ, and they are large */
    bool failed;
    struct glet_error error;
};

typedef cudnnBackendDescriptor_t glet_dnn_tensor; /* NULL after a failure, which is accepted */

void glet_dnn_graph_init(struct glet_dnn_graph *graph, const struct glet_cuda_site *site);
void glet_dnn_graph_fini(struct glet_dnn_graph *graph);

/* A tensor in memory; one that only exists inside the graph. */
glet_dnn_tensor glet_dnn_place(struct glet_dnn_graph *graph, const struct glet_cuda_place *place,
                               void *pointer);
glet_dnn_tensor glet_dnn_virtual(struct glet_dnn_graph *graph, enum glet_dtype dtype, int rank,
                                 const int64_t *dims, const int64_t *strides);
/* A number that is read when the plan runs: it outlives the plan. */
glet_dnn_tensor glet_dnn_scalar(struct glet_dnn_graph *graph, int rank, const float *value);

struct glet_dnn_window {
    int64_t pre[2], post[2], strides[2], dilations[2];
};
void glet_dnn_conv(struct glet_dnn_graph *graph, const struct glet_dnn_window *window,
                   glet_dnn_tensor x, glet_dnn_tensor w, glet_dnn_tensor y);
void glet_dnn_binary(struct glet_dnn_graph *graph, cudnnPointwiseMode_t mode, glet_dnn_tensor x,
                     glet_dnn_tensor b, glet_dnn_tensor y);
void glet_dnn_unary(struct glet_dnn_graph *graph, cudnnPointwiseMode_t mode, glet_dnn_tensor x,
                    glet_dnn_tensor y);
/* Whether cuDNN has a function of that kind that is exactly ours. */
bool glet_dnn_has_activation(const struct glet_activation *activation);
void glet_dnn_activation(struct glet_dnn_graph *graph, const struct glet_activation *activation,
                         glet_dnn_tensor x, glet_dnn_tensor y);
/* x clip(x / 6 + 1/2, 0, 1) of four operations, of which three results of the given shape are between
   them: not every engine that has a function takes so many. */
void glet_dnn_hard_swish(struct glet_dnn_graph *graph, int rank, const int64_t *dims,
                         const int64_t *strides, glet_dnn_tensor x, glet_dnn_tensor y);
void glet_dnn_matmul(struct glet_dnn_graph *graph, glet_dnn_tensor a, glet_dnn_tensor b,
                     glet_dnn_tensor c);
void glet_dnn_reduction(struct glet_dnn_graph *graph, cudnnReduceTensorOp_t operation,
                        glet_dnn_tensor x, glet_dnn_tensor y);

/* A finalised plan with its pointers: enqueuing it is one call. */
struct glet_dnn_plan {
    cudnnBackendDescriptor_t plan, pack;
    double ms; /* as timed; 0 = the choice was cached */
};

/*
 * The fastest plan for the graph, by the cache under `key` or by timing candidates on the site's
 * stream. 1: chosen; 0: no engine can run it; -1: an error.
 */
GLET_MUST_CHECK
int glet_dnn_graph_choose(struct glet_dnn_graph *graph, const char *key, struct glet_dnn_plan *out,
                          struct glet_error *err);
GLET_MUST_CHECK
int glet_dnn_plan_enqueue(const struct glet_cuda_site *site, const struct glet_dnn_plan *plan,
                          struct glet_error *err);
void glet_dnn_plan_fini(const struct glet_cuda_site *site, struct glet_dnn_plan *plan);

#endif
