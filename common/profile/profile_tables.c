/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The description of every table: columns in the order of the CSVs and of the SQL schema, their
 * ranges, and what one column alone cannot say.
 */
#include "common/profile/profile_schema.h"

/* Limits that keep arithmetic on the values exact and an accidental exponent from passing. */
#define MAX_COUNT 1e6  /* units, batches, SMs, gpu-lets */
#define MAX_MS    1e9  /* eleven days */
#define MAX_MIB   1e9  /* a petabyte */
#define MAX_BYTES 1e15 /* of one request */

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

#define QUALITY(field, version)                                                                    \
    {                                                                                              \
        .name = #field, .kind = GLET_COLUMN_REAL, .offset = Q(field), .high = MAX_MS,              \
        .nullable = true, .optional = true, .since = version                                       \
    }
static const struct glet_schema_column quality_columns[] = {
    {.name = "gpu", .kind = GLET_COLUMN_DEVICE, .offset = Q(device)},
    {.name = "model", .kind = GLET_COLUMN_MODEL, .offset = Q(model)},
    {.name = "batch", .kind = GLET_COLUMN_INT, .offset = Q(batch), .low = 1, .high = MAX_COUNT},
    {.name = "units", .kind = GLET_COLUMN_INT, .offset = Q(units), .low = 1, .high = MAX_COUNT},
    QUALITY(mean_ms, 1),
    QUALITY(cv_ratio, 1),
    QUALITY(ci_ratio, 1),
    QUALITY(wall_ratio, 1),
    QUALITY(foreign_ratio, 1),
    QUALITY(p99_alone_ms, 1),
    QUALITY(slice_ms, 1),
    {.name = "flags", .kind = GLET_COLUMN_TEXT, .offset = Q(flags), .optional = true},
    {.name = "model_sha256", .kind = GLET_COLUMN_TEXT, .offset = Q(model_sha256), .optional = true},
    {.name = "machine", .kind = GLET_COLUMN_TEXT, .offset = Q(machine), .optional = true},
    QUALITY(device_p50_ms, 2),
    QUALITY(device_p99_ms, 2),
    QUALITY(clock_mhz, 2),
    QUALITY(achieved_units, 2),
};

static int check_device(const struct glet_profile *profile, const void *row, struct glet_error *err)
{
    const struct glet_profile_device *device = row;
    (void)profile;
    for (size_t i = 0; i < device->layout_count; i++) {
        long sum = 0;
        for (size_t k = 0; k < device->layouts[i].size_count; k++)
            sum += device->layouts[i].sizes_units[k];
        if (sum > device->units)
            return glet_error_set(err, GLET_ERR_RANGE,
                                  "layouts: layout %zu needs %ld units, %s has %d", i + 1, sum,
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
