/* SPDX-License-Identifier: Apache-2.0 */
/* profile-models show: what a store or a folder of CSVs holds, for people or as JSON. */
#include "common/json.h"
#include "common/profile/profile.h"
#include "common/table.h"
#include "profiles/load.h"
#include "profiles/profile_commands.h"

#include <errno.h>
#include <math.h>
#include <string.h>

struct values {
    const char *db, *gpu;
    int format;
};

static const struct glet_profile_quality *find_quality(const struct glet_profile *profile,
                                                       const struct glet_profile_latency *row)
{
    for (size_t i = 0; i < profile->quality_count; i++) {
        const struct glet_profile_quality *q = &profile->quality[i];
        if (q->device == row->device && q->model == row->model && q->batch == row->batch &&
            q->units == row->units)
            return q;
    }
    return NULL;
}

static bool selected(const struct glet_profile *profile, const struct values *values,
                     const struct glet_list *names, const struct glet_profile_latency *row)
{
    if (values->gpu && strcmp(values->gpu, profile->devices[row->device].gpu) != 0)
        return false;
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], profile->models[row->model].model) == 0)
            return true;
    return names->count == 0;
}

/* A number or nothing. */
static void number_cell(struct glet_table *table, const char *format, double value)
    __attribute__((format(printf, 2, 0)));

static void number_cell(struct glet_table *table, const char *format, double value)
{
    char text[48] = "";
    if (!isnan(value))
        snprintf(text, sizeof text, format, value);
    glet_table_cell(table, "%s", text);
}

static int show_table(const struct glet_profile *profile, const struct values *values,
                      const struct glet_list *names, struct glet_error *err)
{
    struct glet_table table;
    glet_table_init(&table,
                    "gpu|model|>units|>batch|>p50 ms|>p99 ms|>images/s|>n|>CI %|trust|flags");
    for (size_t i = 0; i < profile->latency_count; i++) {
        const struct glet_profile_latency *row = &profile->latency[i];
        if (!selected(profile, values, names, row))
            continue;
        const struct glet_profile_quality *quality = find_quality(profile, row);
        glet_table_cell(&table, "%s", profile->devices[row->device].gpu);
        glet_table_cell(&table, "%s", profile->models[row->model].model);
        glet_table_cell(&table, "%d", row->units);
        glet_table_cell(&table, "%d", row->batch);
        number_cell(&table, "%.4g", row->p50_ms);
        number_cell(&table, "%.4g", row->p99_ms);
        double rate_rps = 1000.0 * row->batch / row->p50_ms;
        number_cell(&table, rate_rps < 1000 ? "%.4g" : "%.0f", rate_rps);
        number_cell(&table, "%.0f", row->samples);
        number_cell(&table, "%.2f", quality ? 100 * quality->ci_ratio : NAN);
        glet_table_cell(&table, "%s", glet_trust_name(row->trust));
        glet_table_cell(&table, "%s", quality ? quality->flags : "");
    }
    int rc = 0;
    for (size_t i = 0; i < profile->device_count; i++) {
        const struct glet_profile_device *d = &profile->devices[i];
        printf("%s: %s, %d units, %d SMs or cores, %.0f MiB\n", d->gpu,
               glet_mechanism_name(d->mechanism), d->units, d->sm_count, d->memory_mib);
    }
    printf("\n");
    if (glet_table_print(&table, stdout) < 0)
        rc = glet_error_set(err, GLET_ERR_IO, "standard output: cannot be written");
    glet_table_fini(&table);
    return rc;
}

static void show_point(struct glet_json *json, const struct glet_profile *profile,
                       const struct glet_profile_latency *row)
{
    const struct glet_profile_quality *quality = find_quality(profile, row);
    glet_json_object(json, NULL);
    glet_json_string(json, "gpu", profile->devices[row->device].gpu);
    glet_json_string(json, "model", profile->models[row->model].model);
    glet_json_int(json, "units", row->units);
    glet_json_int(json, "batch", row->batch);
    glet_json_double(json, "p50_ms", row->p50_ms);
    glet_json_double(json, "p99_ms", row->p99_ms);
    glet_json_double(json, "samples", row->samples);
    glet_json_string(json, "trust", glet_trust_name(row->trust));
    glet_json_double(json, "l2_util", row->l2_util);
    glet_json_double(json, "dram_util", row->dram_util);
    glet_json_double(json, "activation_mib", row->activation_mib);
    if (quality) {
        glet_json_double(json, "p99_alone_ms", quality->p99_alone_ms);
        glet_json_double(json, "slice_ms", quality->slice_ms);
        glet_json_double(json, "device_p50_ms", quality->device_p50_ms);
        glet_json_double(json, "device_p99_ms", quality->device_p99_ms);
        glet_json_double(json, "clock_mhz", quality->clock_mhz);
        glet_json_double(json, "achieved_units", quality->achieved_units);
        glet_json_double(json, "ci_ratio", quality->ci_ratio);
        glet_json_double(json, "wall_ratio", quality->wall_ratio);
        glet_json_double(json, "foreign_ratio", quality->foreign_ratio);
        glet_json_string(json, "flags", quality->flags);
    }
    glet_json_end(json);
}

static void show_json(const struct glet_profile *profile, const struct values *values,
                      const struct glet_list *names)
{
    struct glet_json json = glet_json_begin(stdout, GLET_JSON_INDENTED);
    glet_json_object(&json, NULL);
    glet_json_string(&json, "schema", "gpulet-profile/1");
    glet_json_string(&json, "sha256", profile->sha256);
    glet_json_array(&json, "devices");
    for (size_t i = 0; i < profile->device_count; i++) {
        const struct glet_profile_device *d = &profile->devices[i];
        glet_json_object(&json, NULL);
        glet_json_string(&json, "gpu", d->gpu);
        glet_json_string(&json, "mechanism", glet_mechanism_name(d->mechanism));
        glet_json_int(&json, "sm_count", d->sm_count);
        glet_json_int(&json, "units", d->units);
        glet_json_int(&json, "max_gpulets", d->max_gpulets);
        glet_json_double(&json, "memory_mib", d->memory_mib);
        glet_json_object(&json, "meta");
        for (size_t k = 0; k < profile->meta_count; k++)
            if (profile->meta[k].device == i)
                glet_json_string(&json, profile->meta[k].key, profile->meta[k].value);
        glet_json_end(&json);
        glet_json_end(&json);
    }
    glet_json_end(&json);
    glet_json_array(&json, "models");
    for (size_t i = 0; i < profile->model_count; i++) {
        glet_json_object(&json, NULL);
        glet_json_string(&json, "model", profile->models[i].model);
        glet_json_double(&json, "memory_mib", profile->models[i].memory_mib);
        glet_json_double(&json, "input_bytes", profile->models[i].input_bytes);
        glet_json_double(&json, "output_bytes", profile->models[i].output_bytes);
        glet_json_end(&json);
    }
    glet_json_end(&json);
    glet_json_array(&json, "points");
    for (size_t i = 0; i < profile->latency_count; i++)
        if (selected(profile, values, names, &profile->latency[i]))
            show_point(&json, profile, &profile->latency[i]);
    glet_json_end(&json);
    glet_json_end(&json);
}

static int run(const void *opaque, const struct glet_list *arguments, struct glet_error *err)
{
    const struct values *values = opaque;
    struct glet_profile *profile = NULL;
    if (glet_profile_load(values->db, &profile, err) < 0)
        return -1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < arguments->count; i++)
        if (glet_profile_find_model(profile, arguments->items[i]) < 0)
            rc = glet_error_set(err, GLET_ERR_UNDECIDED, "%s: no model called '%s'", values->db,
                                arguments->items[i]);
    if (rc == 0 && values->gpu && glet_profile_find_device(profile, values->gpu) < 0)
        rc = glet_error_set(err, GLET_ERR_UNDECIDED, "%s: no device called '%s'", values->db,
                            values->gpu);
    if (rc == 0 && values->format == 0)
        rc = show_table(profile, values, arguments, err);
    else if (rc == 0)
        show_json(profile, values, arguments);
    if (rc == 0 && fflush(stdout) != 0)
        rc = glet_error_errno(err, errno, "standard output");
    glet_profile_free(profile);
    return rc;
}

static const char *const formats[] = {"table", "json", NULL};

static const struct glet_option options[] = {
    {.name = "db",
     .kind = GLET_OPTION_TEXT,
     .offset = offsetof(struct values, db),
     .value = "FILE",
     .fallback = "profiles.db",
     .help = "The profile store, or a folder of CSVs."},
    {.name = "gpu",
     .kind = GLET_OPTION_TEXT,
     .offset = offsetof(struct values, gpu),
     .value = "NAME",
     .help = "Only the points of this device."},
    {.name = "format",
     .letter = 'f',
     .kind = GLET_OPTION_CHOICE,
     .offset = offsetof(struct values, format),
     .fallback = "table",
     .choices = formats,
     .help = "How to print them."},
};

static const struct glet_example examples[] = {
    {"Everything about one model", "profile-models show resnet50"},
    {"For other programs", "profile-models show --format json | jq '.points[].p99_ms'"},
    {NULL, NULL},
};

const struct glet_command glet_command_show = {
    .name = "show",
    .summary = "Prints what a profile holds.",
    .arguments = "[MODEL...]",
    .max_arguments = -1,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .description =
        "One line per point. Flags: drift (the latency moved while it was measured), few (too few "
        "runs for a 99th percentile: the slowest is given), foreign (other programs ran), "
        "tail (the host made the slowest runs much slower than their kernels are), throttled "
        "(the GPU's clocks were held down), unconverged (the median is not known within 1 %).",
    .examples = examples,
    .exit_undecided = "the profile has no such model or device",
    .values_bytes = sizeof(struct values),
    .run = run,
};
