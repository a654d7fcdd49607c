/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * JUnit XML as test reporters read it, within the schema of Jenkins' xUnit plugin (junit-10.xsd),
 * which has no attributes for a file and a line: one suite, one case per check. A failed check is a
 * failure, an undecided one an error, each with its place in its text; the rest goes to system-out.
 */
#include "planner/export/export.h"
#include "planner/report/writing.h"

static void attribute(const char *name, const char *value, FILE *out)
{
    fprintf(out, " %s=\"", name);
    glet_report_xml(value, out);
    fputc('"', out);
}

static void element(const char *name, const struct glet_gate *gate, const struct glet_check *check,
                    FILE *out)
{
    fprintf(out, "    <%s", name);
    attribute("type", check->rule, out);
    attribute("message", check->message, out);
    fputc('>', out);
    glet_report_xml(gate->file, out);
    if (check->mark.line > 0)
        fprintf(out, ":%d:%d", check->mark.line, check->mark.column);
    fputs(": ", out);
    glet_report_xml(check->message, out);
    fprintf(out, "</%s>\n", name);
}

static void test_case(const struct glet_gate *gate, const struct glet_check *check, FILE *out)
{
    fputs("  <testcase", out);
    attribute("classname", check->subject, out);
    attribute("name", check->title, out);
    fputs(">\n", out);
    if (check->status == GLET_CHECK_FAIL) {
        element("failure", gate, check, out);
    } else if (check->status == GLET_CHECK_UNDECIDED) {
        element("error", gate, check, out);
    } else {
        fputs("    <system-out>", out);
        glet_report_xml(check->message, out);
        fputs("</system-out>\n", out);
    }
    fputs("  </testcase>\n", out);
}

void glet_export_junit(const struct glet_gate *gate, FILE *out)
{
    size_t failures = 0, errors = 0;
    for (size_t i = 0; i < gate->count; i++) {
        failures += gate->checks[i].status == GLET_CHECK_FAIL;
        errors += gate->checks[i].status == GLET_CHECK_UNDECIDED;
    }
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", out);
    fprintf(out,
            "<testsuites>\n<testsuite name=\"capacity\" tests=\"%zu\" failures=\"%zu\" "
            "errors=\"%zu\" skipped=\"0\">\n",
            gate->count, failures, errors);
    for (size_t i = 0; i < gate->count; i++)
        test_case(gate, &gate->checks[i], out);
    fputs("</testsuite>\n</testsuites>\n", out);
}
