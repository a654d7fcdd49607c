/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan what-if: more load, tighter SLOs, one GPU less. */
#include "common/json.h"
#include "common/number.h"
#include "common/table.h"
#include "planner/analyse/whatif.h"
#include "planner/report/writing.h"
#include "planner/verbs/commands.h"

#include <math.h>

static const char *const formats[] = {"table", "json", "markdown", NULL};
enum { FORMAT_TABLE, FORMAT_JSON, FORMAT_MARKDOWN };

#define PERCENTS_MAX 32

struct values {
    struct glet_inputs inputs;
    struct glet_list rates, slos;
    bool no_loss;
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
    {.group = "Scenarios",
     .name = "rates",
     .kind = GLET_OPTION_LIST,
     .value = "PERCENT",
     .fallback = "10,25,50,100",
     .offset = offsetof(struct values, rates),
     .help = "Changes of every rate to try."},
    {.name = "slos",
     .kind = GLET_OPTION_LIST,
     .value = "PERCENT",
     .fallback = "-20",
     .offset = offsetof(struct values, slos),
     .help = "Changes of every SLO to try."},
    {.name = "no-loss",
     .kind = GLET_OPTION_FLAG,
     .offset = offsetof(struct values, no_loss),
     .help = "Do not try the loss of one GPU."},
};

static int percents(const struct glet_list *list, const char *option, double *out, size_t *count,
                    struct glet_error *err)
{
    *count = 0;
    if (list->count > PERCENTS_MAX)
        return glet_error_set(err, GLET_ERR_USAGE, "--%s: more than %d values", option,
                              PERCENTS_MAX);
    for (size_t i = 0; i < list->count; i++) {
        if (!glet_parse_double(list->items[i], &out[i]) || out[i] <= -100 || out[i] > 1e6)
            return glet_error_set(err, GLET_ERR_USAGE, "--%s: '%s' is not a percentage above -100",
                                  option, list->items[i]);
        (*count)++;
    }
    return 0;
}

static int print_table(const struct glet_whatif *whatif, bool markdown, struct glet_error *err)
{
    struct glet_table table;
    glet_table_init(&table, "scenario|>GPUs|>change|>at least|>per hour|note");
    for (size_t i = 0; i < whatif->count; i++) {
        const struct glet_whatif_row *row = &whatif->rows[i], *base = &whatif->rows[0];
        bool found = row->outcome == GLET_PLAN_FOUND;
        glet_table_cell(&table, "%s", row->name);
        if (found)
            glet_table_cell(&table, "%d", row->gpus);
        else
            glet_table_cell(&table, "%s", row->outcome == GLET_PLAN_NONE_FOUND ? "?" : "none");
        if (found && base->outcome == GLET_PLAN_FOUND)
            glet_table_cell(&table, "%+d", row->gpus - base->gpus);
        else
            glet_table_cell(&table, "-");
        glet_table_cell(&table, "%d", row->lower_bound);
        if (found)
            glet_table_cell(&table, "%.6g", row->cost_per_hour);
        else
            glet_table_cell(&table, "-");
        if (found && row->scale != 1)
            glet_table_cell(&table, "serves %.6g x", row->scale);
        else
            glet_table_cell(&table, "%s", row->reason ? row->reason : "");
    }
    int result = glet_report_table(&table, markdown, stdout, err);
    glet_table_fini(&table);
    return result;
}

static int print_json(const struct glet_whatif *whatif, struct glet_error *err)
{
    static const char *const outcomes[] = {"found", "unserveable", "stock", "undecided"};
    struct glet_json json = glet_json_begin(stdout, GLET_JSON_INDENTED);
    glet_json_object(&json, NULL);
    glet_json_string(&json, "schema", "gpulet-what-if/1");
    glet_json_array(&json, "scenarios");
    for (size_t i = 0; i < whatif->count; i++) {
        const struct glet_whatif_row *row = &whatif->rows[i];
        glet_json_object(&json, NULL);
        glet_json_string(&json, "name", row->name);
        glet_json_double(&json, "rate_factor", row->scenario.rate_factor);
        glet_json_double(&json, "slo_factor", row->scenario.slo_factor);
        glet_json_string(&json, "outcome", outcomes[row->outcome]);
        if (row->outcome == GLET_PLAN_FOUND) {
            glet_json_int(&json, "gpus", row->gpus);
            glet_json_double(&json, "cost_per_hour", row->cost_per_hour);
        } else {
            glet_json_string(&json, "reason", row->reason);
        }
        glet_json_int(&json, "lower_bound", row->lower_bound);
        glet_json_double(&json, "scale", row->scale);
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
    double rates[PERCENTS_MAX], slos[PERCENTS_MAX];
    size_t rate_count, slo_count;
    if (percents(&v->rates, "rates", rates, &rate_count, err) < 0 ||
        percents(&v->slos, "slos", slos, &slo_count, err) < 0)
        return -1;
    struct glet_session session;
    struct glet_whatif whatif = {0};
    int result = glet_session_open(&v->inputs, &session, err);
    if (result == 0)
        result = glet_whatif(&session, NULL, rates, rate_count, slos, slo_count, !v->no_loss,
                             &whatif, err);
    if (result == 0)
        result = v->format == FORMAT_JSON ? print_json(&whatif, err)
                                          : print_table(&whatif, v->format == FORMAT_MARKDOWN, err);
    glet_whatif_fini(&whatif);
    glet_session_note_stop(&session);
    glet_session_close(&session);
    return result;
}

const struct glet_command glet_cmd_whatif = {
    .name = "what-if",
    .summary = "Plans the same workload with more load, tighter SLOs and one GPU less.",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .exit_undecided = "a model has no profile",
    .values_bytes = sizeof(struct values),
    .run = run,
};
