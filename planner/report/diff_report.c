/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Diffs for people and machines: totals, then models whose numbers changed, then gpu-lets. */
#include "planner/report/diff_report.h"

#include "common/json.h"
#include "common/table.h"
#include "planner/report/writing.h"

#include <math.h>

static int started(const struct glet_diff *diff)
{
    return diff->lets_after - diff->lets_kept;
}

static int stopped(const struct glet_diff *diff)
{
    return diff->lets_before - diff->lets_kept;
}

void glet_report_diff_line(const struct glet_diff *diff, FILE *out)
{
    int change = diff->gpus_after - diff->gpus_before;
    if (change)
        fprintf(out, "%d -> %d GPU%s (%+d)", diff->gpus_before, diff->gpus_after,
                glet_report_plural(diff->gpus_after), change);
    else
        fprintf(out, "%d GPU%s as before", diff->gpus_after, glet_report_plural(diff->gpus_after));
    if (!isnan(diff->cost_before) && !isnan(diff->cost_after) &&
        diff->cost_before != diff->cost_after)
        fprintf(out, ", %.6g -> %.6g per hour (%+.6g)", diff->cost_before, diff->cost_after,
                diff->cost_after - diff->cost_before);
    fprintf(out, ", gpu-lets: %d started, %d stopped, %d kept", started(diff), stopped(diff),
            diff->lets_kept);
}

static bool changed(const struct glet_model_change *m)
{
    return m->rate_before_rps != m->rate_after_rps || m->slo_before_ms != m->slo_after_ms ||
           fabs(m->worst_before_ms - m->worst_after_ms) > 1e-9 * m->worst_after_ms;
}

static void put_headroom(struct glet_table *table, double worst_ms, double slo_ms)
{
    double percent = glet_headroom_percent(worst_ms, slo_ms);
    if (isnan(percent))
        glet_table_cell(table, "-");
    else
        glet_table_cell(table, "%.1f %%", percent);
}

static void fill_models(const struct glet_diff *diff, struct glet_table *table)
{
    glet_table_init(table, "model|>rate/s before|>after|>SLO ms before|>after|>headroom before|"
                           ">after");
    for (size_t i = 0; i < diff->model_count; i++) {
        const struct glet_model_change *m = &diff->models[i];
        if (!changed(m))
            continue;
        glet_table_cell(table, "%s", m->name);
        glet_table_cell(table, "%.6g", m->rate_before_rps);
        glet_table_cell(table, "%.6g", m->rate_after_rps);
        glet_table_cell(table, "%.6g", m->slo_before_ms);
        glet_table_cell(table, "%.6g", m->slo_after_ms);
        put_headroom(table, m->worst_before_ms, m->slo_before_ms);
        put_headroom(table, m->worst_after_ms, m->slo_after_ms);
    }
}

static void fill_changes(const struct glet_diff *diff, struct glet_table *table)
{
    glet_table_init(table, "change|gpu|gpu-let");
    for (size_t i = 0; i < diff->change_count; i++) {
        char text[512];
        const struct glet_change *change = &diff->changes[i];
        glet_diff_let_text(change->plan, change->let, text, sizeof text);
        glet_table_cell(table, "%s", change->kind == GLET_CHANGE_START ? "start" : "stop");
        glet_table_cell(table, "%s", change->gpu);
        glet_table_cell(table, "%s", text);
    }
}

static int print(const struct glet_table *table, bool markdown, FILE *out, struct glet_error *err)
{
    if (table->cell_count <= (size_t)table->column_count && !table->out_of_memory)
        return 0;
    fputc('\n', out);
    return glet_report_table(table, markdown, out, err);
}

int glet_report_diff(const struct glet_diff *diff, enum glet_diff_format format, FILE *out,
                     struct glet_error *err)
{
    struct glet_table models, changes;
    bool markdown = format == GLET_DIFF_MARKDOWN;
    fill_models(diff, &models);
    fill_changes(diff, &changes);
    fputs(markdown ? "**" : "", out);
    glet_report_diff_line(diff, out);
    fputs(markdown ? "**\n" : "\n", out);
    int result = print(&models, markdown, out, err);
    if (result == 0)
        result = print(&changes, markdown, out, err);
    glet_table_fini(&models);
    glet_table_fini(&changes);
    return result == 0 ? glet_report_finish(out, err) : result;
}

static void model_json(struct glet_json *json, const struct glet_model_change *m)
{
    glet_json_object(json, NULL);
    glet_json_string(json, "name", m->name);
    glet_json_double(json, "rate_before_rps", m->rate_before_rps);
    glet_json_double(json, "rate_after_rps", m->rate_after_rps);
    glet_json_double(json, "planned_before_rps", m->planned_before_rps);
    glet_json_double(json, "planned_after_rps", m->planned_after_rps);
    glet_json_double(json, "slo_before_ms", m->slo_before_ms);
    glet_json_double(json, "slo_after_ms", m->slo_after_ms);
    glet_json_double(json, "worst_before_ms", m->worst_before_ms);
    glet_json_double(json, "worst_after_ms", m->worst_after_ms);
    glet_json_end(json);
}

int glet_report_diff_json(const struct glet_diff *diff, FILE *out, struct glet_error *err)
{
    struct glet_json json = glet_json_begin(out, GLET_JSON_INDENTED);
    glet_json_object(&json, NULL);
    glet_json_string(&json, "schema", "gpulet-diff/1");
    glet_json_int(&json, "gpus_before", diff->gpus_before);
    glet_json_int(&json, "gpus_after", diff->gpus_after);
    glet_json_double(&json, "cost_before_per_hour", diff->cost_before);
    glet_json_double(&json, "cost_after_per_hour", diff->cost_after);
    glet_json_int(&json, "gpulets_started", started(diff));
    glet_json_int(&json, "gpulets_stopped", stopped(diff));
    glet_json_int(&json, "gpulets_kept", diff->lets_kept);
    glet_json_array(&json, "models");
    for (size_t i = 0; i < diff->model_count; i++)
        model_json(&json, &diff->models[i]);
    glet_json_end(&json);
    glet_json_array(&json, "changes");
    for (size_t i = 0; i < diff->change_count; i++) {
        const struct glet_change *change = &diff->changes[i];
        glet_json_object(&json, NULL);
        glet_json_string(&json, "change", change->kind == GLET_CHANGE_START ? "start" : "stop");
        glet_json_string(&json, "gpu", change->gpu);
        glet_json_int(&json, "units", change->let->units);
        glet_json_array(&json, "models");
        for (size_t k = 0; k < change->let->model_count; k++) {
            glet_json_object(&json, NULL);
            glet_json_string(&json, "name",
                             change->plan->models[change->let->models[k].model].name);
            glet_json_int(&json, "batch", change->let->models[k].batch);
            glet_json_end(&json);
        }
        glet_json_end(&json);
        glet_json_end(&json);
    }
    glet_json_end(&json);
    glet_json_end(&json);
    return glet_report_finish(out, err);
}
