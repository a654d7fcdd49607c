/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libcuda.so.1 that finds nothing and refuses nothing: cuDNN looks for the functions of the driver
 * before it says which engines could run on a GPU that it is told of.
 */

int cuDriverGetVersion(int *version);
int cuDriverGetVersion(int *version)
{
    *version = 13000;
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
ANSWER(cuKernelGetAttribute)
ANSWER(cuKernelSetAttribute)
ANSWER(cuLaunchCooperativeKernel)
ANSWER(cuLaunchKernel)
ANSWER(cuLaunchKernelEx)
ANSWER(cuLibraryGetKernel)
ANSWER(cuLibraryLoadData)
ANSWER(cuLibraryLoadFromFile)
ANSWER(cuLibraryUnload)
ANSWER(cuLinkAddData)
ANSWER(cuLinkComplete)
ANSWER(cuLinkCreate)
ANSWER(cuLinkDestroy)
ANSWER(cuOccupancyMaxPotentialClusterSize)
ANSWER(cuStreamGetCtx)
