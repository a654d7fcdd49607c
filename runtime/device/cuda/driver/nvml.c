/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The toolkit has no nvml.h, so the few prototypes that are needed are declared here as NVIDIA's
 * NVML manual gives them. Functions may be missing in older libraries, and may answer "not
 * supported" on some GPUs and on MIG instances: each value is unknown for itself.
 *
 * Supported: libnvidia-ml of any driver since R450.
 */
#include "runtime/device/cuda/driver/nvml.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct nvmlDevice_st *nvml_device;

struct nvml_memory {
    unsigned long long total_bytes, free_bytes, used_bytes;
};

struct nvml_utilization {
    unsigned gpu_percent, memory_percent;
};

enum { NVML_SUCCESS = 0, NVML_CLOCK_SM = 1, NVML_CLOCK_MEM = 2, NVML_TEMPERATURE_GPU = 0 };

/* X(our name, symbol, parameters) */
#define FUNCTIONS(X)                                                                               \
    X(init, "nvmlInit_v2", (void))                                                                 \
    X(shutdown, "nvmlShutdown", (void))                                                            \
    X(driver_version, "nvmlSystemGetDriverVersion", (char *, unsigned))                            \
    X(by_uuid, "nvmlDeviceGetHandleByUUID", (const char *, nvml_device *))                         \
    X(parent, "nvmlDeviceGetDeviceHandleFromMigDeviceHandle", (nvml_device, nvml_device *))        \
    X(power_mw, "nvmlDeviceGetPowerUsage", (nvml_device, unsigned *))                              \
    X(power_limit_mw, "nvmlDeviceGetEnforcedPowerLimit", (nvml_device, unsigned *))                \
    X(energy_mj, "nvmlDeviceGetTotalEnergyConsumption", (nvml_device, unsigned long long *))       \
    X(temperature_c, "nvmlDeviceGetTemperature", (nvml_device, int, unsigned *))                   \
    X(clock_mhz, "nvmlDeviceGetClockInfo", (nvml_device, int, unsigned *))                         \
    X(max_clock_mhz, "nvmlDeviceGetMaxClockInfo", (nvml_device, int, unsigned *))                  \
    X(utilization, "nvmlDeviceGetUtilizationRates", (nvml_device, struct nvml_utilization *))      \
    X(memory, "nvmlDeviceGetMemoryInfo", (nvml_device, struct nvml_memory *))                      \
    X(events, "nvmlDeviceGetCurrentClocksEventReasons", (nvml_device, unsigned long long *))       \
    X(throttle, "nvmlDeviceGetCurrentClocksThrottleReasons", (nvml_device, unsigned long long *))

struct glet_nvml {
    void *library;
    bool is_initialised;
    nvml_device device; /* the GPU, or the MIG instance */
    nvml_device whole;  /* the GPU */
    char driver[80];
#define POINTER(name, symbol, parameters) int(*name) parameters;
    FUNCTIONS(POINTER)
#undef POINTER
};

/* Missing functions answer like those that are not supported. */
#define ASK(nvml, name, ...) ((nvml)->name && (nvml)->name(__VA_ARGS__) == NVML_SUCCESS)

static void find_functions(struct glet_nvml *nvml)
{
    void *symbol;
#define FIND(name, text, parameters)                                                               \
    symbol = dlsym(nvml->library, text);                                                           \
    memcpy(&nvml->name, &symbol, sizeof symbol);
    FUNCTIONS(FIND)
#undef FIND
}

struct glet_nvml *glet_nvml_open(const char *uuid)
{
    const char *file = getenv("GPULET_LIBNVML");
    struct glet_nvml *nvml = calloc(1, sizeof *nvml);
    if (!nvml)
        return NULL;
    nvml->library = dlopen(file && *file ? file : "libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (nvml->library) {
        find_functions(nvml);
        nvml->is_initialised = nvml->init && nvml->init() == NVML_SUCCESS;
    }
    if (!nvml->is_initialised || !ASK(nvml, by_uuid, uuid, &nvml->device)) {
        glet_nvml_close(nvml);
        return NULL;
    }
    nvml->whole = nvml->device;
    if (strncmp(uuid, "MIG-", 4) == 0 && !ASK(nvml, parent, nvml->device, &nvml->whole))
        nvml->whole = nvml->device;
    if (!ASK(nvml, driver_version, nvml->driver, sizeof nvml->driver))
        nvml->driver[0] = '\0';
    return nvml;
}

void glet_nvml_close(struct glet_nvml *nvml)
{
    if (!nvml)
        return;
    if (nvml->is_initialised)
        (void)(nvml->shutdown && nvml->shutdown());
    if (nvml->library)
        dlclose(nvml->library);
    free(nvml);
}

const char *glet_nvml_driver(const struct glet_nvml *nvml)
{
    return nvml->driver;
}

double glet_nvml_max_sm_clock_mhz(const struct glet_nvml *nvml)
{
    unsigned mhz;
    return ASK(nvml, max_clock_mhz, nvml->whole, NVML_CLOCK_SM, &mhz) ? (double)mhz : (double)NAN;
}

static void sample_memory(const struct glet_nvml *nvml, struct glet_device_sample *out)
{
    struct nvml_memory memory;
    if (!ASK(nvml, memory, nvml->device, &memory))
        return;
    out->memory_used_mib = (double)memory.used_bytes / (1 << 20);
    out->memory_total_mib = (double)memory.total_bytes / (1 << 20);
}

static void sample_clocks(const struct glet_nvml *nvml, struct glet_device_sample *out)
{
    unsigned mhz;
    struct nvml_utilization utilization;
    if (ASK(nvml, clock_mhz, nvml->whole, NVML_CLOCK_SM, &mhz))
        out->sm_clock_mhz = mhz;
    if (ASK(nvml, clock_mhz, nvml->whole, NVML_CLOCK_MEM, &mhz))
        out->memory_clock_mhz = mhz;
    if (ASK(nvml, utilization, nvml->whole, &utilization)) {
        out->busy_ratio = utilization.gpu_percent / 100.0;
        out->memory_busy_ratio = utilization.memory_percent / 100.0;
    }
}

static void sample_power(const struct glet_nvml *nvml, struct glet_device_sample *out)
{
    unsigned value;
    unsigned long long wide;
    if (ASK(nvml, power_mw, nvml->whole, &value))
        out->power_w = value / 1e3;
    if (ASK(nvml, power_limit_mw, nvml->whole, &value))
        out->power_limit_w = value / 1e3;
    if (ASK(nvml, energy_mj, nvml->whole, &wide))
        out->energy_j = (double)wide / 1e3;
    if (ASK(nvml, temperature_c, nvml->whole, NVML_TEMPERATURE_GPU, &value))
        out->temperature_c = value;
}

/* NVML's bits, joined where a person would do the same about them. */
static void sample_throttle(const struct glet_nvml *nvml, struct glet_device_sample *out)
{
    static const struct {
        unsigned long long theirs;
        unsigned ours;
    } reasons[] = {
        {0x02, GLET_THROTTLE_SETTING}, {0x100, GLET_THROTTLE_SETTING},
        {0x10, GLET_THROTTLE_SETTING}, {0x04, GLET_THROTTLE_POWER},
        {0x80, GLET_THROTTLE_POWER},   {0x20, GLET_THROTTLE_HEAT},
        {0x40, GLET_THROTTLE_HEAT},    {0x08, GLET_THROTTLE_HARDWARE},
    };
    unsigned long long bits;
    /* The new name and the old one. */
    if (!ASK(nvml, events, nvml->whole, &bits) && !ASK(nvml, throttle, nvml->whole, &bits))
        return;
    out->throttle = 0;
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (bits & reasons[i].theirs)
            out->throttle |= (int)reasons[i].ours;
}

void glet_nvml_sample(const struct glet_nvml *nvml, struct glet_device_sample *out)
{
    sample_memory(nvml, out);
    sample_clocks(nvml, out);
    sample_power(nvml, out);
    sample_throttle(nvml, out);
}
