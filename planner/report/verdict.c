/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Violations for people and machines. */
#include "planner/report/verdict.h"

#include "common/json.h"
#include "planner/report/writing.h"

int glet_report_verdict(const struct glet_plan *plan, const struct glet_verdict *verdict, FILE *out,
                        struct glet_error *err)
{
    const char *file = plan->path ? plan->path : "plan";
    for (size_t i = 0; i < verdict->count; i++) {
        const struct glet_violation *bad = &verdict->violations[i];
        if (bad->mark.line > 0)
            fprintf(out, "%s:%d:%d: ", file, bad->mark.line, bad->mark.column);
        else
            fprintf(out, "%s: ", file);
        fprintf(out, "%s: %s: %s\n", bad->where, glet_rule_name(bad->rule), bad->what);
    }
    if (verdict->count == 0)
        fprintf(out, "%s: correct: %zu GPU%s, every constraint holds\n", file, plan->gpu_count,
                glet_report_plural((long)plan->gpu_count));
    else
        fprintf(out, "%s: %zu violation%s\n", file, verdict->count,
                glet_report_plural((long)verdict->count));
    return glet_report_finish(out, err);
}

int glet_report_verdict_json(const struct glet_plan *plan, const struct glet_verdict *verdict,
                             FILE *out, struct glet_error *err)
{
    struct glet_json json = glet_json_begin(out, GLET_JSON_INDENTED);
    glet_json_object(&json, NULL);
    glet_json_string(&json, "schema", "gpulet-verdict/1");
    glet_json_string(&json, "plan", plan->path);
    glet_json_bool(&json, "correct", verdict->count == 0);
    glet_json_uint(&json, "gpus", plan->gpu_count);
    glet_json_array(&json, "violations");
    for (size_t i = 0; i < verdict->count; i++) {
        const struct glet_violation *bad = &verdict->violations[i];
        glet_json_object(&json, NULL);
        glet_json_string(&json, "rule", glet_rule_name(bad->rule));
        glet_json_string(&json, "where", bad->where);
        glet_json_int(&json, "line", bad->mark.line);
        glet_json_int(&json, "column", bad->mark.column);
        glet_json_string(&json, "message", bad->what);
        glet_json_end(&json);
    }
    glet_json_end(&json);
    glet_json_end(&json);
    return glet_report_finish(out, err);
}
