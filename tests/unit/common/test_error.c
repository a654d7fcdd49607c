/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void messages(void **state)
{
    (void)state;
    struct glet_error err;
    assert_int_equal(glet_error_set(&err, GLET_ERR_INPUT, "%d apples", 3), -1);
    glet_error_context(&err, "basket %s", "b");
    glet_error_hint(&err, "eat %s", "one");
    assert_string_equal(err.message, "basket b: 3 apples");
    assert_string_equal(err.hint, "eat one");
    glet_error_errno(&err, ENOENT, "f.yaml");
    assert_string_equal(err.message, "f.yaml: No such file or directory");
    assert_string_equal(err.hint, "");
    assert_int_equal(err.code, GLET_ERR_IO);
}

static void long_and_dirty_text(void **state)
{
    (void)state;
    struct glet_error err;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    glet_error_set(&err, GLET_ERR_INPUT, "%s", text);
    glet_error_context(&err, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    glet_error_at(&err, GLET_ERR_INPUT, "a\nb", (struct glet_mark){1, 2}, "'%s'", "\033[31m\n\x7f");
    assert_string_equal(err.message, "'?[31m?"
                                     "?'");
    assert_string_equal(err.file, "a?b");
}

static void printing(void **state)
{
    (void)state;
    struct glet_error err;
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    glet_error_at(&err, GLET_ERR_RANGE, "w.yaml", (struct glet_mark){4, 7}, "too much");
    glet_error_hint(&err, "less");
    glet_error_print(&err, out);
    glet_error_at(&err, GLET_ERR_RANGE, "w.yaml", (struct glet_mark){0, 0}, "empty");
    glet_error_print(&err, out);
    fclose(out);
    assert_string_equal(text, "w.yaml:4:7: too much\nhint: less\nw.yaml: empty\n");
    free(text);
}

static void statuses(void **state)
{
    (void)state;
    assert_int_equal(glet_error_exit_status(GLET_ERR_NO), 1);
    assert_int_equal(glet_error_exit_status(GLET_ERR_RANGE), 2);
    assert_int_equal(glet_error_exit_status(GLET_ERR_UNDECIDED), 3);
    assert_int_equal(glet_error_exit_status(GLET_ERR_NOMEM), 4);
    assert_int_equal(glet_error_exit_status(GLET_ERR_INTERNAL), 70);
    assert_int_equal(glet_error_exit_status((enum glet_code)1000), 70);
    assert_int_equal(glet_error_http_status(GLET_ERR_INPUT), 400);
    assert_int_equal(glet_error_http_status(GLET_ERR_DEVICE), 503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages),
        cmocka_unit_test(long_and_dirty_text),
        cmocka_unit_test(printing),
        cmocka_unit_test(statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
