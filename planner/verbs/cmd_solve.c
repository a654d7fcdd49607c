/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan --slo workload.yaml: the plan itself. */
#include "common/file.h"
#include "common/memory.h"
#include "planner/analyse/bursts.h"
#include "planner/report/answer.h"
#include "planner/verbs/commands.h"

#include <stdlib.h>
#include <string.h>

static const char *const formats[] = {"table", "json", "yaml", NULL};
enum { FORMAT_TABLE, FORMAT_JSON, FORMAT_YAML };

struct values {
    struct glet_inputs inputs;
    const char *output, *from, *model_dir;
    int64_t max_moves, survive;
    bool bursts;
    int format;
};

static const struct glet_option options[] = {
    GLET_INPUT_OPTIONS(values),
    {.name = "output",
     .letter = 'o',
     .kind = GLET_OPTION_TEXT,
     .value = "PLAN.yaml",
     .offset = offsetof(struct values, output),
     .help = "Write the plan (gpulet-plan/1) there, complete or not at all; - is standard output, "
             "and then nothing else is printed there."},
    {.name = "format",
     .kind = GLET_OPTION_CHOICE,
     .fallback = "table",
     .choices = formats,
     .offset = offsetof(struct values, format),
     .help = "What to print on standard output."},
    {.name = "model-dir",
     .kind = GLET_OPTION_TEXT,
     .value = "DIR",
     .offset = offsetof(struct values, model_dir),
     .help = "Name DIR/MODEL.onnx as each model's file in the plan; a relative DIR is found from "
             "where the plan is written."},
    {.group = "Percentiles",
     .name = "bursts",
     .kind = GLET_OPTION_FLAG,
     .offset = offsetof(struct values, bursts),
     .help =
         "Give each model the room that its arrivals need: simulate the plan, widen what misses "
         "its percentile, plan again; with max-rate, the largest rates at which every percentile "
         "is met. Without it a plan is for mean rates (see `plan simulate`)."},
    {.group = "Change an existing plan",
     .name = "from",
     .kind = GLET_OPTION_TEXT,
     .value = "PLAN.yaml",
     .offset = offsetof(struct values, from),
     .help = "Among plans with the fewest GPUs, the one that changes the fewest gpu-lets of this "
             "one."},
    {.name = "max-moves",
     .kind = GLET_OPTION_INT,
     .value = "N",
     .fallback = "-1",
     .hide_fallback = true,
     .low = -1,
     .high = 1e6,
     .offset = offsetof(struct values, max_moves),
     .help = "With --from: start at most N new gpu-lets. -1 is any number."},
    {.name = "survive",
     .kind = GLET_OPTION_INT,
     .value = "N",
     .fallback = "0",
     .low = 0,
     .high = 1,
     .offset = offsetof(struct values, survive),
     .help = "Any N GPUs may fail, and the rest still serves everything."},
};

/* DIR/NAME.onnx for each model, as a plan at `output` must say it. */
static int name_files(struct glet_plan *plan, const char *folder, const char *output,
                      struct glet_error *err)
{
    GLET_CLEANUP(glet_cleanup_free)
    char *from_plan = folder ? glet_path_from(output, folder, err) : NULL;
    if (folder && !from_plan)
        return -1;
    for (size_t m = 0; folder && m < plan->model_count; m++) {
        size_t length = strlen(from_plan);
        free(plan->models[m].file);
        if (asprintf(&plan->models[m].file, "%s%s%s.onnx", from_plan,
                     length && from_plan[length - 1] == '/' ? "" : "/", plan->models[m].name) < 0) {
            plan->models[m].file = NULL;
            return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        }
    }
    return 0;
}

static int write_plan(const struct glet_plan *plan, const char *path, struct glet_error *err)
{
    GLET_CLEANUP(glet_output_discard) struct glet_output output = {0};
    if (glet_output_open(&output, path, err) < 0 || glet_plan_write(plan, output.stream, err) < 0)
        return -1;
    return glet_output_commit(&output, err);
}

static int report(const struct values *v, const struct glet_session *session,
                  struct glet_answer *answer, struct glet_error *err)
{
    bool plan_only = v->output && strcmp(v->output, "-") == 0; /* the plan has standard output */
    if (answer->outcome != GLET_PLAN_FOUND) {
        int result = 0;
        if (plan_only)
            ;
        else if (v->format == FORMAT_TABLE)
            result = glet_report_no_plan(session, answer, stdout, err);
        else if (v->format == FORMAT_JSON)
            result = glet_report_no_plan_json(session, answer, stdout, err);
        return result < 0 ? -1 : glet_answer_error(session, answer, err);
    }
    if (name_files(answer->plan, v->model_dir, v->output, err) < 0 ||
        glet_answer_notes(session, answer, err) < 0 ||
        (v->output && write_plan(answer->plan, v->output, err) < 0))
        return -1;
    if (plan_only)
        return 0;
    if (v->format == FORMAT_TABLE)
        return glet_report_plan(answer->plan, stdout, err);
    if (v->format == FORMAT_JSON)
        return glet_report_plan_json(answer->plan, stdout, err);
    return glet_plan_write(answer->plan, stdout, err);
}

static int run_with(const struct values *v, const struct glet_plan *from, struct glet_error *err)
{
    struct glet_session session;
    struct glet_answer answer = {0};
    struct glet_wishes wishes = {
        .from = from, .max_moves = (int)v->max_moves, .survive = (int)v->survive};
    struct glet_bursts bursts = {0};
    int result = glet_session_open(&v->inputs, &session, err);
    if (result == 0)
        result = v->bursts ? glet_bursts_solve(&session, &wishes, &bursts, &answer, err)
                           : glet_session_solve(&session, &wishes, &answer, err);
    if (result == 0 && v->bursts && !v->inputs.quiet)
        glet_bursts_note(&session, &bursts);
    if (result == 0 && !v->bursts && !v->inputs.quiet && answer.plan)
        result = glet_bursts_warn(&session, answer.plan, err);
    if (result == 0)
        result = report(v, &session, &answer, err);
    glet_bursts_fini(&bursts);
    glet_answer_fini(&answer);
    glet_session_close(&session);
    return result;
}

static int run(const void *values, const struct glet_list *arguments, struct glet_error *err)
{
    (void)arguments;
    const struct values *v = values;
    struct glet_plan *from = NULL;
    if (v->max_moves >= 0 && !v->from)
        return glet_error_set(err, GLET_ERR_USAGE,
                              "--max-moves: from which plan? --from is missing");
    if (glet_output_check(v->output, err) < 0 ||
        (v->from && glet_plan_load(v->from, &from, err) < 0))
        return -1;
    int result = run_with(v, from, err);
    glet_plan_free(from);
    return result;
}

static const struct glet_example examples[] = {
    {"Plan, and keep the plan for gpulet-runtime:",
     "plan --slo workload.yaml --profiles profiles.db -o plan.yaml"},
    {"The largest common factor on all rates that the stock serves:",
     "plan --slo workload.yaml --objective max-rate"},
    {"Room for Poisson bursts, so that each model's percentile is met:",
     "plan --slo workload.yaml --bursts -o plan.yaml"},
    {NULL, NULL},
};

const struct glet_command glet_cmd_solve = {
    .summary = "Finds the best plan, with a proof of how good it is.",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .description =
        "Reads which models must be served at which rate and latency, what they cost on which "
        "GPU, and writes where each runs: GPUs, gpu-lets, batches and router shares. The "
        "certificate carries a lower bound that no plan can beat, proven in exact arithmetic.\n\n"
        "Every plan is checked by the code of `plan verify` before it is shown.",
    .examples = examples,
    .exit_no = "the workload cannot be served by the stock; the report says which model or how "
               "much is missing",
    .exit_undecided = "a model has no profile, or neither a plan nor a proof was found",
    .values_bytes = sizeof(struct values),
    .run = run,
};
