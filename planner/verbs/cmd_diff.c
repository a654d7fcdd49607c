/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan diff OLD.yaml NEW.yaml: GPUs, cost, and which gpu-lets must be restarted. */
#include "planner/report/diff_report.h"
#include "planner/verbs/commands.h"

static const char *const formats[] = {"table", "json", "markdown", NULL};
enum { FORMAT_TABLE, FORMAT_JSON, FORMAT_MARKDOWN };

struct values {
    const char *slo;
    int format;
    bool exit_code;
};

static const struct glet_option options[] = {
    {.name = "slo",
     .kind = GLET_OPTION_TEXT,
     .value = "WORKLOAD.yaml",
     .offset = offsetof(struct values, slo),
     .help = "Take the prices of GPUs from there."},
    {.name = "format",
     .kind = GLET_OPTION_CHOICE,
     .fallback = "table",
     .choices = formats,
     .offset = offsetof(struct values, format),
     .help = "What to print on standard output."},
    {.name = "exit-code",
     .kind = GLET_OPTION_FLAG,
     .offset = offsetof(struct values, exit_code),
     .help = "Exit with 1 when a gpu-let must be started or stopped."},
};

static int compare(const struct values *v, const struct glet_plan *before,
                   const struct glet_plan *after, const struct glet_workload *workload,
                   struct glet_error *err)
{
    struct glet_diff diff;
    int result = glet_diff(before, after, workload, &diff, err);
    if (result == 0 && v->format == FORMAT_JSON)
        result = glet_report_diff_json(&diff, stdout, err);
    else if (result == 0)
        result = glet_report_diff(
            &diff, v->format == FORMAT_TABLE ? GLET_DIFF_TABLE : GLET_DIFF_MARKDOWN, stdout, err);
    if (result == 0 && v->exit_code && diff.change_count > 0)
        result = glet_error_exit_status(GLET_ERR_NO);
    glet_diff_fini(&diff);
    return result;
}

static int run(const void *values, const struct glet_list *arguments, struct glet_error *err)
{
    const struct values *v = values;
    struct glet_plan *before = NULL, *after = NULL;
    struct glet_workload *workload = NULL;
    int result = glet_plan_load(arguments->items[0], &before, err);
    if (result == 0)
        result = glet_plan_load(arguments->items[1], &after, err);
    if (result == 0 && v->slo)
        result = glet_workload_load(v->slo, &workload, err);
    if (result == 0)
        result = compare(v, before, after, workload, err);
    glet_workload_free(workload);
    glet_plan_free(after);
    glet_plan_free(before);
    return result;
}

const struct glet_command glet_cmd_diff = {
    .name = "diff",
    .summary = "Shows what changes from one plan to another.",
    .arguments = "OLD.yaml NEW.yaml",
    .min_arguments = 2,
    .max_arguments = 2,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .exit_no = "with --exit-code: the plans need different gpu-lets",
    .values_bytes = sizeof(struct values),
    .run = run,
};
