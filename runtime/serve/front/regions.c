/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list under one lock, that is held to look a name up and never while anything is mapped: there
 * are few regions, and names are told apart by their length or first bytes.
 */
#include "runtime/serve/front/regions.h"

#include "common/memory.h"
#include "runtime/serve/service.h"
#include "runtime/serve/shared_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct glet_region {
    struct glet_region *next; /* under the lock */
    char *name, *key;
    uint64_t offset, bytes;
    void *mapping; /* from a page border on; the region begins `lead` bytes behind it */
    size_t lead;
    bool writable;
    struct glet_service *pins; /* that has pinned it; NULL: none has */
    atomic_uint holds;         /* the list's own, and one of each request */
};

struct glet_regions {
    struct glet_service *service;
    pthread_mutex_t lock;
    struct glet_region *first;
    size_t count;
};

int glet_regions_new(struct glet_service *service, struct glet_regions **out,
                     struct glet_error *err)
{
    if (glet_shared_copy_setup(err) < 0)
        return -1;
    struct glet_regions *regions = glet_alloc(1, sizeof *regions, err);
    if (!regions)
        return -1;
    regions->service = service;
    pthread_mutex_init(&regions->lock, NULL);
    *out = regions;
    return 0;
}

void glet_regions_free(struct glet_regions *regions)
{
    if (!regions)
        return;
    glet_regions_unregister(regions, NULL);
    pthread_mutex_destroy(&regions->lock);
    free(regions);
}

static void free_region(struct glet_region *region)
{
    if (region->pins)
        glet_service_unpin(region->pins, region->mapping, region->lead + region->bytes);
    if (region->mapping)
        munmap(region->mapping, region->lead + region->bytes);
    free(region->name);
    free(region->key);
    free(region);
}

void glet_region_release(struct glet_region *region)
{
    if (atomic_fetch_sub(&region->holds, 1) == 1)
        free_region(region);
}

/* For reading and writing, or at least for reading. Not what blocks, and no link to anywhere. */
static int open_object(const char *key, bool *writable, struct glet_error *err)
{
    const char *name = key + (key[0] == '/');
    if (!name[0] || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return glet_error_set(err, GLET_ERR_INPUT,
                              "'%.100s' is not the key of a shared memory "
                              "object",
                              key);
    int fd = shm_open(key, O_RDWR | O_NONBLOCK, 0);
    *writable = fd >= 0;
    if (fd < 0 && errno == EACCES)
        fd = shm_open(key, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return glet_error_set(err, GLET_ERR_INPUT, "shared memory object '%.100s': %s", key,
                              strerror(errno));
    return fd;
}

static int map(struct glet_region *region, int fd, struct glet_error *err)
{
    struct stat status;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return glet_error_set(err, GLET_ERR_INPUT, "'%.100s' is not a shared memory object",
                              region->key);
    uint64_t size = (uint64_t)status.st_size;
    if (region->bytes == 0 || region->offset > size || region->bytes > size - region->offset)
        return glet_error_set(err, GLET_ERR_RANGE,
                              "shared memory object '%.100s' has %" PRIu64 " bytes, not %" PRIu64
                              " from %" PRIu64 " on",
                              region->key, size, region->bytes, region->offset);
    region->lead = region->offset % (uint64_t)sysconf(_SC_PAGESIZE);
    void *mapping = mmap(NULL, region->lead + region->bytes,
                         region->writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd,
                         (off_t)(region->offset - region->lead));
    if (mapping == MAP_FAILED)
        return glet_error_set(err, GLET_ERR_NOMEM, "shared memory object '%.100s': %s", region->key,
                              strerror(errno));
    region->mapping = mapping;
    return 0;
}

static struct glet_region *make(const char *name, const char *key, uint64_t offset, uint64_t bytes,
                                struct glet_error *err)
{
    struct glet_region *region = glet_alloc(1, sizeof *region, err);
    if (!region)
        return NULL;
    region->offset = offset;
    region->bytes = bytes;
    atomic_init(&region->holds, 1);
    region->name = glet_strdup(name, err);
    region->key = region->name ? glet_strdup(key, err) : NULL;
    int fd = region->key ? open_object(key, &region->writable, err) : -1;
    int result = fd < 0 ? -1 : map(region, fd, err);
    if (fd >= 0)
        close(fd);
    if (result == 0)
        return region;
    free_region(region);
    return NULL;
}

static struct glet_region **find(struct glet_regions *regions, const char *name)
{
    struct glet_region **at = &regions->first;
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

int glet_regions_register(struct glet_regions *regions, const char *name, const char *key,
                          uint64_t offset, uint64_t bytes, struct glet_error *err)
{
    struct glet_region *region = make(name, key, offset, bytes, err);
    if (!region)
        return -1;
    /* Before anybody can name it. That fetches its pages, too, so that no request waits for them. */
    if (glet_service_pin(regions->service, region->mapping, region->lead + region->bytes,
                         region->writable))
        region->pins = regions->service;
    pthread_mutex_lock(&regions->lock);
    bool taken = *find(regions, name) != NULL, full = regions->count == GLET_REGIONS_MOST;
    if (!taken && !full) {
        region->next = regions->first;
        regions->first = region;
        regions->count++;
    }
    pthread_mutex_unlock(&regions->lock);
    if (!taken && !full)
        return 0;
    glet_region_release(region);
    if (taken)
        return glet_error_set(err, GLET_ERR_INPUT,
                              "shared memory region '%.100s' is registered already", name);
    return glet_error_set(err, GLET_ERR_RANGE, "more than %d shared memory regions",
                          GLET_REGIONS_MOST);
}

/* Takes it out of the list, or all. */
static struct glet_region *take_out(struct glet_regions *regions, const char *name)
{
    pthread_mutex_lock(&regions->lock);
    struct glet_region **at = name ? find(regions, name) : &regions->first, *found = *at;
    if (!name) {
        *at = NULL;
        regions->count = 0;
    } else if (found) {
        *at = found->next;
        found->next = NULL;
        regions->count--;
    }
    pthread_mutex_unlock(&regions->lock);
    return found;
}

void glet_regions_unregister(struct glet_regions *regions, const char *name)
{
    struct glet_region *region = take_out(regions, name);
    while (region) {
        struct glet_region *next = region->next;
        glet_region_release(region);
        region = next;
    }
}

struct glet_region *glet_regions_hold(struct glet_regions *regions,
                                      const struct glet_json_string *name)
{
    pthread_mutex_lock(&regions->lock);
    struct glet_region *region = regions->first;
    while (region && !glet_json_is(name, region->name))
        region = region->next;
    if (region)
        atomic_fetch_add(&region->holds, 1);
    pthread_mutex_unlock(&regions->lock);
    return region;
}

void *glet_region_at(const struct glet_region *region, uint64_t offset, uint64_t bytes)
{
    if (offset > region->bytes || bytes > region->bytes - offset)
        return NULL;
    return (char *)region->mapping + region->lead + offset;
}

bool glet_region_writable(const struct glet_region *region)
{
    return region->writable;
}

bool glet_region_pinned(const struct glet_region *region)
{
    return region->pins != NULL;
}

static void put(const struct glet_region *region, struct glet_text *text)
{
    glet_text_put(text, "{\"name\":");
    glet_text_json_string(text, region->name);
    glet_text_put(text, ",\"key\":");
    glet_text_json_string(text, region->key);
    glet_text_format(text, ",\"offset\":%" PRIu64 ",\"byte_size\":%" PRIu64 "}", region->offset,
                     region->bytes);
}

bool glet_regions_list(struct glet_regions *regions, const char *name, struct glet_text *text)
{
    bool found = !name;
    glet_text_put(text, "[");
    pthread_mutex_lock(&regions->lock);
    const struct glet_region *region = name ? *find(regions, name) : regions->first;
    for (bool first = true; region; region = name ? NULL : region->next, first = false) {
        glet_text_put(text, first ? "" : ",");
        put(region, text);
        found = true;
    }
    pthread_mutex_unlock(&regions->lock);
    glet_text_put(text, "]");
    return found;
}
