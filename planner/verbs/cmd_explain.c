/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan explain: what binds, what a relaxation is worth, and what would make it fit. */
#include "common/json.h"
#include "common/table.h"
#include "planner/analyse/explain.h"
#include "planner/report/answer.h"
#include "planner/report/writing.h"
#include "planner/verbs/commands.h"

#include <math.h>

static const char *const formats[] = {"table", "json", "markdown", NULL};
enum { FORMAT_TABLE, FORMAT_JSON, FORMAT_MARKDOWN };

struct values {
    struct glet_inputs inputs;
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
};

static void print_model(const struct glet_problem_model *model,
                        const struct glet_model_explanation *why, struct glet_table *table)
{
    char price[GLET_PRICE_CHARS];
    glet_table_cell(table, "%s", model->name);
    glet_table_cell(table, "%.3f", why->worst_ms);
    glet_table_cell(table, "%.6g", model->limit_ms);
    glet_table_cell(table, "%.3f", why->worst_factor);
    glet_table_cell(table, "%.0f %%", 100 * why->memory_ratio);
    glet_table_cell(table, "%.3f", why->price.share);
    glet_table_cell(table, "%s", glet_report_price(price, why->price.per_rps));
    glet_table_cell(table, "%s", glet_report_price(price, why->price.per_ms));
    glet_table_cell(table, "%s", glet_binding_text(why->binding));
}

/* Nothing of it is in the plan. */
static void print_idle(const struct glet_problem_model *model,
                       const struct glet_model_explanation *why, struct glet_table *table)
{
    glet_table_cell(table, "%s", model->name);
    glet_table_cell(table, "-");
    glet_table_cell(table, "%.6g", model->limit_ms);
    for (int column = 0; column < 5; column++)
        glet_table_cell(table, "-");
    glet_table_cell(table, "%s", glet_binding_text(why->binding));
}

static void print_models(const struct glet_session *session, const struct glet_explanation *e,
                         struct glet_table *table)
{
    const struct glet_problem *problem = session->problem;
    const char *unit = problem->objective == GLET_MIN_COST ? "cost" : "GPUs";
    char headers[200];
    snprintf(headers, sizeof headers,
             "model|>worst ms|>limit ms|>factor|>memory|>%s|>per +1/s|>saved/+1 ms|what binds",
             unit);
    glet_table_init(table, headers);
    for (int m = 0; m < problem->model_count; m++) {
        const struct glet_problem_model *model = &problem->models[m];
        (model->demand_rps > 0 ? print_model : print_idle)(model, &e->models[m], table);
    }
}

static int print_text(const struct glet_session *session, const struct glet_answer *answer,
                      const struct glet_explanation *e, bool markdown, struct glet_error *err)
{
    if (answer->outcome == GLET_PLAN_FOUND) {
        struct glet_table table;
        printf("%d GPU%s; the continuous bound is %.3f\n\n", answer->plan->certificate.gpus,
               glet_report_plural(answer->plan->certificate.gpus), e->bound);
        print_models(session, e, &table);
        int result = glet_report_table(&table, markdown, stdout, err);
        glet_table_fini(&table);
        return result;
    }
    if (glet_report_no_plan(session, answer, stdout, err) < 0)
        return -1;
    if (e->relaxation_count > 0)
        puts(answer->outcome == GLET_PLAN_UNSERVEABLE
                 ? "\nthese changes together make it possible:"
                 : "\neach of these alone makes it fit, the smallest change first:");
    for (size_t i = 0; i < e->relaxation_count; i++) {
        char text[400];
        glet_relaxation_text(session->problem, &e->relaxations[i], text, sizeof text);
        printf("%s %s\n", markdown ? "*" : " ", text);
    }
    return 0;
}

static void models_json(struct glet_json *json, const struct glet_problem *problem,
                        const struct glet_explanation *e)
{
    glet_json_array(json, "models");
    for (int m = 0; e->models && m < problem->model_count; m++) {
        const struct glet_model_explanation *model = &e->models[m];
        glet_json_object(json, NULL);
        glet_json_string(json, "name", problem->models[m].name);
        glet_json_string(json, "binding", glet_binding_name(model->binding));
        glet_json_int(json, "gpulets", model->lets);
        glet_json_int(json, "shared_gpulets", model->shared_lets);
        glet_json_double(json, "worst_ms", model->worst_ms);
        glet_json_double(json, "limit_ms", problem->models[m].limit_ms);
        glet_json_double(json, "factor", model->worst_factor);
        glet_json_double(json, "memory_ratio", model->memory_ratio);
        glet_json_double(json, "share", model->price.share);
        glet_json_double(json, "price_per_rps", model->price.per_rps);
        glet_json_double(json, "price_per_ms", model->price.per_ms);
        glet_json_end(json);
    }
    glet_json_end(json);
}

static int print_json(const struct glet_session *session, const struct glet_answer *answer,
                      const struct glet_explanation *e, struct glet_error *err)
{
    static const char *const outcomes[] = {"found", "unserveable", "stock", "undecided"};
    static const char *const kinds[] = {"slo_ms", "rate_rps", "scale", "gpus"};
    struct glet_json json = glet_json_begin(stdout, GLET_JSON_INDENTED);
    glet_json_object(&json, NULL);
    glet_json_string(&json, "schema", "gpulet-explain/1");
    glet_json_string(&json, "outcome", outcomes[answer->outcome]);
    glet_json_string(&json, "unit",
                     session->problem->objective == GLET_MIN_COST ? "cost_per_hour" : "gpus");
    if (answer->plan) {
        glet_json_int(&json, "gpus", answer->plan->certificate.gpus);
        glet_json_double(&json, "continuous_bound", e->bound);
    }
    models_json(&json, session->problem, e);
    glet_json_array(&json, "relaxations");
    for (size_t i = 0; i < e->relaxation_count; i++) {
        const struct glet_relaxation *relax = &e->relaxations[i];
        char text[400];
        glet_relaxation_text(session->problem, relax, text, sizeof text);
        glet_json_object(&json, NULL);
        glet_json_string(&json, "kind", kinds[relax->kind]);
        if (relax->model >= 0)
            glet_json_string(&json, "model", session->problem->models[relax->model].name);
        if (relax->type >= 0)
            glet_json_string(&json, "gpu", session->problem->types[relax->type].name);
        glet_json_double(&json, "amount", relax->amount);
        glet_json_string(&json, "message", text);
        glet_json_end(&json);
    }
    glet_json_end(&json);
    glet_json_end(&json);
    return glet_report_finish(stdout, err);
}

static int run(const void *values, const struct glet_list *arguments, struct glet_error *err)
{
    (void)arguments;
    const struct values *v = values;
    struct glet_session session;
    struct glet_answer answer = {0};
    struct glet_explanation explanation = {0};
    int result = glet_session_open(&v->inputs, &session, err);
    if (result == 0)
        result = glet_session_solve(&session, NULL, &answer, err);
    if (result == 0)
        result = glet_explain(&session, &answer, &explanation, err);
    if (result == 0)
        result = v->format == FORMAT_JSON ? print_json(&session, &answer, &explanation, err)
                                          : print_text(&session, &answer, &explanation,
                                                       v->format == FORMAT_MARKDOWN, err);
    if (result == 0 && answer.outcome != GLET_PLAN_FOUND)
        result = glet_answer_error(&session, &answer, err);
    glet_explanation_fini(&explanation);
    glet_answer_fini(&answer);
    glet_session_note_stop(&session);
    glet_session_close(&session);
    return result;
}

const struct glet_command glet_cmd_explain = {
    .name = "explain",
    .summary = "Says which constraint binds for each model, and what relaxing it is worth.",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .description =
        "Prices are shadow prices of the certified bound: what one more request per second needs "
        "and one more millisecond of SLO saves, in GPUs (or cost). A real change is worth that "
        "much "
        "on average, and nothing or a whole GPU in any one case.\n\n"
        "When nothing fits, it lists the smallest changes that would make it fit.",
    .exit_no = "the workload cannot be served; the report says what would help",
    .exit_undecided = "a model has no profile, or neither a plan nor a proof was found",
    .values_bytes = sizeof(struct values),
    .run = run,
};
