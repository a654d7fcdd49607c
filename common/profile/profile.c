/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life and lookup of a profile in memory. What owns memory within a row is known from the table
 * descriptions (profile_schema.c), so that a new column cannot be forgotten here.
 */
#include "common/profile/profile.h"

#include "common/profile/profile_schema.h"

#include <stdlib.h>
#include <string.h>

const char *glet_mechanism_name(enum glet_mechanism mechanism)
{
    static const char *const names[] = {"green_context", "mps", "mig", "cpu"};
    return names[mechanism];
}

const char *glet_trust_name(enum glet_trust trust)
{
    static const char *const names[] = {"measured", "imported", "estimated"};
    return names[trust];
}

static int find(const char *const *first, size_t stride_bytes, size_t count, const char *name)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *const *candidate =
            (const char *const *)(const void *)((const char *)first + middle * stride_bytes);
        int order = strcmp(*candidate, name);
        if (order == 0)
            return (int)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

int glet_profile_find_device(const struct glet_profile *profile, const char *gpu)
{
    if (profile->device_count == 0)
        return -1;
    return find((const char *const *)&profile->devices[0].gpu, sizeof profile->devices[0],
                profile->device_count, gpu);
}

int glet_profile_find_model(const struct glet_profile *profile, const char *name)
{
    if (profile->model_count == 0)
        return -1;
    return find((const char *const *)&profile->models[0].model, sizeof profile->models[0],
                profile->model_count, name);
}

static void free_layouts(struct glet_profile_device *device)
{
    for (size_t i = 0; i < device->layout_count; i++)
        free(device->layouts[i].sizes_units);
    free(device->layouts);
}

void glet_profile_free(struct glet_profile *profile)
{
    if (!profile)
        return;
    for (int t = 0; t < GLET_SCHEMA_COUNT; t++) {
        const struct glet_schema_table *table = &glet_profile_tables[t];
        char *rows = glet_schema_rows(profile, table);
        for (size_t i = 0; i < glet_schema_row_count(profile, table); i++) {
            char *row = rows + i * table->row_bytes;
            for (int c = 0; c < table->column_count; c++) {
                enum glet_schema_kind kind = table->columns[c].kind;
                if (kind == GLET_COLUMN_NAME || kind == GLET_COLUMN_TEXT)
                    free(*(char **)(void *)(row + table->columns[c].offset));
                else if (kind == GLET_COLUMN_LAYOUTS)
                    free_layouts((struct glet_profile_device *)(void *)row);
            }
        }
        free(rows);
    }
    free(profile->path);
    free(profile);
}
