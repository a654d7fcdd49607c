/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan compare: the planners of the literature on the same workload. */
#include "common/json.h"
#include "common/table.h"
#include "planner/analyse/compare.h"
#include "planner/report/writing.h"
#include "planner/verbs/commands.h"

#include <math.h>

static const char *const formats[] = {"table", "json", "markdown", NULL};
enum { FORMAT_TABLE, FORMAT_JSON, FORMAT_MARKDOWN };

struct values {
    struct glet_inputs inputs;
    bool scale, timed;
    int format;
};

static const struct glet_option options[] = {
    GLET_INPUT_OPTIONS(values),
    {.name = "format",
     .kind = GLET_OPTION_CHOICE,
     .fallback = "table",
     .choices = formats,
     .offset = offsetof(struct values, format),
     .help = "What to print on standard output."},
    {.name = "time",
     .kind = GLET_OPTION_FLAG,
     .offset = offsetof(struct values, timed),
     .help = "Add CPU seconds, which differ from run to run."},
    {.group = "Comparison",
     .name = "scale",
     .kind = GLET_OPTION_FLAG,
     .offset = offsetof(struct values, scale),
     .help = "Also look for the largest factor on all rates that each accepts on this stock."},
};

static int print_table(const struct values *v, const struct glet_comparisons *c,
                       struct glet_error *err)
{
    struct glet_table table;
    glet_table_init(&table, v->timed ? "planner|accepts|>GPUs|>per hour|>violations|>scale|>CPU s"
                                     : "planner|accepts|>GPUs|>per hour|>violations|>scale");
    for (size_t i = 0; i < c->count; i++) {
        const struct glet_comparison *row = &c->rows[i];
        glet_table_cell(&table, "%s", row->name);
        glet_table_cell(&table, "%s", row->accepted ? "yes" : "no");
        glet_table_cell(&table, "%d", row->gpus);
        glet_table_cell(&table, "%.6g", row->cost_per_hour);
        glet_table_cell(&table, "%d", row->violations);
        if (isnan(row->scale))
            glet_table_cell(&table, "-");
        else
            glet_table_cell(&table, "%.6g", row->scale);
        if (v->timed)
            glet_table_cell(&table, "%.4f", row->cpu_seconds);
    }
    int result = glet_report_table(&table, v->format == FORMAT_MARKDOWN, stdout, err);
    glet_table_fini(&table);
    return result;
}

static int print_json(const struct values *v, const struct glet_comparisons *c,
                      struct glet_error *err)
{
    struct glet_json json = glet_json_begin(stdout, GLET_JSON_INDENTED);
    glet_json_object(&json, NULL);
    glet_json_string(&json, "schema", "gpulet-compare/1");
    glet_json_array(&json, "planners");
    for (size_t i = 0; i < c->count; i++) {
        const struct glet_comparison *row = &c->rows[i];
        glet_json_object(&json, NULL);
        glet_json_string(&json, "name", row->name);
        glet_json_bool(&json, "accepts", row->accepted);
        glet_json_int(&json, "gpus", row->gpus);
        glet_json_double(&json, "cost_per_hour", row->cost_per_hour);
        glet_json_int(&json, "violations", row->violations);
        glet_json_double(&json, "scale", row->scale);
        if (v->timed)
            glet_json_double(&json, "cpu_s", row->cpu_seconds);
        glet_json_end(&json);
    }
    glet_json_end(&json);
    glet_json_end(&json);
    return glet_report_finish(stdout, err);
}

static bool has_limits(const struct glet_workload *workload)
{
    for (size_t i = 0; i < workload->gpu_count; i++)
        if (workload->gpus[i].count < 0)
            return false;
    return true;
}

static int run(const void *values, const struct glet_list *arguments, struct glet_error *err)
{
    (void)arguments;
    const struct values *v = values;
    struct glet_session session;
    struct glet_comparisons comparisons = {0};
    int result = glet_session_open(&v->inputs, &session, err);
    if (result == 0)
        result = glet_compare(&session, v->scale, v->timed, &comparisons, err);
    if (result == 0)
        result = v->format == FORMAT_JSON ? print_json(v, &comparisons, err)
                                          : print_table(v, &comparisons, err);
    if (result == 0 && v->scale && !v->inputs.quiet && !has_limits(session.workload))
        fputs("note: without a count of each GPU type no factor is the largest\n", stderr);
    glet_comparisons_fini(&comparisons);
    glet_session_note_stop(&session);
    glet_session_close(&session);
    return result;
}

const struct glet_command glet_cmd_compare = {
    .name = "compare",
    .summary = "Plans the same workload with the planners of the literature.",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .description =
        "sbp: squishy bin packing, time sharing of whole GPUs only. gslice: every model in a "
        "partition of the right size, no time sharing. gpulet and gpulet-int: elastic partitioning "
        "without and with interference. ideal: every layout of up to 4 GPUs.\n\n"
        "Violations are what `plan verify` finds in their plan, with the interference that the "
        "profile says.",
    .exit_undecided = "a model has no profile",
    .values_bytes = sizeof(struct values),
    .run = run,
};
