/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The gate as JSON of our own schema: everything that the other formats show, once. */
#include "common/json.h"
#include "planner/export/export.h"

static void checks(struct glet_json *json, const struct glet_gate *gate)
{
    glet_json_array(json, "checks");
    for (size_t i = 0; i < gate->count; i++) {
        const struct glet_check *check = &gate->checks[i];
        glet_json_object(json, NULL);
        glet_json_string(json, "status", glet_check_status_name(check->status));
        glet_json_string(json, "rule", check->rule);
        glet_json_string(json, "subject", check->subject);
        glet_json_string(json, "title", check->title);
        glet_json_string(json, "message", check->message);
        glet_json_int(json, "line", check->mark.line);
        glet_json_int(json, "column", check->mark.column);
        glet_json_end(json);
    }
    glet_json_end(json);
}

static void baseline(struct glet_json *json, const struct glet_diff *diff)
{
    glet_json_object(json, "baseline");
    glet_json_int(json, "gpus", diff->gpus_before);
    glet_json_double(json, "cost_per_hour", diff->cost_before);
    glet_json_int(json, "gpus_change", diff->gpus_after - diff->gpus_before);
    glet_json_double(json, "cost_change_per_hour", diff->cost_after - diff->cost_before);
    glet_json_int(json, "gpulets_started", diff->lets_after - diff->lets_kept);
    glet_json_int(json, "gpulets_stopped", diff->lets_before - diff->lets_kept);
    glet_json_int(json, "gpulets_kept", diff->lets_kept);
    glet_json_end(json);
}

void glet_export_json(const struct glet_gate *gate, FILE *out)
{
    char text[900];
    struct glet_json json = glet_json_begin(out, GLET_JSON_INDENTED);
    glet_gate_text(gate, text, sizeof text);
    glet_json_object(&json, NULL);
    glet_json_string(&json, "schema", "gpulet-check/1");
    glet_json_string(&json, "status", glet_check_status_name(gate->status));
    glet_json_string(&json, "summary", text);
    glet_json_string(&json, "file", gate->file);
    glet_json_int(&json, "lower_bound", gate->lower_bound);
    if (gate->has_plan) {
        glet_json_int(&json, "gpus", gate->gpus);
        glet_json_double(&json, "cost_per_hour", gate->cost_per_hour);
    }
    glet_json_double(&json, "scale", gate->scale);
    if (gate->tightest) {
        glet_json_string(&json, "tightest", gate->tightest);
        glet_json_double(&json, "tightest_headroom_percent", gate->tightest_headroom_percent);
    }
    checks(&json, gate);
    if (gate->has_baseline && gate->has_plan)
        baseline(&json, &gate->diff);
    glet_json_end(&json);
}
