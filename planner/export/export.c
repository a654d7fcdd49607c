/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The choice of format, and the two formats for people: the same tables, aligned or as Markdown. */
#include "planner/export/export.h"

#include "common/table.h"
#include "planner/report/diff_report.h"
#include "planner/report/writing.h"

#include <string.h>

const char *const glet_export_names[] = {"table", "json",     "junit", "github",
                                         "sarif", "markdown", NULL};

static void fill(const struct glet_gate *gate, struct glet_table *table)
{
    glet_table_init(table, "status|check|line|what");
    for (size_t i = 0; i < gate->count; i++) {
        const struct glet_check *check = &gate->checks[i];
        glet_table_cell(table, "%s", glet_check_status_name(check->status));
        glet_table_cell(table, "%s", check->title);
        if (check->mark.line > 0)
            glet_table_cell(table, "%d", check->mark.line);
        else
            glet_table_cell(table, "%s", "");
        glet_table_cell(table, "%s", check->message);
    }
}

int glet_export_text(const struct glet_gate *gate, bool markdown, FILE *out, struct glet_error *err)
{
    char text[900];
    glet_gate_text(gate, text, sizeof text);
    fprintf(out, markdown ? "### Capacity: %s\n\n" : "%s\n\n", text);
    struct glet_table table;
    fill(gate, &table);
    int result = glet_report_table(&table, markdown, out, err);
    glet_table_fini(&table);
    if (result < 0)
        return -1;
    if (!gate->has_baseline || !gate->has_plan)
        return 0;
    fputs(markdown ? "\n#### Against the baseline\n\n" : "\nagainst the baseline: ", out);
    return glet_report_diff(&gate->diff, markdown ? GLET_DIFF_MARKDOWN : GLET_DIFF_TABLE, out, err);
}

int glet_export(const struct glet_gate *gate, enum glet_export_format format, FILE *out,
                struct glet_error *err)
{
    switch (format) {
    case GLET_EXPORT_TABLE:
    case GLET_EXPORT_MARKDOWN:
        return glet_export_text(gate, format == GLET_EXPORT_MARKDOWN, out, err);
    case GLET_EXPORT_JSON:
        glet_export_json(gate, out);
        break;
    case GLET_EXPORT_JUNIT:
        glet_export_junit(gate, out);
        break;
    case GLET_EXPORT_GITHUB:
        glet_export_github(gate, out);
        break;
    case GLET_EXPORT_SARIF:
        glet_export_sarif(gate, out);
        break;
    }
    return glet_report_finish(out, err);
}
