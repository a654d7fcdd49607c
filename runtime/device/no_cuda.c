/* SPDX-License-Identifier: Apache-2.0 */
/* In place of the CUDA device where it was not built. */
#include "runtime/device/device_ops.h"

bool glet_cuda_device_present(void)
{
    return false;
}

int glet_cuda_device_open(const struct glet_device_spec *spec, struct glet_device **out,
                          struct glet_error *err)
{
    (void)out;
    if (spec->index >= 0)
        glet_error_set(err, GLET_ERR_DEVICE, "cuda:%d: this build cannot drive CUDA devices",
                       spec->index);
    else
        glet_error_set(err, GLET_ERR_DEVICE, "cuda:%s: this build cannot drive CUDA devices",
                       spec->mig);
    return glet_error_hint(err, "it was made without CUDA's headers or nvcc; --device cpu works "
                                "everywhere");
}
