/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include "common/progress.h"
#include "common/table.h"

#include <stdlib.h>
#include <string.h>

static void columns_are_aligned(void **state)
{
    (void)state;
    struct glet_table table;
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    glet_table_init(&table, "model|>ms|note");
    glet_table_cell(&table, "a");
    glet_table_cell(&table, "%.2f", 12.5);
    glet_table_cell(&table, "late");
    glet_table_cell(&table, "resnet50");
    glet_table_cell(&table, "%.2f", 1.5);
    glet_table_cell(&table, "%s", "");
    assert_int_equal(glet_table_print(&table, out), 0);
    glet_table_fini(&table);
    fclose(out);
    assert_string_equal(text, "model        ms  note\n"
                              "a         12.50  late\n"
                              "resnet50   1.50\n");
    free(text);
}

static void a_long_text_is_broken_at_the_edge(void **state)
{
    (void)state;
    static const char words[] = "twelve chars twelve chars twelve chars";
    struct glet_table table;
    char *text = NULL, wide[91];
    size_t length;
    FILE *out = open_memstream(&text, &length);
    memset(wide, '-', sizeof wide - 1);
    wide[sizeof wide - 1] = '\0';
    glet_table_init(&table, "a|what");
    glet_table_cell(&table, "%.62s", wide);
    glet_table_cell(&table, "%s", words); /* 36 places for 38 characters */
    glet_table_cell(&table, "x");
    glet_table_cell(&table, "%.60s", wide); /* no blank to break at */
    assert_int_equal(glet_table_print(&table, out), 0);
    glet_table_fini(&table);
    fclose(out);
    char *wanted = NULL;
    assert_true(asprintf(&wanted,
                         "%-62s  what\n%.62s  twelve chars twelve chars twelve\n%64schars\n"
                         "%-62s  %.60s\n",
                         "a", wide, "", "x", wide) > 0);
    assert_string_equal(text, wanted);
    free(wanted);
    free(text);
}

static void progress_lines(void **state)
{
    (void)state;
    char line[81];
    glet_progress_format(line, 80, "profiling", 12, 30, "lenet", 60000000);
    assert_string_equal(line, "profiling [########------------] 40 %  12 of 30  lenet  1m30s left");
    glet_progress_format(line, 80, "x", 0, 30, NULL, 1);
    assert_string_equal(line, "x [--------------------] 0 %  0 of 30");
    glet_progress_format(line, 5, "x", 40, 30, NULL, 1);
    assert_string_equal(line, "x [##");
    glet_progress_format(line, 80, "x", 0, 0, NULL, 1);
    assert_string_equal(line, "x [--------------------] 0 %  0 of 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_aligned),
        cmocka_unit_test(a_long_text_is_broken_at_the_edge),
        cmocka_unit_test(progress_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
