// SPDX-License-Identifier: Apache-2.0
// Our C structs of CUPTI's host API against NVIDIA's, whose header is C++: compiled, never run.
#include "runtime/device/cuda/driver/cupti_host.h"

#include <cupti_profiler_host.h>

#include <cstddef>

#define SAME_SIZE(ours, theirs)                                                                    \
    static_assert(sizeof(ours) == theirs##_STRUCT_SIZE, "size of " #theirs);                       \
    static_assert(offsetof(ours, struct_size) == offsetof(theirs, structSize), #theirs)
#define SAME_PLACE(ours, field, theirs, their_field)                                               \
    static_assert(offsetof(ours, field) == offsetof(theirs, their_field) &&                        \
                      sizeof(ours::field) == sizeof(theirs::their_field),                          \
                  #theirs "." #their_field)

typedef glet_cupti_host_initialize initialize;
SAME_SIZE(initialize, CUpti_Profiler_Host_Initialize_Params);
SAME_PLACE(initialize, profiler_type, CUpti_Profiler_Host_Initialize_Params, profilerType);
SAME_PLACE(initialize, chip_name, CUpti_Profiler_Host_Initialize_Params, pChipName);
SAME_PLACE(initialize, counter_availability, CUpti_Profiler_Host_Initialize_Params,
           pCounterAvailabilityImage);
SAME_PLACE(initialize, host, CUpti_Profiler_Host_Initialize_Params, pHostObject);
static_assert(CUPTI_PROFILER_TYPE_RANGE_PROFILER == 0, "profiler type");

typedef glet_cupti_host_deinitialize deinitialize;
SAME_SIZE(deinitialize, CUpti_Profiler_Host_Deinitialize_Params);
SAME_PLACE(deinitialize, host, CUpti_Profiler_Host_Deinitialize_Params, pHostObject);

typedef glet_cupti_host_add_metrics add_metrics;
SAME_SIZE(add_metrics, CUpti_Profiler_Host_ConfigAddMetrics_Params);
SAME_PLACE(add_metrics, host, CUpti_Profiler_Host_ConfigAddMetrics_Params, pHostObject);
SAME_PLACE(add_metrics, metrics, CUpti_Profiler_Host_ConfigAddMetrics_Params, ppMetricNames);
SAME_PLACE(add_metrics, metric_count, CUpti_Profiler_Host_ConfigAddMetrics_Params, numMetrics);

typedef glet_cupti_host_config_size config_size;
SAME_SIZE(config_size, CUpti_Profiler_Host_GetConfigImageSize_Params);
SAME_PLACE(config_size, config_bytes, CUpti_Profiler_Host_GetConfigImageSize_Params,
           configImageSize);

typedef glet_cupti_host_config config;
SAME_SIZE(config, CUpti_Profiler_Host_GetConfigImage_Params);
SAME_PLACE(config, config_bytes, CUpti_Profiler_Host_GetConfigImage_Params, configImageSize);
SAME_PLACE(config, config, CUpti_Profiler_Host_GetConfigImage_Params, pConfigImage);

typedef glet_cupti_host_passes passes;
SAME_SIZE(passes, CUpti_Profiler_Host_GetNumOfPasses_Params);
SAME_PLACE(passes, config_bytes, CUpti_Profiler_Host_GetNumOfPasses_Params, configImageSize);
SAME_PLACE(passes, config, CUpti_Profiler_Host_GetNumOfPasses_Params, pConfigImage);
SAME_PLACE(passes, passes, CUpti_Profiler_Host_GetNumOfPasses_Params, numOfPasses);

typedef glet_cupti_host_evaluate evaluate;
SAME_SIZE(evaluate, CUpti_Profiler_Host_EvaluateToGpuValues_Params);
SAME_PLACE(evaluate, host, CUpti_Profiler_Host_EvaluateToGpuValues_Params, pHostObject);
SAME_PLACE(evaluate, counter_data, CUpti_Profiler_Host_EvaluateToGpuValues_Params,
           pCounterDataImage);
SAME_PLACE(evaluate, counter_data_bytes, CUpti_Profiler_Host_EvaluateToGpuValues_Params,
           counterDataImageSize);
SAME_PLACE(evaluate, range, CUpti_Profiler_Host_EvaluateToGpuValues_Params, rangeIndex);
SAME_PLACE(evaluate, metrics, CUpti_Profiler_Host_EvaluateToGpuValues_Params, ppMetricNames);
SAME_PLACE(evaluate, metric_count, CUpti_Profiler_Host_EvaluateToGpuValues_Params, numMetrics);
SAME_PLACE(evaluate, values, CUpti_Profiler_Host_EvaluateToGpuValues_Params, pMetricValues);
