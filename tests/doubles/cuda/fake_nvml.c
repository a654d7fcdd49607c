/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVIDIA's management library without a GPU, opened as the real one (GPULET_LIBNVML). It knows the
 * GPUs of the fake driver, a MIG instance of one, and nothing of what is not told of instances.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct nvmlDevice_st *handle;

enum { SUCCESS, NOT_SUPPORTED = 3, NOT_FOUND = 6 };

static char gpu, instance;

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlSystemGetDriverVersion(char *text, unsigned length);
int nvmlDeviceGetHandleByUUID(const char *uuid, handle *out);
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle device, handle *out);
int nvmlDeviceGetPowerUsage(handle device, unsigned *milliwatts);
int nvmlDeviceGetEnforcedPowerLimit(handle device, unsigned *milliwatts);
int nvmlDeviceGetTotalEnergyConsumption(handle device, unsigned long long *millijoules);
int nvmlDeviceGetClockInfo(handle device, int kind, unsigned *mhz);
int nvmlDeviceGetMaxClockInfo(handle device, int kind, unsigned *mhz);
int nvmlDeviceGetUtilizationRates(handle device, unsigned *percents);
int nvmlDeviceGetMemoryInfo(handle device, unsigned long long *bytes);
int nvmlDeviceGetCurrentClocksThrottleReasons(handle device, unsigned long long *bits);

static int of_gpu(handle device)
{
    return device == (handle)(void *)&gpu ? SUCCESS : NOT_SUPPORTED;
}

int nvmlInit_v2(void)
{
    return SUCCESS;
}

int nvmlShutdown(void)
{
    return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *text, unsigned length)
{
    const char *other = getenv("GPULET_FAKE_NVML_DRIVER");
    snprintf(text, length, "%s", other ? other : "580.65.06");
    return SUCCESS;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, handle *out)
{
    *out = (handle)(void *)(strncmp(uuid, "MIG-", 4) == 0 ? &instance : &gpu);
    return strstr(uuid, "00112233-4455-6677-8899-aabbccddee") ? SUCCESS : NOT_FOUND;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle device, handle *out)
{
    *out = (handle)(void *)&gpu;
    return device == (handle)(void *)&instance ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetPowerUsage(handle device, unsigned *milliwatts)
{
    *milliwatts = 312500;
    return of_gpu(device);
}

int nvmlDeviceGetEnforcedPowerLimit(handle device, unsigned *milliwatts)
{
    *milliwatts = 700000;
    return of_gpu(device);
}

int nvmlDeviceGetTotalEnergyConsumption(handle device, unsigned long long *millijoules)
{
    *millijoules = 123456789012;
    return of_gpu(device);
}

int nvmlDeviceGetClockInfo(handle device, int kind, unsigned *mhz)
{
    *mhz = kind == 1 ? 1755 : 2619;
    return of_gpu(device);
}

int nvmlDeviceGetMaxClockInfo(handle device, int kind, unsigned *mhz)
{
    *mhz = kind == 1 ? 1980 : 2619;
    return of_gpu(device);
}

int nvmlDeviceGetUtilizationRates(handle device, unsigned *percents)
{
    percents[0] = 75;
    percents[1] = 25;
    return of_gpu(device);
}

int nvmlDeviceGetMemoryInfo(handle device, unsigned long long *bytes)
{
    bytes[0] = device == (handle)(void *)&gpu ? 81920ull << 20 : 20480ull << 20;
    bytes[2] = 1024ull << 20;
    bytes[1] = bytes[0] - bytes[2];
    return SUCCESS;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(handle device, unsigned long long *bits)
{
    *bits = 0x4 | 0x40 | 0x1; /* power cap, hardware heat, idle */
    return of_gpu(device);
}
