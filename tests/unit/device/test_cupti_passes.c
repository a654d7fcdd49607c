/* SPDX-License-Identifier: Apache-2.0 */
/* NVIDIA's own tables, where libcupti is installed: both counters of a Hopper fit into one pass. No
 * GPU is used. */
#include "runtime/device/cuda/driver/gpu_counters.h"
#include "tests/unit/check.h"

#include <stdio.h>

int glet_cuda_failed(const struct glet_cuda_api *api, CUresult code, const char *call,
                     struct glet_error *e)
{
    (void)api, (void)code;
    return glet_error_set(e, GLET_ERR_DEVICE, "%s", call);
}

int main(void)
{
    const struct glet_cuda_cupti *cupti;
    struct glet_error err;
    size_t passes = 0;
    if (glet_cuda_cupti_open(&cupti, &err) < 0) {
        printf("skipped: %s\n", err.message);
        return 77;
    }
    if (glet_cuda_counters_passes(cupti, "GH100", &passes, &err) < 0) {
        glet_error_print(&err, stderr);
        return 1;
    }
    printf("GH100: %zu pass\n", passes);
    if (glet_cuda_counters_passes(cupti, "NOCHIP", &passes, &err) == 0)
        return 1;
    printf("NOCHIP: %s\n", err.message);
    return passes == 1 && err.code == GLET_ERR_UNSUPPORTED ? 0 : 1;
}
