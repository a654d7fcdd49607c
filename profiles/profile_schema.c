/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The profile's tables as data, and what can be done with any of them: append a row, set a value,
 * sort by the key, find duplicates, compute the digest.
 *
 * Devices and models are sorted by name before anything refers to them, so that an index orders as
 * its name does and the sorted tables are the same whatever order the facts were read in. Rows are
 * reached through offsets; a profile has at most some ten thousand rows and is read once per
 * command, so a switch per value costs nothing that shows.
 */
#include "profiles/profile_schema.h"

#include "common/sha256.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Limits that keep arithmetic on the values exact and an accidental exponent from passing. */
#define MAX_COUNT 1e6  /* units, batches, SMs, gpu-lets */
#define MAX_MS    1e9  /* eleven days */
#define MAX_MIB   1e9  /* a petabyte */
#define MAX_BYTES 1e15 /* of one request */
#define MAX_NAME  200  /* bytes of a name */

#define D(field) offsetof(struct glet_profile_device, field)
#define M(field) offsetof(struct glet_profile_model, field)
#define L(field) offsetof(struct glet_profile_latency, field)
#define I(field) offsetof(struct glet_profile_interference, field)
#define C(field) offsetof(struct glet_profile_corun, field)
#define T(field) offsetof(struct glet_profile_meta, field)
#define Q(field) offsetof(struct glet_profile_quality, field)

static const struct glet_schema_column device_columns[] = {
    {.name = "gpu", .kind = GLET_COLUMN_NAME, .offset = D(gpu)},
    {.name = "mechanism", .kind = GLET_COLUMN_MECHANISM, .offset = D(mechanism)},
    {.name = "sm_count", .kind = GLET_COLUMN_INT, .offset = D(sm_count), .high = MAX_COUNT},
    {.name = "units", .kind = GLET_COLUMN_INT, .offset = D(units), .low = 1, .high = MAX_COUNT},
    {.name = "max_gpulets",
     .kind = GLET_COLUMN_INT,
     .offset = D(max_gpulets),
     .low = 1,
     .high = MAX_COUNT},
    {.name = "memory_mib", .kind = GLET_COLUMN_REAL, .offset = D(memory_mib), .high = MAX_MIB},
    {.name = "context_mib", .kind = GLET_COLUMN_REAL, .offset = D(context_mib), .high = MAX_MIB},
    {.name = "layouts", .kind = GLET_COLUMN_LAYOUTS, .offset = D(layouts)},
};

static const struct glet_schema_column model_columns[] = {
    {.name = "model", .kind = GLET_COLUMN_NAME, .offset = M(model)},
    {.name = "memory_mib", .kind = GLET_COLUMN_REAL, .offset = M(memory_mib), .high = MAX_MIB},
    {.name = "input_bytes", .kind = GLET_COLUMN_REAL, .offset = M(input_bytes), .high = MAX_BYTES},
    {.name = "output_bytes",
     .kind = GLET_COLUMN_REAL,
     .offset = M(output_bytes),
     .high = MAX_BYTES},
};

static const struct glet_schema_column latency_columns[] = {
    {.name = "gpu", .kind = GLET_COLUMN_DEVICE, .offset = L(device)},
    {.name = "model", .kind = GLET_COLUMN_MODEL, .offset = L(model)},
    {.name = "batch", .kind = GLET_COLUMN_INT, .offset = L(batch), .low = 1, .high = MAX_COUNT},
    {.name = "units", .kind = GLET_COLUMN_INT, .offset = L(units), .low = 1, .high = MAX_COUNT},
    {.name = "p50_ms",
     .kind = GLET_COLUMN_REAL,
     .offset = L(p50_ms),
     .high = MAX_MS,
     .above_low = true},
    {.name = "p99_ms",
     .kind = GLET_COLUMN_REAL,
     .offset = L(p99_ms),
     .high = MAX_MS,
     .above_low = true,
     .nullable = true},
    {.name = "samples",
     .kind = GLET_COLUMN_REAL,
     .offset = L(samples),
     .high = 1e15,
     .nullable = true,
     .optional = true},
    {.name = "trust", .kind = GLET_COLUMN_TRUST, .offset = L(trust)},
    {.name = "l2_util",
     .kind = GLET_COLUMN_REAL,
     .offset = L(l2_util),
     .high = 1,
     .nullable = true,
     .optional = true},
    {.name = "dram_util",
     .kind = GLET_COLUMN_REAL,
     .offset = L(dram_util),
     .high = 1,
     .nullable = true,
     .optional = true},
    {.name = "activation_mib",
     .kind = GLET_COLUMN_REAL,
     .offset = L(activation_mib),
     .high = MAX_MIB,
     .nullable = true,
     .optional = true},
};

#define COEFFICIENT(field)                                                                         \
    {                                                                                              \
        .name = #field, .kind = GLET_COLUMN_REAL, .offset = I(field), .low = -1e6, .high = 1e6     \
    }
static const struct glet_schema_column interference_columns[] = {
    {.name = "gpu", .kind = GLET_COLUMN_DEVICE, .offset = I(device)},
    COEFFICIENT(constant),
    COEFFICIENT(l2_self),
    COEFFICIENT(l2_other),
    COEFFICIENT(dram_self),
    COEFFICIENT(dram_other),
    COEFFICIENT(margin),
};

static const struct glet_schema_column corun_columns[] = {
    {.name = "gpu", .kind = GLET_COLUMN_DEVICE, .offset = C(device)},
    {.name = "model_a", .kind = GLET_COLUMN_MODEL, .offset = C(model_a)},
    {.name = "batch_a", .kind = GLET_COLUMN_INT, .offset = C(batch_a), .low = 1, .high = MAX_COUNT},
    {.name = "units_a", .kind = GLET_COLUMN_INT, .offset = C(units_a), .low = 1, .high = MAX_COUNT},
    {.name = "model_b", .kind = GLET_COLUMN_MODEL, .offset = C(model_b)},
    {.name = "batch_b", .kind = GLET_COLUMN_INT, .offset = C(batch_b), .low = 1, .high = MAX_COUNT},
    {.name = "units_b", .kind = GLET_COLUMN_INT, .offset = C(units_b), .low = 1, .high = MAX_COUNT},
    {.name = "slowdown_a",
     .kind = GLET_COLUMN_REAL,
     .offset = C(slowdown_a),
     .high = 1e6,
     .above_low = true},
    {.name = "slowdown_b",
     .kind = GLET_COLUMN_REAL,
     .offset = C(slowdown_b),
     .high = 1e6,
     .above_low = true},
};

static const struct glet_schema_column meta_columns[] = {
    {.name = "gpu", .kind = GLET_COLUMN_DEVICE, .offset = T(device)},
    {.name = "key", .kind = GLET_COLUMN_NAME, .offset = T(key)},
    {.name = "value", .kind = GLET_COLUMN_TEXT, .offset = T(value)},
};

#define RATIO(field)                                                                               \
    {                                                                                              \
        .name = #field, .kind = GLET_COLUMN_REAL, .offset = Q(field), .high = MAX_MS,              \
        .nullable = true, .optional = true                                                         \
    }
static const struct glet_schema_column quality_columns[] = {
    {.name = "gpu", .kind = GLET_COLUMN_DEVICE, .offset = Q(device)},
    {.name = "model", .kind = GLET_COLUMN_MODEL, .offset = Q(model)},
    {.name = "batch", .kind = GLET_COLUMN_INT, .offset = Q(batch), .low = 1, .high = MAX_COUNT},
    {.name = "units", .kind = GLET_COLUMN_INT, .offset = Q(units), .low = 1, .high = MAX_COUNT},
    RATIO(mean_ms),
    RATIO(cv_ratio),
    RATIO(ci_ratio),
    RATIO(wall_ratio),
    RATIO(foreign_ratio),
    RATIO(p99_alone_ms),
    RATIO(slice_ms),
    {.name = "flags", .kind = GLET_COLUMN_TEXT, .offset = Q(flags), .optional = true},
    {.name = "model_sha256", .kind = GLET_COLUMN_TEXT, .offset = Q(model_sha256), .optional = true},
    {.name = "machine", .kind = GLET_COLUMN_TEXT, .offset = Q(machine), .optional = true},
};

static int check_device(const struct glet_profile *profile, const void *row, struct glet_error *err)
{
    const struct glet_profile_device *device = row;
    (void)profile;
    for (size_t i = 0; i < device->layout_count; i++) {
        int sum = 0;
        for (size_t k = 0; k < device->layouts[i].size_count; k++)
            sum += device->layouts[i].sizes_units[k];
        if (sum > device->units)
            return glet_error_set(err, GLET_ERR_RANGE,
                                  "layouts: layout %zu needs %d units, %s has %d", i + 1, sum,
                                  device->gpu, device->units);
    }
    return 0;
}

static int check_units(const struct glet_profile *profile, size_t device, int units,
                       const char *column, struct glet_error *err)
{
    if (units <= profile->devices[device].units)
        return 0;
    return glet_error_set(err, GLET_ERR_RANGE, "%s: %d is more than the %d units of %s", column,
                          units, profile->devices[device].units, profile->devices[device].gpu);
}

static int check_latency(const struct glet_profile *profile, const void *row,
                         struct glet_error *err)
{
    const struct glet_profile_latency *latency = row;
    if (latency->p99_ms < latency->p50_ms)
        return glet_error_set(err, GLET_ERR_RANGE, "p99_ms: %g is less than p50_ms, %g",
                              latency->p99_ms, latency->p50_ms);
    return check_units(profile, latency->device, latency->units, "units", err);
}

static int check_corun(const struct glet_profile *profile, const void *row, struct glet_error *err)
{
    const struct glet_profile_corun *corun = row;
    if (check_units(profile, corun->device, corun->units_a, "units_a", err) < 0)
        return -1;
    return check_units(profile, corun->device, corun->units_b, "units_b", err);
}

static int check_quality(const struct glet_profile *profile, const void *row,
                         struct glet_error *err)
{
    const struct glet_profile_quality *quality = row;
    return check_units(profile, quality->device, quality->units, "units", err);
}

#define TABLE(field, type, column_table)                                                           \
    .name = #field, .row_bytes = sizeof(type),                                                     \
    .rows_offset = offsetof(struct glet_profile, field), .columns = column_table,                  \
    .column_count = (int)(sizeof column_table / sizeof column_table[0])

const struct glet_schema_table glet_profile_tables[GLET_SCHEMA_COUNT] = {
    {TABLE(devices, struct glet_profile_device, device_columns),
     .count_offset = offsetof(struct glet_profile, device_count), .key = {0}, .key_count = 1,
     .in_digest = true, .check = check_device},
    {TABLE(models, struct glet_profile_model, model_columns),
     .count_offset = offsetof(struct glet_profile, model_count), .key = {0}, .key_count = 1,
     .in_digest = true},
    {TABLE(latency, struct glet_profile_latency, latency_columns),
     .count_offset = offsetof(struct glet_profile, latency_count), .key = {0, 1, 3, 2},
     .key_count = 4, .in_digest = true, .check = check_latency},
    {TABLE(interference, struct glet_profile_interference, interference_columns),
     .count_offset = offsetof(struct glet_profile, interference_count), .key = {0}, .key_count = 1,
     .optional = true, .in_digest = true},
    {TABLE(corun, struct glet_profile_corun, corun_columns),
     .count_offset = offsetof(struct glet_profile, corun_count), .key = {0, 1, 3, 2, 4, 6, 5},
     .key_count = 7, .optional = true, .in_digest = true, .check = check_corun},
    {TABLE(meta, struct glet_profile_meta, meta_columns),
     .count_offset = offsetof(struct glet_profile, meta_count), .key = {0, 1}, .key_count = 2,
     .optional = true},
    {TABLE(quality, struct glet_profile_quality, quality_columns),
     .count_offset = offsetof(struct glet_profile, quality_count), .key = {0, 1, 3, 2},
     .key_count = 4, .optional = true, .check = check_quality},
};

static void *field(const struct glet_schema_column *column, void *row)
{
    return (char *)row + column->offset;
}

static const void *const_field(const struct glet_schema_column *column, const void *row)
{
    return (const char *)row + column->offset;
}

static void **rows_of(const struct glet_profile *profile, const struct glet_schema_table *table)
{
    return (void **)(void *)((uintptr_t)profile + table->rows_offset);
}

static size_t *count_of(const struct glet_profile *profile, const struct glet_schema_table *table)
{
    return (size_t *)((uintptr_t)profile + table->count_offset);
}

void *glet_schema_rows(const struct glet_profile *profile, const struct glet_schema_table *table)
{
    return *rows_of(profile, table);
}

size_t glet_schema_row_count(const struct glet_profile *profile,
                             const struct glet_schema_table *table)
{
    return *count_of(profile, table);
}

void *glet_schema_append(struct glet_profile *profile, const struct glet_schema_table *table,
                         size_t *capacity, struct glet_error *err)
{
    void **rows = rows_of(profile, table);
    size_t *count = count_of(profile, table);
    if (*count == *capacity) {
        size_t wanted = *capacity ? 2 * *capacity : 16;
        void *larger = reallocarray(*rows, wanted, table->row_bytes);
        if (!larger) {
            glet_error_set(err, GLET_ERR_NOMEM, "out of memory for table %s", table->name);
            return NULL;
        }
        *rows = larger;
        *capacity = wanted;
    }
    void *row = (char *)*rows + (*count)++ * table->row_bytes;
    memset(row, 0, table->row_bytes);
    return row;
}

static int set_string(const struct glet_schema_column *column, void *row, const char *text,
                      struct glet_error *err)
{
    if (column->kind == GLET_COLUMN_NAME) {
        size_t length = strlen(text);
        if (length == 0)
            return glet_error_set(err, GLET_ERR_INPUT, "%s: empty", column->name);
        if (length > MAX_NAME)
            return glet_error_set(err, GLET_ERR_RANGE, "%s: longer than %d bytes", column->name,
                                  MAX_NAME);
        for (size_t i = 0; i < length; i++)
            if (iscntrl((unsigned char)text[i]))
                return glet_error_set(err, GLET_ERR_INPUT, "%s: contains a control character",
                                      column->name);
    }
    char *copy = strdup(text);
    if (!copy)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    *(char **)field(column, row) = copy;
    return 0;
}

static int set_reference(struct glet_profile *profile, const struct glet_schema_column *column,
                         void *row, const char *text, struct glet_error *err)
{
    bool device = column->kind == GLET_COLUMN_DEVICE;
    int index =
        device ? glet_profile_find_device(profile, text) : glet_profile_find_model(profile, text);
    if (index < 0)
        return glet_error_set(err, GLET_ERR_INPUT, "%s: '%.100s' is not in the table of %s",
                              column->name, text, device ? "devices" : "models");
    *(size_t *)field(column, row) = (size_t)index;
    return 0;
}

static int set_named(const struct glet_schema_column *column, void *row, const char *text,
                     int count, const char *(*name)(int), struct glet_error *err)
{
    char known[128] = "";
    for (int i = 0; i < count; i++) {
        if (strcmp(text, name(i)) == 0) {
            /* Both enums are stored through the type that the compiler gives them. */
            if (column->kind == GLET_COLUMN_MECHANISM)
                *(enum glet_mechanism *)field(column, row) = (enum glet_mechanism)i;
            else
                *(enum glet_trust *)field(column, row) = (enum glet_trust)i;
            return 0;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", name(i));
    }
    return glet_error_set(err, GLET_ERR_INPUT, "%s: '%.60s' is not one of %s", column->name, text,
                          known);
}

static const char *mechanism_name(int i)
{
    return glet_mechanism_name((enum glet_mechanism)i);
}

static const char *trust_name(int i)
{
    return glet_trust_name((enum glet_trust)i);
}

static int descending(const void *a, const void *b)
{
    return *(const int *)b - *(const int *)a;
}

/* One "4+2+1"; returns where it ended, or NULL with err. */
static const char *parse_layout(const char *text, struct glet_profile_layout *layout,
                                struct glet_error *err)
{
    for (;;) {
        char *end;
        long size = isdigit((unsigned char)*text) ? strtol(text, &end, 10) : 0;
        if (size < 1 || size > MAX_COUNT) {
            glet_error_set(err, GLET_ERR_INPUT,
                           "layouts: expected sizes as in '4+3;4+2+1' at '%.20s'", text);
            return NULL;
        }
        int *larger =
            reallocarray(layout->sizes_units, layout->size_count + 1, sizeof *layout->sizes_units);
        if (!larger) {
            glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
            return NULL;
        }
        layout->sizes_units = larger;
        layout->sizes_units[layout->size_count++] = (int)size;
        text = end;
        if (*text != '+')
            break;
        text++;
    }
    qsort(layout->sizes_units, layout->size_count, sizeof *layout->sizes_units, descending);
    return text;
}

static int set_layouts(struct glet_profile_device *device, const char *text, struct glet_error *err)
{
    if (!*text)
        return 0;
    for (;;) {
        struct glet_profile_layout *larger =
            reallocarray(device->layouts, device->layout_count + 1, sizeof *larger);
        if (!larger)
            return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        device->layouts = larger;
        struct glet_profile_layout *layout = &device->layouts[device->layout_count++];
        *layout = (struct glet_profile_layout){0};
        text = parse_layout(text, layout, err);
        if (!text)
            return -1;
        if (!*text)
            return 0;
        if (*text != ';')
            return glet_error_set(err, GLET_ERR_INPUT, "layouts: unexpected '%.20s'", text);
        text++;
    }
}

int glet_schema_set_text(struct glet_profile *profile, const struct glet_schema_column *column,
                         void *row, const char *text, struct glet_error *err)
{
    switch (column->kind) {
    case GLET_COLUMN_NAME:
    case GLET_COLUMN_TEXT:
        return set_string(column, row, text, err);
    case GLET_COLUMN_DEVICE:
    case GLET_COLUMN_MODEL:
        return set_reference(profile, column, row, text, err);
    case GLET_COLUMN_MECHANISM:
        return set_named(column, row, text, GLET_MECHANISM_CPU + 1, mechanism_name, err);
    case GLET_COLUMN_TRUST:
        return set_named(column, row, text, GLET_TRUST_ESTIMATED + 1, trust_name, err);
    case GLET_COLUMN_LAYOUTS:
        return set_layouts(row, text, err);
    case GLET_COLUMN_INT:
    case GLET_COLUMN_REAL:
        break;
    }
    /* Accepts what strtod does but for hexadecimal, "inf", "nan" and surrounding blanks. */
    char *end = NULL;
    double value = NAN;
    if (*text == '\0') {
        if (!column->nullable)
            return glet_error_set(err, GLET_ERR_INPUT, "%s: empty, a number is needed",
                                  column->name);
    } else {
        if (text[strspn(text, "+-0123456789.eE")] == '\0')
            value = strtod(text, &end);
        if (!end || end == text || *end || !isfinite(value))
            return glet_error_set(err, GLET_ERR_INPUT, "%s: '%.60s' is not a number", column->name,
                                  text);
    }
    return glet_schema_set_number(column, row, value, err);
}

int glet_schema_set_number(const struct glet_schema_column *column, void *row, double value,
                           struct glet_error *err)
{
    bool is_int = column->kind == GLET_COLUMN_INT;
    assert(is_int || column->kind == GLET_COLUMN_REAL);
    if (isnan(value) && !column->nullable)
        return glet_error_set(err, GLET_ERR_INPUT, "%s: empty, a number is needed", column->name);
    if (is_int && value != rint(value))
        return glet_error_set(err, GLET_ERR_INPUT, "%s: %g is not a whole number", column->name,
                              value);
    if (value < column->low || value > column->high || (column->above_low && value == column->low))
        return glet_error_set(err, GLET_ERR_RANGE, "%s: %g is not %s %g and at most %g",
                              column->name, value, column->above_low ? "above" : "at least",
                              column->low, column->high);
    if (is_int)
        *(int *)field(column, row) = (int)value;
    else
        *(double *)field(column, row) = value == 0 ? 0 : value; /* no negative zero */
    return 0;
}

bool glet_schema_is_number(const struct glet_schema_column *column)
{
    return column->kind == GLET_COLUMN_INT || column->kind == GLET_COLUMN_REAL;
}

double glet_schema_number(const struct glet_schema_column *column, const void *row)
{
    const void *value = const_field(column, row);
    return column->kind == GLET_COLUMN_INT ? *(const int *)value : *(const double *)value;
}

static char *compose_layouts(const struct glet_profile_device *device)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return NULL;
    for (size_t i = 0; i < device->layout_count; i++)
        for (size_t k = 0; k < device->layouts[i].size_count; k++)
            fprintf(out, "%s%d", k ? "+" : i ? ";" : "", device->layouts[i].sizes_units[k]);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

const char *glet_schema_text(const struct glet_profile *profile,
                             const struct glet_schema_column *column, const void *row,
                             char **scratch, struct glet_error *err)
{
    const void *value = const_field(column, row);
    *scratch = NULL;
    switch (column->kind) {
    case GLET_COLUMN_NAME:
    case GLET_COLUMN_TEXT: {
        const char *text = *(char *const *)value;
        return text ? text : "";
    }
    case GLET_COLUMN_DEVICE:
        return profile->devices[*(const size_t *)value].gpu;
    case GLET_COLUMN_MODEL:
        return profile->models[*(const size_t *)value].model;
    case GLET_COLUMN_MECHANISM:
        return glet_mechanism_name(*(const enum glet_mechanism *)value);
    case GLET_COLUMN_TRUST:
        return glet_trust_name(*(const enum glet_trust *)value);
    case GLET_COLUMN_LAYOUTS:
        *scratch = compose_layouts(row);
        if (!*scratch)
            glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        return *scratch;
    case GLET_COLUMN_INT:
    case GLET_COLUMN_REAL:
        break;
    }
    assert(!"a number has no text here");
    return "";
}

static int compare_column(const struct glet_schema_column *column, const void *a, const void *b)
{
    const void *x = const_field(column, a), *y = const_field(column, b);
    switch (column->kind) {
    case GLET_COLUMN_NAME:
        return strcmp(*(char *const *)x, *(char *const *)y);
    case GLET_COLUMN_DEVICE:
    case GLET_COLUMN_MODEL:
        return (*(const size_t *)x > *(const size_t *)y) -
               (*(const size_t *)x < *(const size_t *)y);
    default:
        return (*(const int *)x > *(const int *)y) - (*(const int *)x < *(const int *)y);
    }
}

int glet_schema_compare(const struct glet_profile *profile, const struct glet_schema_table *table,
                        const void *a, const void *b)
{
    (void)profile;
    for (int k = 0; k < table->key_count; k++) {
        int order = compare_column(&table->columns[table->key[k]], a, b);
        if (order != 0)
            return order;
    }
    return 0;
}

struct sorting {
    const struct glet_profile *profile;
    const struct glet_schema_table *table;
    const char *rows;
};

static int compare_indices(const void *a, const void *b, void *context)
{
    const struct sorting *s = context;
    size_t i = *(const size_t *)a, k = *(const size_t *)b;
    int order = glet_schema_compare(s->profile, s->table, s->rows + i * s->table->row_bytes,
                                    s->rows + k * s->table->row_bytes);
    return order ? order : (i > k) - (i < k);
}

static int find_duplicate(const struct sorting *s, const size_t *order, size_t count,
                          size_t *bad_row, struct glet_error *err)
{
    size_t row_bytes = s->table->row_bytes;
    for (size_t i = 1; i < count; i++)
        if (glet_schema_compare(s->profile, s->table, s->rows + order[i - 1] * row_bytes,
                                s->rows + order[i] * row_bytes) == 0) {
            char key[128] = "";
            for (int k = 0; k < s->table->key_count; k++) {
                size_t used = strlen(key);
                snprintf(key + used, sizeof key - used, "%s%s", k ? ", " : "",
                         s->table->columns[s->table->key[k]].name);
            }
            *bad_row = order[i];
            return glet_error_set(err, GLET_ERR_INPUT, "a second row with the same %s", key);
        }
    return 0;
}

int glet_schema_finish(struct glet_profile *profile, const struct glet_schema_table *table,
                       size_t *bad_row, struct glet_error *err)
{
    char *rows = glet_schema_rows(profile, table);
    size_t count = glet_schema_row_count(profile, table);
    struct sorting sorting = {profile, table, rows};
    for (size_t i = 0; i < count; i++)
        if (table->check && table->check(profile, rows + i * table->row_bytes, err) < 0) {
            *bad_row = i;
            return -1;
        }
    if (count < 2)
        return 0;
    size_t *order = reallocarray(NULL, count, sizeof *order);
    char *sorted = reallocarray(NULL, count, table->row_bytes);
    int rc = -1;
    if (!order || !sorted) {
        *bad_row = 0;
        glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    } else {
        for (size_t i = 0; i < count; i++)
            order[i] = i;
        qsort_r(order, count, sizeof *order, compare_indices, &sorting);
        for (size_t i = 0; i < count; i++)
            memcpy(sorted + i * table->row_bytes, rows + order[i] * table->row_bytes,
                   table->row_bytes);
        rc = find_duplicate(&sorting, order, count, bad_row, err);
        memcpy(rows, sorted, count * table->row_bytes);
    }
    free(order);
    free(sorted);
    return rc;
}

int glet_profile_digest(struct glet_profile *profile, struct glet_error *err)
{
    /* Separators cannot occur in names; numbers are written so that they read back exactly. */
    struct glet_sha256 sha;
    glet_sha256_init(&sha);
    for (int t = 0; t < GLET_SCHEMA_COUNT; t++) {
        const struct glet_schema_table *table = &glet_profile_tables[t];
        if (!table->in_digest)
            continue;
        glet_sha256_update(&sha, table->name, strlen(table->name) + 1);
        const char *row = glet_schema_rows(profile, table);
        for (size_t i = glet_schema_row_count(profile, table); i > 0; i--) {
            for (int c = 0; c < table->column_count; c++) {
                const struct glet_schema_column *column = &table->columns[c];
                char number[40] = "", *scratch = NULL;
                const char *text = number;
                if (!glet_schema_is_number(column))
                    text = glet_schema_text(profile, column, row, &scratch, err);
                else if (!isnan(glet_schema_number(column, row)))
                    snprintf(number, sizeof number, "%.17g", glet_schema_number(column, row));
                if (!text)
                    return -1;
                glet_sha256_update(&sha, text, strlen(text));
                glet_sha256_update(&sha, "\x1f", 1);
                free(scratch);
            }
            glet_sha256_update(&sha, "\x1e", 1);
            row += table->row_bytes;
        }
    }
    glet_sha256_finish(&sha, profile->sha256);
    return 0;
}
