/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_TABLE_H
#define GLET_COMMON_TABLE_H

/*
 * A small table of text cells, printed aligned for people or as Markdown. The first row is the
 * header. A cell whose column is marked as a number is aligned to the right; for people, a long
 * text at the end of a row takes several lines.
 */

#include "common/error.h"

#include <stdbool.h>
#include <stdio.h>

#define GLET_TABLE_COLUMNS_MAX 16

struct glet_table {
    int column_count;
    bool number[GLET_TABLE_COLUMNS_MAX];
    char **cells; /* row by row */
    size_t cell_count, cell_capacity;
    bool out_of_memory; /* sticky: the print functions then fail */
};

/*
 * headers separated by '|'; a leading '>' makes the column a number: "model|>rate|>SLO". Release
 * with glet_table_fini().
 */
void glet_table_init(struct glet_table *table, const char *headers);
void glet_table_fini(struct glet_table *table);

/* Appends the next cell; rows fill up from left to right. */
void glet_table_cell(struct glet_table *table, const char *format, ...) GLET_PRINTF(2, 3);

/* Print complete rows. Return -1 when memory had run out (a row is missing) or out has an error. */
GLET_MUST_CHECK
int glet_table_print(const struct glet_table *table, FILE *out);
GLET_MUST_CHECK
int glet_table_print_markdown(const struct glet_table *table, FILE *out);

#endif
