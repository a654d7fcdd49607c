/* SPDX-License-Identifier: Apache-2.0 */
/* Device and pinned memory, also the process's own, and copies between them. Fresh memory holds no
   zeros. */
#include "tests/doubles/cuda/fake_cuda_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* What a driver may read by itself when it is told to copy it, and not by the copy engine later. */
enum { READ_AT_ONCE_BYTES = 65536 };

/* What is large is mapped, and touched only at its beginning, so that it costs nothing. */
enum { POISON = 0xCD, POISONED_BYTES = 65536, LARGE_BYTES = 1 << 20, ALIGN_BYTES = 256 };

static char *new_memory(size_t bytes)
{
    void *memory = NULL;
    if (bytes >= LARGE_BYTES)
        memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    else if (posix_memalign(&memory, ALIGN_BYTES, bytes) != 0)
        abort();
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

void fake_memory_free(struct fake_memory *memory)
{
    if (memory->size < LARGE_BYTES)
        free(memory->bytes);
    else if (memory->bytes)
        munmap(memory->bytes, memory->size);
    memory->bytes = NULL;
}

struct fake_memory *fake_memory_at(const void *address, size_t bytes, enum fake_kind kind)
{
    for (struct fake_object *o = fake_objects(); o; o = o->next) {
        struct fake_memory *m = (struct fake_memory *)o;
        if (o->kind == kind && !o->dead && (const char *)address >= m->bytes &&
            (const char *)address + bytes <= m->bytes + m->size)
            return m;
    }
    return NULL;
}

static CUresult allocate(const char *function, enum fake_kind kind, size_t bytes, void **out)
{
    CUresult code = fake_check_quiet(function, true);
    if (code != CUDA_SUCCESS)
        return code;
    if (!fake_here())
        return fake_no_context(function);
    if (bytes == 0)
        return fake_breach(CUDA_ERROR_INVALID_VALUE, "%s of nothing", function);
    if (kind == FAKE_DEVICE_MEMORY && fake_memory_used() + bytes > fake_config.memory_mib << 20)
        return CUDA_ERROR_OUT_OF_MEMORY;
    struct fake_memory *made = fake_new(kind, sizeof *made);
    made->size = bytes;
    made->bytes = new_memory(bytes);
    memset(made->bytes, POISON, bytes < POISONED_BYTES ? bytes : POISONED_BYTES);
    *out = made->bytes;
    return CUDA_SUCCESS;
}

static CUresult release(const char *function, enum fake_kind kind, const void *address)
{
    struct fake_memory *m = fake_memory_at(address, 1, kind);
    if (!m || m->bytes != address)
        return fake_breach(CUDA_ERROR_INVALID_VALUE, "%s of what was not allocated", function);
    m->object.dead = true;
    fake_memory_free(m);
    return fake_check_quiet(function, true);
}

CUresult cuMemAlloc(CUdeviceptr *out, size_t bytes)
{
    void *memory = NULL;
    FAKE_BEGIN(cuMemAlloc);
    CUresult code = allocate("cuMemAlloc", FAKE_DEVICE_MEMORY, bytes, &memory);
    if (code == CUDA_SUCCESS)
        *out = (CUdeviceptr)(uintptr_t)memory;
    return fake_end(code);
}

CUresult cuMemFree(CUdeviceptr memory)
{
    FAKE_BEGIN_ANYWAY(cuMemFree);
    CUresult code = release("cuMemFree", FAKE_DEVICE_MEMORY, (void *)(uintptr_t)memory);
    if (!fake_here())
        (void)fake_no_context("cuMemFree");
    return fake_end(code != CUDA_SUCCESS ? code : FAKE_INJECTED);
}

CUresult cuMemHostAlloc(void **out, size_t bytes, unsigned flags)
{
    (void)flags;
    FAKE_BEGIN(cuMemHostAlloc);
    return fake_end(allocate("cuMemHostAlloc", FAKE_HOST_MEMORY, bytes, out));
}

CUresult cuMemFreeHost(void *memory)
{
    FAKE_BEGIN_ANYWAY(cuMemFreeHost);
    CUresult code = release("cuMemFreeHost", FAKE_HOST_MEMORY, memory);
    return fake_end(code != CUDA_SUCCESS ? code : FAKE_INJECTED);
}

/* Some page of it is mapped for reading only; *all: every page of it is mapped. */
static bool is_read_only(const char *memory, size_t bytes, bool *all)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    uintptr_t at = (uintptr_t)memory, end = at + bytes, low, high;
    char line[512], way[5];
    bool found = false;
    while (maps && at < end && fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx %4s", &low, &high, way) != 3 || high <= at || low > at)
            continue;
        found |= way[1] != 'w';
        at = high;
    }
    if (maps)
        fclose(maps);
    *all = at >= end;
    return found;
}

static CUresult pin(char *memory, size_t bytes, unsigned flags)
{
    bool mapped, read_only = is_read_only(memory, bytes, &mapped);
    CUresult code = fake_check_quiet("cuMemHostRegister", false);
    if (code != CUDA_SUCCESS)
        return code;
    if (!fake_here())
        return fake_no_context("cuMemHostRegister");
    if (bytes == 0 || !mapped)
        return fake_breach(CUDA_ERROR_INVALID_VALUE, "cuMemHostRegister of what is not there");
    if (!(flags & CU_MEMHOSTREGISTER_PORTABLE))
        (void)fake_breach(CUDA_SUCCESS, "cuMemHostRegister for one context only");
    if (read_only != ((flags & CU_MEMHOSTREGISTER_READ_ONLY) != 0))
        return fake_breach(CUDA_ERROR_INVALID_VALUE,
                           "cuMemHostRegister with flags that its mapping does not have");
    for (struct fake_object *o = fake_objects(); o; o = o->next) {
        const struct fake_memory *m = (const struct fake_memory *)o;
        bool is_host = o->kind == FAKE_HOST_MEMORY || o->kind == FAKE_PINNED_MEMORY;
        if (is_host && !o->dead && m->bytes < memory + bytes && m->bytes + m->size > memory)
            return fake_breach(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
                               "cuMemHostRegister of what is pinned already");
    }
    struct fake_memory *made = fake_new(FAKE_PINNED_MEMORY, sizeof *made);
    made->size = bytes;
    made->bytes = memory;
    return CUDA_SUCCESS;
}

CUresult cuMemHostRegister(void *memory, size_t bytes, unsigned flags)
{
    FAKE_BEGIN(cuMemHostRegister);
    return fake_end(fake_config.no_pinning ? CUDA_ERROR_NOT_SUPPORTED : pin(memory, bytes, flags));
}

CUresult cuMemHostUnregister(void *memory)
{
    FAKE_BEGIN_ANYWAY(cuMemHostUnregister);
    struct fake_memory *m = fake_memory_at(memory, 1, FAKE_PINNED_MEMORY);
    if (!fake_here())
        (void)fake_no_context("cuMemHostUnregister");
    if (!m || m->bytes != memory)
        return fake_end(fake_breach(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED,
                                    "cuMemHostUnregister of what was not registered"));
    if (fake_is_being_read(m->bytes, m->size))
        (void)fake_breach(CUDA_SUCCESS, "cuMemHostUnregister of what a copy is about to read");
    m->object.dead = true;
    return fake_end(FAKE_INJECTED);
}

static CUresult copy(CUstream stream, const char *function, void *to, enum fake_kind to_kind,
                     const void *from, enum fake_kind from_kind, size_t bytes)
{
    if (!fake_memory_at(to, bytes, to_kind) || !fake_memory_at(from, bytes, from_kind))
        return fake_breach(CUDA_ERROR_INVALID_VALUE,
                           "%s of %zu bytes outside what is allocated (or not pinned)", function,
                           bytes);
    bool on_device = to_kind == FAKE_DEVICE_MEMORY && from_kind == FAKE_DEVICE_MEMORY;
    struct fake_op op = {.kind = FAKE_OP_COPY,
                         .to = to,
                         .from = from,
                         .bytes = bytes,
                         .takes_ms = on_device ? 0 : fake_config.copy_ms};
    fake_trace(function + strlen("cuMemcpy"), stream, NULL);
    return fake_emit(stream, &op, false);
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
    FAKE_BEGIN(cuMemcpyHtoDAsync);
    bool in_place = fake_memory_at(from, bytes, FAKE_PINNED_MEMORY) != NULL;
    fake_copies_in_place += in_place;
    if (in_place && bytes <= READ_AT_ONCE_BYTES)
        (void)fake_breach(CUDA_SUCCESS,
                          "%zu bytes copied in place: the process may read them itself", bytes);
    return fake_end(copy(stream, "cuMemcpyHtoDAsync", (void *)(uintptr_t)to, FAKE_DEVICE_MEMORY,
                         from, in_place ? FAKE_PINNED_MEMORY : FAKE_HOST_MEMORY, bytes));
}

CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    FAKE_BEGIN(cuMemcpyDtoHAsync);
    return fake_end(copy(stream, "cuMemcpyDtoHAsync", to, FAKE_HOST_MEMORY, (void *)(uintptr_t)from,
                         FAKE_DEVICE_MEMORY, bytes));
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    FAKE_BEGIN(cuMemcpyDtoDAsync);
    return fake_end(copy(stream, "cuMemcpyDtoDAsync", (void *)(uintptr_t)to, FAKE_DEVICE_MEMORY,
                         (void *)(uintptr_t)from, FAKE_DEVICE_MEMORY, bytes));
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream)
{
    FAKE_BEGIN(cuMemsetD8Async);
    void *address = (void *)(uintptr_t)to;
    if (!fake_memory_at(address, bytes, FAKE_DEVICE_MEMORY))
        return fake_end(fake_breach(CUDA_ERROR_INVALID_VALUE, "cuMemsetD8Async outside memory"));
    struct fake_op op = {.kind = FAKE_OP_SET, .to = address, .bytes = bytes, .value = value};
    return fake_end(fake_emit(stream, &op, true));
}
