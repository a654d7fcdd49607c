/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_CSV_H
#define GLET_COMMON_CSV_H

/*
 * CSV after RFC 4180: a header row that names the columns, comma separated, fields quoted with
 * "..." where needed, LF or CRLF. Blank lines and a UTF-8 byte order mark are skipped; rows with
 * more or fewer fields than the header, repeated column names and stray quotes are errors.
 *
 *     GLET_CLEANUP(glet_csv_close) struct glet_csv *csv = NULL;
 *     if (glet_csv_open("latency.csv", &csv, err) < 0 ||
 *         glet_csv_column(csv, "gpu", &gpu, err) < 0)
 *         return -1;
 *     int row;
 *     while ((row = glet_csv_next(csv, err)) > 0)
 *         use(glet_csv_text(csv, gpu));
 *
 * Errors are GLET_ERR_INPUT / GLET_ERR_RANGE with file, line and column (in bytes), GLET_ERR_IO,
 * GLET_ERR_NOMEM. Not shared between threads.
 */

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

struct glet_csv;

/* Reads path ("-" = standard input) and its header row. *out is the caller's (glet_csv_close). */
GLET_MUST_CHECK
int glet_csv_open(const char *path, struct glet_csv **out, struct glet_error *err);

/* As glet_csv_open(), from memory that is copied; name is used in messages. */
GLET_MUST_CHECK
int glet_csv_parse(const char *text, size_t length, const char *name, struct glet_csv **out,
                   struct glet_error *err);

/* For GLET_CLEANUP; frees *csv, which may be NULL. */
void glet_csv_close(struct glet_csv **csv);

size_t glet_csv_column_count(const struct glet_csv *csv);
const char *glet_csv_column_name(const struct glet_csv *csv, size_t column);

#define GLET_CSV_NONE ((size_t)-1)

/* The column called name, or GLET_CSV_NONE. */
size_t glet_csv_find_column(const struct glet_csv *csv, const char *name);

/* As glet_csv_find_column(), for a column that must be there. */
GLET_MUST_CHECK
int glet_csv_column(const struct glet_csv *csv, const char *name, size_t *column,
                    struct glet_error *err);

/* 1 = on the next row, 0 = there is none, -1 = error. */
GLET_MUST_CHECK
int glet_csv_next(struct glet_csv *csv, struct glet_error *err);

/* The decoded field of the current row, valid until the next glet_csv_next(). */
const char *glet_csv_text(const struct glet_csv *csv, size_t column);

/* The field as a strict number (common/number.h) within low..high, both included. */
GLET_MUST_CHECK
int glet_csv_double(const struct glet_csv *csv, size_t column, double low, double high, double *out,
                    struct glet_error *err);
GLET_MUST_CHECK
int glet_csv_int(const struct glet_csv *csv, size_t column, int64_t low, int64_t high, int64_t *out,
                 struct glet_error *err);

/* Where a column's name, or a field of the current row, starts. */
struct glet_mark glet_csv_column_mark(const struct glet_csv *csv, size_t column);
struct glet_mark glet_csv_mark(const struct glet_csv *csv, size_t column);

/* Fills err with "file:line:column: name: message" for a field of the current row; returns -1. */
int glet_csv_error(const struct glet_csv *csv, size_t column, struct glet_error *err,
                   enum glet_code code, const char *format, ...) GLET_PRINTF(5, 6);

/* Writing: fields from left to right, then the end of the row. Start with {stream, false}. */
struct glet_csv_writer {
    FILE *stream; /* errors stick to it: check ferror() at the end */
    bool in_row;
};

void glet_csv_put(struct glet_csv_writer *writer, const char *text); /* NULL = empty */
void glet_csv_put_int(struct glet_csv_writer *writer, int64_t value);
void glet_csv_put_double(struct glet_csv_writer *writer, double value); /* NAN = empty */
void glet_csv_end_row(struct glet_csv_writer *writer);

#endif
