/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILE_SCHEMA_H
#define GLET_PROFILE_SCHEMA_H

/*
 * The tables of a profile as data: each column's name, type, range and place in its row struct. The
 * CSV reader and writer, the SQLite store and the digest are all loops over these tables, so that
 * none of them can know a column that another does not.
 */

#include "common/error.h"
#include "common/profile/profile.h"

#include <stdbool.h>
#include <stddef.h>

enum glet_schema_kind {
    GLET_COLUMN_NAME,      /* char *, never empty */
    GLET_COLUMN_TEXT,      /* char *, may be empty */
    GLET_COLUMN_INT,       /* int within low .. high */
    GLET_COLUMN_REAL,      /* double within low .. high; NAN = unknown where `nullable` */
    GLET_COLUMN_DEVICE,    /* size_t index; written as the device's name */
    GLET_COLUMN_MODEL,     /* size_t index; written as the model's name */
    GLET_COLUMN_MECHANISM, /* enum glet_mechanism; written as its name */
    GLET_COLUMN_TRUST,     /* enum glet_trust; written as its name */
    GLET_COLUMN_LAYOUTS,   /* layouts, layout_count of a device; written 4+3;4+2+1 */
};

struct glet_schema_column {
    const char *name;
    enum glet_schema_kind kind;
    size_t offset;    /* in the row struct */
    double low, high; /* inclusive */
    bool above_low;   /* low itself is excluded */
    bool nullable;    /* may be empty: NAN */
    bool optional;    /* the column may be absent from a CSV: NAN or empty text */
    int since;        /* version of the store that brought it, with `nullable` */
};

enum { GLET_SCHEMA_MAX_COLUMNS = 18 };

/* In the order of loading: what is referred to comes first. */
enum glet_schema_id {
    GLET_SCHEMA_DEVICES,
    GLET_SCHEMA_MODELS,
    GLET_SCHEMA_LATENCY,
    GLET_SCHEMA_INTERFERENCE,
    GLET_SCHEMA_CORUN,
    GLET_SCHEMA_META,
    GLET_SCHEMA_QUALITY,
    GLET_SCHEMA_COUNT
};

struct glet_schema_table {
    const char *name; /* of the SQL table, and of NAME.csv */
    size_t row_bytes;
    size_t rows_offset, count_offset; /* in struct glet_profile */
    const struct glet_schema_column *columns;
    int column_count;
    int key[8]; /* column indices in sorting order; rows are unique by them */
    int key_count;
    bool optional;  /* NAME.csv may be absent */
    bool in_digest; /* a measured or declared fact, not a circumstance */
    /* What a single column's range cannot say (sizes within the device, ...); may be NULL. */
    int (*check)(const struct glet_profile *profile, const void *row, struct glet_error *err);
};

extern const struct glet_schema_table glet_profile_tables[GLET_SCHEMA_COUNT];

/* The rows of a table within a profile, and how many. */
void *glet_schema_rows(const struct glet_profile *profile, const struct glet_schema_table *table);
size_t glet_schema_row_count(const struct glet_profile *profile,
                             const struct glet_schema_table *table);

/*
 * Appends a zeroed row and returns it, or NULL with GLET_ERR_NOMEM. *capacity belongs to the
 * caller, starts at 0 and is kept between the appends to one table; it moves the rows.
 */
void *glet_schema_append(struct glet_profile *profile, const struct glet_schema_table *table,
                         size_t *capacity, struct glet_error *err);

/*
 * Stores one value of a row from text (CSV) or from a number (SQL). The referred-to tables must be
 * complete and sorted. On failure the message names the column and the reason, not the place.
 */
GLET_MUST_CHECK
int glet_schema_set_text(struct glet_profile *profile, const struct glet_schema_column *column,
                         void *row, const char *text, struct glet_error *err);
GLET_MUST_CHECK
int glet_schema_set_number(const struct glet_schema_column *column, void *row, double value,
                           struct glet_error *err);

/* True when the column's values are numbers (INT or REAL). */
bool glet_schema_is_number(const struct glet_schema_column *column);
double glet_schema_number(const struct glet_schema_column *column, const void *row);

/*
 * The text of a value that is not a number. *scratch is NULL, or what the caller must free() (a
 * value that had to be composed); NULL with GLET_ERR_NOMEM.
 */
const char *glet_schema_text(const struct glet_profile *profile,
                             const struct glet_schema_column *column, const void *row,
                             char **scratch, struct glet_error *err);

/* Orders two rows by the table's key. */
int glet_schema_compare(const struct glet_profile *profile, const struct glet_schema_table *table,
                        const void *a, const void *b);

/*
 * Sorts a complete table by its key and runs its checks. A duplicate or a failed check is reported
 * through the message alone; *bad_row (index *before* sorting) tells the caller the place.
 */
GLET_MUST_CHECK
int glet_schema_finish(struct glet_profile *profile, const struct glet_schema_table *table,
                       size_t *bad_row, struct glet_error *err);

/* Fills profile->sha256; all tables must be finished. */
GLET_MUST_CHECK
int glet_profile_digest(struct glet_profile *profile, struct glet_error *err);

#endif
