/* SPDX-License-Identifier: Apache-2.0 */
/* gpu_counters.h where CUPTI's headers were not there when this was built. */
#include "runtime/device/cuda/driver/gpu_counters.h"

int glet_cuda_cupti_open(const struct glet_cuda_cupti **out, struct glet_error *err)
{
    (void)out;
    return glet_error_set(err, GLET_ERR_UNSUPPORTED, "built without CUPTI's headers");
}

int glet_cuda_counters_passes(const struct glet_cuda_cupti *cupti, const char *chip,
                              size_t *passes_out, struct glet_error *err)
{
    (void)cupti, (void)chip, (void)passes_out;
    return glet_error_set(err, GLET_ERR_UNSUPPORTED, "built without CUPTI's headers");
}

int glet_cuda_counters_read(const struct glet_cuda_api *api, const struct glet_cuda_cupti *cupti,
                            CUcontext context, size_t device, CUstream stream, CUgraphExec graph,
                            int replays, struct glet_utilisation *out, struct glet_error *err)
{
    (void)api, (void)cupti, (void)context, (void)device, (void)stream, (void)graph, (void)replays;
    (void)out;
    return glet_error_set(err, GLET_ERR_UNSUPPORTED, "built without CUPTI's headers");
}
