/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_FAKE_NET_H
#define GLET_TESTS_FAKE_NET_H

/*
 * cpu_net.h and the parts of model.h that the CPU device calls, as nets that burn CPU time: every
 * step of a run of `used` rows takes step_us x used / threads of the calling thread's CPU time. A
 * run adds 1 to every float of its input rows on the way to the outputs.
 */

#include "runtime/device/cpu/net/cpu_net.h"

#include <stdatomic.h>
#include <stdbool.h>

struct glet_model {
    double step_us; /* per row, on one core */
    int steps;
    bool build_fails, step_fails;
    int floats;           /* of one row, in and out */
    atomic_int live_nets; /* built and not freed */
};

#endif
