/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_HAND_GRAPH_H
#define GLET_TESTS_HAND_GRAPH_H

/* Small graphs written by hand, and running them, for tests of the CPU's operators. */

#include "runtime/device/cpu/net/program.h"

enum { HAND_TENSORS = 64, HAND_NODES = 32, HAND_BYTES = 1 << 22 };

struct hand {
    struct glet_graph graph;
    struct glet_tensor tensors[HAND_TENSORS];
    struct glet_node nodes[HAND_NODES];
    int node_inputs[HAND_NODES][8];
    int inputs[8], outputs[8];
    float *data[HAND_TENSORS]; /* of inputs and constants; freed with the graph */
    uint64_t random;
};

void hand_init(struct hand *h, uint64_t seed);
void hand_free(struct hand *h);
uint64_t hand_random(struct hand *h);
int hand_below(struct hand *h, int limit); /* 0 ... limit - 1 */
float hand_uniform(struct hand *h);        /* -1 ... 1 */

/* fp32 tensors filled at random; dims ends with 0 */
int hand_input(struct hand *h, const int64_t *dims);
int hand_constant(struct hand *h, const int64_t *dims);
/* A result of these dimensions and the node that makes it; fill the node's attributes after. */
int hand_node(struct hand *h, enum glet_op op, const int *inputs, int input_count,
              const int64_t *dims);
struct glet_node *hand_last(struct hand *h);
int hand_view(struct hand *h, int of, const int64_t *dims);
void hand_output(struct hand *h, int tensor);

/* Builds and runs it on `threads` threads; out[i] gets output i (malloc). */
void hand_run(struct hand *h, int threads, float **out);

/* Largest difference relative to the largest wanted value. */
double hand_error(const float *got, const float *wanted, int64_t count);

#endif
