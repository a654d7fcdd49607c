/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Symbolic links on the way to the file are followed, but not the file's own: it is the link that
 * is in the repository. */
#include "planner/export/repository_path.h"

#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* From the root of the file system; NULL when its folder does not exist, or out of memory. */
static char *absolute(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *copy = strdup(path), *folder = copy ? realpath(dirname(copy), NULL) : NULL, *full = NULL;
    if (folder && asprintf(&full, "%s/%s", folder, slash ? slash + 1 : path) < 0)
        full = NULL;
    free(copy);
    free(folder);
    return full;
}

/* Whether the folder that the first length characters of path name has a .git. */
static bool is_root(const char *path, size_t length)
{
    char *marker = NULL;
    if (asprintf(&marker, "%.*s/.git", (int)length, path) < 0)
        return false;
    bool found = access(marker, F_OK) == 0;
    free(marker);
    return found;
}

char *glet_repository_path(const char *path)
{
    char *full = absolute(path);
    const char *slash = full ? strrchr(full, '/') : NULL;
    while (slash && !is_root(full, (size_t)(slash - full)))
        slash = memrchr(full, '/', (size_t)(slash - full));
    char *result = strdup(slash ? slash + 1 : path);
    free(full);
    return result;
}
