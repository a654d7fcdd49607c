/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The profiler's digest covers the model file and then its external data, in this order. The
 * planner does not parse models, so it tries the file alone and the file with the one data file
 * that exporters put beside it.
 */
#include "planner/analyse/stale.h"

#include "common/sha256.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct digests {
    bool exists;
    char alone[65], with_data[65]; /* with_data: empty when there is no data file */
};

/* Adds a file's bytes; 1 = done, 0 = there is no such file, -1 = error. */
static int add_file(struct glet_sha256 *sha, const char *path, struct glet_error *err)
{
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) /* which need not end */
        return glet_error_set(err, GLET_ERR_IO, "%s: not a regular file", path);
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? 0 : glet_error_errno(err, errno, "%s", path);
    char block[65536];
    size_t length;
    while ((length = fread(block, 1, sizeof block, file)) > 0)
        glet_sha256_update(sha, block, length);
    int failed = ferror(file);
    fclose(file);
    return failed ? glet_error_set(err, GLET_ERR_IO, "%s: cannot be read", path) : 1;
}

static int digest(const char *folder, const char *name, struct digests *out, struct glet_error *err)
{
    char *path = NULL, *data = NULL;
    struct glet_sha256 alone, both;
    *out = (struct digests){0};
    if (asprintf(&path, "%s/%s.onnx", folder, name) < 0)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    if (asprintf(&data, "%s.data", path) < 0) {
        free(path);
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    }
    glet_sha256_init(&alone);
    glet_sha256_init(&both);
    int result = add_file(&alone, path, err);
    if (result > 0) {
        out->exists = true;
        glet_sha256_finish(&alone, out->alone);
        result = add_file(&both, path, err);
        if (result > 0)
            result = add_file(&both, data, err);
        if (result > 0)
            glet_sha256_finish(&both, out->with_data);
    }
    free(path);
    free(data);
    return result < 0 ? -1 : 0;
}

int glet_stale_check(const struct glet_profile *profile, const struct glet_workload *workload,
                     size_t m, const char *folder, enum glet_freshness *out, struct glet_error *err)
{
    struct digests file;
    int model = glet_profile_find_model(profile, workload->models[m].name);
    *out = GLET_FRESH_UNKNOWN;
    if (model < 0)
        return 0;
    if (digest(folder, workload->models[m].name, &file, err) < 0)
        return -1;
    for (size_t i = 0; file.exists && i < profile->quality_count; i++) {
        const struct glet_profile_quality *row = &profile->quality[i];
        if ((int)row->model != model || !row->model_sha256 || !row->model_sha256[0])
            continue;
        bool same = strcmp(row->model_sha256, file.alone) == 0 ||
                    strcmp(row->model_sha256, file.with_data) == 0;
        if (!same)
            *out = GLET_STALE;
        else if (*out == GLET_FRESH_UNKNOWN)
            *out = GLET_FRESH;
    }
    return 0;
}
