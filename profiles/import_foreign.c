/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every format is read into the same list of points; from there on there is one way. Column names:
 * perf_analyzer writes them in report_writer.cc
 * (https://github.com/triton-inference-server/client), Model Analyzer in model_analyzer/result
 * (https://github.com/triton-inference-server/model_analyzer), ParvaGPU has them in prof_data/ of
 * its artifact (https://github.com/MunQ-Lee/ParvaGPU_SC24), where src/data_load.c tells their
 * units: the throughput is that of each process.
 */
#include "profiles/import_foreign.h"

#include "common/csv.h"
#include "common/memory.h"
#include "common/profile/profile_schema.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RATE_RPS 1e9
#define MAX_MS       1e9

/* The seven slices of an A100 or H100, and how they can be combined (NVIDIA's MIG user guide). */
static const char mig_layouts[] =
    "7;4+3;4+2+1;4+1+1+1;3+3;3+2+2;3+2+1+1;3+2+1;3+1+1+1+1;3+1+1+1;2+2+2+1;2+2+1+1+1;2+1+1+1+1+1;"
    "1+1+1+1+1+1+1";
enum { MIG_UNITS = 7 };

struct point {
    char *model;
    int batch, units;
    double p50_ms, p99_ms; /* p99 NAN = unknown */
};

struct points {
    struct point *items;
    size_t count, capacity;
};

static void release(struct points *points)
{
    for (size_t i = 0; i < points->count; i++)
        free(points->items[i].model);
    free(points->items);
}

/* Keeps the faster of two points with the same key. */
static int add(struct points *points, const char *model, struct point point, struct glet_error *err)
{
    for (size_t i = 0; i < points->count; i++) {
        struct point *known = &points->items[i];
        if (known->batch == point.batch && known->units == point.units &&
            strcmp(known->model, model) == 0) {
            if (point.p50_ms < known->p50_ms) {
                known->p50_ms = point.p50_ms;
                known->p99_ms = point.p99_ms;
            }
            return 0;
        }
    }
    if (glet_reserve(&points->items, &points->capacity, points->count + 1, sizeof *points->items,
                     err) < 0)
        return -1;
    point.model = glet_strdup(model, err);
    if (!point.model)
        return -1;
    points->items[points->count++] = point;
    return 0;
}

struct parva_columns { /* GLET_CSV_NONE: the file has no such column */
    size_t model, size, batch, processes;
    size_t rate, rate_each; /* of all processes together, or of each */
    size_t failed;
};

/* The artifact has one file per model, named after it; the flattened table names the model. */
static int find_parva_columns(struct glet_csv *csv, struct parva_columns *out,
                              struct glet_error *err)
{
    *out = (struct parva_columns){.model = GLET_CSV_NONE,
                                  .rate = GLET_CSV_NONE,
                                  .rate_each = GLET_CSV_NONE,
                                  .failed = glet_csv_find_column(csv, "infeasible_oom")};
    if (glet_csv_find_column(csv, "Mig instance") != GLET_CSV_NONE)
        return glet_csv_column(csv, "Mig instance", &out->size, err) < 0 ||
                       glet_csv_column(csv, "Batch size", &out->batch, err) < 0 ||
                       glet_csv_column(csv, "Workload Number", &out->processes, err) < 0 ||
                       glet_csv_column(csv, "Throughput", &out->rate_each, err) < 0
                   ? -1
                   : 0;
    return glet_csv_column(csv, "model", &out->model, err) < 0 ||
                   glet_csv_column(csv, "mig_gpcs", &out->size, err) < 0 ||
                   glet_csv_column(csv, "batch", &out->batch, err) < 0 ||
                   glet_csv_column(csv, "mps_procs", &out->processes, err) < 0 ||
                   glet_csv_column(csv, "throughput_segment_rps", &out->rate, err) < 0
               ? -1
               : 0;
}

/* "prof_data/bert.csv": bert. The caller frees it. */
static char *stem(const char *path, struct glet_error *err)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    return glet_format(err, "%.*s", dot ? (int)(dot - name) : (int)strlen(name), name);
}

/* Throughput 0 means that it ran out of memory. */
static int read_parva_row(struct glet_csv *csv, const struct parva_columns *at, const char *model,
                          struct points *points, struct glet_error *err)
{
    int64_t units, rows, count;
    double rps;
    if (at->failed != GLET_CSV_NONE && strcmp(glet_csv_text(csv, at->failed), "1") == 0)
        return 0;
    if (glet_csv_int(csv, at->size, 1, MIG_UNITS, &units, err) < 0 ||
        glet_csv_int(csv, at->batch, 1, 100000, &rows, err) < 0 ||
        glet_csv_int(csv, at->processes, 1, 1000, &count, err) < 0 ||
        glet_csv_double(csv, at->rate == GLET_CSV_NONE ? at->rate_each : at->rate, 0, MAX_RATE_RPS,
                        &rps, err) < 0)
        return -1;
    if (at->rate == GLET_CSV_NONE)
        rps *= (double)count;
    if (rps == 0)
        return 0;
    struct point point = {.batch = (int)(rows * count),
                          .units = (int)units,
                          .p50_ms = 1000.0 * (double)(rows * count) / rps,
                          .p99_ms = NAN};
    return add(points, at->model == GLET_CSV_NONE ? model : glet_csv_text(csv, at->model), point,
               err);
}

static int read_parvagpu(struct glet_csv *csv, const char *path,
                         const struct glet_foreign_options *options, struct points *points,
                         struct glet_error *err)
{
    struct parva_columns at;
    GLET_CLEANUP(glet_cleanup_free)
    char *model = options->model ? glet_strdup(options->model, err) : stem(path, err);
    int more = model && find_parva_columns(csv, &at, err) == 0 ? 1 : -1;
    while (more > 0 && (more = glet_csv_next(csv, err)) > 0)
        if (read_parva_row(csv, &at, model, points, err) < 0)
            return -1;
    return more;
}

static int read_model_analyzer(struct glet_csv *csv, const struct glet_foreign_options *options,
                               int units, struct points *points, struct glet_error *err)
{
    size_t model, batch, concurrency, rate, p99;
    int more;
    if (glet_csv_column(csv, "Model", &model, err) < 0 ||
        glet_csv_column(csv, "Batch", &batch, err) < 0 ||
        glet_csv_column(csv, "Concurrency", &concurrency, err) < 0 ||
        glet_csv_column(csv, "Throughput (infer/sec)", &rate, err) < 0 ||
        glet_csv_column(csv, "p99 Latency (ms)", &p99, err) < 0)
        return -1;
    while ((more = glet_csv_next(csv, err)) > 0) {
        int64_t rows, requests;
        double rps, p99_ms;
        if (glet_csv_int(csv, batch, 1, 100000, &rows, err) < 0 ||
            glet_csv_int(csv, concurrency, 0, 1000000, &requests, err) < 0 ||
            glet_csv_double(csv, rate, 0, MAX_RATE_RPS, &rps, err) < 0 ||
            glet_csv_double(csv, p99, 0, MAX_MS, &p99_ms, err) < 0)
            return -1;
        if (requests != 1 || rps == 0 || p99_ms == 0)
            continue;
        /* One request at a time: the mean latency is what the throughput says. */
        struct point point = {.batch = (int)rows,
                              .units = units,
                              .p50_ms = fmin(1000.0 * (double)rows / rps, p99_ms),
                              .p99_ms = p99_ms};
        const char *name = options->model ? options->model : glet_csv_text(csv, model);
        if (add(points, name, point, err) < 0)
            return -1;
    }
    return more;
}

static int read_perf_analyzer(struct glet_csv *csv, const struct glet_foreign_options *options,
                              int units, struct points *points, struct glet_error *err)
{
    size_t concurrency, p50, p99;
    int more;
    if (!options->model || options->batch < 1)
        return glet_error_set(err, GLET_ERR_USAGE,
                              "perf_analyzer's file names no model and no batch: give --model and "
                              "--batch");
    if (glet_csv_column(csv, "Concurrency", &concurrency, err) < 0 ||
        glet_csv_column(csv, "p50 latency", &p50, err) < 0 ||
        glet_csv_column(csv, "p99 latency", &p99, err) < 0)
        return -1;
    while ((more = glet_csv_next(csv, err)) > 0) {
        int64_t requests;
        double p50_us, p99_us;
        if (glet_csv_int(csv, concurrency, 0, 1000000, &requests, err) < 0 ||
            glet_csv_double(csv, p50, 0, MAX_MS, &p50_us, err) < 0 ||
            glet_csv_double(csv, p99, 0, MAX_MS, &p99_us, err) < 0)
            return -1;
        if (requests != 1 || p50_us == 0)
            continue;
        struct point point = {.batch = options->batch,
                              .units = units,
                              .p50_ms = p50_us / 1000,
                              .p99_ms = fmax(p50_us, p99_us) / 1000};
        if (add(points, options->model, point, err) < 0)
            return -1;
    }
    return more;
}

static int set(struct glet_profile *profile, enum glet_schema_id table, int column, void *row,
               const char *text, struct glet_error *err)
{
    return glet_schema_set_text(profile, &glet_profile_tables[table].columns[column], row, text,
                                err);
}

static int finish(struct glet_profile *profile, enum glet_schema_id table, struct glet_error *err)
{
    size_t bad_row;
    return glet_schema_finish(profile, &glet_profile_tables[table], &bad_row, err);
}

static int add_device(struct glet_profile *profile, enum glet_foreign_kind kind,
                      const struct glet_foreign_options *options, int gpu_units,
                      struct glet_error *err)
{
    size_t capacity = 0;
    struct glet_profile_device *row =
        glet_schema_append(profile, &glet_profile_tables[GLET_SCHEMA_DEVICES], &capacity, err);
    if (!row || set(profile, GLET_SCHEMA_DEVICES, 0, row, options->gpu, err) < 0)
        return -1;
    const struct glet_profile_device *known = options->device;
    row->mechanism = kind == GLET_FOREIGN_PARVAGPU ? GLET_MECHANISM_MIG : GLET_MECHANISM_MPS;
    row->units = row->max_gpulets = gpu_units;
    if (known) { /* what is known stays */
        row->mechanism = known->mechanism;
        row->sm_count = known->sm_count;
        row->max_gpulets = known->max_gpulets;
        row->memory_mib = known->memory_mib;
        row->context_mib = known->context_mib;
    }
    if (options->gpu_memory_mib > 0)
        row->memory_mib = options->gpu_memory_mib;
    GLET_CLEANUP(glet_cleanup_free) char *scratch = NULL;
    const char *layouts = kind == GLET_FOREIGN_PARVAGPU ? mig_layouts : "";
    if (known)
        layouts = glet_schema_text(profile, &glet_profile_tables[GLET_SCHEMA_DEVICES].columns[7],
                                   known, &scratch, err);
    if (!layouts || set(profile, GLET_SCHEMA_DEVICES, 7, row, layouts, err) < 0)
        return -1;
    return finish(profile, GLET_SCHEMA_DEVICES, err);
}

static int add_models(struct glet_profile *profile, const struct points *points,
                      struct glet_error *err)
{
    size_t capacity = 0;
    for (size_t i = 0; i < points->count; i++) {
        bool known = false;
        for (size_t k = 0; k < i && !known; k++)
            known = strcmp(points->items[k].model, points->items[i].model) == 0;
        if (known)
            continue;
        void *row =
            glet_schema_append(profile, &glet_profile_tables[GLET_SCHEMA_MODELS], &capacity, err);
        if (!row || set(profile, GLET_SCHEMA_MODELS, 0, row, points->items[i].model, err) < 0)
            return -1;
    }
    return finish(profile, GLET_SCHEMA_MODELS, err);
}

static int add_points(struct glet_profile *profile, const struct points *points,
                      struct glet_error *err)
{
    size_t capacity = 0;
    for (size_t i = 0; i < points->count; i++) {
        const struct point *point = &points->items[i];
        struct glet_profile_latency *row =
            glet_schema_append(profile, &glet_profile_tables[GLET_SCHEMA_LATENCY], &capacity, err);
        if (!row)
            return -1;
        *row = (struct glet_profile_latency){
            .model = (size_t)glet_profile_find_model(profile, point->model),
            .batch = point->batch,
            .units = point->units,
            .p50_ms = point->p50_ms,
            .p99_ms = point->p99_ms,
            .samples = NAN,
            .trust = GLET_TRUST_IMPORTED,
            .l2_util = NAN,
            .dram_util = NAN,
            .activation_mib = NAN};
    }
    return finish(profile, GLET_SCHEMA_LATENCY, err);
}

static int build(const char *path, enum glet_foreign_kind kind,
                 const struct glet_foreign_options *options, int gpu_units,
                 const struct points *points, struct glet_profile **out, struct glet_error *err)
{
    struct glet_profile *profile = glet_alloc(1, sizeof *profile, err);
    if (!profile)
        return -1;
    profile->path = glet_strdup(path, err);
    if (!profile->path || add_device(profile, kind, options, gpu_units, err) < 0 ||
        add_models(profile, points, err) < 0 || add_points(profile, points, err) < 0 ||
        glet_profile_digest(profile, err) < 0) {
        glet_profile_free(profile);
        return glet_error_context(err, "%s", path);
    }
    *out = profile;
    return 0;
}

int glet_foreign_detect(const char *path, enum glet_foreign_kind *kind_out, struct glet_error *err)
{
    GLET_CLEANUP(glet_csv_close) struct glet_csv *csv = NULL;
    if (glet_csv_open(path, &csv, err) < 0)
        return -1;
    *kind_out = GLET_FOREIGN_NONE;
    if (glet_csv_find_column(csv, "mig_gpcs") != GLET_CSV_NONE ||
        glet_csv_find_column(csv, "Mig instance") != GLET_CSV_NONE)
        *kind_out = GLET_FOREIGN_PARVAGPU;
    else if (glet_csv_find_column(csv, "p99 Latency (ms)") != GLET_CSV_NONE)
        *kind_out = GLET_FOREIGN_MODEL_ANALYZER;
    else if (glet_csv_find_column(csv, "Inferences/Second") != GLET_CSV_NONE)
        *kind_out = GLET_FOREIGN_PERF_ANALYZER;
    return 0;
}

int glet_foreign_load(const char *path, enum glet_foreign_kind kind,
                      const struct glet_foreign_options *options, struct glet_profile **out,
                      struct glet_error *err)
{
    GLET_CLEANUP(glet_csv_close) struct glet_csv *csv = NULL;
    GLET_CLEANUP(release) struct points points = {0};
    int gpu_units = options->device      ? options->device->units
                    : options->gpu_units ? options->gpu_units
                    : options->units     ? options->units
                                         : 1;
    if (kind == GLET_FOREIGN_PARVAGPU && !options->device)
        gpu_units = MIG_UNITS;
    int units = options->units ? options->units : gpu_units;
    if (glet_csv_open(path, &csv, err) < 0)
        return -1;
    int rc = kind == GLET_FOREIGN_PARVAGPU ? read_parvagpu(csv, path, options, &points, err)
             : kind == GLET_FOREIGN_MODEL_ANALYZER
                 ? read_model_analyzer(csv, options, units, &points, err)
                 : read_perf_analyzer(csv, options, units, &points, err);
    if (rc < 0)
        return -1;
    if (points.count == 0)
        return glet_error_set(err, GLET_ERR_UNDECIDED,
                              kind == GLET_FOREIGN_PARVAGPU
                                  ? "%s: no row has a throughput"
                                  : "%s: no row with one request at a time (Concurrency 1)",
                              path);
    return build(path, kind, options, gpu_units, &points, out, err);
}
