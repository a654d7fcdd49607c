/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of text: cells are kept until the widths are known. Widths are in bytes: names and units
 * of this project are ASCII, anything else only misaligns. */
#include "common/table.h"

#include "common/wrap.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { EDGE = 100, LEAST_ROOM = 24 }; /* characters */

void glet_table_init(struct glet_table *table, const char *headers)
{
    *table = (struct glet_table){0};
    for (const char *at = headers; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        table->column_count++;
    int column = 0;
    for (const char *at = headers; at && column < GLET_TABLE_COLUMNS_MAX; column++) {
        const char *end = strchr(at, '|');
        table->number[column] = *at == '>';
        at += *at == '>';
        glet_table_cell(table, "%.*s", end ? (int)(end - at) : (int)strlen(at), at);
        at = end ? end + 1 : NULL;
    }
}

void glet_table_fini(struct glet_table *table)
{
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct glet_table){0};
}

void glet_table_cell(struct glet_table *table, const char *format, ...)
{
    if (table->cell_count == table->cell_capacity) {
        size_t wanted = table->cell_capacity ? 2 * table->cell_capacity : 32;
        char **bigger = realloc(table->cells, wanted * sizeof *bigger);
        if (!bigger) {
            table->out_of_memory = true;
            return;
        }
        table->cells = bigger;
        table->cell_capacity = wanted;
    }
    va_list args;
    char *text = NULL;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        table->out_of_memory = true;
    else
        table->cells[table->cell_count++] = text;
    va_end(args);
}

static int finish(const struct glet_table *table, FILE *out)
{
    return table->out_of_memory || ferror(out) ? -1 : 0;
}

/* Where a text that begins there is broken. */
static int edge_of(int indent)
{
    return EDGE - indent > LEAST_ROOM ? EDGE : indent + LEAST_ROOM;
}

int glet_table_print(const struct glet_table *table, FILE *out)
{
    size_t columns = (size_t)table->column_count, rows = table->cell_count / columns;
    int width[GLET_TABLE_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < rows * columns; i++) {
        int length = (int)strlen(table->cells[i]);
        if (length > width[i % columns])
            width[i % columns] = length;
    }
    for (size_t r = 0; r < rows; r++) {
        char **row = &table->cells[r * columns];
        size_t last = columns - 1;
        while (last > 0 && !*row[last])
            last--;
        for (size_t c = 0, indent = 0; c <= last; indent += (size_t)width[c++] + 2) {
            if (table->number[c])
                fprintf(out, "%*s%s", width[c], row[c], c < last ? "  " : "\n");
            else if (c < last)
                fprintf(out, "%-*s  ", width[c], row[c]);
            else
                glet_wrap(out, edge_of((int)indent), (int)indent, (int)indent, row[c]);
        }
    }
    return finish(table, out);
}

/* A cell must not end its column or its row. */
static void put_markdown(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '|' || *text == '\\')
            fputc('\\', out);
        fputc(*text == '\n' || *text == '\r' ? ' ' : *text, out);
    }
}

int glet_table_print_markdown(const struct glet_table *table, FILE *out)
{
    size_t columns = (size_t)table->column_count, rows = table->cell_count / columns;
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            fputs("| ", out);
            put_markdown(table->cells[r * columns + c], out);
            fputc(' ', out);
        }
        fputs("|\n", out);
        for (size_t c = 0; r == 0 && c < columns; c++)
            fputs(table->number[c] ? "|---:" : "|---", out);
        if (r == 0)
            fputs("|\n", out);
    }
    return finish(table, out);
}
