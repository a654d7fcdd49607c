/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include "common/json.h"

#include <stdlib.h>

static char *emitted(enum glet_json_style style)
{
    char *text = NULL;
    size_t length;
    FILE *stream = open_memstream(&text, &length);
    struct glet_json json = glet_json_begin(stream, style);
    glet_json_object(&json, NULL);
    glet_json_string(&json, "schema", "x/1");
    glet_json_array(&json, "list");
    glet_json_int(&json, NULL, -3);
    glet_json_uint(&json, NULL, UINT64_MAX);
    glet_json_object(&json, NULL);
    glet_json_end(&json);
    glet_json_array(&json, NULL);
    glet_json_end(&json);
    glet_json_end(&json);
    glet_json_double(&json, "third", 0.1);
    glet_json_double(&json, "unknown", NAN);
    glet_json_bool(&json, "ok", true);
    glet_json_string(&json, "none", NULL);
    glet_json_end(&json);
    fclose(stream);
    return text;
}

static void both_styles(void **state)
{
    (void)state;
    char *compact = emitted(GLET_JSON_COMPACT), *indented = emitted(GLET_JSON_INDENTED);
    assert_string_equal(compact, "{\"schema\":\"x/1\",\"list\":[-3,18446744073709551615,{},[]],"
                                 "\"third\":0.1,\"unknown\":null,\"ok\":true,\"none\":null}");
    assert_string_equal(indented, "{\n  \"schema\": \"x/1\",\n  \"list\": [\n    -3,\n"
                                  "    18446744073709551615,\n    {},\n    []\n  ],\n"
                                  "  \"third\": 0.1,\n  \"unknown\": null,\n  \"ok\": true,\n"
                                  "  \"none\": null\n}\n");
    free(compact);
    free(indented);
}

static void escaping(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a\"b\\c\n\t\x01", "\"a\\\"b\\\\c\\n\\t\\u0001\""},
        {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\""},
        {"\xff", "\"\xef\xbf\xbd\""},
        {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong */
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* surrogate */
        {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* cut off */
        {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *text = NULL;
        size_t length;
        FILE *stream = open_memstream(&text, &length);
        glet_json_quote(stream, cases[i][0]);
        fclose(stream);
        assert_string_equal(text, cases[i][1]);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_styles),
        cmocka_unit_test(escaping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
