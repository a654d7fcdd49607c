/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a folder of CSVs into a profile: every file is one loop over the columns that its table
 * describes. The place of each row is kept while a table is read, so that what is found only when
 * it is complete (a duplicate, a size beyond the device) still points at its line.
 */
#include "common/profile/profile_csv.h"

#include "common/csv.h"
#include "common/memory.h"
#include "common/profile/profile_schema.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Puts the place in front of an error that has none yet. */
static int place(struct glet_error *err, const char *file, struct glet_mark mark)
{
    char message[sizeof err->message];
    memcpy(message, err->message, sizeof message);
    return glet_error_at(err, err->code, file, mark, "%s", message);
}

/* columns_out[c] = where the table's column c is in the file, or GLET_CSV_NONE. */
static int match_columns(struct glet_csv *csv, const struct glet_schema_table *table,
                         const char *file, size_t columns_out[GLET_SCHEMA_MAX_COLUMNS],
                         struct glet_error *err)
{
    for (int c = 0; c < table->column_count; c++) {
        columns_out[c] = glet_csv_find_column(csv, table->columns[c].name);
        if (columns_out[c] == GLET_CSV_NONE && !table->columns[c].optional)
            return glet_csv_column(csv, table->columns[c].name, &columns_out[c], err);
    }
    for (size_t k = 0; k < glet_csv_column_count(csv); k++) {
        bool known = false;
        for (int c = 0; c < table->column_count; c++)
            known = known || columns_out[c] == k;
        if (!known)
            return glet_error_at(err, GLET_ERR_INPUT, file, glet_csv_column_mark(csv, k),
                                 "%.100s: unknown column", glet_csv_column_name(csv, k));
    }
    return 0;
}

static int read_row(struct glet_profile *profile, struct glet_csv *csv,
                    const struct glet_schema_table *table, const size_t *columns, void *row,
                    const char *file, struct glet_error *err)
{
    for (int c = 0; c < table->column_count; c++) {
        const struct glet_schema_column *column = &table->columns[c];
        bool there = columns[c] != GLET_CSV_NONE;
        const char *text = there ? glet_csv_text(csv, columns[c]) : "";
        if (glet_schema_set_text(profile, column, row, text, err) < 0)
            return place(err, file, glet_csv_mark(csv, there ? columns[c] : 0));
    }
    return 0;
}

static int read_rows(struct glet_profile *profile, struct glet_csv *csv,
                     const struct glet_schema_table *table, const char *file,
                     struct glet_error *err)
{
    size_t columns[GLET_SCHEMA_MAX_COLUMNS];
    if (match_columns(csv, table, file, columns, err) < 0)
        return -1;
    GLET_CLEANUP(glet_cleanup_free) struct glet_mark *marks = NULL;
    size_t capacity = 0, mark_capacity = 0, count = 0, bad_row = 0;
    int more;
    while ((more = glet_csv_next(csv, err)) > 0) {
        void *row = glet_schema_append(profile, table, &capacity, err);
        if (!row || glet_reserve(&marks, &mark_capacity, count + 1, sizeof *marks, err) < 0)
            return -1;
        marks[count++] = glet_csv_mark(csv, 0);
        if (read_row(profile, csv, table, columns, row, file, err) < 0)
            return -1;
    }
    if (more < 0)
        return -1;
    if (glet_schema_finish(profile, table, &bad_row, err) < 0)
        return place(err, file, marks[bad_row]);
    return 0;
}

static int read_table(struct glet_profile *profile, const char *folder,
                      const struct glet_schema_table *table, struct glet_error *err)
{
    GLET_CLEANUP(glet_cleanup_free) char *file = glet_format(err, "%s/%s.csv", folder, table->name);
    if (!file)
        return -1;
    if (table->optional && access(file, F_OK) != 0)
        return 0;
    GLET_CLEANUP(glet_csv_close) struct glet_csv *csv = NULL;
    if (glet_csv_open(file, &csv, err) < 0)
        return -1;
    return read_rows(profile, csv, table, file, err);
}

int glet_profile_csv_load(const char *folder, struct glet_profile **out, struct glet_error *err)
{
    struct glet_profile *profile = glet_alloc(1, sizeof *profile, err);
    if (!profile)
        return -1;
    profile->path = glet_strdup(folder, err);
    int rc = profile->path ? 0 : -1;
    for (int t = 0; rc == 0 && t < GLET_SCHEMA_COUNT; t++)
        rc = read_table(profile, folder, &glet_profile_tables[t], err);
    if (rc == 0)
        rc = glet_profile_digest(profile, err);
    if (rc < 0) {
        glet_profile_free(profile);
        return -1;
    }
    *out = profile;
    return 0;
}
