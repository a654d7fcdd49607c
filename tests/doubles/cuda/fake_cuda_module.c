/* SPDX-License-Identifier: Apache-2.0 */
/* Modules, kernels, launches. */
#include "tests/doubles/cuda/fake_cuda_state.h"

#include <string.h>
#include <unistd.h>

/* isolation.cu on this device: blocks go round the SMs that the stream has. */
static void record_sm(const struct fake_cuda_launch *launch)
{
    uint32_t *out;
    memcpy(&out, launch->parameters[0], sizeof out);
    for (unsigned block = 0; block < launch->grid[0]; block++)
        out[block] = (uint32_t)launch->sms[block % (unsigned)launch->sm_count];
    if (fake_config.leaks && launch->grid[0] > 0)
        out[launch->grid[0] - 1] = 0;
}

/* gpu_check_kernels.cu: it only takes time. */
static void compute(const struct fake_cuda_launch *launch)
{
    (void)launch;
}

__attribute__((constructor)) static void add_own_kernels(void)
{
    fake_cuda_add_kernel("glet_record_sm", record_sm,
                         (const size_t[]){sizeof(CUdeviceptr), sizeof(unsigned long long)}, 2);
    fake_cuda_add_kernel("glet_check_compute", compute,
                         (const size_t[]){sizeof(CUdeviceptr), sizeof(int)}, 2);
}

CUresult cuModuleLoadData(CUmodule *out, const void *image)
{
    uint32_t magic;
    FAKE_BEGIN(cuModuleLoadData);
    memcpy(&magic, image, sizeof magic);
    if (magic != 0xBA55ED50u)
        return fake_end(fake_breach(CUDA_ERROR_INVALID_IMAGE, "a module that is no fatbin"));
    if (!fake_here())
        return fake_end(fake_no_context("cuModuleLoadData"));
    CUresult code = fake_check_quiet("cuModuleLoadData", true);
    if (code != CUDA_SUCCESS)
        return fake_end(code);
    struct fake_module *module = fake_new(FAKE_MODULE, sizeof *module);
    *out = (CUmodule)(void *)module;
    return fake_end(CUDA_SUCCESS);
}

CUresult cuModuleUnload(CUmodule handle)
{
    FAKE_BEGIN_ANYWAY(cuModuleUnload);
    struct fake_module *module = fake_find(handle, FAKE_MODULE);
    if (module)
        module->object.dead = true;
    return fake_end(module ? FAKE_INJECTED : CUDA_ERROR_INVALID_HANDLE);
}

CUresult cuModuleGetFunction(CUfunction *out, CUmodule handle, const char *name)
{
    FAKE_BEGIN(cuModuleGetFunction);
    if (!fake_find(handle, FAKE_MODULE))
        return fake_end(CUDA_ERROR_INVALID_HANDLE);
    const struct fake_kernel_entry *entry = fake_kernel_named(name);
    *out = (CUfunction)(uintptr_t)entry;
    return fake_end(entry ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND);
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function)
{
    (void)attribute;
    (void)function;
    FAKE_BEGIN(cuFuncGetAttribute);
    *value = 0;
    return fake_end(CUDA_SUCCESS);
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value)
{
    (void)function;
    (void)attribute;
    (void)value;
    FAKE_BEGIN(cuFuncSetAttribute);
    return fake_end(CUDA_SUCCESS);
}

/* A thread that captures launches into what it captures, and nowhere else. */
static bool strays(CUstream launched)
{
    for (const struct fake_object *o = fake_objects(); o; o = o->next)
        if (o->kind == FAKE_STREAM && !o->dead && (CUstream)(uintptr_t)o != launched &&
            ((const struct fake_stream *)o)->capturing_thread == (int)gettid())
            return true;
    return false;
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                        CUstream stream, void **parameters, void **extra)
{
    (void)shared_bytes;
    FAKE_BEGIN(cuLaunchKernel);
    const struct fake_kernel_entry *entry = (const struct fake_kernel_entry *)(uintptr_t)function;
    unsigned long long threads = (unsigned long long)block_x * block_y * block_z;
    if (!entry || extra || !grid_x || !grid_y || !grid_z || !threads || threads > 1024 ||
        grid_y > 65535 || grid_z > 65535)
        return fake_end(fake_breach(CUDA_ERROR_INVALID_VALUE, "a launch that no GPU takes"));
    if (strays(stream))
        (void)fake_breach(CUDA_SUCCESS, "a launch beside the stream that is being captured");
    struct fake_op op = {
        .kind = FAKE_OP_KERNEL,
        .kernel = entry->kernel,
        .launch = {.grid = {grid_x, grid_y, grid_z}, .block = {block_x, block_y, block_z}}};
    size_t at = 0;
    for (size_t i = 0; i < entry->count; i++) {
        at = (at + 15) / 16 * 16;
        if (at + entry->sizes[i] > sizeof op.values)
            return fake_end(fake_breach(CUDA_ERROR_INVALID_VALUE, "parameters beyond the limit"));
        memcpy(op.values + at, parameters[i], entry->sizes[i]);
        op.parameters[i] = op.values + at;
        at += entry->sizes[i];
    }
    return fake_end(fake_emit(stream, &op, true));
}
