/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of gpu_checks that are about SMs: units, sets, where blocks run, isolation. */
#include "tests/gpu/gpu_check.h"

#include "common/clock.h"
#include "common/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_UNITS = 128, RECORD_BLOCKS = 8192, MAX_SMS = 1024, STAY_CLOCKS = 20000 };

extern const unsigned char glet_fatbin_cuda_isolation[], glet_fatbin_gpu_check_kernels[];

void gpu_check_row(const char *what, double value, const char *unit, const char *target, bool met)
{
    struct glet_json json = glet_json_begin(stdout, GLET_JSON_COMPACT);
    glet_json_object(&json, NULL);
    glet_json_string(&json, "what", what);
    glet_json_double(&json, "value", value);
    glet_json_string(&json, "unit", unit);
    glet_json_string(&json, "target", target);
    if (target)
        glet_json_bool(&json, "met", met);
    glet_json_end(&json);
    fputc('\n', stdout);
    fflush(stdout);
}

static int load_kernel(struct gpu_check *check, const void *fatbin, const char *name,
                       CUmodule *module, CUfunction *kernel, struct glet_error *err)
{
    if (GLET_CUDA_TRY(check->api, err, cuModuleLoadData, module, fatbin) < 0)
        return -1;
    return GLET_CUDA_TRY(check->api, err, cuModuleGetFunction, kernel, *module, name);
}

static int prepare(struct gpu_check *check, struct glet_error *err)
{
    if (load_kernel(check, glet_fatbin_cuda_isolation, "glet_record_sm", &check->record_module,
                    &check->record, err) < 0 ||
        load_kernel(check, glet_fatbin_gpu_check_kernels, "glet_check_compute",
                    &check->compute_module, &check->compute, err) < 0 ||
        GLET_CUDA_TRY(check->api, err, cuMemAlloc, &check->scratch, GPU_CHECK_SCRATCH_BYTES) < 0)
        return -1;
    return GLET_CUDA_TRY(check->api, err, cuMemHostAlloc, &check->pinned, GPU_CHECK_SCRATCH_BYTES,
                         0);
}

int gpu_check_open(const char *spec, struct gpu_check *check, struct glet_error *err)
{
    *check = (struct gpu_check){.window_s = 1.5};
    if (glet_device_open(spec, &check->device, err) < 0)
        return -1;
    if (strcmp(glet_device_info(check->device)->mechanism, "cpu") == 0)
        return glet_error_set(err, GLET_ERR_DEVICE, "%s is not a GPU", spec);
    check->cuda = (struct glet_cuda_device *)check->device;
    check->api = check->cuda->api;
    CUcontext before;
    if (glet_cuda_enter(check->api, check->cuda->primary, &before, err) < 0)
        return -1;
    int rc = prepare(check, err);
    glet_cuda_leave(check->api, before);
    return rc;
}

int gpu_check_cut(struct gpu_check *check, const int *units, size_t count, struct glet_error *err)
{
    return glet_partitions_create(check->device, units, count, &check->set, err);
}

void gpu_check_uncut(struct gpu_check *check)
{
    /* A green context that is current to a thread cannot go. */
    if (check->api)
        (void)check->api->cuCtxSetCurrent(check->cuda->primary);
    glet_partitions_free(check->set);
    check->set = NULL;
}

void gpu_check_close(struct gpu_check *check)
{
    gpu_check_uncut(check);
    if (check->api) {
        if (check->scratch)
            (void)check->api->cuMemFree(check->scratch);
        if (check->pinned)
            (void)check->api->cuMemFreeHost(check->pinned);
        if (check->compute_module)
            (void)check->api->cuModuleUnload(check->compute_module);
        if (check->record_module)
            (void)check->api->cuModuleUnload(check->record_module);
        (void)check->api->cuCtxSetCurrent(NULL);
    }
    glet_device_close(check->device);
}

const struct glet_cuda_site *gpu_check_site(const struct gpu_check *check, size_t i)
{
    return &((struct glet_cuda_partition_set *)check->set)->partitions[i].site;
}

/* Halves of the device, the first at least as large. */
static int cut_in_two(struct gpu_check *check, struct glet_error *err)
{
    int units = glet_device_info(check->device)->units;
    const int halves[2] = {units - units / 2, units / 2};
    return gpu_check_cut(check, halves, units > 1 ? 2 : 1, err);
}

/* --- units and sets --- */

int gpu_check_units(struct gpu_check *check, struct glet_error *err)
{
    const struct glet_cuda_split *split = &check->cuda->split;
    const struct glet_cuda_api *api = check->api;
    if (!split->units)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED, "this driver has no green contexts");
    CUdevResource all;
    unsigned pairs = 0;
    gpu_check_row("units of the device", split->unit_count, "", NULL, false);
    gpu_check_row("SMs of a unit", split->unit_sms, "SMs", NULL, false);
    gpu_check_row("SMs that no unit has", split->remainder_sms, "SMs", NULL, false);
    if (GLET_CUDA_TRY(api, err, cuDeviceGetDevResource, check->cuda->device, &all,
                      CU_DEV_RESOURCE_TYPE_SM) < 0)
        return -1;
    /* A dry run: some drivers have refused it, and then it is not told. */
    if (api->cuDevSmResourceSplitByCount(NULL, &pairs, &all, NULL,
                                         CU_DEV_SM_RESOURCE_SPLIT_IGNORE_SM_COSCHEDULING,
                                         2) == CUDA_SUCCESS)
        gpu_check_row("units of 2 SMs without co-scheduling", pairs, "", NULL, false);
    return 0;
}

/* One way to cut: how long it takes, and whether each gpu-let has the SMs that it should. */
static int check_set(struct gpu_check *check, const char *name, const int *units, size_t count,
                     struct glet_error *err)
{
    const struct glet_cuda_split *split = &check->cuda->split;
    int owner = glet_cuda_remainder_owner(units, count, split->unit_count), right = 0;
    char what[96];
    uint64_t start_ns = glet_clock_ns();
    if (gpu_check_cut(check, units, count, err) < 0)
        return -1;
    double took_ms = (double)(glet_clock_ns() - start_ns) / 1e6;
    for (size_t i = 0; i < count; i++) {
        int wanted = units[i] * split->unit_sms + ((int)i == owner ? split->remainder_sms : 0);
        right += gpu_check_site(check, i)->sm_count == wanted;
    }
    gpu_check_uncut(check);
    snprintf(what, sizeof what, "%s: gpu-lets with the SMs planned, of %zu", name, count);
    gpu_check_row(what, right, "", "all", right == (int)count);
    snprintf(what, sizeof what, "%s: made in", name);
    gpu_check_row(what, took_ms, "ms", NULL, false);
    return 0;
}

int gpu_check_sets(struct gpu_check *check, struct glet_error *err)
{
    int whole = glet_device_info(check->device)->units;
    int most = glet_device_info(check->device)->max_gpulets, ones[MAX_UNITS];
    const int halves[2] = {whole - whole / 2, whole / 2}, uneven[2] = {whole - 1, 1};
    for (int i = 0; i < MAX_UNITS; i++)
        ones[i] = 1;
    if (check_set(check, "whole device", &whole, 1, err) < 0)
        return -1;
    if (whole < 2)
        return 0;
    if (check_set(check, "two halves", halves, 2, err) < 0 ||
        check_set(check, "all but one, and one", uneven, 2, err) < 0)
        return -1;
    return check_set(check, "one unit each", ones, (size_t)(most < MAX_UNITS ? most : MAX_UNITS),
                     err);
}

/* --- where blocks run --- */

struct seen {
    unsigned char sm[MAX_SMS];
    int count;
};

static void look(const struct gpu_check *check, struct seen *seen)
{
    const unsigned *words = check->pinned;
    memset(seen, 0, sizeof *seen);
    for (int i = 0; i < RECORD_BLOCKS; i++)
        if (words[i] < MAX_SMS && !seen->sm[words[i]]) {
            seen->sm[words[i]] = 1;
            seen->count++;
        }
}

static int both(const struct seen *a, const struct seen *b)
{
    int count = 0;
    for (int i = 0; i < MAX_SMS; i++)
        count += a->sm[i] && b->sm[i];
    return count;
}

static int enqueue_record(struct gpu_check *check, CUstream stream, struct glet_error *err)
{
    unsigned long long stay_clocks = STAY_CLOCKS;
    void *parameters[] = {&check->scratch, &stay_clocks};
    return GLET_CUDA_TRY(check->api, err, cuLaunchKernel, check->record, RECORD_BLOCKS, 1, 1, 1, 1,
                         1, 0, stream, parameters, NULL);
}

static int fetch_record(struct gpu_check *check, CUstream stream, struct seen *seen,
                        struct glet_error *err)
{
    if (GLET_CUDA_TRY(check->api, err, cuMemcpyDtoHAsync, check->pinned, check->scratch,
                      RECORD_BLOCKS * sizeof(unsigned), stream) < 0 ||
        GLET_CUDA_TRY(check->api, err, cuStreamSynchronize, stream) < 0)
        return -1;
    look(check, seen);
    return 0;
}

static int record(struct gpu_check *check, CUcontext context, CUstream stream, struct seen *seen,
                  struct glet_error *err)
{
    if (GLET_CUDA_TRY(check->api, err, cuCtxSetCurrent, context) < 0 ||
        enqueue_record(check, stream, err) < 0)
        return -1;
    return fetch_record(check, stream, seen, err);
}

/* Why nothing may run in the primary context while gpu-lets serve: it runs on their SMs, too. */
int gpu_check_leak(struct gpu_check *check, struct glet_error *err)
{
    struct seen let, primary;
    CUstream stream = NULL;
    char what[96];
    if (cut_in_two(check, err) < 0)
        return -1;
    const struct glet_cuda_site *site = gpu_check_site(check, 0);
    if (record(check, site->context, site->stream, &let, err) < 0 ||
        GLET_CUDA_TRY(check->api, err, cuCtxSetCurrent, check->cuda->primary) < 0 ||
        GLET_CUDA_TRY(check->api, err, cuStreamCreate, &stream, CU_STREAM_NON_BLOCKING) < 0)
        return -1;
    int rc = record(check, check->cuda->primary, stream, &primary, err);
    (void)check->api->cuStreamDestroy(stream);
    if (rc < 0)
        return -1;
    snprintf(what, sizeof what, "primary context: SMs of a gpu-let of %d that it also runs on",
             let.count);
    gpu_check_row(what, both(&let, &primary), "SMs", NULL, false);
    return 0;
}

/* A graph captured in one gpu-let and launched into another's stream: where does it run? */
int gpu_check_graph_home(struct gpu_check *check, struct glet_error *err)
{
    const struct glet_cuda_api *api = check->api;
    struct seen home, other, ran;
    CUgraph graph = NULL;
    CUgraphExec exec = NULL;
    if (cut_in_two(check, err) < 0)
        return -1;
    const struct glet_cuda_site *a = gpu_check_site(check, 0), *b = gpu_check_site(check, 1);
    if (record(check, b->context, b->stream, &other, err) < 0 ||
        record(check, a->context, a->stream, &home, err) < 0 ||
        GLET_CUDA_TRY(api, err, cuStreamBeginCapture, a->stream,
                      CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) < 0)
        return -1;
    int rc = enqueue_record(check, a->stream, err);
    CUresult code = api->cuStreamEndCapture(a->stream, &graph);
    if (rc < 0 || code != CUDA_SUCCESS)
        return rc < 0 ? -1 : glet_cuda_failed(api, code, "cuStreamEndCapture", err);
    rc = GLET_CUDA_TRY(api, err, cuGraphInstantiate, &exec, graph, 0);
    (void)api->cuGraphDestroy(graph);
    if (rc == 0)
        rc = GLET_CUDA_TRY(api, err, cuCtxSetCurrent, b->context);
    if (rc == 0)
        rc = GLET_CUDA_TRY(api, err, cuGraphLaunch, exec, b->stream);
    if (rc == 0)
        rc = fetch_record(check, b->stream, &ran, err);
    if (exec)
        (void)api->cuGraphExecDestroy(exec);
    if (rc < 0)
        return -1;
    gpu_check_row("graph of A launched by B: SMs of A that it ran on", both(&ran, &home), "SMs",
                  NULL, false);
    gpu_check_row("graph of A launched by B: SMs of B that it ran on", both(&ran, &other), "SMs",
                  "0", both(&ran, &other) == 0);
    return 0;
}

/* --- isolation --- */

static int verify(struct gpu_check *check, const char *name, const int *units, size_t count,
                  struct glet_error *err)
{
    char what[256];
    uint64_t blocks = 0;
    struct glet_error met = {0};
    if (gpu_check_cut(check, units, count, err) < 0)
        return -1;
    int rc = glet_partitions_verify(check->set, &blocks, &met);
    gpu_check_uncut(check);
    snprintf(what, sizeof what, "%s: %.150s; blocks of each gpu-let looked at", name,
             rc == 0 ? "no SM in two gpu-lets" : met.message);
    gpu_check_row(what, (double)blocks, "", ">= 1e6", rc == 0 && blocks >= 1000000);
    return 0;
}

int gpu_check_isolation(struct gpu_check *check, struct glet_error *err)
{
    int whole = glet_device_info(check->device)->units, ones[MAX_UNITS];
    int most = glet_device_info(check->device)->max_gpulets;
    const int halves[2] = {whole - whole / 2, whole / 2};
    const int three[3] = {whole - whole / 4 - 1, whole / 4, 1};
    for (int i = 0; i < MAX_UNITS; i++)
        ones[i] = 1;
    if (whole < 4)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED, "%d units", whole);
    if (verify(check, "two halves", halves, 2, err) < 0 ||
        verify(check, "three uneven", three, 3, err) < 0)
        return -1;
    return verify(check, "one unit each", ones, (size_t)(most < MAX_UNITS ? most : MAX_UNITS), err);
}
