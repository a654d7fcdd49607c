/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_REPOSITORY_PATH_H
#define GLET_PLANNER_REPOSITORY_PATH_H

/*
 * A file's path as services name it that know a repository and no working folder: from the root of
 * the work tree that the file is in, which is the nearest folder above it with a .git. Outside of
 * any, a copy of path. NULL when memory has run out; release with free().
 */
char *glet_repository_path(const char *path);

#endif
