/* SPDX-License-Identifier: Apache-2.0 */
/* profile-models export and import: between a store, folders of CSVs and other tools' files. */
#include "common/memory.h"
#include "common/profile/profile_csv.h"
#include "profiles/import_foreign.h"
#include "profiles/load.h"
#include "profiles/profile_commands.h"
#include "profiles/store.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct values {
    const char *db, *gpu, *model;
    int64_t batch, units, gpu_units;
    double gpu_memory_mib;
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

static bool is_foreign(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && !glet_store_is_store(path);
}

/* What the store holds so far; an empty profile where there is none yet. */
static int load_known(const char *db, struct glet_profile **out, struct glet_error *err)
{
    if (access(db, F_OK) == 0)
        return glet_profile_load(db, out, err);
    *out = glet_alloc(1, sizeof **out, err);
    return *out ? 0 : -1;
}

/* Another tool's CSV, on the device as the store knows it. */
static int load_foreign(const char *path, const struct values *values, struct glet_profile **out,
                        struct glet_error *err)
{
    enum glet_foreign_kind kind;
    if (glet_foreign_detect(path, &kind, err) < 0)
        return -1;
    if (kind == GLET_FOREIGN_NONE) {
        glet_error_set(err, GLET_ERR_INPUT, "%s: none of the formats that can be imported", path);
        return glet_error_hint(err, "a folder of CSVs, a store, or a file of ParvaGPU, Model "
                                    "Analyzer or perf_analyzer");
    }
    if (!values->gpu)
        return glet_error_set(err, GLET_ERR_USAGE, "%s: --gpu must say on which device", path);
    struct glet_profile *known = NULL;
    if (load_known(values->db, &known, err) < 0)
        return -1;
    int device = glet_profile_find_device(known, values->gpu);
    struct glet_foreign_options options = {
        .gpu = values->gpu,
        .model = values->model,
        .batch = (int)values->batch,
        .units = (int)values->units,
        .gpu_units = (int)values->gpu_units,
        .gpu_memory_mib = values->gpu_memory_mib,
        .device = device >= 0 ? &known->devices[device] : NULL,
    };
    int rc = glet_foreign_load(path, kind, &options, out, err);
    /* What the store knows of a model is more than such a file says. */
    for (size_t i = 0; rc == 0 && i < (*out)->model_count; i++) {
        int model = glet_profile_find_model(known, (*out)->models[i].model);
        if (model < 0)
            continue;
        (*out)->models[i].memory_mib = known->models[model].memory_mib;
        (*out)->models[i].input_bytes = known->models[model].input_bytes;
        (*out)->models[i].output_bytes = known->models[model].output_bytes;
    }
    glet_profile_free(known);
    return rc;
}

static int run_import(const void *opaque, const struct glet_list *arguments, struct glet_error *err)
{
    const struct values *values = opaque;
    const char *path = arguments->items[0];
    struct glet_profile *profile = NULL;
    struct glet_store *store = NULL;
    bool foreign = is_foreign(path);
    int rc = foreign ? load_foreign(path, values, &profile, err)
                     : glet_profile_load(path, &profile, err);
    for (size_t i = 0; rc == 0 && foreign && i < profile->device_count; i++)
        if (profile->devices[i].memory_mib <= 0)
            fprintf(stderr,
                    "note: the memory of %s is unknown, models of a known size will not fit: give "
                    "--gpu-memory-mib\n",
                    profile->devices[i].gpu);
    if (rc == 0)
        rc = glet_store_open(values->db, GLET_STORE_WRITE, &store, err);
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

static const struct glet_option import_options[] = {
    {.name = "db",
     .kind = GLET_OPTION_TEXT,
     .offset = offsetof(struct values, db),
     .value = "FILE",
     .fallback = "profiles.db",
     .help = "The profile store."},
    {.group = "Files of other tools",
     .name = "gpu",
     .kind = GLET_OPTION_TEXT,
     .offset = offsetof(struct values, gpu),
     .value = "NAME",
     .help = "The device on which it was measured."},
    {.name = "model",
     .kind = GLET_OPTION_TEXT,
     .offset = offsetof(struct values, model),
     .value = "NAME",
     .help = "The model, where the file does not name it (ParvaGPU: the file's name)."},
    {.name = "batch",
     .kind = GLET_OPTION_INT,
     .offset = offsetof(struct values, batch),
     .value = "N",
     .low = 1,
     .high = 100000,
     .help = "The batch, where the file does not name it."},
    {.name = "units",
     .kind = GLET_OPTION_INT,
     .offset = offsetof(struct values, units),
     .value = "N",
     .low = 1,
     .high = 1e6,
     .help = "Size of the partition it was measured in. Without it: the whole device."},
    {.name = "gpu-units",
     .kind = GLET_OPTION_INT,
     .offset = offsetof(struct values, gpu_units),
     .value = "N",
     .low = 1,
     .high = 1e6,
     .help = "Size of the whole device, where the store does not know it yet."},
    {.name = "gpu-memory-mib",
     .kind = GLET_OPTION_DOUBLE,
     .offset = offsetof(struct values, gpu_memory_mib),
     .value = "MIB",
     .low = 1,
     .high = 1e9,
     .help = "Memory of the whole device, where the store does not know it yet."},
};

static const struct glet_example import_examples[] = {
    {"What export wrote", "profile-models import profiles/recorded/h200"},
    {"A size of a GPU measured with perf_analyzer -m resnet50 -b 8 -f b8.csv",
     "profile-models import --gpu h200 --model resnet50 --batch 8 --units 4 --gpu-units 16 b8.csv"},
    {NULL, NULL},
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
    .summary = "Takes a folder of CSVs, another store, or another tool's file into the store.",
    .arguments = "PATH",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = import_options,
    .option_count = sizeof import_options / sizeof import_options[0],
    .description =
        "Points that the store holds already are replaced. One transaction.\n"
        "\n"
        "Files of other tools are told by their columns: profiles of ParvaGPU, Triton Model "
        "Analyzer's metrics-model-inference.csv, and what perf_analyzer -f writes. Their points "
        "are marked as imported. Only rows with one request at a time (Concurrency 1) are used: "
        "the others contain queueing.",
    .examples = import_examples,
    .exit_undecided = "another tool's file has no usable row",
    .values_bytes = sizeof(struct values),
    .run = run_import,
};
