/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan check: does it fit, how close, what changed? The gate for a pull request. */
#include "common/file.h"
#include "planner/export/export.h"
#include "planner/export/repository_path.h"
#include "planner/report/answer.h"
#include "planner/verbs/commands.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct values {
    struct glet_inputs inputs;
    const char *baseline, *output, *model_dir;
    int64_t max_gpus, survive;
    double max_cost_per_hour, min_scale, min_headroom_percent;
    bool require_measured, detailed_exitcode;
    int format;
};

#define EXIT_DIFFERENT 10 /* with --detailed-exitcode */

#define EFFORT_AUTO (GLET_EFFORT_MAX + 1)

static const char *const efforts[] = {"fast", "default", "max", "auto", NULL};

static const struct glet_option options[] = {
    GLET_INPUT_OPTIONS_WITH(values, "auto", efforts,
                            "How long to search. auto: fast, and at default effort only where that "
                            "is quick and might change the verdict."),
    {.name = "format",
     .kind = GLET_OPTION_CHOICE,
     .fallback = "table",
     .choices = glet_export_names,
     .offset = offsetof(struct values, format),
     .help =
         "What to print on standard output. github, junit and sarif name files from the root of "
         "their repository; github also appends Markdown to the file that GITHUB_STEP_SUMMARY "
         "names."},
    {.name = "output",
     .letter = 'o',
     .kind = GLET_OPTION_TEXT,
     .value = "PLAN.yaml",
     .offset = offsetof(struct values, output),
     .help = "Also write the plan there."},
    {.group = "What must hold",
     .name = "baseline",
     .kind = GLET_OPTION_TEXT,
     .value = "PLAN.yaml",
     .offset = offsetof(struct values, baseline),
     .help = "Show what changes from this plan."},
    {.name = "detailed-exitcode",
     .kind = GLET_OPTION_FLAG,
     .offset = offsetof(struct values, detailed_exitcode),
     .help = "With --baseline: exit with 10 instead of 0 when gpu-lets or GPUs change."},
    {.name = "max-gpus",
     .kind = GLET_OPTION_INT,
     .value = "N",
     .fallback = "-1",
     .hide_fallback = true,
     .low = -1,
     .high = 1e9,
     .offset = offsetof(struct values, max_gpus),
     .help = "Fail when more GPUs are needed. -1 is no limit but the stock."},
    {.name = "max-cost",
     .kind = GLET_OPTION_DOUBLE,
     .value = "PER_HOUR",
     .fallback = "-1",
     .hide_fallback = true,
     .low = -1,
     .high = 1e12,
     .offset = offsetof(struct values, max_cost_per_hour),
     .help = "Fail when the GPUs cost more per hour."},
    {.name = "min-scale",
     .kind = GLET_OPTION_DOUBLE,
     .value = "F",
     .fallback = "0",
     .low = 0,
     .high = 1e6,
     .offset = offsetof(struct values, min_scale),
     .help = "Fail when the plan as it is does not serve F x every rate."},
    {.name = "min-headroom",
     .kind = GLET_OPTION_DOUBLE,
     .value = "PERCENT",
     .fallback = "-1",
     .hide_fallback = true,
     .low = 0,
     .high = 100,
     .offset = offsetof(struct values, min_headroom_percent),
     .help = "Fail when a model's worst latency is less than PERCENT below its SLO."},
    {.name = "require-measured",
     .kind = GLET_OPTION_FLAG,
     .offset = offsetof(struct values, require_measured),
     .help = "Decide nothing on imported or estimated profile rows: exit with 3."},
    {.name = "model-dir",
     .kind = GLET_OPTION_TEXT,
     .value = "DIR",
     .offset = offsetof(struct values, model_dir),
     .help =
         "A model whose file DIR/MODEL.onnx changed after it was profiled decides nothing: exit "
         "with 3."},
    {.name = "survive",
     .kind = GLET_OPTION_INT,
     .value = "N",
     .fallback = "0",
     .low = 0,
     .high = 1,
     .offset = offsetof(struct values, survive),
     .help = "Any N GPUs may fail, and the rest still serves everything."},
};

static int append_summary(const struct glet_gate *gate, struct glet_error *err)
{
    const char *path = getenv("GITHUB_STEP_SUMMARY");
    if (!path || !*path)
        return 0;
    FILE *out = fopen(path, "ae");
    if (!out)
        return glet_error_set(err, GLET_ERR_IO, "%s: cannot be opened", path);
    int result = glet_export_text(gate, true, out, err);
    if (fclose(out) != 0 && result == 0)
        result = glet_error_set(err, GLET_ERR_IO, "%s: cannot be written", path);
    return result;
}

/* The gate as printed: the formats of services name its file from the root of the repository. */
static int print(const struct values *v, const struct glet_gate *gate, struct glet_error *err)
{
    struct glet_gate named = *gate;
    bool service = v->format == GLET_EXPORT_GITHUB || v->format == GLET_EXPORT_SARIF ||
                   v->format == GLET_EXPORT_JUNIT;
    char *file = service ? glet_repository_path(gate->file) : strdup(gate->file);
    if (!file)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    named.file = file;
    int result = glet_export(&named, (enum glet_export_format)v->format, stdout, err);
    if (result == 0 && v->format == GLET_EXPORT_GITHUB)
        result = append_summary(&named, err);
    free(file);
    return result;
}

static int show(const struct values *v, const struct glet_gate *gate, struct glet_error *err)
{
    static const enum glet_code codes[] = {GLET_OK, GLET_OK, GLET_ERR_NO, GLET_ERR_UNDECIDED};
    if (print(v, gate, err) < 0)
        return -1;
    bool changes = gate->has_baseline && gate->has_plan &&
                   (gate->diff.change_count > 0 || gate->diff.gpus_before != gate->diff.gpus_after);
    if (v->detailed_exitcode && codes[gate->status] == GLET_OK && changes)
        return EXIT_DIFFERENT;
    return glet_error_exit_status(codes[gate->status]);
}

static int keep_plan(const struct values *v, const struct glet_answer *answer,
                     struct glet_error *err)
{
    if (!v->output || !answer->plan)
        return 0;
    GLET_CLEANUP(glet_output_discard) struct glet_output output = {0};
    if (glet_output_open(&output, v->output, err) < 0 ||
        glet_plan_write(answer->plan, output.stream, err) < 0)
        return -1;
    return glet_output_commit(&output, err);
}

static int solve(const struct values *v, struct glet_session *session, enum glet_effort effort,
                 const struct glet_plan *baseline, struct glet_answer *answer,
                 struct glet_gate *gate, struct glet_error *err)
{
    struct glet_inputs inputs = v->inputs;
    struct glet_wishes wishes = {baseline, -1, (int)v->survive};
    struct glet_gate_limits limits = {(int)v->max_gpus,        v->max_cost_per_hour, v->min_scale,
                                      v->min_headroom_percent, v->require_measured,  v->model_dir};
    inputs.effort = (int)effort;
    session->inputs = &inputs;
    int result = glet_session_solve(session, &wishes, answer, err);
    if (result == 0)
        result = glet_gate(session, answer, baseline, &limits, gate, err);
    session->inputs = &v->inputs;
    return result;
}

/* Whether it fits is mostly decided by a fast search. */
static int judge(const struct values *v, struct glet_session *session,
                 const struct glet_plan *baseline, struct glet_error *err)
{
    struct glet_answer answer;
    struct glet_gate gate = {0};
    bool automatic = v->inputs.effort == EFFORT_AUTO;
    enum glet_effort effort = automatic ? GLET_EFFORT_FAST : (enum glet_effort)v->inputs.effort;
    int result = solve(v, session, effort, baseline, &answer, &gate, err);
    if (result == 0 && automatic && gate.open && glet_session_is_small(session)) {
        glet_gate_fini(&gate);
        glet_answer_fini(&answer);
        result = solve(v, session, GLET_EFFORT_DEFAULT, baseline, &answer, &gate, err);
    } else if (result == 0 && gate.open && effort == GLET_EFFORT_FAST && !v->inputs.quiet) {
        fputs("note: with --effort default a longer search might decide otherwise\n", stderr);
    }
    if (result == 0)
        result = keep_plan(v, &answer, err);
    if (result == 0)
        result = show(v, &gate, err);
    glet_gate_fini(&gate);
    glet_answer_fini(&answer);
    return result;
}

/*
 * What is wrong with an input file, or not in the profile, is an answer of the gate, too: services
 * show it where it is. For people, what is wrong is on standard error already.
 */
static bool is_answer(const struct values *v, const struct glet_error *err)
{
    bool input =
        err->file[0] && glet_error_exit_status(err->code) == glet_error_exit_status(GLET_ERR_INPUT);
    return err->code == GLET_ERR_UNDECIDED || (input && v->format != GLET_EXPORT_TABLE);
}

static int answer_error(const struct values *v, struct glet_error *err)
{
    struct glet_gate gate;
    struct glet_error cause = *err;
    glet_error_print(&cause, stderr);
    int result = glet_gate_of_error(&cause, v->inputs.slo, &gate, err);
    if (result == 0)
        result = print(v, &gate, err);
    glet_gate_fini(&gate);
    return result < 0 ? -1 : glet_error_exit_status(cause.code);
}

/* What would silently check nothing, or end in vain. */
static int check_options(const struct values *v, struct glet_error *err)
{
    if (v->detailed_exitcode && !v->baseline)
        return glet_error_set(
            err, GLET_ERR_USAGE,
            "--detailed-exitcode: changes from which plan? --baseline is missing");
    DIR *folder = v->model_dir ? opendir(v->model_dir) : NULL;
    if (v->model_dir && !folder)
        return glet_error_errno(err, errno, "--model-dir: %s", v->model_dir);
    if (folder)
        closedir(folder);
    return glet_output_check(v->output, err);
}

static int run(const void *values, const struct glet_list *arguments, struct glet_error *err)
{
    (void)arguments;
    const struct values *v = values;
    struct glet_session session;
    struct glet_plan *baseline = NULL;
    if (check_options(v, err) < 0)
        return -1;
    int result = glet_session_open(&v->inputs, &session, err);
    if (result == 0 && v->baseline)
        result = glet_plan_load(v->baseline, &baseline, err);
    if (result == 0)
        result = judge(v, &session, baseline, err);
    else if (is_answer(v, err))
        result = answer_error(v, err);
    glet_plan_free(baseline);
    glet_session_note_stop(&session);
    glet_session_close(&session);
    return result;
}

static const struct glet_example examples[] = {
    {"In a pull request, with annotations on the workload file:",
     "plan check --slo workload.yaml --profiles profiles --baseline plan.yaml --format github"},
    {NULL, NULL},
};

const struct glet_command glet_cmd_check = {
    .name = "check",
    .summary = "Says whether a workload fits, how close, and what changed: a gate for CI.",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .description =
        "The search is a fast one: mostly its plan fits, and that is the answer, for 100 models in "
        "less than two seconds. Up to 50 models, or 12 in apps, a search at default effort follows "
        "where a better plan might pass what the first did not; with more, ask for it by --effort.",
    .examples = examples,
    .exit_no = "a check failed",
    .exit_undecided =
        "a profile is missing or stale, a proof was not reached, or with --require-measured "
        "the plan rests on rows that were not measured",
    .values_bytes = sizeof(struct values),
    .run = run,
};
