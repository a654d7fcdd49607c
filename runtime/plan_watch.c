/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder is watched, not the file: a file that is replaced takes its watch with it. Any event
 * there only says "look"; what decides is whether the path now leads to another file, size or time.
 * Kubernetes swaps the link ..data in the same folder, so that shows as well.
 */
#include "runtime/plan_watch.h"

#include "common/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

int glet_plan_watch_open(struct glet_plan_watch *watch, const char *path, struct glet_error *err)
{
    *watch = (struct glet_plan_watch){.fd = -1, .path = path};
    const char *slash = strrchr(path, '/');
    GLET_CLEANUP(glet_cleanup_free)
    char *folder =
        slash ? glet_format(err, "%.*s/", (int)(slash - path), path) : glet_strdup(".", err);
    if (!folder)
        return -1;
    if (stat(path, &watch->seen) < 0)
        return glet_error_errno(err, errno, "%s", path);
    watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->fd < 0 ||
        inotify_add_watch(watch->fd, folder,
                          IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB | IN_ONLYDIR) < 0) {
        glet_error_errno(err, errno, "watching %s", folder);
        glet_plan_watch_close(watch);
        return -1;
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
    return !same;
}
