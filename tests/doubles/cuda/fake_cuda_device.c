/* SPDX-License-Identifier: Apache-2.0 */
/* Devices, contexts, resources and green contexts. */
#include "runtime/device/cuda/driver/api.h"
#include "tests/doubles/cuda/fake_cuda_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a resource says to its maker; hidden in the padding, as in the real one. */
struct resource_tag {
    uint32_t magic, device, split, first_sm, sm_count;
};

enum { MAGIC = 0x51573C7, PRIMARY_MIB = 400 };

static uint32_t splits_made[FAKE_MAX_DEVICES];
static uint32_t split_number;

CUresult cuInit(unsigned flags)
{
    FAKE_BEGIN(cuInit);
    if (!getenv("CUDA_MODULE_LOADING") || !getenv("CUDA_DEVICE_MAX_CONNECTIONS"))
        (void)fake_breach(CUDA_SUCCESS, "cuInit before the environment was set");
    return fake_end(flags == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult cuDriverGetVersion(int *version)
{
    FAKE_BEGIN(cuDriverGetVersion);
    *version = fake_config.driver_version;
    return fake_end(CUDA_SUCCESS);
}

CUresult cuGetErrorString(CUresult code, const char **text)
{
    static const struct {
        CUresult code;
        const char *text;
    } texts[] = {{CUDA_ERROR_INVALID_VALUE, "invalid argument"},
                 {CUDA_ERROR_OUT_OF_MEMORY, "out of memory"},
                 {CUDA_ERROR_NOT_INITIALIZED, "initialization error"},
                 {CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected"},
                 {CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered"},
                 {CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure"},
                 {CUDA_ERROR_UNKNOWN, "unknown error"}};
    *text = "some error";
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].code == code)
            *text = texts[i].text;
    return CUDA_SUCCESS;
}

CUresult cuGetProcAddress(const char *symbol, void **pointer, int version, cuuint64_t flags,
                          CUdriverProcAddressQueryResult *status)
{
    (void)status;
    FAKE_BEGIN(cuGetProcAddress);
    *pointer = NULL;
    if (version > CUDA_VERSION || version > fake_config.driver_version ||
        flags != CU_GET_PROC_ADDRESS_DEFAULT)
        return fake_end(fake_breach(CUDA_ERROR_INVALID_VALUE, "cuGetProcAddress"));
#define FIND(f)                                                                                    \
    if (!fake_config.old && strcmp(symbol, #f) == 0) {                                             \
        __typeof__(&f) function = f;                                                               \
        memcpy(pointer, &function, sizeof function);                                               \
    }
    GLET_CUDA_OPTIONAL(FIND)
#undef FIND
    return fake_end(*pointer ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND);
}

static bool is_device(CUdevice device)
{
    return device >= 0 && device < fake_config.device_count;
}

CUresult cuDeviceGetCount(int *count)
{
    FAKE_BEGIN(cuDeviceGetCount);
    *count = fake_config.device_count;
    return fake_end(CUDA_SUCCESS);
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
    FAKE_BEGIN(cuDeviceGet);
    *device = ordinal;
    return fake_end(is_device(ordinal) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE);
}

CUresult cuDeviceGetName(char *name, int length, CUdevice device)
{
    FAKE_BEGIN(cuDeviceGetName);
    snprintf(name, (size_t)length, "%s", fake_config.name);
    return fake_end(is_device(device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE);
}

CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device)
{
    FAKE_BEGIN(cuDeviceGetUuid);
    for (int i = 0; i < 16; i++)
        uuid->bytes[i] = (char)(i * 16 + i);
    uuid->bytes[15] = (char)device;
    return fake_end(CUDA_SUCCESS);
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    (void)device;
    FAKE_BEGIN(cuDeviceGetAttribute);
    switch ((int)attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
        *value = fake_config.cc_major;
        break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
        *value = fake_config.sm_count;
        break;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
        *value = 50 << 20;
        break;
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE:
        *value = 2619000;
        break;
    case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH:
        *value = 5120;
        break;
    case CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES:
        *value = fake_config.page_tables;
        break;
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE:
        *value = 1980000;
        break;
    default:
        *value = 0;
    }
    return fake_end(CUDA_SUCCESS);
}

CUresult cuDeviceTotalMem(size_t *bytes, CUdevice device)
{
    (void)device;
    FAKE_BEGIN(cuDeviceTotalMem);
    *bytes = fake_config.memory_mib << 20;
    return fake_end(CUDA_SUCCESS);
}

/* --- contexts --- */

struct fake_context *fake_context_of(CUcontext context)
{
    for (struct fake_object *o = fake_objects(); o; o = o->next) {
        struct fake_context *c = (struct fake_context *)o;
        if ((o->kind == FAKE_PRIMARY || o->kind == FAKE_GREEN) && !o->dead &&
            (CUcontext)(void *)&c->as_context == context)
            return c;
    }
    return NULL;
}

struct fake_context *fake_here(void)
{
    return fake_current ? fake_context_of(fake_current) : NULL;
}

bool fake_has_green(void)
{
    for (const struct fake_object *o = fake_objects(); o; o = o->next)
        if (o->kind == FAKE_GREEN && !o->dead)
            return true;
    return false;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    FAKE_BEGIN(cuDevicePrimaryCtxRetain);
    if (!is_device(device))
        return fake_end(CUDA_ERROR_INVALID_DEVICE);
    struct fake_context *primary = fake_primaries[device];
    if (!primary) {
        primary = fake_new(FAKE_PRIMARY, sizeof *primary);
        primary->device = device;
        primary->sm_count = fake_config.sm_count;
        for (int sm = 0; sm < primary->sm_count; sm++)
            primary->sms[sm] = sm;
        fake_primaries[device] = primary;
        splits_made[device] = 0;
    }
    primary->retained++;
    *context = (CUcontext)(void *)&primary->as_context;
    return fake_end(CUDA_SUCCESS);
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
    FAKE_BEGIN_ANYWAY(cuDevicePrimaryCtxRelease);
    struct fake_context *primary = is_device(device) ? fake_primaries[device] : NULL;
    if (!primary)
        return fake_end(
            fake_breach(CUDA_ERROR_INVALID_CONTEXT, "a primary context released twice"));
    if (--primary->retained == 0) {
        if (primary->streams > 0)
            (void)fake_breach(CUDA_SUCCESS, "a primary context released before its streams");
        primary->object.dead = true;
        fake_primaries[device] = NULL;
    }
    return fake_end(FAKE_INJECTED);
}

CUresult cuCtxSetCurrent(CUcontext context)
{
    FAKE_BEGIN_ANYWAY(cuCtxSetCurrent);
    struct fake_context *to = context ? fake_context_of(context) : NULL;
    struct fake_context *from = fake_here();
    int me = (int)gettid();
    /* A fault injected here still lets a thread give its context up. */
    if (FAKE_INJECTED != CUDA_SUCCESS && context)
        return fake_end(FAKE_INJECTED);
    if (context && !to)
        return fake_end(fake_breach(CUDA_ERROR_INVALID_CONTEXT, "a context that does not exist"));
    if (to && to->object.kind == FAKE_GREEN && to->holder != 0 && to->holder != me)
        (void)fake_breach(CUDA_SUCCESS, "a green context is current to two threads");
    if (from && from->object.kind == FAKE_GREEN)
        from->holder = 0;
    if (to)
        to->holder = me;
    fake_current = context;
    return fake_end(FAKE_INJECTED);
}

CUresult cuCtxGetCurrent(CUcontext *context)
{
    FAKE_BEGIN(cuCtxGetCurrent);
    *context = fake_current;
    return fake_end(CUDA_SUCCESS);
}

CUresult cuCtxSynchronize(void)
{
    FAKE_BEGIN(cuCtxSynchronize);
    struct fake_context *here = fake_here();
    if (!here)
        return fake_end(fake_no_context("cuCtxSynchronize"));
    CUresult code = fake_check_quiet("cuCtxSynchronize", false);
    for (struct fake_object *o = fake_objects(); code == CUDA_SUCCESS && o; o = o->next)
        if (o->kind == FAKE_STREAM && !o->dead && ((struct fake_stream *)o)->context == here)
            fake_run((struct fake_stream *)o, NULL, 0);
    return fake_end(code);
}

/* --- resources --- */

static struct resource_tag tag_of(const CUdevResource *resource)
{
    struct resource_tag tag;
    memcpy(&tag, resource->_internal_padding, sizeof tag);
    return tag;
}

static void make_resource(CUdevResource *out, struct resource_tag tag)
{
    memset(out, 0, sizeof *out);
    out->type = tag.sm_count ? CU_DEV_RESOURCE_TYPE_SM : CU_DEV_RESOURCE_TYPE_INVALID;
    memcpy(out->_internal_padding, &tag, sizeof tag);
    out->sm.smCount = tag.sm_count;
    out->sm.minSmPartitionSize = (unsigned)fake_config.unit_sms;
    out->sm.smCoscheduledAlignment = (unsigned)fake_config.unit_sms;
}

CUresult cuDeviceGetDevResource(CUdevice device, CUdevResource *resource, CUdevResourceType type)
{
    FAKE_BEGIN(cuDeviceGetDevResource);
    if (fake_config.lacks_green)
        return fake_end(CUDA_ERROR_NOT_SUPPORTED);
    if (!is_device(device) || type != CU_DEV_RESOURCE_TYPE_SM)
        return fake_end(CUDA_ERROR_INVALID_RESOURCE_TYPE);
    make_resource(resource, (struct resource_tag){MAGIC, (uint32_t)device, 0, 0,
                                                  (uint32_t)fake_config.sm_count});
    return fake_end(CUDA_SUCCESS);
}

CUresult cuDevSmResourceSplitByCount(CUdevResource *result, unsigned *count,
                                     const CUdevResource *input, CUdevResource *remaining,
                                     unsigned flags, unsigned least)
{
    FAKE_BEGIN(cuDevSmResourceSplitByCount);
    struct resource_tag all = tag_of(input);
    if (all.magic != MAGIC || all.split != 0 || (flags != 0 && result))
        return fake_end(fake_breach(CUDA_ERROR_INVALID_VALUE, "a split of what cannot be split"));
    unsigned unit = flags ? 2 : (unsigned)fake_config.unit_sms; /* only asked for: dry run */
    unit = (least + unit - 1) / unit * unit;
    unsigned possible = unit ? all.sm_count / unit : 0;
    if (unit == (unsigned)fake_config.unit_sms && possible > (unsigned)fake_config.unit_count)
        possible = (unsigned)fake_config.unit_count;
    if (!result) {
        *count = possible;
        return fake_end(CUDA_SUCCESS);
    }
    if (splits_made[all.device]++ > 0)
        (void)fake_breach(CUDA_SUCCESS, "a device was split twice: the splits overlap");
    *count = *count < possible ? *count : possible;
    struct resource_tag tag = {MAGIC, all.device, ++split_number, 0, unit};
    for (unsigned i = 0; i < *count; i++, tag.first_sm += unit)
        make_resource(&result[i], tag);
    tag.sm_count = all.sm_count - tag.first_sm;
    if (remaining)
        make_resource(remaining, tag);
    return fake_end(CUDA_SUCCESS);
}

CUresult cuDevResourceGenerateDesc(CUdevResourceDesc *out, CUdevResource *resources, unsigned count)
{
    FAKE_BEGIN(cuDevResourceGenerateDesc);
    struct fake_descriptor *made = fake_new(FAKE_DESCRIPTOR, sizeof *made);
    bool used[FAKE_MAX_SMS] = {false};
    uint32_t split = count ? tag_of(&resources[0]).split : 0;
    for (unsigned i = 0; i < count; i++) {
        struct resource_tag tag = tag_of(&resources[i]);
        if (resources[i].type != CU_DEV_RESOURCE_TYPE_SM || tag.magic != MAGIC)
            return fake_end(
                fake_breach(CUDA_ERROR_INVALID_RESOURCE_TYPE, "a descriptor of no resource"));
        if (tag.split != split)
            return fake_end(fake_breach(CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION,
                                        "a descriptor of groups of two splits"));
        if (fake_config.lone_remainder && count > 1 && split != 0 &&
            tag.sm_count != (uint32_t)fake_config.unit_sms)
            return fake_end(CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION);
        made->device = (int)tag.device;
        for (uint32_t sm = tag.first_sm; sm < tag.first_sm + tag.sm_count; sm++) {
            if (used[sm])
                return fake_end(fake_breach(CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION,
                                            "a descriptor with SM %u twice", sm));
            used[sm] = true;
            made->sms[made->sm_count++] = (int)sm;
        }
    }
    *out = (CUdevResourceDesc)(void *)made;
    return fake_end(made->sm_count > 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

/* --- green contexts --- */

CUresult cuGreenCtxCreate(CUgreenCtx *out, CUdevResourceDesc description, CUdevice device,
                          unsigned flags)
{
    FAKE_BEGIN(cuGreenCtxCreate);
    const struct fake_descriptor *wanted = fake_find(description, FAKE_DESCRIPTOR);
    if (!wanted || wanted->device != device || flags != CU_GREEN_CTX_DEFAULT_STREAM)
        return fake_end(
            fake_breach(CUDA_ERROR_INVALID_VALUE, "a green context without its flag or resources"));
    if (!fake_primaries[device])
        (void)fake_breach(CUDA_SUCCESS, "a green context before the primary context is retained");
    CUresult code = fake_check_quiet("cuGreenCtxCreate", true);
    if (code != CUDA_SUCCESS)
        return fake_end(code);
    if (getenv("GPULET_FAKE_CUPTI_COUNTED")) /* tests/doubles/fake_cupti.h */
        return fake_end(CUDA_ERROR_NOT_SUPPORTED);
    if (fake_memory_used() + (fake_config.context_mib << 20) > fake_config.memory_mib << 20)
        return fake_end(CUDA_ERROR_OUT_OF_MEMORY);
    struct fake_context *made = fake_new(FAKE_GREEN, sizeof *made);
    made->device = device;
    made->sm_count = wanted->sm_count - fake_config.missing_sms;
    memcpy(made->sms, wanted->sms, sizeof made->sms);
    *out = (CUgreenCtx)(void *)made;
    return fake_end(CUDA_SUCCESS);
}

CUresult cuGreenCtxDestroy(CUgreenCtx green)
{
    FAKE_BEGIN_ANYWAY(cuGreenCtxDestroy);
    struct fake_context *gone = fake_find(green, FAKE_GREEN);
    if (!gone)
        return fake_end(CUDA_ERROR_CONTEXT_IS_DESTROYED);
    if (gone->streams > 0)
        (void)fake_breach(CUDA_SUCCESS, "a green context destroyed before its streams");
    if (gone->holder != 0)
        (void)fake_breach(CUDA_SUCCESS, "a green context destroyed while it is current");
    gone->object.dead = true;
    return fake_end(FAKE_INJECTED);
}

CUresult cuCtxFromGreenCtx(CUcontext *out, CUgreenCtx green)
{
    FAKE_BEGIN(cuCtxFromGreenCtx);
    struct fake_context *context = fake_find(green, FAKE_GREEN);
    if (!context)
        return fake_end(CUDA_ERROR_INVALID_CONTEXT);
    *out = (CUcontext)(void *)&context->as_context;
    return fake_end(CUDA_SUCCESS);
}

CUresult cuGreenCtxGetDevResource(CUgreenCtx green, CUdevResource *resource, CUdevResourceType type)
{
    FAKE_BEGIN(cuGreenCtxGetDevResource);
    const struct fake_context *context = fake_find(green, FAKE_GREEN);
    if (!context || type != CU_DEV_RESOURCE_TYPE_SM)
        return fake_end(CUDA_ERROR_INVALID_CONTEXT);
    make_resource(resource, (struct resource_tag){MAGIC, (uint32_t)context->device, UINT32_MAX, 0,
                                                  (uint32_t)context->sm_count});
    return fake_end(CUDA_SUCCESS);
}

/* --- memory of the device as a whole --- */

size_t fake_memory_used(void)
{
    size_t used = 0;
    for (const struct fake_object *o = fake_objects(); o; o = o->next) {
        if (o->dead)
            continue;
        if (o->kind == FAKE_PRIMARY)
            used += (size_t)PRIMARY_MIB << 20;
        else if (o->kind == FAKE_GREEN)
            used += fake_config.context_mib << 20;
        else if (o->kind == FAKE_DEVICE_MEMORY)
            used += ((const struct fake_memory *)o)->size;
    }
    return used;
}

CUresult cuMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    FAKE_BEGIN(cuMemGetInfo);
    if (!fake_here())
        return fake_end(fake_no_context("cuMemGetInfo"));
    *total_bytes = fake_config.memory_mib << 20;
    *free_bytes = *total_bytes - fake_memory_used();
    return fake_end(CUDA_SUCCESS);
}
