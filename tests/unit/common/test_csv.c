/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include "common/csv.h"

#include <stdlib.h>
#include <string.h>

/* Every field of every row as "a|b;c|d;", or the error as "line:column: message". */
static char *digest(const char *text, size_t length)
{
    static char out[4096];
    struct glet_error err;
    GLET_CLEANUP(glet_csv_close) struct glet_csv *csv = NULL;
    size_t used = 0;
    int row = glet_csv_parse(text, length, "t.csv", &csv, &err);
    out[0] = '\0';
    while (row >= 0 && (row = glet_csv_next(csv, &err)) > 0)
        for (size_t i = 0; i < glet_csv_column_count(csv); i++)
            used += (size_t)snprintf(out + used, sizeof out - used, "%s%s", glet_csv_text(csv, i),
                                     i + 1 == glet_csv_column_count(csv) ? ";" : "|");
    if (row < 0)
        snprintf(out, sizeof out, "%d:%d: %s", err.line, err.column, err.message);
    return out;
}

static void rows(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a,b\n1,2\n3,4", "1|2;3|4;"},
        {"\xef\xbb\xbf"
         "a,b\r\n1,\r\n\r\n,2\r\n",
         "1|;|2;"},
        {"a\n\"x,\"\"y\"\"\nz\"\n", "x,\"y\"\nz;"},
        {"a,b\n\"\",\"\"\n", "|;"},
        {"a", ""},
        {"", "1:1: no header row"},
        {"\n\n", "1:1: no header row"},
        {"a,b\n1\n", "2:1: 1 fields in this row, 2 columns in the header"},
        {"a,b\n1,2,3\n", "2:1: 3 fields in this row, 2 columns in the header"},
        {"a,b,a\n", "1:5: column a appears twice"},
        {"a,b\n1,\"2\n\n", "2:3: this quoted field never ends"},
        {"a\n\"1\"2\n", "2:4: text after the closing quote"},
        {"a\n1\"\n", "2:2: a quote or control byte in an unquoted field"},
        {"a\n1\rb\n", "2:2: a quote or control byte in an unquoted field"},
        {"a,b\n\"x\ny\",\"\n", "3:4: this quoted field never ends"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(digest(cases[i][0], strlen(cases[i][0])), cases[i][1]);
    assert_string_equal(digest("a\n\0\n", 4), "2:1: a quote or control byte in an unquoted field");
    assert_string_equal(digest("a\n\"\0\"\n", 6), "2:1: a NUL byte in a field");
}

static void typed_fields(void **state)
{
    (void)state;
    static const char text[] = "gpu,batch,p50_ms,p99_ms\nh200,8,1.5,2\nh200,0,-1,2\nh200,x,,2\n";
    struct glet_error err;
    GLET_CLEANUP(glet_csv_close) struct glet_csv *csv = NULL;
    size_t batch, p50, none;
    int64_t whole;
    double real;
    CHECK_OK(glet_csv_parse(text, sizeof text - 1, "t.csv", &csv, &err), &err);
    CHECK_OK(glet_csv_column(csv, "batch", &batch, &err), &err);
    CHECK_OK(glet_csv_column(csv, "p50_ms", &p50, &err), &err);
    CHECK_FAILS(glet_csv_column(csv, "p60_ms", &none, &err), &err, GLET_ERR_INPUT,
                "no column p60_ms");
    assert_string_equal(err.hint, "there is a column p50_ms"); /* nearer than p99_ms, the last */
    assert_int_equal(glet_csv_next(csv, &err), 1);
    CHECK_OK(glet_csv_int(csv, batch, 1, 100, &whole, &err), &err);
    CHECK_OK(glet_csv_double(csv, p50, 0, 10, &real, &err), &err);
    assert_int_equal(whole, 8);
    CHECK_NEAR(real, 1.5, 0);
    CHECK_FAILS(glet_csv_double(csv, p50, 0, 1, &real, &err), &err, GLET_ERR_RANGE,
                "p50_ms: 1.5 is above 1");
    assert_int_equal(glet_csv_next(csv, &err), 1);
    CHECK_FAILS(glet_csv_int(csv, batch, 1, 100, &whole, &err), &err, GLET_ERR_RANGE,
                "batch: 0 is below 1");
    CHECK_FAILS(glet_csv_double(csv, p50, 0, 10, &real, &err), &err, GLET_ERR_RANGE,
                "p50_ms: -1 is below 0");
    assert_int_equal(err.line, 3);
    assert_int_equal(err.column, 8);
    assert_int_equal(glet_csv_next(csv, &err), 1);
    CHECK_FAILS(glet_csv_int(csv, batch, 1, 100, &whole, &err), &err, GLET_ERR_INPUT,
                "batch: 'x' is not a whole number");
    CHECK_FAILS(glet_csv_double(csv, p50, 0, 10, &real, &err), &err, GLET_ERR_INPUT,
                "p50_ms: '' is not a number");
    assert_int_equal(glet_csv_next(csv, &err), 0);
}

static void written_rows_read_back(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length;
    FILE *stream = open_memstream(&text, &length);
    struct glet_csv_writer writer = {stream, false};
    glet_csv_put(&writer, "a");
    glet_csv_put(&writer, "b \"c\"");
    glet_csv_end_row(&writer);
    glet_csv_put(&writer, "x\ny");
    glet_csv_put_double(&writer, 0.1);
    glet_csv_end_row(&writer);
    glet_csv_put_int(&writer, -5);
    glet_csv_put_double(&writer, NAN);
    glet_csv_end_row(&writer);
    fclose(stream);
    assert_string_equal(text, "a,\"b \"\"c\"\"\"\n\"x\ny\",0.1\n-5,\n");
    assert_string_equal(digest(text, length), "x\ny|0.1;-5|;");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),
        cmocka_unit_test(typed_fields),
        cmocka_unit_test(written_rows_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
