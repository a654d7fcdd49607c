/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libcupti of our own for tests, opened by the same path as NVIDIA's. It holds the caller to the
 * order of calls that the range profiler's documentation gives, and fails whichever call the test
 * names; in another process, the one that GPULET_FAKE_CUPTI_FAIL names fails for want of rights.
 * Utilisations are what the test says.
 */
#include "tests/doubles/fake_cupti.h"

#include "runtime/device/cuda/driver/cupti_host.h"

#include <cupti_range_profiler.h>
#include <cupti_target.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

EXPORTED struct glet_fake_cupti glet_fake_cupti = {.passes = 1, .percent = {40, 70}};

enum stage { NOTHING, ENABLED, CONFIGURED, STARTED, PUSHED, POPPED, STOPPED, DECODED };
static enum stage stage;
static int object;

/* Moves on when the last stage was `from`; a failure that the test asked for comes first. */
static CUptiResult step(const char *name, size_t struct_bytes, enum stage from, enum stage to)
{
    const char *kept = getenv("GPULET_FAKE_CUPTI_FAIL");
    if (kept && strcmp(kept, name) == 0)
        return CUPTI_ERROR_INSUFFICIENT_PRIVILEGES;
    if (glet_fake_cupti.fail_call && strcmp(glet_fake_cupti.fail_call, name) == 0)
        return glet_fake_cupti.fail_code;
    if (struct_bytes == 0)
        return CUPTI_ERROR_INVALID_PARAMETER;
    if (stage != from) {
        glet_fake_cupti.violations++;
        return CUPTI_ERROR_INVALID_OPERATION;
    }
    stage = to;
    return CUPTI_SUCCESS;
}

#define STEP(from, to) step(__func__, params->structSize, from, to)
#define STAY           step(__func__, params->struct_size, stage, stage)

EXPORTED CUptiResult cuptiGetResultString(CUptiResult result, const char **text)
{
    *text = result == CUPTI_ERROR_INVALID_OPERATION ? "out of order" : "as the test asked";
    return CUPTI_SUCCESS;
}

EXPORTED CUptiResult cuptiProfilerInitialize(CUpti_Profiler_Initialize_Params *params)
{
    return STEP(stage, stage);
}

EXPORTED CUptiResult cuptiDeviceGetChipName(CUpti_Device_GetChipName_Params *params)
{
    params->pChipName = "FAKE100";
    return STEP(stage, stage);
}

EXPORTED CUptiResult cuptiProfilerHostInitialize(struct glet_cupti_host_initialize *params)
{
    params->host = (struct glet_cupti_host *)&object;
    CUptiResult result = STAY;
    glet_fake_cupti.hosts += result == CUPTI_SUCCESS;
    return result;
}

EXPORTED CUptiResult cuptiProfilerHostDeinitialize(struct glet_cupti_host_deinitialize *params)
{
    glet_fake_cupti.hosts--;
    return STAY;
}

EXPORTED CUptiResult cuptiProfilerHostConfigAddMetrics(struct glet_cupti_host_add_metrics *params)
{
    return STAY;
}

EXPORTED CUptiResult cuptiProfilerHostGetConfigImageSize(struct glet_cupti_host_config_size *params)
{
    params->config_bytes = 100;
    return STAY;
}

EXPORTED CUptiResult cuptiProfilerHostGetConfigImage(struct glet_cupti_host_config *params)
{
    memset(params->config, 1, params->config_bytes);
    return STAY;
}

EXPORTED CUptiResult cuptiProfilerHostGetNumOfPasses(struct glet_cupti_host_passes *params)
{
    params->passes = glet_fake_cupti.passes;
    return STAY;
}

EXPORTED CUptiResult cuptiProfilerHostEvaluateToGpuValues(struct glet_cupti_host_evaluate *params)
{
    memcpy(params->values, glet_fake_cupti.percent, params->metric_count * sizeof(double));
    return step(__func__, params->struct_size, DECODED, DECODED);
}

EXPORTED CUptiResult cuptiRangeProfilerEnable(CUpti_RangeProfiler_Enable_Params *params)
{
    if (glet_fake_cupti.refused_contexts > 0) {
        glet_fake_cupti.refused_contexts--;
        return CUPTI_ERROR_INVALID_CONTEXT;
    }
    params->pRangeProfilerObject = (CUpti_RangeProfiler_Object *)&object;
    CUptiResult result = STEP(NOTHING, ENABLED);
    glet_fake_cupti.enabled += result == CUPTI_SUCCESS;
    if (result == CUPTI_SUCCESS)
        setenv(FAKE_CUPTI_COUNTED, "1", 1);
    return result;
}

EXPORTED CUptiResult cuptiRangeProfilerDisable(CUpti_RangeProfiler_Disable_Params *params)
{
    glet_fake_cupti.enabled--;
    if (stage == STARTED || stage == PUSHED || stage == POPPED)
        glet_fake_cupti.violations++; /* it was never stopped */
    stage = NOTHING;
    return STEP(NOTHING, NOTHING);
}

EXPORTED CUptiResult
cuptiRangeProfilerGetCounterDataSize(CUpti_RangeProfiler_GetCounterDataSize_Params *params)
{
    params->counterDataSize = 64;
    return STEP(ENABLED, ENABLED);
}

EXPORTED CUptiResult cuptiRangeProfilerCounterDataImageInitialize(
    CUpti_RangeProfiler_CounterDataImage_Initialize_Params *params)
{
    memset(params->pCounterData, 2, params->counterDataSize);
    return STEP(ENABLED, ENABLED);
}

EXPORTED CUptiResult cuptiRangeProfilerSetConfig(CUpti_RangeProfiler_SetConfig_Params *params)
{
    return STEP(ENABLED, CONFIGURED);
}

EXPORTED CUptiResult cuptiRangeProfilerStart(CUpti_RangeProfiler_Start_Params *params)
{
    return STEP(CONFIGURED, STARTED);
}

EXPORTED CUptiResult cuptiRangeProfilerPushRange(CUpti_RangeProfiler_PushRange_Params *params)
{
    return STEP(STARTED, PUSHED);
}

EXPORTED CUptiResult cuptiRangeProfilerPopRange(CUpti_RangeProfiler_PopRange_Params *params)
{
    return STEP(PUSHED, POPPED);
}

EXPORTED CUptiResult cuptiRangeProfilerStop(CUpti_RangeProfiler_Stop_Params *params)
{
    params->isAllPassSubmitted = 1;
    return STEP(stage >= STARTED && stage <= POPPED ? stage : STARTED, STOPPED);
}

EXPORTED CUptiResult cuptiRangeProfilerDecodeData(CUpti_RangeProfiler_DecodeData_Params *params)
{
    return STEP(STOPPED, DECODED);
}
