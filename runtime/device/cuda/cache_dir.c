/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/device/cuda/cache_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static void make_folders(const char *path)
{
    char part[PATH_BYTES];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        (void)mkdir(part, 0777);
    }
    (void)mkdir(path, 0777);
}

bool glet_cuda_cache_dir(char path[PATH_BYTES])
{
    static const struct {
        const char *variable, *below;
    } places[] = {{"GPULET_CACHE_DIR", ""},
                  {"CACHE_DIRECTORY", ""},
                  {"XDG_CACHE_HOME", "/gpulet"},
                  {"HOME", "/.cache/gpulet"}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const char *base = getenv(places[i].variable);
        if (!base || base[0] != '/')
            continue;
        if (snprintf(path, PATH_BYTES, "%s%s", base, places[i].below) >= PATH_BYTES)
            return false;
        make_folders(path);
        return access(path, W_OK | X_OK) == 0;
    }
    return false;
}
