/* SPDX-License-Identifier: Apache-2.0 */
/* profile-models export and import: between a store and a folder of CSVs. */
#include "profiles/profile_commands.h"
#include "profiles/profile_csv.h"
#include "profiles/store.h"

struct values {
    const char *db;
};

static int run_export(const void *opaque, const struct glet_list *arguments, struct glet_error *err)
{
    const struct values *values = opaque;
    struct glet_profile *profile = NULL;
    if (glet_profile_load(values->db, &profile, err) < 0)
        return -1;
    int rc = glet_profile_csv_export(profile, arguments->items[0], err);
    glet_profile_free(profile);
    return rc;
}

static int run_import(const void *opaque, const struct glet_list *arguments, struct glet_error *err)
{
    const struct values *values = opaque;
    struct glet_profile *profile = NULL;
    struct glet_store *store = NULL;
    if (glet_profile_load(arguments->items[0], &profile, err) < 0)
        return -1;
    int rc = glet_store_open(values->db, GLET_STORE_WRITE, &store, err);
    if (rc == 0)
        rc = glet_store_merge(store, profile, err);
    if (rc == 0)
        fprintf(stderr, "%s: %zu points of %zu models taken in\n", values->db,
                profile->latency_count, profile->model_count);
    glet_store_close(store);
    glet_profile_free(profile);
    return rc;
}

static const struct glet_option options[] = {
    {.name = "db",
     .kind = GLET_OPTION_TEXT,
     .offset = offsetof(struct values, db),
     .value = "FILE",
     .fallback = "profiles.db",
     .help = "The profile store."},
};

const struct glet_command glet_command_export = {
    .name = "export",
    .summary = "Writes a profile as a folder of CSV files.",
    .arguments = "DIR",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .option_count = 1,
    .description = "The folder appears complete or not at all; one that holds anything but a "
                   "profile is not replaced. The same profile gives the same bytes.",
    .values_bytes = sizeof(struct values),
    .run = run_export,
};

const struct glet_command glet_command_import = {
    .name = "import",
    .summary = "Takes a folder of CSV files, or another store, into the store.",
    .arguments = "DIR",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .option_count = 1,
    .description = "Points that the store holds already are replaced. One transaction.",
    .values_bytes = sizeof(struct values),
    .run = run_import,
};
