/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's functions by name.
 *
 * The header renames functions as their meaning changes (cuDeviceGetUuid is cuDeviceGetUuid_v2), so
 * names go through the preprocessor before they become strings, and prototype and symbol agree.
 * What a driver need not have is asked of cuGetProcAddress() with the version of our headers, which
 * gives the variant that these prototypes describe.
 *
 * The environment is set before cuInit(), which reads it, and never against the user's choice.
 * Each gpu-let wants a hardware queue of its own, of which 8 are the default and 32 the most, as of
 * those for copies, which CUDA_DEVICE_MAX_CONNECTIONS sets as well (CUDA C++ Programming Guide); a
 * kernel that is loaded at its first launch stalls every gpu-let of the process until the GPU has
 * drained, so that everything is loaded eagerly.
 *
 * Supported: drivers since CUDA 11.4; green contexts since 12.4. Source: CUDA driver API manual.
 */
#include "runtime/device/cuda/driver/api.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_OF(x) #x
#define NAME_OF(f) TEXT_OF(f) /* the second level lets the header's macros act first */

static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static struct glet_cuda_api opened; /* library is NULL until it is complete */

/* Functions that only got a new number in a driver newer than the oldest that we take, and act the
   same in our use of them. */
static const struct {
    const char *name, *before;
} renamed[] = {{"cuEventElapsedTime_v2", "cuEventElapsedTime"}};

static void *find(void *library, const char *name)
{
    void *symbol = dlsym(library, name);
    for (size_t i = 0; !symbol && i < sizeof renamed / sizeof renamed[0]; i++)
        if (strcmp(renamed[i].name, name) == 0)
            symbol = dlsym(library, renamed[i].before);
    return symbol;
}

static int missing(const char *name, struct glet_error *err)
{
    return glet_error_set(err, GLET_ERR_DEVICE, "the CUDA driver lacks %s: it is too old", name);
}

static int find_required(struct glet_cuda_api *api, struct glet_error *err)
{
    void *symbol;
#define FIND(f)                                                                                    \
    symbol = find(api->library, NAME_OF(f));                                                       \
    if (!symbol)                                                                                   \
        return missing(NAME_OF(f), err);                                                           \
    memcpy(&api->f, &symbol, sizeof symbol);
    GLET_CUDA_REQUIRED(FIND)
#undef FIND
    return 0;
}

/* After cuInit(). What is not found stays NULL; any other failure is one. */
static int find_optional(struct glet_cuda_api *api, struct glet_error *err)
{
    __typeof__(&cuGetProcAddress) get;
    void *symbol = dlsym(api->library, NAME_OF(cuGetProcAddress));
    if (!symbol)
        return 0;
    memcpy(&get, &symbol, sizeof symbol);
    /* Never a variant that is newer than our prototypes, nor a version that the driver is not. */
    int version = api->driver_version < CUDA_VERSION ? api->driver_version : CUDA_VERSION;
    CUresult code;
#define FIND(f)                                                                                    \
    symbol = NULL;                                                                                 \
    code = get(#f, &symbol, version, CU_GET_PROC_ADDRESS_DEFAULT, NULL);                           \
    if (code == CUDA_SUCCESS)                                                                      \
        memcpy(&api->f, &symbol, sizeof symbol);                                                   \
    else if (code != CUDA_ERROR_NOT_FOUND && code != CUDA_ERROR_NOT_SUPPORTED &&                   \
             code != CUDA_ERROR_INVALID_VALUE)                                                     \
        return glet_cuda_failed(api, code, "cuGetProcAddress", err);
    GLET_CUDA_OPTIONAL(FIND)
#undef FIND
    return 0;
}

static int load(struct glet_cuda_api *api, struct glet_error *err)
{
    const char *file = getenv("GPULET_LIBCUDA");
    if (!file || !*file)
        file = "libcuda.so.1";
    (void)setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
    (void)setenv("CUDA_MODULE_LOADING", "EAGER", 0);
    api->library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!api->library)
        return glet_error_set(err, GLET_ERR_DEVICE, "no CUDA driver: %s", dlerror());
    if (find_required(api, err) < 0)
        return -1;
    CUresult code = api->cuInit(0);
    if (code != CUDA_SUCCESS)
        return glet_cuda_failed(api, code, "cuInit", err);
    code = api->cuDriverGetVersion(&api->driver_version);
    if (code != CUDA_SUCCESS)
        return glet_cuda_failed(api, code, "cuDriverGetVersion", err);
    return find_optional(api, err);
}

int glet_cuda_api_open(const struct glet_cuda_api **out, struct glet_error *err)
{
    int result = 0;
    pthread_mutex_lock(&opening);
    if (!opened.library) {
        struct glet_cuda_api api = {0};
        result = load(&api, err);
        if (result == 0)
            opened = api;
        else if (api.library)
            dlclose(api.library);
    }
    pthread_mutex_unlock(&opening);
    if (result == 0)
        *out = &opened;
    return result;
}

bool glet_cuda_has_green_contexts(const struct glet_cuda_api *api)
{
    bool all = true;
#define HAS(f) all = all && api->f;
    GLET_CUDA_OPTIONAL(HAS)
#undef HAS
    return all;
}

int glet_cuda_failed(const struct glet_cuda_api *api, CUresult code, const char *call,
                     struct glet_error *err)
{
    const char *text = NULL;
    if (api->cuGetErrorString(code, &text) != CUDA_SUCCESS || !text)
        text = "unknown error";
    return glet_error_set(err, code == CUDA_ERROR_OUT_OF_MEMORY ? GLET_ERR_NOMEM : GLET_ERR_DEVICE,
                          "%s: %s (CUDA error %d)", call, text, (int)code);
}

int glet_cuda_enter(const struct glet_cuda_api *api, CUcontext context, CUcontext *before,
                    struct glet_error *err)
{
    CUcontext current;
    if (GLET_CUDA_TRY(api, err, cuCtxGetCurrent, &current) < 0 ||
        GLET_CUDA_TRY(api, err, cuCtxSetCurrent, context) < 0)
        return -1;
    *before = current;
    return 0;
}

void glet_cuda_leave(const struct glet_cuda_api *api, CUcontext before)
{
    (void)api->cuCtxSetCurrent(before);
}
