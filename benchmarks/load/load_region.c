/* SPDX-License-Identifier: Apache-2.0 */
#include "benchmarks/load/load_region.h"

#include "common/clock.h"
#include "common/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void glet_load_region_name(struct glet_load_region *region, size_t number)
{
    /* Processes in other containers may have the same number. */
    snprintf(region->name, sizeof region->name, "gpulet-load-%d-%" PRIx64 "-%zu", (int)getpid(),
             glet_clock_ns(), number);
}

int glet_load_region_create(struct glet_load_region *region, size_t bytes, struct glet_error *err)
{
    int fd = shm_open(region->name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return glet_error_errno(err, errno, "shared memory object %s", region->name);
    /* Servers may be other users, who write outputs. The memory is taken now: writing to what is not there would be a
       signal. */
    int failed = fchmod(fd, region->outputs_too ? 0666 : 0644) < 0
                     ? errno
                     : posix_fallocate(fd, 0, (off_t)bytes);
    void *memory =
        failed ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (!failed && memory == MAP_FAILED)
        failed = errno;
    close(fd);
    if (failed) {
        shm_unlink(region->name);
        return glet_error_errno(err, failed, "%zu bytes of shared memory", bytes);
    }
    region->memory = memory;
    region->bytes = bytes;
    return 0;
}

void glet_load_region_unlink(struct glet_load_region *region)
{
    if (region->memory)
        shm_unlink(region->name);
}

void glet_load_region_fini(struct glet_load_region *region)
{
    glet_load_region_unlink(region);
    if (region->memory)
        munmap(region->memory, region->bytes);
    *region = (struct glet_load_region){0};
}

static char *post(const char *host, const char *name, const char *verb, const char *body,
                  struct glet_error *err)
{
    return glet_format(err,
                       "POST /v2/systemsharedmemory/region/%s/%s HTTP/1.1\r\nHost: %s\r\n"
                       "User-Agent: gpulet-load\r\nContent-Length: %zu\r\n\r\n%s",
                       name, verb, host, strlen(body), body);
}

char *glet_load_region_register(const struct glet_load_region *region, const char *host,
                                struct glet_error *err)
{
    char body[160];
    snprintf(body, sizeof body, "{\"key\":\"/%s\",\"offset\":0,\"byte_size\":%zu}", region->name,
             region->bytes);
    return post(host, region->name, "register", body, err);
}

char *glet_load_region_unregister(const struct glet_load_region *region, const char *host,
                                  struct glet_error *err)
{
    return post(host, region->name, "unregister", "", err);
}
