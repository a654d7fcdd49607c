/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Why there is no plan: per model that cannot be served, or for the stock as a whole. */
#include "common/json.h"
#include "planner/report/answer.h"
#include "planner/report/writing.h"

#include <math.h>

/* "2 GPUs would do", "at least 2 GPUs are needed", or nothing. */
static int needed_text(const struct glet_answer *answer, char *text, size_t size)
{
    int least = answer->bound.gpus, most = answer->gpus_enough;
    if (most > 0 && most == least)
        return snprintf(text, size, ": %d GPU%s would do, no fewer", most,
                        glet_report_plural(most));
    if (most > 0 && least > 0)
        return snprintf(text, size, ": %d GPUs would do, at least %d %s needed", most, least,
                        least == 1 ? "is" : "are");
    if (least > 0)
        return snprintf(text, size, ": at least %d GPU%s needed", least,
                        least == 1 ? " is" : "s are");
    return 0;
}

void glet_answer_stock_text(const struct glet_answer *answer, char *text, size_t size)
{
    int used;
    if (answer->outcome == GLET_PLAN_TOO_FEW_MOVES)
        used = snprintf(text, size, "no plan starts at most %d new gpu-let%s", answer->max_moves,
                        glet_report_plural(answer->max_moves));
    else if (answer->outcome == GLET_PLAN_TOO_SMALL && answer->stock >= 0)
        used = snprintf(text, size, "the stock does not suffice (%ld GPU%s)", answer->stock,
                        glet_report_plural(answer->stock));
    else if (answer->outcome == GLET_PLAN_TOO_SMALL)
        used = snprintf(text, size, "the stock does not suffice");
    else if (answer->limit_hit)
        used = snprintf(text, size, "the search was stopped before it found a plan");
    else
        used = snprintf(text, size, "no plan was found within the %s, and none was excluded",
                        answer->max_moves >= 0 ? "moves" : "stock");
    if (used >= 0 && (size_t)used < size)
        used += needed_text(answer, text + used, size - (size_t)used);
    if (answer->scale > 0 && (size_t)used < size)
        snprintf(text + used, size - (size_t)used,
                 "; the stock serves %.4g x every rate, at most %.4g x", answer->scale,
                 answer->scale_bound);
}

static void reason(const struct glet_session *session, const struct glet_answer *answer, int i,
                   char *text, size_t size, struct glet_mark *mark)
{
    if (answer->outcome == GLET_PLAN_UNSERVEABLE) {
        glet_unserveable_text(session->problem, &answer->unserveable[i], text, size);
        *mark = glet_unserveable_mark(session->problem, &answer->unserveable[i]);
        return;
    }
    glet_answer_stock_text(answer, text, size);
    *mark =
        session->workload->gpu_count ? session->workload->gpus[0].mark : (struct glet_mark){0, 0};
}

static int reason_count(const struct glet_answer *answer)
{
    return answer->outcome == GLET_PLAN_UNSERVEABLE ? answer->unserveable_count : 1;
}

int glet_report_no_plan(const struct glet_session *session, const struct glet_answer *answer,
                        FILE *out, struct glet_error *err)
{
    char text[700];
    struct glet_mark mark;
    fputs(answer->outcome == GLET_PLAN_NONE_FOUND ? "not decided\n" : "does not fit\n", out);
    for (int i = 0; i < reason_count(answer); i++) {
        reason(session, answer, i, text, sizeof text, &mark);
        fprintf(out, "  %s\n", text);
    }
    return glet_report_finish(out, err);
}

static const char *const reason_names[] = {"latency", "app", "memory", "stock"};

static void unserveable_json(struct glet_json *json, const struct glet_session *session,
                             const struct glet_unserveable *why)
{
    const struct glet_choice *best = why->best.type >= 0 ? &why->best : &why->ideal;
    const struct glet_problem_type *type = &session->problem->types[best->type];
    glet_json_string(json, "model", session->problem->models[why->model].name);
    glet_json_string(json, "cause", reason_names[why->reason]);
    glet_json_double(json, "limit_ms", why->limit_ms);
    glet_json_double(json, "best_latency_ms", best->bound_ms);
    glet_json_string(json, "gpu", type->name);
    glet_json_int(json, "units", type->sizes_units[best->size]);
    glet_json_int(json, "batch", best->batch);
}

int glet_report_no_plan_json(const struct glet_session *session, const struct glet_answer *answer,
                             FILE *out, struct glet_error *err)
{
    static const char *const outcomes[] = {"found", "unserveable", "stock", "undecided", "moves"};
    struct glet_json json = glet_json_begin(out, GLET_JSON_INDENTED);
    glet_json_object(&json, NULL);
    glet_json_string(&json, "schema", "gpulet-no-plan/1");
    glet_json_string(&json, "outcome", outcomes[answer->outcome]);
    if (answer->outcome != GLET_PLAN_UNSERVEABLE) {
        glet_json_int(&json, "lower_bound", answer->bound.gpus);
        glet_json_int(&json, "gpus_enough", answer->gpus_enough);
        glet_json_double(&json, "scale", answer->scale);
        glet_json_double(&json, "scale_upper_bound", answer->scale_bound);
    }
    glet_json_array(&json, "reasons");
    for (int i = 0; i < reason_count(answer); i++) {
        char text[700];
        struct glet_mark mark;
        reason(session, answer, i, text, sizeof text, &mark);
        glet_json_object(&json, NULL);
        glet_json_string(&json, "message", text);
        glet_json_string(&json, "file", session->workload->path);
        glet_json_int(&json, "line", mark.line);
        glet_json_int(&json, "column", mark.column);
        if (answer->outcome == GLET_PLAN_UNSERVEABLE)
            unserveable_json(&json, session, &answer->unserveable[i]);
        glet_json_end(&json);
    }
    glet_json_end(&json);
    glet_json_end(&json);
    return glet_report_finish(out, err);
}

int glet_answer_error(const struct glet_session *session, const struct glet_answer *answer,
                      struct glet_error *err)
{
    enum glet_code code =
        answer->outcome == GLET_PLAN_NONE_FOUND ? GLET_ERR_UNDECIDED : GLET_ERR_NO;
    for (int i = reason_count(answer) - 1; i >= 0; i--) {
        char text[700];
        struct glet_mark mark;
        reason(session, answer, i, text, sizeof text, &mark);
        glet_error_at(err, code, session->workload->path, mark, "%s", text);
        if (i > 0)
            glet_error_print(err, stderr);
    }
    return -1;
}

int glet_answer_notes(const struct glet_session *session, const struct glet_answer *answer,
                      struct glet_error *err)
{
    if (session->inputs->quiet || !answer->plan)
        return 0;
    if (answer->limit_hit)
        fprintf(stderr, "note: the search was stopped early; this is the best plan so far\n");
    struct glet_trust_notes notes;
    int result = glet_trust_collect(session->profile, answer->plan, &notes, err);
    for (size_t i = 0; result == 0 && i < notes.count; i++) {
        const struct glet_trust_note *note = &notes.notes[i];
        fprintf(stderr, "note: %s on %s rests on rows that were not measured:", note->model,
                note->gpu);
        if (note->imported_rows)
            fprintf(stderr, " %d imported", note->imported_rows);
        if (note->estimated_rows)
            fprintf(stderr, "%s %d estimated", note->imported_rows ? "," : "",
                    note->estimated_rows);
        fputc('\n', stderr);
    }
    glet_trust_fini(&notes);
    return result;
}
