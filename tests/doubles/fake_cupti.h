/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_FAKE_CUPTI_H
#define GLET_TESTS_FAKE_CUPTI_H

#include <cupti_result.h>
#include <stddef.h>

/* Set in the environment once the profiler was enabled: from then on the fake driver makes no green
   contexts, as NVIDIA's 580 does not. */
#define FAKE_CUPTI_COUNTED "GPULET_FAKE_CUPTI_COUNTED"

/* Exported by the fake library as glet_fake_cupti: what it shall do, and what it has seen. */
struct glet_fake_cupti {
    const char *fail_call; /* name of the function that fails; NULL = none */
    CUptiResult fail_code;
    int refused_contexts; /* so many are not taken, from now on */
    size_t passes;
    double percent[2];
    int hosts, enabled; /* objects that exist */
    int violations;     /* calls out of order */
};

#endif
