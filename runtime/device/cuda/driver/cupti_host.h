/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_CUPTI_HOST_H
#define GLET_CUDA_CUPTI_HOST_H

/*
 * The part of CUPTI's host API that we call, for C: NVIDIA's cupti_profiler_host.h is C++. The
 * structs have the layout of that header, which a test compares where it is installed
 * (tests/unit/cuda/cupti_layout.cpp); structSize tells the library how much of one there is.
 *
 * Supported: CUPTI of CUDA 12.6 and newer. Source: CUPTI API reference, "CUPTI Profiler Host API".
 */

#include <stddef.h>
#include <stdint.h>

struct glet_cupti_host; /* opaque: the host object */

struct glet_cupti_host_initialize {
    size_t struct_size;
    void *priv;        /* NULL, as everywhere below */
    int profiler_type; /* 0 = range profiler */
    const char *chip_name;
    const uint8_t *counter_availability; /* NULL: a chip that the library knows */
    struct glet_cupti_host *host;        /* out */
};

struct glet_cupti_host_deinitialize {
    size_t struct_size;
    void *priv;
    struct glet_cupti_host *host;
};

struct glet_cupti_host_add_metrics {
    size_t struct_size;
    void *priv;
    struct glet_cupti_host *host;
    const char **metrics;
    size_t metric_count;
};

struct glet_cupti_host_config_size {
    size_t struct_size;
    void *priv;
    struct glet_cupti_host *host;
    size_t config_bytes; /* out */
};

struct glet_cupti_host_config {
    size_t struct_size;
    void *priv;
    struct glet_cupti_host *host;
    size_t config_bytes;
    uint8_t *config; /* filled */
};

struct glet_cupti_host_passes {
    size_t struct_size;
    void *priv;
    size_t config_bytes;
    uint8_t *config;
    size_t passes; /* out */
};

struct glet_cupti_host_evaluate {
    size_t struct_size;
    void *priv;
    struct glet_cupti_host *host;
    const uint8_t *counter_data;
    size_t counter_data_bytes;
    size_t range;
    const char **metrics;
    size_t metric_count;
    double *values; /* filled */
};

#endif
