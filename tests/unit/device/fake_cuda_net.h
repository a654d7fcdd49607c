/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_FAKE_CUDA_NET_H
#define GLET_TESTS_FAKE_CUDA_NET_H

/*
 * cuda_net.h and the parts of model.h that the CUDA device calls, on the fake driver: a net has
 * weights that all nets of the model share, a workspace per gpu-let, and one kernel, which adds 1
 * to every float of its input. Its calls of the driver are in the order of a real one's.
 */

#include "runtime/device/cuda/net/cuda_net.h"

#include <stdatomic.h>
#include <stdbool.h>

enum { FAKE_NET_WORKSPACE_MIB = 8 };

struct glet_model {
    int floats; /* of one row, in and out */
    size_t weight_bytes;
    bool build_fails, record_fails, allocates_in_capture;
    atomic_int live_nets;
    atomic_int uploads; /* of its weights */
};

#endif
