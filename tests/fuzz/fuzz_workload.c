/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz_common.h"

#include "common/workload.h"

#include <math.h>
#include <stdlib.h>

/* Whatever is accepted has finite demands; whatever is refused says why. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct glet_workload *workload;
    struct glet_error err = {0};
    if (glet_workload_parse((const char *)data, size, "fuzz", &workload, &err) < 0) {
        if (err.code == GLET_OK || err.code == GLET_ERR_INTERNAL || !err.message[0])
            abort();
        return 0;
    }
    for (size_t k = 0; k < workload->model_count; k++)
        if (!isfinite(glet_workload_demand_rps(workload, k)))
            abort();
    glet_workload_free(workload);
    return 0;
}
