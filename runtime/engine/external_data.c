/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening walks the location folder by folder with O_NOFOLLOW, relative to the model's folder: no
 * part of it can be a link, and there is no window between a check and the open. A model has one or
 * few such files, so they are a list.
 */
#include "runtime/engine/external_data.h"

#include "common/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
    char *location;
    struct glet_mapping mapping;
};

struct glet_external {
    char *folder;
    struct file *files;
    size_t count, capacity;
};

int glet_mapping_open(int descriptor, const char *path, struct glet_mapping *out,
                      struct glet_error *err)
{
    struct stat status;
    if (fstat(descriptor, &status) < 0)
        return glet_error_errno(err, errno, "%s", path);
    if (!S_ISREG(status.st_mode))
        return glet_error_set(err, GLET_ERR_INPUT, "%s: not a regular file", path);
    if (status.st_size == 0)
        return glet_error_set(err, GLET_ERR_INPUT, "%s: the file is empty", path);
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (bytes == MAP_FAILED)
        return glet_error_errno(err, errno, "%s: cannot map", path);
    out->bytes = bytes;
    out->length_bytes = (size_t)status.st_size;
    return 0;
}

void glet_mapping_close(struct glet_mapping *mapping)
{
    if (mapping->bytes)
        munmap((void *)(uintptr_t)mapping->bytes, mapping->length_bytes);
    *mapping = (struct glet_mapping){NULL, 0};
}

struct glet_external *glet_external_new(const char *model_path)
{
    struct glet_external *external = calloc(1, sizeof *external);
    if (!external)
        return NULL;
    const char *slash = strrchr(model_path, '/');
    external->folder = slash ? strndup(model_path, (size_t)(slash - model_path) + 1) : strdup("./");
    if (!external->folder) {
        free(external);
        return NULL;
    }
    return external;
}

void glet_external_free(struct glet_external *external)
{
    if (!external)
        return;
    for (size_t i = 0; i < external->count; i++) {
        free(external->files[i].location);
        glet_mapping_close(&external->files[i].mapping);
    }
    free(external->files);
    free(external->folder);
    free(external);
}

static int refuse(struct glet_error *err, const char *location, const char *why)
{
    return glet_error_set(err, GLET_ERR_INPUT, "external data \"%s\": %s", location, why);
}

/* Opens one step of the path; the last one is the file. */
static int open_step(int folder, const char *name, bool last, const char *location,
                     struct glet_error *err)
{
    if (strcmp(name, "..") == 0)
        return refuse(err, location, "leaves the model's folder");
    int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (last ? O_NONBLOCK : O_DIRECTORY);
    int descriptor = openat(folder, name, flags);
    if (descriptor >= 0)
        return descriptor;
    struct stat status;
    if ((errno == ELOOP || errno == ENOTDIR) &&
        fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode))
        return refuse(err, location, "is or passes a symbolic link, which could leave the folder");
    return glet_error_errno(err, errno, "external data \"%s\"", location);
}

/* The steps of `path`, which is cut up, from the open folder on. Consumes the folder. */
static int open_steps(int folder, char *path, const char *location, struct glet_error *err)
{
    GLET_CLEANUP(glet_cleanup_close) int current = folder;
    char *rest = path, *step = strsep(&rest, "/");
    while (step) {
        char *next = strsep(&rest, "/");
        while (next && (next[0] == '\0' || strcmp(next, ".") == 0))
            next = strsep(&rest, "/");
        int opened = open_step(current, step, !next, location, err);
        if (opened < 0)
            return -1;
        close(current);
        current = opened;
        step = next;
    }
    int file = current;
    current = -1;
    return file;
}

static int open_location(const struct glet_external *external, const char *location,
                         struct glet_error *err)
{
    if (location[0] == '\0')
        return refuse(err, location, "no file name");
    if (location[0] == '/')
        return refuse(err, location, "leaves the model's folder");
    GLET_CLEANUP(glet_cleanup_free) char *path = glet_strdup(location, err);
    if (!path)
        return -1;
    int folder = open(external->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return glet_error_errno(err, errno, "%s", external->folder);
    return open_steps(folder, path, location, err);
}

int glet_external_map(struct glet_external *external, const char *location,
                      struct glet_mapping *out, struct glet_error *err)
{
    for (size_t i = 0; i < external->count; i++) {
        if (strcmp(external->files[i].location, location) == 0) {
            *out = external->files[i].mapping;
            return 0;
        }
    }
    GLET_CLEANUP(glet_cleanup_close) int descriptor = open_location(external, location, err);
    if (descriptor < 0)
        return -1;
    if (glet_reserve(&external->files, &external->capacity, external->count + 1,
                     sizeof *external->files, err) < 0)
        return -1;
    struct file file = {glet_strdup(location, err), {NULL, 0}};
    if (!file.location)
        return -1;
    if (glet_mapping_open(descriptor, location, &file.mapping, err) < 0) {
        free(file.location);
        return glet_error_context(err, "external data");
    }
    external->files[external->count++] = file;
    *out = file.mapping;
    return 0;
}

size_t glet_external_count(const struct glet_external *external)
{
    return external->count;
}

struct glet_mapping glet_external_at(const struct glet_external *external, size_t index)
{
    return external->files[index].mapping;
}
