/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the copy engine read a client's shared memory where it is: what pinning costs, whether what it
 * copies is right and how fast, what enqueueing costs the thread, and whether pages stay that the
 * client has taken out of its object meanwhile. They are taken by a hole, since the process may not
 * touch what lies behind an object's end; the kernel drops pages of both in the same way.
 */
#include "tests/gpu/gpu_check.h"

#include "common/clock.h"
#include "common/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ROW_BYTES = 3 * 224 * 224 * 4, ROWS = 16, BYTES = ROW_BYTES * ROWS, RUNS = 400 };

struct pinned {
    struct gpu_check *check;
    const struct glet_cuda_site *site;
    int fd;
    unsigned char *memory, *back; /* the object; pinned by the driver, to compare with */
    CUdeviceptr on_device;
    double *enqueue_us, *copy_us; /* of each run */
};

static void fill(unsigned char *memory, unsigned seed)
{
    for (size_t i = 0; i < BYTES; i++)
        memory[i] = (unsigned char)(i * 7 + i / 4096 + seed);
}

static bool holds(const unsigned char *memory, unsigned seed)
{
    for (size_t i = 0; i < BYTES; i++)
        if (memory[i] != (unsigned char)(i * 7 + i / 4096 + seed))
            return false;
    return true;
}

static int make(struct pinned *p, struct glet_error *err)
{
    const struct glet_cuda_api *api = p->check->api;
    void *back;
    p->fd = memfd_create("gpu_check_pinned", MFD_CLOEXEC);
    if (p->fd < 0 || ftruncate(p->fd, BYTES) < 0)
        return glet_error_errno(err, errno, "shared memory");
    void *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
    if (memory == MAP_FAILED)
        return glet_error_errno(err, errno, "shared memory");
    p->memory = memory;
    p->enqueue_us = glet_alloc(RUNS, sizeof(double), err);
    p->copy_us = p->enqueue_us ? glet_alloc(RUNS, sizeof(double), err) : NULL;
    if (!p->copy_us || GLET_CUDA_TRY(api, err, cuCtxSetCurrent, p->site->context) < 0 ||
        GLET_CUDA_TRY(api, err, cuMemAlloc, &p->on_device, BYTES) < 0 ||
        GLET_CUDA_TRY(api, err, cuMemHostAlloc, &back, BYTES, 0) < 0)
        return -1;
    p->back = back;
    return 0;
}

static void drop(struct pinned *p)
{
    const struct glet_cuda_api *api = p->check->api;
    if (p->back)
        (void)api->cuMemFreeHost(p->back);
    if (p->on_device)
        (void)api->cuMemFree(p->on_device);
    if (p->memory)
        munmap(p->memory, BYTES);
    if (p->fd >= 0)
        close(p->fd);
    free(p->enqueue_us);
    free(p->copy_us);
}

/* Rows one by one, as requests are: how long to enqueue one, and until one is there. */
static int copy_rows(struct pinned *p, const unsigned char *from, struct glet_error *err)
{
    const struct glet_cuda_api *api = p->check->api;
    for (int run = 0; run < RUNS; run++) {
        uint64_t start_ns = glet_clock_ns();
        for (size_t row = 0; row < ROWS; row++)
            if (GLET_CUDA_TRY(api, err, cuMemcpyHtoDAsync, p->on_device + row * ROW_BYTES,
                              from + row * ROW_BYTES, ROW_BYTES, p->site->stream) < 0)
                return -1;
        p->enqueue_us[run] = (double)(glet_clock_ns() - start_ns) / 1e3 / ROWS;
        if (GLET_CUDA_TRY(api, err, cuStreamSynchronize, p->site->stream) < 0)
            return -1;
        p->copy_us[run] = (double)(glet_clock_ns() - start_ns) / 1e3 / ROWS;
    }
    return 0;
}

/* What is on the device comes back. */
static int fetch(struct pinned *p, struct glet_error *err)
{
    const struct glet_cuda_api *api = p->check->api;
    memset(p->back, 0, BYTES);
    return GLET_CUDA_TRY(api, err, cuMemcpyDtoHAsync, p->back, p->on_device, BYTES,
                         p->site->stream) < 0
               ? -1
               : GLET_CUDA_TRY(api, err, cuStreamSynchronize, p->site->stream);
}

static int look(struct pinned *p, struct glet_error *err)
{
    fill(p->back, 1);
    if (copy_rows(p, p->back, err) < 0)
        return -1;
    double staged_us = gpu_check_times(p->copy_us, RUNS).p50;
    fill(p->memory, 2);
    if (copy_rows(p, p->memory, err) < 0 || fetch(p, err) < 0)
        return -1;
    struct gpu_check_times enqueued = gpu_check_times(p->enqueue_us, RUNS);
    double in_place_us = gpu_check_times(p->copy_us, RUNS).p50;
    gpu_check_row("600 KB copied from staging memory", staged_us, "us", NULL, false);
    gpu_check_row("600 KB copied in place", in_place_us, "us", "< 1.2 x that",
                  in_place_us < 1.2 * staged_us);
    gpu_check_row("a copy in place enqueued, median", enqueued.p50, "us", "< 10",
                  enqueued.p50 < 10);
    gpu_check_row("a copy in place enqueued, 99 %", enqueued.p99, "us", NULL, false);
    gpu_check_row("what was copied in place is right", holds(p->back, 2), "", "1",
                  holds(p->back, 2));
    if (fallocate(p->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, BYTES) < 0)
        return glet_error_errno(err, errno, "a hole in shared memory");
    bool gone = p->memory[BYTES - 1] == 0;
    if (copy_rows(p, p->memory, err) < 0 || fetch(p, err) < 0)
        return -1;
    gpu_check_row("pages that the object has lost are there", gone && holds(p->back, 2), "", "1",
                  gone && holds(p->back, 2));
    return 0;
}

/* As an object is mapped that this process may not write: not every GPU takes that. */
static int pin_read_only(const struct pinned *p, struct glet_error *err)
{
    void *memory = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, p->fd, 0);
    if (memory == MAP_FAILED)
        return glet_error_errno(err, errno, "shared memory");
    bool pinned = glet_device_pin(p->check->device, memory, BYTES, false);
    gpu_check_row("shared memory pinned that may only be read", pinned, "", NULL, false);
    if (pinned)
        glet_device_unpin(p->check->device, memory);
    munmap(memory, BYTES);
    return 0;
}

int gpu_check_pinned(struct gpu_check *check, struct glet_error *err)
{
    int whole = glet_device_info(check->device)->units;
    if (gpu_check_cut(check, &whole, 1, err) < 0)
        return -1;
    struct pinned p = {.check = check, .site = gpu_check_site(check, 0), .fd = -1};
    int rc = make(&p, err);
    uint64_t start_ns = glet_clock_ns();
    if (rc == 0 && !glet_device_pin(check->device, p.memory, BYTES, true)) {
        gpu_check_row("shared memory pinned", 0, "", "1", false);
    } else if (rc == 0) {
        double pin_us = (double)(glet_clock_ns() - start_ns) / 1e3 / ROWS;
        gpu_check_row("600 KB of new shared memory pinned", pin_us, "us", NULL, false);
        rc = look(&p, err);
        start_ns = glet_clock_ns();
        glet_device_unpin(check->device, p.memory);
        double unpin_us = (double)(glet_clock_ns() - start_ns) / 1e3 / ROWS;
        gpu_check_row("600 KB unpinned", unpin_us, "us", NULL, false);
    }
    if (rc == 0)
        rc = pin_read_only(&p, err);
    drop(&p);
    return rc;
}
