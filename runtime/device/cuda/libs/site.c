/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a gpu-let has of its own: library handles on its stream, the kernels loaded into its
 * context, one workspace that all its nets use in turn, because they share the stream.
 */
#include "runtime/device/cuda/libs/device_store.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

/* cuBLAS's own default on Hopper is 32 MiB; plans that want more than this are not considered. */
static const size_t WORKSPACE_BYTES = (size_t)64 << 20;

extern const unsigned char glet_fatbin_cuda_kernels[];

static int open_handles(struct glet_cuda_site *site, struct glet_cuda_handles *handles,
                        struct glet_error *err)
{
    const struct glet_cuda_libraries *libraries = glet_cuda_store_libraries(site->store);
    const struct glet_cuda_api *api = site->api;
    if (GLET_CUDA_TRY(api, err, cuModuleLoadData, &handles->module, glet_fatbin_cuda_kernels) < 0 ||
        GLET_CUDNN_TRY(libraries, err, cudnnCreate, &handles->cudnn) < 0 ||
        GLET_CUDNN_TRY(libraries, err, cudnnSetStream, handles->cudnn, (cudaStream_t)site->stream) <
            0 ||
        GLET_CUBLASLT_TRY(libraries, err, cublasLtCreate, &handles->cublaslt) < 0 ||
        GLET_CUDA_TRY(api, err, cuMemAlloc, &handles->workspace, WORKSPACE_BYTES) < 0 ||
        GLET_CUDA_TRY(api, err, cuEventCreate, &handles->begin, CU_EVENT_DEFAULT) < 0 ||
        GLET_CUDA_TRY(api, err, cuEventCreate, &handles->end, CU_EVENT_DEFAULT) < 0)
        return -1;
    handles->workspace_bytes = WORKSPACE_BYTES;
    return 0;
}

int glet_cuda_site_open(struct glet_cuda_site *site, struct glet_error *err)
{
    site->handles = glet_alloc(1, sizeof(struct glet_cuda_handles), err);
    if (!site->handles)
        return -1;
    if (open_handles(site, site->handles, err) < 0) {
        glet_cuda_site_close(site);
        return -1;
    }
    return 0;
}

void glet_cuda_site_close(struct glet_cuda_site *site)
{
    struct glet_cuda_handles *handles = site->handles;
    if (!handles)
        return;
    const struct glet_cuda_libraries *libraries = glet_cuda_store_libraries(site->store);
    if (handles->end)
        (void)site->api->cuEventDestroy(handles->end);
    if (handles->begin)
        (void)site->api->cuEventDestroy(handles->begin);
    if (handles->workspace)
        (void)site->api->cuMemFree(handles->workspace);
    if (handles->cublaslt)
        (void)libraries->cublasLtDestroy(handles->cublaslt);
    if (handles->cudnn)
        (void)libraries->cudnnDestroy(handles->cudnn);
    if (handles->module)
        (void)site->api->cuModuleUnload(handles->module);
    free(handles);
    site->handles = NULL;
}

bool glet_cuda_aims_at_sms(const struct glet_cuda_site *site)
{
    const char *wish = getenv("GPULET_SM_TARGET");
    return site->sm_count < site->device_sms && (!wish || strcmp(wish, "off") != 0);
}

int glet_cuda_function(const struct glet_cuda_site *site, const char *kernel, CUfunction *out,
                       struct glet_error *err)
{
    if (GLET_CUDA_TRY(site->api, err, cuModuleGetFunction, out, glet_cuda_handles_of(site)->module,
                      kernel) < 0)
        return glet_error_context(err, "kernel %s", kernel);
    return 0;
}

int glet_cuda_enqueue(const struct glet_cuda_site *site, CUfunction function,
                      const struct glet_cuda_launch *launch, struct glet_error *err)
{
    void *parameters[] = {(void *)(uintptr_t)&launch->parameters};
    return GLET_CUDA_TRY(site->api, err, cuLaunchKernel, function, launch->grid[0], launch->grid[1],
                         launch->grid[2], launch->block[0], launch->block[1], launch->block[2], 0,
                         site->stream, parameters, NULL);
}
