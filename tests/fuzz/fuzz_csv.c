/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz_common.h"

#include "common/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Writes the header and rows again; returns how reading ended. */
static int copy(struct glet_csv *csv, FILE *out, struct glet_error *err)
{
    struct glet_csv_writer writer = {out, false};
    size_t columns = glet_csv_column_count(csv);
    for (size_t i = 0; i < columns; i++)
        glet_csv_put(&writer, glet_csv_column_name(csv, i));
    glet_csv_end_row(&writer);
    int row;
    while ((row = glet_csv_next(csv, err)) > 0) {
        for (size_t i = 0; i < columns; i++)
            glet_csv_put(&writer, glet_csv_text(csv, i));
        glet_csv_end_row(&writer);
    }
    return row;
}

static int copy_text(const char *text, size_t size, char **out, size_t *length,
                     struct glet_error *err)
{
    struct glet_csv *csv = NULL;
    FILE *stream = open_memstream(out, length);
    if (!stream)
        abort();
    int status = glet_csv_parse(text, size, "fuzz", &csv, err);
    if (status == 0)
        status = copy(csv, stream, err);
    glet_csv_close(&csv);
    fclose(stream);
    return status;
}

/* What was read, written, is read and written as the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct glet_error err = {0};
    char *first = NULL, *second = NULL;
    size_t first_length, second_length;
    if (copy_text((const char *)data, size, &first, &first_length, &err) == 0) {
        if (copy_text(first, first_length, &second, &second_length, &err) < 0 ||
            first_length != second_length || memcmp(first, second, first_length) != 0)
            abort();
    } else if (err.code == GLET_OK || !err.message[0]) {
        abort();
    }
    free(first);
    free(second);
    return 0;
}
