/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_FAKE_CUDNN_STATE_H
#define GLET_FAKE_CUDNN_STATE_H

/* A graph as the fake cuDNN computes it. */

#include "tests/doubles/cuda/fake_libraries_state.h"

#include <cudnn.h>

struct fake_tensor {
    int64_t id, align, dims[5], strides[5];
    int rank;
    bool half, is_virtual, by_value;
};
struct fake_operation {
    int kind, mode, x, b, y; /* tensors; -1 = none */
    int64_t pads[2], strides[2], dilations[2];
    int parameter_name;
    double parameter;
};
struct fake_program {
    int tensor_count, operation_count;
    struct fake_tensor tensors[40];
    struct fake_operation operations[16];
};
struct fake_run {
    const struct fake_program *program;
    void *pointers[40];
};

void fake_cudnn_run(void *run);

/* A plan as text that says all of it, so that another process can make the same plan of it: the
   length, or -1 where there is no room. Reading: NULL where it is not such a text. */
int fake_cudnn_write(char *text, size_t size, int engine, const struct fake_program *program);
const struct fake_program *fake_cudnn_read(const char *text, int *engine_out);

#endif
