/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a folder of CSVs from a SQLite store, so that every program takes either. */
#include "profiles/load.h"

#include "common/profile/profile_csv.h"
#include "profiles/store.h"

#include <errno.h>
#include <sys/stat.h>

int glet_profile_load(const char *path, struct glet_profile **out, struct glet_error *err)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return glet_error_errno(err, errno, "%s", path);
    if (S_ISDIR(status.st_mode))
        return glet_profile_csv_load(path, out, err);
    if (!S_ISREG(status.st_mode) || !glet_store_is_store(path))
        return glet_error_set(err, GLET_ERR_INPUT,
                              "%s: neither a profile store nor a folder of CSVs", path);
    struct glet_store *store = NULL;
    if (glet_store_open(path, GLET_STORE_READ, &store, err) < 0)
        return -1;
    int rc = glet_store_read(store, out, err);
    glet_store_close(store);
    return rc;
}
