/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan report: one HTML page for everybody. */
#include "common/file.h"
#include "planner/baseline/baseline.h"
#include "planner/report/answer.h"
#include "planner/report/html_page.h"
#include "planner/verbs/commands.h"
#include "planner/verify/verify.h"

struct values {
    struct glet_inputs inputs;
    const char *output;
};

static const struct glet_option options[] = {
    GLET_INPUT_OPTIONS(values),
    {.name = "output",
     .letter = 'o',
     .kind = GLET_OPTION_TEXT,
     .value = "REPORT.html",
     .offset = offsetof(struct values, output),
     .help = "Write the page there, complete or not at all; without it to standard output."},
};

static const double rates[] = {10, 25, 50, 100}, slos[] = {-20}; /* percent */

static int count_time_sliced(const struct glet_problem *problem)
{
    struct glet_boxes boxes = {0};
    bool fits =
        problem->app_count == 0 && glet_baseline_run(problem, GLET_BASELINE_SBP, 0, NULL, &boxes);
    int gpus = fits ? boxes.count : 0;
    glet_boxes_free(&boxes);
    return gpus;
}

/* The plan of a file, checked; or the best plan. */
static int find_plan(const struct glet_session *session, const char *path,
                     struct glet_answer *answer, struct glet_error *err)
{
    if (!path)
        return glet_session_solve(session, NULL, answer, err);
    if (glet_plan_load(path, &answer->plan, err) < 0)
        return -1;
    struct glet_verdict verdict;
    answer->outcome = GLET_PLAN_FOUND;
    int result = glet_verify(session->workload, session->profile, answer->plan, &verdict, err);
    if (result == 0 && verdict.count > 0) {
        glet_error_at(err, GLET_ERR_NO, path, verdict.violations[0].mark, "%s: %s",
                      verdict.violations[0].where, verdict.violations[0].what);
        result = glet_error_hint(err, "plan verify lists all that is wrong with it");
    }
    glet_verdict_fini(&verdict);
    return result;
}

/* Six searches: on large workloads fast ones, unless the longest were asked for. */
static int ask_whatif(const struct values *v, struct glet_session *session,
                      const struct glet_answer *as_is, struct glet_whatif *whatif, bool *fast,
                      struct glet_error *err)
{
    struct glet_inputs inputs = v->inputs;
    *fast = inputs.effort == GLET_EFFORT_DEFAULT && !glet_session_is_small(session);
    if (*fast)
        inputs.effort = GLET_EFFORT_FAST;
    session->inputs = &inputs;
    int result = glet_whatif(session, as_is, rates, sizeof rates / sizeof rates[0], slos,
                             sizeof slos / sizeof slos[0], true, whatif, err);
    session->inputs = &v->inputs;
    return result;
}

static int write_page(const struct values *v, const struct glet_page *page, struct glet_error *err)
{
    if (!v->output)
        return glet_html_page(page, stdout, err);
    GLET_CLEANUP(glet_output_discard) struct glet_output output = {0};
    if (glet_output_open(&output, v->output, err) < 0 ||
        glet_html_page(page, output.stream, err) < 0)
        return -1;
    return glet_output_commit(&output, err);
}

static int run(const void *values, const struct glet_list *arguments, struct glet_error *err)
{
    const struct values *v = values;
    struct glet_session session;
    struct glet_answer answer = {0};
    struct glet_explanation explanation = {0};
    struct glet_whatif whatif = {0};
    const char *path = arguments->count ? arguments->items[0] : NULL;
    bool fast = false;
    if (glet_output_check(v->output, err) < 0)
        return -1;
    int result = glet_session_open(&v->inputs, &session, err);
    if (result == 0)
        result = find_plan(&session, path, &answer, err);
    if (result == 0)
        result = glet_explain(&session, &answer, &explanation, err);
    if (result == 0 && answer.plan) /* what does not fit has its relaxations */
        result = ask_whatif(v, &session, path ? NULL : &answer, &whatif, &fast, err);
    if (result == 0) {
        struct glet_page page = {&session, &answer, &explanation,
                                 &whatif,  fast,    count_time_sliced(session.problem)};
        result = write_page(v, &page, err);
    }
    if (result == 0 && !answer.plan)
        result = glet_answer_error(&session, &answer, err);
    glet_whatif_fini(&whatif);
    glet_explanation_fini(&explanation);
    glet_answer_fini(&answer);
    glet_session_note_stop(&session);
    glet_session_close(&session);
    return result;
}

static const struct glet_example examples[] = {
    {"A page to look at or to attach:", "plan report --slo workload.yaml -o report.html"},
    {"Of the plan that is in service:", "plan report plan.yaml --slo workload.yaml -o report.html"},
    {NULL, NULL},
};

const struct glet_command glet_cmd_report = {
    .name = "report",
    .summary = "Writes one HTML page: does it fit, how close, what if?",
    .arguments = "[PLAN.yaml]",
    .max_arguments = 1,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .description =
        "Without a plan it plans the workload. The page holds the verdict, the GPUs with their "
        "gpu-lets, each model's headroom and price, what more load would need, the latency curves "
        "that decide, and the evidence. With more than 50 models, or 12 in apps, what more load "
        "would need is searched for fast, unless --effort max is given. It is one file, needs "
        "nothing from elsewhere, and the same "
        "input gives the same bytes.",
    .examples = examples,
    .exit_no = "the workload does not fit; the page says why and what would help",
    .exit_undecided = "a model has no profile, or neither a plan nor a proof was found",
    .values_bytes = sizeof(struct values),
    .run = run,
};
