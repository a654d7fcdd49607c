/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_FOLDER_H
#define GLET_TESTS_FOLDER_H

/* A temporary folder per test, and small files in it. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A new empty folder; `keep` receives its path. */
static inline void folder_new(char keep[256])
{
    const char *base = getenv("TMPDIR");
    if (snprintf(keep, 256, "%s/glet-test-XXXXXX", base ? base : "/tmp") >= 256 || !mkdtemp(keep))
        abort();
}

static inline const char *folder_path(const char *folder, const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    if (snprintf(path, sizeof paths[0], "%s/%s", folder, name) >= (int)sizeof paths[0])
        abort();
    return path;
}

static inline void folder_put(const char *folder, const char *name, const char *text)
{
    FILE *out = fopen(folder_path(folder, name), "we");
    if (!out || fputs(text, out) < 0 || fclose(out) != 0)
        abort();
}

/* The whole file, at most 64 KiB; overwritten by the next call. NULL = absent. */
static inline const char *folder_get(const char *folder, const char *name)
{
    static char text[65536];
    FILE *in = fopen(folder_path(folder, name), "re");
    if (!in)
        return NULL;
    text[fread(text, 1, sizeof text - 1, in)] = '\0';
    fclose(in);
    return text;
}

static inline void folder_remove(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char path[768];
        if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path)
            abort();
        if (entry->d_type == DT_DIR)
            folder_remove(path);
        else
            unlink(path);
    }
    if (dir)
        closedir(dir);
    rmdir(folder);
}

#endif
