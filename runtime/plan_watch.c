/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders are watched, not the file: a file that is replaced takes its watch with it. Any event
 * there only says "look"; what decides is whether the path now leads to another file, size or time.
 * The folders are that of the path, that of every link on it (Kubernetes swaps ..data beside the
 * plan, others a link to a whole folder), and that of the file it leads to.
 */
#include "runtime/plan_watch.h"

#include "common/log.h"
#include "common/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* The first `length` bytes of the path, without a file's name: "." when nothing is left. */
static int watch_folder(const struct glet_plan_watch *watch, const char *path, size_t length,
                        struct glet_error *err)
{
    GLET_CLEANUP(glet_cleanup_free)
    char *folder = length ? glet_format(err, "%.*s", (int)length, path) : glet_strdup(".", err);
    if (!folder)
        return -1;
    if (inotify_add_watch(watch->fd, folder,
                          IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB | IN_ONLYDIR) < 0)
        return glet_error_errno(err, errno, "watching %s", folder);
    return 0;
}

static size_t folder_length(const char *path, size_t length)
{
    while (length > 0 && path[length - 1] != '/')
        length--;
    return length;
}

/* A folder that is watched already is not watched twice. */
static int watch_folders(const struct glet_plan_watch *watch, struct glet_error *err)
{
    const char *path = watch->path;
    size_t whole = strlen(path);
    if (watch_folder(watch, path, folder_length(path, whole), err) < 0)
        return -1;
    for (size_t i = 1; i <= whole; i++) {
        if (path[i] != '/' && i < whole)
            continue;
        struct stat status;
        GLET_CLEANUP(glet_cleanup_free) char *part = glet_format(err, "%.*s", (int)i, path);
        if (!part)
            return -1;
        if (lstat(part, &status) == 0 && S_ISLNK(status.st_mode) &&
            watch_folder(watch, path, folder_length(path, i), err) < 0)
            return -1;
    }
    GLET_CLEANUP(glet_cleanup_free) char *real = realpath(path, NULL);
    return real ? watch_folder(watch, real, folder_length(real, strlen(real)), err) : 0;
}

static int start_watching(struct glet_plan_watch *watch, struct glet_error *err)
{
    watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return watch->fd < 0 ? glet_error_errno(err, errno, "inotify") : watch_folders(watch, err);
}

int glet_plan_watch_open(struct glet_plan_watch *watch, const char *path, struct glet_error *err)
{
    struct glet_error why;
    *watch = (struct glet_plan_watch){.fd = -1, .path = path};
    if (stat(path, &watch->seen) < 0)
        return glet_error_errno(err, errno, "%s", path);
    if (start_watching(watch, &why) < 0) {
        glet_log_failure(GLET_LOG_WARNING, "the plan file is not followed", &why);
        glet_plan_watch_close(watch);
    }
    return 0;
}

void glet_plan_watch_close(struct glet_plan_watch *watch)
{
    if (watch->fd >= 0)
        close(watch->fd);
    watch->fd = -1;
}

void glet_plan_watch_drain(struct glet_plan_watch *watch)
{
    char events[4096];
    while (read(watch->fd, events, sizeof events) > 0)
        continue;
}

bool glet_plan_watch_changed(struct glet_plan_watch *watch)
{
    struct stat now;
    if (stat(watch->path, &now) < 0)
        return false;
    const struct stat *seen = &watch->seen;
    bool same = now.st_dev == seen->st_dev && now.st_ino == seen->st_ino &&
                now.st_size == seen->st_size && now.st_mtim.tv_sec == seen->st_mtim.tv_sec &&
                now.st_mtim.tv_nsec == seen->st_mtim.tv_nsec;
    watch->seen = now;
    struct glet_error err;
    if (!same && watch_folders(watch, &err) < 0) /* the links lead elsewhere now */
        glet_log_failure(GLET_LOG_WARNING, "the plan file is not followed any more", &err);
    return !same;
}
