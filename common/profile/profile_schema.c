/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The profile's tables as data, and what can be done with any of them: append a row,
 * sort by the key, find duplicates, compute the digest.
 *
 * Devices and models are sorted by name before anything refers to them, so that an index orders as
 * its name does and the sorted tables are the same whatever order the facts were read in. Rows are
 * reached through offsets; a profile has at most some ten thousand rows and is read once per
 * command, so a switch per value costs nothing that shows.
 */
#include "common/profile/profile_schema.h"

#include "common/number.h"
#include "common/sha256.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static const void *const_field(const struct glet_schema_column *column, const void *row)
{
    return (const char *)row + column->offset;
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
                char number[GLET_DOUBLE_CHARS] = "", *scratch = NULL;
                const char *text = number;
                if (!glet_schema_is_number(column))
                    text = glet_schema_text(profile, column, row, &scratch, err);
                else if (!isnan(glet_schema_number(column, row)))
                    glet_format_digits(number, glet_schema_number(column, row));
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
