/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which checks there are, and what each says. A check belongs to the line of the workload that a
 * person would change to make it pass: an SLO, a rate, a model, the stock.
 */
#include "planner/analyse/gate.h"

#include "planner/analyse/stale.h"
#include "planner/report/answer.h"
#include "planner/report/writing.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct builder {
    struct glet_gate *gate;
    const struct glet_session *session;
    const struct glet_answer *answer;
    bool out_of_memory;
};

static const char *const status_names[] = {"pass", "note", "fail", "undecided"};

const char *glet_check_status_name(enum glet_check_status status)
{
    return status_names[status];
}

static struct glet_check *grow(struct glet_gate *gate)
{
    if (gate->count == gate->capacity) {
        size_t wanted = gate->capacity ? 2 * gate->capacity : 32;
        struct glet_check *bigger = realloc(gate->checks, wanted * sizeof *bigger);
        if (!bigger)
            return NULL;
        gate->checks = bigger;
        gate->capacity = wanted;
    }
    struct glet_check *check = &gate->checks[gate->count++];
    *check = (struct glet_check){0};
    return check;
}

/* The title and the message come as one format: "title\nmessage". */
static void add(struct builder *b, enum glet_check_status status, const char *rule,
                const char *subject, struct glet_mark mark, const char *format, ...)
    GLET_PRINTF(6, 7);

static void add(struct builder *b, enum glet_check_status status, const char *rule,
                const char *subject, struct glet_mark mark, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    struct glet_check *check = text ? grow(b->gate) : NULL;
    char *end = text ? strchr(text, '\n') : NULL;
    if (check && end) {
        *check = (struct glet_check){.status = status, .rule = rule, .mark = mark};
        check->subject = strdup(subject);
        check->title = strndup(text, (size_t)(end - text));
        check->message = strdup(end + 1);
        b->out_of_memory |= !check->subject || !check->title || !check->message;
    } else {
        b->out_of_memory = true;
    }
    free(text);
    if (status > b->gate->status && status != GLET_CHECK_NOTE)
        b->gate->status = status;
}

static double worst_ms(const struct glet_plan *plan, size_t model)
{
    double worst = 0;
    for (size_t g = 0; g < plan->gpu_count; g++)
        for (size_t i = 0; i < plan->gpus[g].let_count; i++)
            for (size_t k = 0; k < plan->gpus[g].lets[i].model_count; k++)
                if (plan->gpus[g].lets[i].models[k].model == model)
                    worst = fmax(worst, plan->gpus[g].lets[i].models[k].latency_bound_ms);
    return worst;
}

static double capacity_rps(const struct glet_plan *plan, size_t model)
{
    double sum_rps = 0;
    for (size_t g = 0; g < plan->gpu_count; g++)
        for (size_t i = 0; i < plan->gpus[g].let_count; i++) {
            const struct glet_plan_let *let = &plan->gpus[g].lets[i];
            for (size_t k = 0; k < let->model_count; k++)
                if (let->models[k].model == model)
                    sum_rps += 1000.0 * let->models[k].batch / let->duty_cycle_ms;
        }
    return sum_rps;
}

/* Latency and demand of model m of the plan, which is also model m of the workload. */
static void check_model(struct builder *b, size_t m, const struct glet_gate_limits *limits)
{
    const struct glet_plan_model *model = &b->answer->plan->models[m];
    const struct glet_workload_model *from = &b->session->workload->models[m];
    if (model->rate_rps <= 0)
        return;
    double worst = worst_ms(b->answer->plan, m), capacity = capacity_rps(b->answer->plan, m);
    if (model->slo_ms > 0) {
        double headroom = glet_headroom_percent(worst, model->slo_ms);
        bool low = limits->min_headroom_percent >= 0 && headroom < limits->min_headroom_percent;
        b->gate->open |= low;
        if (!b->gate->tightest || headroom < b->gate->tightest_headroom_percent) {
            b->gate->tightest = from->name;
            b->gate->tightest_headroom_percent = fmax(0, headroom);
        }
        add(b, low ? GLET_CHECK_FAIL : GLET_CHECK_PASS, "latency", model->name,
            from->slo_mark.line > 0 ? from->slo_mark : from->mark,
            "%s p%.6g <= %.6g ms\n%s: worst latency %.6g of %.6g ms, %.1f %% headroom%s",
            model->name, model->percentile, model->slo_ms, model->name, worst, model->slo_ms,
            fmax(0, headroom), low ? ", which is less than required" : "");
    }
    double scale = capacity / model->rate_rps;
    bool low = limits->min_scale > 0 && !glet_within(limits->min_scale, scale);
    b->gate->open |= low;
    b->gate->scale = b->gate->scale > 0 ? fmin(b->gate->scale, scale) : scale;
    add(b, low ? GLET_CHECK_FAIL : GLET_CHECK_PASS, "demand", model->name,
        from->rate_mark.line > 0 ? from->rate_mark : from->mark,
        "%s serves %.6g requests/s\n%s: its gpu-lets serve up to %.6g requests/s, %.2f x its "
        "demand of %.6g%s",
        model->name, model->rate_rps, model->name, capacity, scale, model->rate_rps,
        low ? ", which is less than required" : "");
}

/* Longest path with the plan's worst bounds; the stages of a problem's app are sorted. */
static void check_app(struct builder *b, const struct glet_problem_app *app)
{
    double *end_ms = calloc((size_t)app->stage_count + 1, sizeof *end_ms), longest = 0;
    for (int s = 0; end_ms && s < app->stage_count; s++) {
        for (int i = 0; i < app->stages[s].after_count; i++)
            end_ms[s] = fmax(end_ms[s], end_ms[app->stages[s].after[i]]);
        end_ms[s] += worst_ms(b->answer->plan, (size_t)app->stages[s].model);
        longest = fmax(longest, end_ms[s]);
    }
    b->out_of_memory |= !end_ms;
    free(end_ms);
    add(b, GLET_CHECK_PASS, "app", app->name, app->mark,
        "app %s <= %.6g ms\napp %s: its longest path takes %.6g of %.6g ms", app->name, app->slo_ms,
        app->name, longest, app->slo_ms);
}

static struct glet_mark stock_mark(const struct builder *b)
{
    struct glet_mark none = {0, 0};
    return b->session->workload->gpu_count ? b->session->workload->gpus[0].mark : none;
}

static void check_limits(struct builder *b, const struct glet_gate_limits *limits)
{
    struct glet_gate *gate = b->gate;
    if (limits->max_gpus >= 0) {
        bool over = gate->gpus > limits->max_gpus;
        bool proven = gate->lower_bound > limits->max_gpus;
        gate->open |= over && !proven;
        add(b,
            !over    ? GLET_CHECK_PASS
            : proven ? GLET_CHECK_FAIL
                     : GLET_CHECK_UNDECIDED,
            "gpus", "stock", stock_mark(b), "at most %d GPU%s\n%d GPU%s used%s", limits->max_gpus,
            glet_report_plural(limits->max_gpus), gate->gpus, gate->gpus == 1 ? " is" : "s are",
            !over    ? ""
            : proven ? ", and no plan uses few enough"
                     : ", and it is not proven that fewer do not suffice");
    }
    if (limits->max_cost_per_hour >= 0) {
        bool low = glet_within(gate->cost_per_hour, limits->max_cost_per_hour);
        gate->open |= !low;
        add(b, low ? GLET_CHECK_PASS : GLET_CHECK_FAIL, "cost", "stock", stock_mark(b),
            "at most %.6g per hour\nthe GPUs cost %.6g per hour", limits->max_cost_per_hour,
            gate->cost_per_hour);
    }
}

static void check_trust(struct builder *b, const struct glet_gate_limits *limits,
                        const struct glet_trust_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++) {
        const struct glet_trust_note *note = &notes->notes[i];
        int m = glet_workload_find_model(b->session->workload, note->model);
        struct glet_mark mark = {0, 0};
        add(b, limits->require_measured ? GLET_CHECK_UNDECIDED : GLET_CHECK_NOTE, "trust",
            note->model, m < 0 ? mark : b->session->workload->models[m].mark,
            "%s on %s is measured\n%s on %s rests on %d imported and %d estimated profile rows",
            note->model, note->gpu, note->model, note->gpu, note->imported_rows,
            note->estimated_rows);
    }
}

static int check_stale(struct builder *b, const char *folder, struct glet_error *err)
{
    const struct glet_workload *workload = b->session->workload;
    for (size_t m = 0; folder && m < workload->model_count; m++) {
        enum glet_freshness freshness;
        if (glet_stale_check(b->session->profile, workload, m, folder, &freshness, err) < 0)
            return -1;
        if (freshness == GLET_FRESH_UNKNOWN)
            continue;
        const char *name = workload->models[m].name;
        add(b, freshness == GLET_STALE ? GLET_CHECK_UNDECIDED : GLET_CHECK_PASS, "profile", name,
            workload->models[m].mark, "the profile of %s is up to date\n%s/%s.onnx %s", name,
            folder, name,
            freshness == GLET_STALE ? "changed after it was profiled: profile it again"
                                    : "is the file that was profiled");
    }
    return 0;
}

static double total_cost(const struct builder *b)
{
    struct glet_diff diff;
    struct glet_error ignored;
    double cost = NAN;
    if (glet_diff(b->answer->plan, b->answer->plan, b->session->workload, &diff, &ignored) == 0)
        cost = diff.cost_after;
    glet_diff_fini(&diff);
    return cost;
}

static int judge_plan(struct builder *b, const struct glet_gate_limits *limits,
                      struct glet_error *err)
{
    const struct glet_plan *plan = b->answer->plan;
    struct glet_gate *gate = b->gate;
    gate->has_plan = true;
    gate->gpus = plan->certificate.gpus;
    gate->cost_per_hour = total_cost(b);
    add(b, GLET_CHECK_PASS, "stock", "stock", stock_mark(b),
        "the stock suffices\n%d GPU%s used, no plan uses fewer than %d", gate->gpus,
        gate->gpus == 1 ? " is" : "s are", gate->lower_bound);
    for (size_t m = 0; m < plan->model_count; m++)
        check_model(b, m, limits);
    for (int a = 0; a < b->session->problem->app_count; a++)
        check_app(b, &b->session->problem->apps[a]);
    check_limits(b, limits);
    struct glet_trust_notes notes;
    int result = glet_trust_collect(b->session->profile, plan, &notes, err);
    if (result == 0)
        check_trust(b, limits, &notes);
    glet_trust_fini(&notes);
    return result;
}

static void judge_no_plan(struct builder *b)
{
    char text[700];
    if (b->answer->outcome != GLET_PLAN_UNSERVEABLE) {
        b->gate->open = b->answer->outcome == GLET_PLAN_NONE_FOUND && !b->answer->limit_hit;
        glet_answer_stock_text(b->answer, text, sizeof text);
        add(b, b->answer->outcome == GLET_PLAN_NONE_FOUND ? GLET_CHECK_UNDECIDED : GLET_CHECK_FAIL,
            "stock", "stock", stock_mark(b), "the stock suffices\n%s", text);
        b->gate->scale = b->answer->scale;
        return;
    }
    for (int i = 0; i < b->answer->unserveable_count; i++) {
        const struct glet_unserveable *why = &b->answer->unserveable[i];
        const struct glet_problem_model *model = &b->session->problem->models[why->model];
        glet_unserveable_text(b->session->problem, why, text, sizeof text);
        add(b, GLET_CHECK_FAIL,
            why->reason == GLET_UNSERVEABLE_MEMORY  ? "memory"
            : why->reason == GLET_UNSERVEABLE_STOCK ? "stock"
            : why->reason == GLET_UNSERVEABLE_APP   ? "app"
                                                    : "latency",
            model->name, glet_unserveable_mark(b->session->problem, why), "%s can be served\n%s",
            model->name, text);
    }
}

static int finish(const struct builder *b, struct glet_error *err)
{
    return b->out_of_memory ? glet_error_set(err, GLET_ERR_NOMEM, "out of memory") : 0;
}

int glet_gate(const struct glet_session *session, const struct glet_answer *answer,
              const struct glet_plan *baseline, const struct glet_gate_limits *limits,
              struct glet_gate *gate, struct glet_error *err)
{
    struct builder b = {gate, session, answer, false};
    *gate = (struct glet_gate){.file = session->workload->path,
                               .lower_bound = answer->bound.gpus,
                               .has_baseline = baseline != NULL};
    if (answer->outcome != GLET_PLAN_FOUND)
        judge_no_plan(&b);
    else if (judge_plan(&b, limits, err) < 0)
        return -1;
    if (check_stale(&b, limits->model_dir, err) < 0)
        return -1;
    if (baseline && gate->has_plan &&
        glet_diff(baseline, answer->plan, session->workload, &gate->diff, err) < 0)
        return -1;
    return finish(&b, err);
}

int glet_gate_of_error(const struct glet_error *cause, const char *file, struct glet_gate *gate,
                       struct glet_error *err)
{
    struct builder b = {.gate = gate};
    bool unprofiled = cause->code == GLET_ERR_UNDECIDED;
    const char *rule = unprofiled ? "profile" : "input";
    *gate = (struct glet_gate){.file = cause->file[0] ? cause->file : file};
    struct glet_mark mark = {cause->line, cause->column};
    add(&b, GLET_CHECK_UNDECIDED, rule, rule, mark, "%s\n%s%s%s%s",
        unprofiled ? "everything is profiled" : "the input can be read", cause->message,
        cause->hint[0] ? " (" : "", cause->hint, cause->hint[0] ? ")" : "");
    return finish(&b, err);
}

void glet_gate_fini(struct glet_gate *gate)
{
    for (size_t i = 0; i < gate->count; i++) {
        free(gate->checks[i].subject);
        free(gate->checks[i].title);
        free(gate->checks[i].message);
    }
    free(gate->checks);
    glet_diff_fini(&gate->diff);
    *gate = (struct glet_gate){0};
}

void glet_gate_text(const struct glet_gate *gate, char *text, size_t size)
{
    size_t used = 0;
    if (!gate->has_plan) {
        const struct glet_check *first = gate->count ? &gate->checks[0] : NULL;
        snprintf(text, size, "%s: %s",
                 gate->status == GLET_CHECK_FAIL ? "does not fit" : "not decided",
                 first ? first->message : "");
        return;
    }
    static const char *const verdicts[] = {"fits", "fits", "does not pass", "not decided"};
    used = (size_t)snprintf(text, size, "%s: %d GPU%s (at least %d), serves %.2f x every rate",
                            verdicts[gate->status], gate->gpus, glet_report_plural(gate->gpus),
                            gate->lower_bound, gate->scale);
    if (gate->tightest && used < size)
        snprintf(text + used, size - used, ", tightest %s with %.1f %% headroom", gate->tightest,
                 gate->tightest_headroom_percent);
}
