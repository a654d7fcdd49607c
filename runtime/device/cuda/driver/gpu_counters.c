/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequence (CUPTI API reference, "Range Profiling"): a host object makes the configuration for a
 * chip; the profiler is enabled on a context, told the configuration and a buffer, and started;
 * what runs between push and pop of a range is counted; the buffer is decoded, and the host object
 * turns it into values. Two metrics of one pass, so that nothing has to be replayed for counting.
 *
 * Whether counters may be read shows only when the profiler starts: without the right, enabling and
 * configuring succeed.
 */
#include "runtime/device/cuda/driver/gpu_counters.h"

#include "common/memory.h"
#include "runtime/device/cuda/driver/cupti_host.h"

#include <cupti_range_profiler.h>
#include <cupti_target.h>
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const char *metrics[] = {"lts__t_sectors.avg.pct_of_peak_sustained_elapsed",
                                "dram__bytes.sum.pct_of_peak_sustained_elapsed"};

enum { METRICS = 2 };

/* Functions of C headers, with their prototypes; and those of the C++ header, with ours. */
#define TARGET_FUNCTIONS(X)                                                                        \
    X(cuptiGetResultString)                                                                        \
    X(cuptiProfilerInitialize)                                                                     \
    X(cuptiDeviceGetChipName)                                                                      \
    X(cuptiRangeProfilerEnable)                                                                    \
    X(cuptiRangeProfilerDisable)                                                                   \
    X(cuptiRangeProfilerGetCounterDataSize)                                                        \
    X(cuptiRangeProfilerCounterDataImageInitialize)                                                \
    X(cuptiRangeProfilerSetConfig)                                                                 \
    X(cuptiRangeProfilerStart)                                                                     \
    X(cuptiRangeProfilerStop)                                                                      \
    X(cuptiRangeProfilerPushRange)                                                                 \
    X(cuptiRangeProfilerPopRange)                                                                  \
    X(cuptiRangeProfilerDecodeData)
#define HOST_FUNCTIONS(X)                                                                          \
    X(cuptiProfilerHostInitialize, glet_cupti_host_initialize)                                     \
    X(cuptiProfilerHostDeinitialize, glet_cupti_host_deinitialize)                                 \
    X(cuptiProfilerHostConfigAddMetrics, glet_cupti_host_add_metrics)                              \
    X(cuptiProfilerHostGetConfigImageSize, glet_cupti_host_config_size)                            \
    X(cuptiProfilerHostGetConfigImage, glet_cupti_host_config)                                     \
    X(cuptiProfilerHostGetNumOfPasses, glet_cupti_host_passes)                                     \
    X(cuptiProfilerHostEvaluateToGpuValues, glet_cupti_host_evaluate)

struct glet_cuda_cupti {
#define TARGET_POINTER(f) __typeof__(&f) f;
    TARGET_FUNCTIONS(TARGET_POINTER)
#undef TARGET_POINTER
#define HOST_POINTER(f, type) CUptiResult (*f)(struct type * params);
    HOST_FUNCTIONS(HOST_POINTER)
#undef HOST_POINTER
    void *library;
};

static struct glet_cuda_cupti opened;
static struct glet_error open_error; /* why it could not be opened */
static pthread_once_t opening = PTHREAD_ONCE_INIT;

static void *open_library(void)
{
    static const char *const files[] = {"libcupti.so.13", "libcupti.so.12", "libcupti.so",
                                        "/usr/local/cuda/lib64/libcupti.so",
                                        "/usr/local/cuda/extras/CUPTI/lib64/libcupti.so"};
    const char *chosen = getenv("GPULET_LIBCUPTI");
    if (chosen && *chosen)
        return dlopen(chosen, RTLD_NOW | RTLD_LOCAL);
    void *library = NULL;
    for (size_t i = 0; !library && i < sizeof files / sizeof files[0]; i++)
        library = dlopen(files[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

static int missing(const char *name)
{
    return glet_error_set(&open_error, GLET_ERR_UNSUPPORTED,
                          "libcupti lacks %s: it is older than CUDA 12.6's", name);
}

static int find_functions(struct glet_cuda_cupti *cupti)
{
    void *symbol;
#define FIND(f)                                                                                    \
    symbol = dlsym(cupti->library, #f);                                                            \
    if (!symbol)                                                                                   \
        return missing(#f);                                                                        \
    memcpy(&cupti->f, &symbol, sizeof symbol);
#define FIND_HOST(f, type) FIND(f)
    TARGET_FUNCTIONS(FIND)
    HOST_FUNCTIONS(FIND_HOST)
#undef FIND_HOST
#undef FIND
    return 0;
}

static void open_once(void)
{
    struct glet_cuda_cupti cupti = {.library = open_library()};
    if (!cupti.library)
        glet_error_set(&open_error, GLET_ERR_UNSUPPORTED, "no libcupti: %s", dlerror());
    else if (find_functions(&cupti) < 0)
        dlclose(cupti.library);
    else
        opened = cupti;
}

int glet_cuda_cupti_open(const struct glet_cuda_cupti **out, struct glet_error *err)
{
    pthread_once(&opening, open_once);
    if (!opened.library) {
        *err = open_error;
        return -1;
    }
    *out = &opened;
    return 0;
}

/* Returns 0 for success, else -1 with the reason; whatever CUPTI refuses, counters are not had. */
static int check(const struct glet_cuda_cupti *cupti, CUptiResult code, const char *call,
                 struct glet_error *err)
{
    const char *text = NULL;
    if (code == CUPTI_SUCCESS)
        return 0;
    if (code == CUPTI_ERROR_INSUFFICIENT_PRIVILEGES ||
        code == CUPTI_ERROR_VIRTUALIZED_DEVICE_INSUFFICIENT_PRIVILEGES)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED,
                              "the driver keeps its counters from this user (root may read them, "
                              "or NVreg_RestrictProfilingToAdminUsers=0)");
    if (cupti->cuptiGetResultString(code, &text) != CUPTI_SUCCESS || !text)
        text = "an unknown error";
    return glet_error_set(err, GLET_ERR_UNSUPPORTED, "%s: %s", call, text);
}

#define CALL(f, ...) check(cupti, cupti->f(__VA_ARGS__), #f, err)

struct config {
    struct glet_cupti_host *host;
    uint8_t *image;
    size_t image_bytes, passes;
};

static void config_fini(const struct glet_cuda_cupti *cupti, struct config *config)
{
    struct glet_cupti_host_deinitialize end = {sizeof end, NULL, config->host};
    if (config->host)
        (void)cupti->cuptiProfilerHostDeinitialize(&end);
    free(config->image);
    *config = (struct config){0};
}

/* What config_fini() ends, also after a failure. */
static int config_init(const struct glet_cuda_cupti *cupti, const char *chip, struct config *config,
                       struct glet_error *err)
{
    struct glet_cupti_host_initialize start = {.struct_size = sizeof start, .chip_name = chip};
    if (CALL(cuptiProfilerHostInitialize, &start) < 0)
        return -1;
    config->host = start.host;
    struct glet_cupti_host_add_metrics add = {sizeof add, NULL, start.host, metrics, METRICS};
    struct glet_cupti_host_config_size size = {sizeof size, NULL, start.host, 0};
    if (CALL(cuptiProfilerHostConfigAddMetrics, &add) < 0 ||
        CALL(cuptiProfilerHostGetConfigImageSize, &size) < 0)
        return -1;
    config->image_bytes = size.config_bytes;
    config->image = glet_alloc(size.config_bytes, 1, err);
    if (!config->image)
        return -1;
    struct glet_cupti_host_config image = {sizeof image, NULL, start.host, config->image_bytes,
                                           config->image};
    struct glet_cupti_host_passes passes = {sizeof passes, NULL, config->image_bytes, config->image,
                                            0};
    if (CALL(cuptiProfilerHostGetConfigImage, &image) < 0 ||
        CALL(cuptiProfilerHostGetNumOfPasses, &passes) < 0)
        return -1;
    config->passes = passes.passes;
    return 0;
}

int glet_cuda_counters_passes(const struct glet_cuda_cupti *cupti, const char *chip,
                              size_t *passes_out, struct glet_error *err)
{
    struct config config = {0};
    int result = config_init(cupti, chip, &config, err);
    if (result == 0)
        *passes_out = config.passes;
    config_fini(cupti, &config);
    return result;
}

struct reading {
    const struct glet_cuda_api *api;
    const struct glet_cuda_cupti *cupti;
    struct config config;
    CUpti_RangeProfiler_Object *profiler;
    uint8_t *data;
    size_t data_bytes;
};

static int enable(struct reading *r, CUcontext context, struct glet_error *err)
{
    const struct glet_cuda_cupti *cupti = r->cupti;
    CUpti_RangeProfiler_Enable_Params enable = {
        .structSize = CUpti_RangeProfiler_Enable_Params_STRUCT_SIZE, .ctx = context};
    if (CALL(cuptiRangeProfilerEnable, &enable) < 0)
        return -1;
    r->profiler = enable.pRangeProfilerObject;
    CUpti_RangeProfiler_GetCounterDataSize_Params size = {
        .structSize = CUpti_RangeProfiler_GetCounterDataSize_Params_STRUCT_SIZE,
        .pRangeProfilerObject = r->profiler,
        .pMetricNames = metrics,
        .numMetrics = METRICS,
        .maxNumOfRanges = 1,
        .maxNumRangeTreeNodes = 1};
    if (CALL(cuptiRangeProfilerGetCounterDataSize, &size) < 0)
        return -1;
    r->data_bytes = size.counterDataSize;
    r->data = glet_alloc(r->data_bytes, 1, err);
    if (!r->data)
        return -1;
    CUpti_RangeProfiler_CounterDataImage_Initialize_Params image = {
        .structSize = CUpti_RangeProfiler_CounterDataImage_Initialize_Params_STRUCT_SIZE,
        .pRangeProfilerObject = r->profiler,
        .counterDataSize = r->data_bytes,
        .pCounterData = r->data};
    CUpti_RangeProfiler_SetConfig_Params config = {
        .structSize = CUpti_RangeProfiler_SetConfig_Params_STRUCT_SIZE,
        .pRangeProfilerObject = r->profiler,
        .configSize = r->config.image_bytes,
        .pConfig = r->config.image,
        .counterDataImageSize = r->data_bytes,
        .pCounterDataImage = r->data,
        .range = CUPTI_UserRange,
        .replayMode = CUPTI_UserReplay,
        .maxRangesPerPass = 1,
        .numNestingLevels = 1,
        .minNestingLevel = 1,
        .targetNestingLevel = 1};
    if (CALL(cuptiRangeProfilerCounterDataImageInitialize, &image) < 0)
        return -1;
    return CALL(cuptiRangeProfilerSetConfig, &config);
}

static int replay(const struct glet_cuda_api *api, CUstream stream, CUgraphExec graph, int replays,
                  struct glet_error *err)
{
    CUresult code = CUDA_SUCCESS;
    for (int i = 0; code == CUDA_SUCCESS && i < replays; i++)
        code = api->cuGraphLaunch(graph, stream);
    if (code != CUDA_SUCCESS)
        return glet_cuda_failed(api, code, "cuGraphLaunch", err);
    code = api->cuStreamSynchronize(stream);
    return code == CUDA_SUCCESS ? 0 : glet_cuda_failed(api, code, "cuStreamSynchronize", err);
}

static int run_range(struct reading *r, CUstream stream, CUgraphExec graph, int replays,
                     struct glet_error *err)
{
    const struct glet_cuda_cupti *cupti = r->cupti;
    CUpti_RangeProfiler_PushRange_Params push = {
        .structSize = CUpti_RangeProfiler_PushRange_Params_STRUCT_SIZE,
        .pRangeProfilerObject = r->profiler,
        .pRangeName = "graph"};
    CUpti_RangeProfiler_PopRange_Params pop = {.structSize =
                                                   CUpti_RangeProfiler_PopRange_Params_STRUCT_SIZE,
                                               .pRangeProfilerObject = r->profiler};
    if (CALL(cuptiRangeProfilerPushRange, &push) < 0)
        return -1;
    if (replay(r->api, stream, graph, replays, err) < 0) {
        (void)cupti->cuptiRangeProfilerPopRange(&pop); /* the graph's failure is the one to tell */
        return -1;
    }
    return CALL(cuptiRangeProfilerPopRange, &pop);
}

static int count(struct reading *r, CUstream stream, CUgraphExec graph, int replays,
                 struct glet_error *err)
{
    const struct glet_cuda_cupti *cupti = r->cupti;
    CUpti_RangeProfiler_Start_Params start = {.structSize =
                                                  CUpti_RangeProfiler_Start_Params_STRUCT_SIZE,
                                              .pRangeProfilerObject = r->profiler};
    CUpti_RangeProfiler_Stop_Params stop = {.structSize =
                                                CUpti_RangeProfiler_Stop_Params_STRUCT_SIZE,
                                            .pRangeProfilerObject = r->profiler};
    if (CALL(cuptiRangeProfilerStart, &start) < 0)
        return -1;
    if (run_range(r, stream, graph, replays, err) < 0) {
        (void)cupti->cuptiRangeProfilerStop(&stop);
        return -1;
    }
    if (CALL(cuptiRangeProfilerStop, &stop) < 0)
        return -1;
    if (!stop.isAllPassSubmitted)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED, "the counters want a second pass");
    return 0;
}

static int evaluate(struct reading *r, struct glet_utilisation *out, struct glet_error *err)
{
    const struct glet_cuda_cupti *cupti = r->cupti;
    double percent[METRICS] = {NAN, NAN};
    CUpti_RangeProfiler_DecodeData_Params decode = {
        .structSize = CUpti_RangeProfiler_DecodeData_Params_STRUCT_SIZE,
        .pRangeProfilerObject = r->profiler};
    struct glet_cupti_host_evaluate values = {.struct_size = sizeof values,
                                              .host = r->config.host,
                                              .counter_data = r->data,
                                              .counter_data_bytes = r->data_bytes,
                                              .metrics = metrics,
                                              .metric_count = METRICS,
                                              .values = percent};
    if (CALL(cuptiRangeProfilerDecodeData, &decode) < 0 ||
        CALL(cuptiProfilerHostEvaluateToGpuValues, &values) < 0)
        return -1;
    for (int i = 0; i < METRICS; i++)
        if (!(percent[i] >= 0))
            return glet_error_set(err, GLET_ERR_UNSUPPORTED, "%s: no value", metrics[i]);
    /* A sampled peak may be passed by a little; the ratio is of a peak. */
    *out = (struct glet_utilisation){fmin(1, percent[0] / 100), fmin(1, percent[1] / 100)};
    return 0;
}

static void reading_fini(struct reading *r)
{
    CUpti_RangeProfiler_Disable_Params disable = {
        .structSize = CUpti_RangeProfiler_Disable_Params_STRUCT_SIZE,
        .pRangeProfilerObject = r->profiler};
    if (r->profiler)
        (void)r->cupti->cuptiRangeProfilerDisable(&disable);
    config_fini(r->cupti, &r->config);
    free(r->data);
}

static int configure(struct reading *r, size_t device, struct glet_error *err)
{
    const struct glet_cuda_cupti *cupti = r->cupti;
    CUpti_Profiler_Initialize_Params start = {.structSize =
                                                  CUpti_Profiler_Initialize_Params_STRUCT_SIZE};
    CUpti_Device_GetChipName_Params chip = {
        .structSize = CUpti_Device_GetChipName_Params_STRUCT_SIZE, .deviceIndex = device};
    if (CALL(cuptiProfilerInitialize, &start) < 0 || CALL(cuptiDeviceGetChipName, &chip) < 0 ||
        config_init(cupti, chip.pChipName, &r->config, err) < 0)
        return -1;
    if (r->config.passes != 1)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED, "%s needs %zu passes for two counters",
                              chip.pChipName, r->config.passes);
    return 0;
}

int glet_cuda_counters_read(const struct glet_cuda_api *api, const struct glet_cuda_cupti *cupti,
                            CUcontext context, size_t device, CUstream stream, CUgraphExec graph,
                            int replays, struct glet_utilisation *out, struct glet_error *err)
{
    struct reading r = {.api = api, .cupti = cupti};
    int result = configure(&r, device, err);
    if (result == 0)
        result = enable(&r, context, err);
    if (result == 0)
        result = count(&r, stream, graph, replays, err);
    if (result == 0)
        result = evaluate(&r, out, err);
    reading_fini(&r);
    return result;
}
