/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan verify PLAN.yaml: is it correct, by workload and profile alone? */
#include "planner/report/verdict.h"
#include "planner/verbs/commands.h"
#include "profiles/load.h"

#include <string.h>

static const char *const formats[] = {"table", "json", NULL};

struct values {
    const char *slo, *profiles;
    int64_t survive;
    int format;
    bool quiet;
};

static const struct glet_option options[] = {
    {.group = "Inputs",
     .name = "slo",
     .kind = GLET_OPTION_TEXT,
     .value = "WORKLOAD.yaml",
     .offset = offsetof(struct values, slo),
     .help = "The workload that the plan must serve."},
    {.name = "profiles",
     .kind = GLET_OPTION_TEXT,
     .value = "DB|DIR",
     .fallback = "profiles.db",
     .offset = offsetof(struct values, profiles),
     .help = "The profile store, or a folder of exported CSVs."},
    {.name = "survive",
     .kind = GLET_OPTION_INT,
     .value = "N",
     .fallback = "0",
     .low = 0,
     .high = 1,
     .offset = offsetof(struct values, survive),
     .help = "Also check that any N GPUs may fail, and the rest still serves everything."},
    {.group = "Output",
     .name = "format",
     .kind = GLET_OPTION_CHOICE,
     .fallback = "table",
     .choices = formats,
     .offset = offsetof(struct values, format),
     .help = "What to print on standard output."},
    {.name = "quiet",
     .letter = 'q',
     .kind = GLET_OPTION_FLAG,
     .offset = offsetof(struct values, quiet),
     .help = "No notes on standard error."},
};

/* A plan made from other files may still be correct for these: say so, and let the check decide. */
static void note_stale(const struct glet_plan *plan, const struct glet_workload *workload,
                       const struct glet_profile *profile)
{
    if (plan->workload_sha256[0] && strcmp(plan->workload_sha256, workload->sha256) != 0)
        fprintf(stderr, "note: the plan was made from another version of the workload\n");
    if (plan->profile_sha256[0] && strcmp(plan->profile_sha256, profile->sha256) != 0)
        fprintf(stderr, "note: the plan was made from another version of the profiles\n");
}

static int judge(const struct values *v, const struct glet_plan *plan,
                 const struct glet_workload *workload, const struct glet_profile *profile,
                 struct glet_error *err)
{
    struct glet_verdict verdict;
    if (!v->quiet)
        note_stale(plan, workload, profile);
    int result = glet_verify(workload, profile, plan, &verdict, err);
    if (result == 0 && v->survive > 0)
        result = glet_verify_survive(workload, plan, &verdict, err);
    if (result == 0)
        result = v->format == 0 ? glet_report_verdict(plan, &verdict, stdout, err)
                                : glet_report_verdict_json(plan, &verdict, stdout, err);
    if (result == 0 && verdict.count > 0)
        result = glet_error_exit_status(GLET_ERR_NO);
    glet_verdict_fini(&verdict);
    return result;
}

static int run(const void *values, const struct glet_list *arguments, struct glet_error *err)
{
    const struct values *v = values;
    if (!v->slo) {
        glet_error_set(err, GLET_ERR_USAGE, "--slo is missing");
        return glet_error_hint(err, "name the workload: plan verify plan.yaml --slo workload.yaml");
    }
    struct glet_plan *plan = NULL;
    struct glet_workload *workload = NULL;
    struct glet_profile *profile = NULL;
    int result = glet_plan_load(arguments->items[0], &plan, err);
    if (result == 0)
        result = glet_workload_load(v->slo, &workload, err);
    if (result == 0)
        result = glet_profile_load(v->profiles, &profile, err);
    if (result == 0)
        result = judge(v, plan, workload, profile, err);
    glet_profile_free(profile);
    glet_workload_free(workload);
    glet_plan_free(plan);
    return result;
}

const struct glet_command glet_cmd_verify = {
    .name = "verify",
    .summary = "Checks a plan against workload and profiles, with nothing of the solver's.",
    .arguments = "PLAN.yaml",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .exit_no = "the plan breaks a constraint; every violation is reported with its place",
    .values_bytes = sizeof(struct values),
    .run = run,
};
