/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the libraries. cuBLASLt comes first, and NVRTC where it is to be found: cuDNN opens both
 * by their bare names, and finds what the process holds already even where the loader's path lacks
 * them, as with Python wheels.
 */
#include "runtime/device/cuda/libs/libraries.h"

#include <dlfcn.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static struct glet_cuda_libraries opened; /* cudnn is NULL until it is complete */

#define TEXT_OF(x) #x
#define NAME_OF(f) TEXT_OF(f)

static const char *const wheel_folders[] = {
    "%s/lib/python3*/site-packages/nvidia/*/lib/%s", /* %s: a virtual environment */
    "/usr/local/lib/python3*/dist-packages/nvidia/*/lib/%s",
    "/usr/local/lib/python3*/site-packages/nvidia/*/lib/%s",
    "/usr/lib/python3*/site-packages/nvidia/*/lib/%s",
    "/usr/lib/python3/dist-packages/nvidia/*/lib/%s",
    "/opt/conda/lib/python3*/site-packages/nvidia/*/lib/%s",
    "%s/.local/lib/python3*/site-packages/nvidia/*/lib/%s", /* %s: home */
};

static void *open_matches(const char *pattern)
{
    glob_t found;
    void *library = NULL;
    if (glob(pattern, 0, NULL, &found) != 0)
        return NULL;
    for (size_t i = 0; !library && i < found.gl_pathc; i++)
        library = dlopen(found.gl_pathv[i], RTLD_NOW | RTLD_LOCAL);
    globfree(&found);
    return library;
}

static void *open_name(const char *name)
{
    char path[1024];
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    snprintf(path, sizeof path, "/usr/local/cuda/lib64/%s", name);
    if (!library)
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    size_t count = sizeof wheel_folders / sizeof wheel_folders[0];
    for (size_t i = 0; !library && i < count; i++) {
        const char *root = getenv(i == 0 ? "VIRTUAL_ENV" : "HOME");
        if (i > 0 && i < count - 1)
            snprintf(path, sizeof path, wheel_folders[i], name);
        else if (root && !strchr(root, '%'))
            snprintf(path, sizeof path, wheel_folders[i], root, name);
        else
            continue;
        library = open_matches(path);
    }
    return library;
}

/* Newest name first. */
static void *open_library(const char *variable, const char *const *names, struct glet_error *err)
{
    const char *file = getenv(variable);
    void *library = NULL;
    if (file && *file) {
        library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
        if (!library)
            (void)glet_error_set(err, GLET_ERR_DEVICE, "%s: %s", variable, dlerror());
        return library;
    }
    for (int i = 0; !library && names[i]; i++)
        library = open_name(names[i]);
    if (!library) {
        (void)glet_error_set(err, GLET_ERR_DEVICE, "%s is not installed", names[0]);
        (void)glet_error_hint(err, "name the file in %s", variable);
    }
    return library;
}

static int find_symbols(struct glet_cuda_libraries *l, struct glet_error *err)
{
    void *symbol;
#define FIND_IN(library, f)                                                                        \
    symbol = dlsym(l->library, NAME_OF(f));                                                        \
    if (!symbol)                                                                                   \
        return glet_error_set(err, GLET_ERR_DEVICE, #library " lacks %s", NAME_OF(f));             \
    memcpy(&l->f, &symbol, sizeof symbol);
#define FIND_CUBLASLT(f) FIND_IN(cublaslt, f)
#define FIND_CUDNN(f)    FIND_IN(cudnn, f)
    GLET_CUBLASLT_FUNCTIONS(FIND_CUBLASLT)
    GLET_CUDNN_FUNCTIONS(FIND_CUDNN)
    return 0;
}

static int load(struct glet_cuda_libraries *l, struct glet_error *err)
{
    static const char *const cublaslt[] = {"libcublasLt.so.13", "libcublasLt.so.12", NULL};
    static const char *const cudnn[] = {"libcudnn.so.9", NULL};
    l->cublaslt = open_library("GPULET_LIBCUBLASLT", cublaslt, err);
    if (!l->cublaslt)
        return -1;
    if (!getenv("GPULET_LIBCUDNN") && !open_name("libnvrtc.so.13"))
        (void)open_name("libnvrtc.so.12");
    l->cudnn = open_library("GPULET_LIBCUDNN", cudnn, err);
    if (!l->cudnn || find_symbols(l, err) < 0)
        return -1;
    l->cudnn_version = l->cudnnGetVersion();
    l->cublaslt_version = l->cublasLtGetVersion();
    if (l->cudnn_version / 10000 != CUDNN_MAJOR)
        return glet_error_set(err, GLET_ERR_DEVICE, "cuDNN is version %zu, %d is needed",
                              l->cudnn_version / 10000, CUDNN_MAJOR);
    return 0;
}

int glet_cuda_libraries_open(const struct glet_cuda_libraries **out, struct glet_error *err)
{
    int rc = 0;
    pthread_mutex_lock(&opening);
    if (!opened.cudnn) {
        struct glet_cuda_libraries libraries = {.cudnn = NULL};
        rc = load(&libraries, err);
        if (rc == 0) {
            opened = libraries;
        } else {
            if (libraries.cudnn)
                dlclose(libraries.cudnn);
            if (libraries.cublaslt)
                dlclose(libraries.cublaslt);
        }
    }
    pthread_mutex_unlock(&opening);
    if (rc == 0)
        *out = &opened;
    return rc;
}

int glet_cudnn_failed(const struct glet_cuda_libraries *libraries, cudnnStatus_t status,
                      const char *call, struct glet_error *err)
{
    char text[256] = "";
    libraries->cudnnGetLastErrorString(text, sizeof text);
    text[sizeof text - 1] = '\0';
    return glet_error_set(
        err, status == CUDNN_STATUS_ALLOC_FAILED ? GLET_ERR_NOMEM : GLET_ERR_DEVICE, "%s: %s%s%s",
        call, libraries->cudnnGetErrorString(status), text[0] ? ": " : "", text);
}

int glet_cublaslt_failed(const struct glet_cuda_libraries *libraries, cublasStatus_t status,
                         const char *call, struct glet_error *err)
{
    return glet_error_set(err,
                          status == CUBLAS_STATUS_ALLOC_FAILED ? GLET_ERR_NOMEM : GLET_ERR_DEVICE,
                          "%s: %s", call, libraries->cublasLtGetStatusString(status));
}
