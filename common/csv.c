/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file is read whole and decoded in place: unquoting only shrinks a field, so each row's
 * fields become NUL-terminated strings inside the text, and nothing is allocated per row.
 */
#include "common/csv.h"

#include "common/file.h"
#include "common/memory.h"
#include "common/nearest.h"
#include "common/number.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_BYTES = 1 << 30, LIMIT_COLUMNS = 4096 };

struct field {
    char *text;
    struct glet_mark mark;
};

struct glet_csv {
    char *name, *text, *end;
    char *at;        /* next byte to read */
    char *line_from; /* start of the current line */
    int line;
    struct field *names, *fields;
    size_t column_count, field_count, field_capacity;
};

static struct glet_mark here(const struct glet_csv *csv)
{
    return (struct glet_mark){csv->line, (int)(csv->at - csv->line_from) + 1};
}

static int fail_at(const struct glet_csv *csv, struct glet_mark mark, const char *what,
                   struct glet_error *err)
{
    return glet_error_at(err, GLET_ERR_INPUT, csv->name, mark, "%s", what);
}

static void new_line(struct glet_csv *csv)
{
    csv->line++;
    csv->line_from = csv->at;
}

/* Decodes the quoted field at csv->at, whose opening quote was seen; returns its end. */
static char *quoted(struct glet_csv *csv, struct glet_mark mark, struct glet_error *err)
{
    char *to = csv->at++;
    for (;;) {
        if (csv->at == csv->end) {
            fail_at(csv, mark, "this quoted field never ends", err);
            return NULL;
        }
        char c = *csv->at++;
        if (c == '"' && csv->at < csv->end && *csv->at == '"')
            csv->at++;
        else if (c == '"')
            return to;
        else if (c == '\n')
            new_line(csv);
        *to++ = c;
    }
}

static bool at_line_end(const struct glet_csv *csv)
{
    return csv->at == csv->end || *csv->at == '\n' ||
           (*csv->at == '\r' && csv->at + 1 < csv->end && csv->at[1] == '\n');
}

/* 1 = more fields follow in this row, 0 = it was the last, -1 = error. */
static int read_field(struct glet_csv *csv, struct glet_error *err)
{
    struct glet_mark mark = here(csv);
    if (csv->field_count == LIMIT_COLUMNS)
        return fail_at(csv, mark, "more than 4096 columns", err);
    if (glet_reserve(&csv->fields, &csv->field_capacity, csv->field_count + 1, sizeof *csv->fields,
                     err) < 0)
        return -1;
    char *from = csv->at, *to;
    if (csv->at < csv->end && *csv->at == '"') {
        to = quoted(csv, mark, err);
        if (!to)
            return -1;
        if (!at_line_end(csv) && *csv->at != ',')
            return fail_at(csv, here(csv), "text after the closing quote", err);
    } else {
        for (; !at_line_end(csv) && *csv->at != ','; csv->at++)
            if (*csv->at == '"' || *csv->at == '\0' || *csv->at == '\r')
                return fail_at(csv, here(csv), "a quote or control byte in an unquoted field", err);
        to = csv->at;
    }
    if (memchr(from, '\0', (size_t)(to - from)))
        return fail_at(csv, mark, "a NUL byte in a field", err);
    csv->fields[csv->field_count++] = (struct field){from, mark};
    bool more = csv->at < csv->end && *csv->at == ',';
    if (!more && csv->at < csv->end) {
        csv->at += *csv->at == '\r' ? 2 : 1;
        new_line(csv);
    } else if (more) {
        csv->at++;
    }
    *to = '\0'; /* overwrites a separator or a quote that has been read, or the text's own NUL */
    return more;
}

/* 1 = a row was read, 0 = end of file, -1 = error. */
static int read_row(struct glet_csv *csv, struct glet_error *err)
{
    csv->field_count = 0;
    while (csv->at < csv->end && at_line_end(csv)) {
        csv->at += *csv->at == '\r' ? 2 : 1;
        new_line(csv);
    }
    if (csv->at == csv->end)
        return 0;
    int more;
    do
        more = read_field(csv, err);
    while (more > 0);
    return more < 0 ? -1 : 1;
}

static int read_header(struct glet_csv *csv, struct glet_error *err)
{
    if (csv->end - csv->text >= 3 && memcmp(csv->text, "\xef\xbb\xbf", 3) == 0)
        csv->at = csv->line_from = csv->text + 3;
    int row = read_row(csv, err);
    if (row < 0)
        return -1;
    if (row == 0)
        return fail_at(csv, (struct glet_mark){1, 1}, "no header row", err);
    csv->names = GLET_STEAL(csv->fields);
    csv->column_count = csv->field_count;
    csv->field_count = csv->field_capacity = 0;
    for (size_t i = 0; i < csv->column_count; i++)
        if (glet_csv_find_column(csv, csv->names[i].text) < i)
            return glet_error_at(err, GLET_ERR_INPUT, csv->name, csv->names[i].mark,
                                 "column %s appears twice", csv->names[i].text);
    return 0;
}

static struct glet_csv *new_csv(const char *name, struct glet_error *err)
{
    struct glet_csv *csv = glet_alloc(1, sizeof *csv, err);
    if (csv && !(csv->name = glet_strdup(name, err)))
        free(GLET_STEAL(csv));
    return csv;
}

static int begin(struct glet_csv *csv, size_t length, struct glet_error *err)
{
    csv->at = csv->line_from = csv->text;
    csv->end = csv->text + length;
    csv->line = 1;
    return read_header(csv, err);
}

int glet_csv_open(const char *path, struct glet_csv **out, struct glet_error *err)
{
    size_t length;
    GLET_CLEANUP(glet_csv_close) struct glet_csv *csv = new_csv(path, err);
    if (!csv || glet_file_read(path, LIMIT_BYTES, &csv->text, &length, err) < 0 ||
        begin(csv, length, err) < 0)
        return -1;
    *out = GLET_STEAL(csv);
    return 0;
}

int glet_csv_parse(const char *text, size_t length, const char *name, struct glet_csv **out,
                   struct glet_error *err)
{
    GLET_CLEANUP(glet_csv_close) struct glet_csv *csv = new_csv(name, err);
    if (!csv || !(csv->text = glet_alloc(length + 1, 1, err)))
        return -1;
    memcpy(csv->text, text, length);
    if (begin(csv, length, err) < 0)
        return -1;
    *out = GLET_STEAL(csv);
    return 0;
}

void glet_csv_close(struct glet_csv **csv)
{
    if (!*csv)
        return;
    free((*csv)->name);
    free((*csv)->text);
    free((*csv)->names);
    free((*csv)->fields);
    free(GLET_STEAL(*csv));
}

size_t glet_csv_column_count(const struct glet_csv *csv)
{
    return csv->column_count;
}

const char *glet_csv_column_name(const struct glet_csv *csv, size_t column)
{
    return csv->names[column].text;
}

size_t glet_csv_find_column(const struct glet_csv *csv, const char *name)
{
    for (size_t i = 0; i < csv->column_count; i++)
        if (strcmp(csv->names[i].text, name) == 0)
            return i;
    return GLET_CSV_NONE;
}

int glet_csv_column(const struct glet_csv *csv, const char *name, size_t *column,
                    struct glet_error *err)
{
    *column = glet_csv_find_column(csv, name);
    if (*column != GLET_CSV_NONE)
        return 0;
    glet_error_at(err, GLET_ERR_INPUT, csv->name, csv->names[0].mark, "no column %s", name);
    const char *meant = NULL;
    for (size_t i = 0; i < csv->column_count; i++) {
        const char *near[] = {meant, csv->names[i].text};
        meant = glet_nearest(name, near, 2);
    }
    return meant ? glet_error_hint(err, "there is a column %.64s", meant) : -1;
}

int glet_csv_next(struct glet_csv *csv, struct glet_error *err)
{
    int row = read_row(csv, err);
    if (row > 0 && csv->field_count != csv->column_count)
        return glet_error_at(err, GLET_ERR_INPUT, csv->name, csv->fields[0].mark,
                             "%zu fields in this row, %zu columns in the header", csv->field_count,
                             csv->column_count);
    return row;
}

const char *glet_csv_text(const struct glet_csv *csv, size_t column)
{
    return csv->fields[column].text;
}

int glet_csv_double(const struct glet_csv *csv, size_t column, double low, double high, double *out,
                    struct glet_error *err)
{
    const char *text = glet_csv_text(csv, column);
    double value;
    if (!glet_parse_double(text, &value))
        return glet_csv_error(csv, column, err, GLET_ERR_INPUT, "'%.40s' is not a number", text);
    if (value < low)
        return glet_csv_error(csv, column, err, GLET_ERR_RANGE, "%.40s is below %g", text, low);
    if (value > high)
        return glet_csv_error(csv, column, err, GLET_ERR_RANGE, "%.40s is above %g", text, high);
    *out = value;
    return 0;
}

int glet_csv_int(const struct glet_csv *csv, size_t column, int64_t low, int64_t high, int64_t *out,
                 struct glet_error *err)
{
    const char *text = glet_csv_text(csv, column);
    int64_t value;
    if (!glet_parse_int(text, &value))
        return glet_csv_error(csv, column, err, GLET_ERR_INPUT, "'%.40s' is not a whole number",
                              text);
    if (value < low)
        return glet_csv_error(csv, column, err, GLET_ERR_RANGE, "%.40s is below %" PRId64, text,
                              low);
    if (value > high)
        return glet_csv_error(csv, column, err, GLET_ERR_RANGE, "%.40s is above %" PRId64, text,
                              high);
    *out = value;
    return 0;
}

struct glet_mark glet_csv_column_mark(const struct glet_csv *csv, size_t column)
{
    return csv->names[column].mark;
}

struct glet_mark glet_csv_mark(const struct glet_csv *csv, size_t column)
{
    return csv->fields[column].mark;
}

int glet_csv_error(const struct glet_csv *csv, size_t column, struct glet_error *err,
                   enum glet_code code, const char *format, ...)
{
    char text[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return glet_error_at(err, code, csv->name, glet_csv_mark(csv, column), "%.64s: %.640s",
                         csv->names[column].text, text);
}

void glet_csv_put(struct glet_csv_writer *writer, const char *text)
{
    if (writer->in_row)
        putc(',', writer->stream);
    /* An empty line would be skipped, and a byte order mark taken away, by the reader. */
    bool quote = text && (text[strcspn(text, ",\"\r\n")] || (!*text && !writer->in_row) ||
                          strncmp(text, "\xef\xbb\xbf", 3) == 0);
    writer->in_row = true;
    if (!text)
        return;
    if (!quote) {
        fputs(text, writer->stream);
        return;
    }
    putc('"', writer->stream);
    for (; *text; text++) {
        if (*text == '"')
            putc('"', writer->stream);
        putc(*text, writer->stream);
    }
    putc('"', writer->stream);
}

void glet_csv_put_int(struct glet_csv_writer *writer, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    glet_csv_put(writer, text);
}

void glet_csv_put_double(struct glet_csv_writer *writer, double value)
{
    char text[GLET_DOUBLE_CHARS];
    glet_csv_put(writer, isnan(value) ? NULL : glet_format_double(text, value));
}

void glet_csv_end_row(struct glet_csv_writer *writer)
{
    putc('\n', writer->stream);
    writer->in_row = false;
}
