/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The gate's formats, byte by byte where others parse them: escapes, places, counts. */
#include "planner/export/export.h"
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

static struct glet_error err;

#define TEXT(s) ((char[]){s}) /* what a check owns is not const */

static struct glet_check checks[] = {
    {GLET_CHECK_PASS, "demand", TEXT("a"), TEXT("a serves 5 requests/s"), TEXT("fine"), {3, 5}},
    {GLET_CHECK_FAIL,
     "latency",
     TEXT("b<&>\""),
     TEXT("b p99 <= 5 ms"),
     TEXT("50 % too slow: \"x\", y\nline 2"),
     {4, 9}},
    {GLET_CHECK_UNDECIDED, "trust", TEXT("c"), TEXT("c is measured"), TEXT("bell \a"), {0, 0}},
    {GLET_CHECK_NOTE, "trust", TEXT("d"), TEXT("d is measured"), TEXT("1 imported"), {6, 5}},
};

static char *written_of(const char *file, enum glet_export_format format)
{
    struct glet_gate gate = {.file = file,
                             .status = GLET_CHECK_UNDECIDED,
                             .checks = checks,
                             .count = COUNT_OF(checks),
                             .has_plan = true,
                             .gpus = 2,
                             .lower_bound = 2,
                             .scale = 1.25,
                             .tightest = "b",
                             .tightest_headroom_percent = 3};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    CHECK_OK(glet_export(&gate, format, out, &err), &err);
    fclose(out);
    return text;
}

static char *written(enum glet_export_format format)
{
    return written_of("work load,1%.yaml", format);
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("%s\nis not in\n%s", part, text ? text : "(null)");
}

static void github_commands_are_escaped(void **state)
{
    (void)state;
    char *text = written(GLET_EXPORT_GITHUB);
    assert_string_equal(
        text,
        "::error file=work load%2C1%25.yaml,line=4,col=9,title=b p99 <= 5 ms::50 %25 too slow: "
        "\"x\", y%0Aline 2\n"
        "::error file=work load%2C1%25.yaml,title=c is measured::bell \a\n"
        "::warning file=work load%2C1%25.yaml,line=6,col=5,title=d is measured::1 imported\n"
        "::notice file=work load%2C1%25.yaml,title=Capacity::not decided: 2 GPUs (at least 2), "
        "serves 1.25 x every rate, tightest b with 3.0 %25 headroom\n");
    free(text);
}

static void junit_counts_and_escapes(void **state)
{
    (void)state;
    char *text = written(GLET_EXPORT_JUNIT);
    has(text,
        "<testsuite name=\"capacity\" tests=\"4\" failures=\"1\" errors=\"1\" skipped=\"0\">");
    has(text, "classname=\"b&lt;&amp;&gt;&quot;\" name=\"b p99 &lt;= 5 ms\"");
    has(text, "<failure type=\"latency\" message=\"50 % too slow: &quot;x&quot;, y&#10;line 2\">"
              "work load,1%.yaml:4:9: 50 % too slow: &quot;x&quot;, y&#10;line 2</failure>");
    has(text, "<error type=\"trust\" message=\"bell \xef\xbf\xbd\">"
              "work load,1%.yaml: bell \xef\xbf\xbd</error>");
    free(text);
}

static void sarif_places_its_results(void **state)
{
    (void)state;
    char *text = written(GLET_EXPORT_SARIF);
    has(text, "\"version\": \"2.1.0\"");
    has(text, "\"uri\": \"work%20load%2C1%25.yaml\"");
    has(text, "\"startLine\": 4");
    has(text, "\"level\": \"error\"");
    has(text, "\"level\": \"warning\"");
    has(text, "\"level\": \"note\"");
    assert_null(strstr(text, "a serves")); /* what passed is no result */
    free(text);
}

static void sarif_names_files_by_uri(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"/data/work load.yaml", "file:///data/work%20load.yaml"},
        {"../a:b#c?.yaml", "../a%3Ab%23c%3F.yaml"}, /* else a: is a scheme */
        {"caf\xc3\xa9/w~1.yaml", "caf%C3%A9/w~1.yaml"},
    };
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        char uri[100];
        char *text = written_of(pairs[i][0], GLET_EXPORT_SARIF);
        snprintf(uri, sizeof uri, "\"uri\": \"%s\"", pairs[i][1]);
        has(text, uri);
        free(text);
    }
}

static void people_see_a_table(void **state)
{
    (void)state;
    char *text = written(GLET_EXPORT_TABLE), *markdown = written(GLET_EXPORT_MARKDOWN);
    has(text, "not decided: 2 GPUs (at least 2), serves 1.25 x every rate");
    has(text, "undecided  c is measured");
    has(markdown, "### Capacity: not decided");
    has(markdown, "| fail | b p99 <= 5 ms | 4 |");
    free(text);
    free(markdown);
}

static void json_has_a_schema_first(void **state)
{
    (void)state;
    char *text = written(GLET_EXPORT_JSON);
    has(text, "{\n  \"schema\": \"gpulet-check/1\",\n  \"status\": \"undecided\"");
    has(text, "\"scale\": 1.25");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(github_commands_are_escaped), cmocka_unit_test(junit_counts_and_escapes),
        cmocka_unit_test(sarif_places_its_results),    cmocka_unit_test(sarif_names_files_by_uri),
        cmocka_unit_test(people_see_a_table),          cmocka_unit_test(json_has_a_schema_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
