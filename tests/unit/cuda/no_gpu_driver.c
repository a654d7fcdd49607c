/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libcuda.so.1 that finds no GPU and refuses nothing: cuDNN looks for the functions of the driver
 * before it says which engines could run on a GPU that it is told of, and makes a plan only with a
 * kernel that could be loaded.
 */

int cuDriverGetVersion(int *version);
int cuDriverGetVersion(int *version)
{
    *version = 13000;
    return 0;
}

static char thing; /* a library or a kernel: not NULL */
#define FIND(name)                                                                                 \
    int name(void **out);                                                                          \
    int name(void **out)                                                                           \
    {                                                                                              \
        *out = &thing;                                                                             \
        return 0;                                                                                  \
    }

FIND(cuLibraryGetKernel)
FIND(cuLibraryLoadData)
FIND(cuLibraryLoadFromFile)

int cuKernelGetAttribute(int *value);
int cuKernelGetAttribute(int *value)
{
    *value = 0;
    return 0;
}

#define ANSWER(name)                                                                               \
    int name(void);                                                                                \
    int name(void)                                                                                 \
    {                                                                                              \
        return 0;                                                                                  \
    }

ANSWER(cuCtxGetCurrent)
ANSWER(cuCtxGetLimit)
ANSWER(cuCtxPopCurrent)
ANSWER(cuCtxPushCurrent)
ANSWER(cuDeviceGet)
ANSWER(cuDeviceGetCount)
ANSWER(cuGetErrorName)
ANSWER(cuGetErrorString)
ANSWER(cuKernelSetAttribute)
ANSWER(cuLaunchCooperativeKernel)
ANSWER(cuLaunchKernel)
ANSWER(cuLaunchKernelEx)
ANSWER(cuLibraryUnload)
ANSWER(cuLinkAddData)
ANSWER(cuLinkComplete)
ANSWER(cuLinkCreate)
ANSWER(cuLinkDestroy)
ANSWER(cuOccupancyMaxPotentialClusterSize)
ANSWER(cuStreamGetCtx)
