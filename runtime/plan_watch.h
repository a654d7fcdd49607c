/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PLAN_WATCH_H
#define GLET_PLAN_WATCH_H

/*
 * Notices that the plan file has changed: written in place, renamed over, or, as Kubernetes does
 * with a mounted ConfigMap, reached through another symbolic link, wherever on the path it is.
 * Main thread only.
 */

#include "common/error.h"

#include <stdbool.h>
#include <sys/stat.h>

struct glet_plan_watch {
    int fd; /* inotify: readable when something in one of the plan's folders changed; -1 = not watching */
    const char *path; /* borrowed */
    struct stat seen;
};

/* GLET_ERR_IO: there is no such file. One that cannot be followed, because a folder may not be read
   or the system has no watches left, is logged: then fd is -1. */
GLET_MUST_CHECK
int glet_plan_watch_open(struct glet_plan_watch *watch, const char *path, struct glet_error *err);
void glet_plan_watch_close(struct glet_plan_watch *watch);

/* Reads away what fd reports. */
void glet_plan_watch_drain(struct glet_plan_watch *watch);

/* Is there another plan than at the last call (or at open)? A missing file is no other plan. */
bool glet_plan_watch_changed(struct glet_plan_watch *watch);

#endif
