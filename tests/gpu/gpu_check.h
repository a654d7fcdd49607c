/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_GPU_CHECK_H
#define GLET_GPU_CHECK_H

/* What the checks of gpu_checks share: gpu-lets of the real device, kernels, graphs, and rows. */

#include "runtime/device/cuda/cuda_partition.h"
#include "runtime/device/device.h"

#include <stdbool.h>

struct gpu_check {
    struct glet_device *device;
    const struct glet_cuda_api *api;
    struct glet_cuda_device *cuda; /* the same device, from inside */
    struct glet_partition_set *set;
    CUmodule compute_module, record_module;
    CUfunction compute, record;
    CUdeviceptr scratch; /* GPU_CHECK_SCRATCH_BYTES */
    void *pinned;        /* as many */
    double window_s;     /* how long what is timed runs; 1.5 */
};

enum { GPU_CHECK_SCRATCH_BYTES = 1 << 20 };

/* Opens the device, whatever fails then ends with gpu_check_close(); check->api is NULL as long as
   there is no GPU. */
GLET_MUST_CHECK
int gpu_check_open(const char *spec, struct gpu_check *check, struct glet_error *err);
GLET_MUST_CHECK
int gpu_check_cut(struct gpu_check *check, const int *units, size_t count, struct glet_error *err);
void gpu_check_uncut(struct gpu_check *check);
void gpu_check_close(struct gpu_check *check);

const struct glet_cuda_site *gpu_check_site(const struct gpu_check *check, size_t i);

/* A graph of `launches` compute kernels for a gpu-let's stream, about so long in total. */
GLET_MUST_CHECK
int gpu_check_graph(struct gpu_check *check, const struct glet_cuda_site *site, double wanted_ms,
                    CUgraphExec *out, struct glet_error *err);

/* A row of the table as a line of JSON. target NULL: there is nothing to meet. */
void gpu_check_row(const char *what, double value, const char *unit, const char *target, bool met);

/* Median, 99th percentile, largest; sorts in place. */
struct gpu_check_times {
    double p50, p99, largest;
};
struct gpu_check_times gpu_check_times(double *values, size_t count);

int gpu_check_units(struct gpu_check *check, struct glet_error *err);
int gpu_check_sets(struct gpu_check *check, struct glet_error *err);
int gpu_check_leak(struct gpu_check *check, struct glet_error *err);
int gpu_check_graph_home(struct gpu_check *check, struct glet_error *err);
int gpu_check_pinned(struct gpu_check *check, struct glet_error *err);
int gpu_check_queues(struct gpu_check *check, struct glet_error *err);
int gpu_check_isolation(struct gpu_check *check, struct glet_error *err);
int gpu_check_launch(struct gpu_check *check, struct glet_error *err);
int gpu_check_stall(struct gpu_check *check, struct glet_error *err);
int gpu_check_events(struct gpu_check *check, struct glet_error *err);
int gpu_check_storm(struct gpu_check *check, struct glet_error *err);

#endif
