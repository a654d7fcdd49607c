/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verifier: names, then each GPU, then what spans GPUs (demand, apps, stock).
 *
 * It goes on after a violation, so that one run shows all of them. O(slots x co-residents x
 * (log rows + coruns)).
 */
#include "planner/verify/verify_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const rule_names[GLET_RULE_COUNT] = {
    [GLET_RULE_NAMES] = "names",     [GLET_RULE_SIZES] = "sizes",
    [GLET_RULE_GPULETS] = "gpulets", [GLET_RULE_PROFILE] = "profile",
    [GLET_RULE_EXEC] = "exec",       [GLET_RULE_DUTY] = "duty-cycle",
    [GLET_RULE_BATCH] = "batch",     [GLET_RULE_LATENCY] = "latency",
    [GLET_RULE_APP] = "app",         [GLET_RULE_MEMORY] = "memory",
    [GLET_RULE_DEMAND] = "demand",   [GLET_RULE_PROMISE] = "promise",
    [GLET_RULE_STOCK] = "stock",     [GLET_RULE_SURVIVE] = "survive",
};

const char *glet_rule_name(enum glet_rule rule)
{
    return rule_names[rule];
}

void glet_verify_report(struct verify_run *run, enum glet_rule rule, struct glet_mark mark,
                        const char *where, const char *format, ...)
{
    struct glet_verdict *out = run->out;
    if (out->count == out->capacity) {
        size_t wanted = out->capacity ? 2 * out->capacity : 16;
        struct glet_violation *bigger = realloc(out->violations, wanted * sizeof *bigger);
        if (!bigger) {
            run->out_of_memory = true;
            return;
        }
        out->violations = bigger;
        out->capacity = wanted;
    }
    va_list args;
    char *what = NULL;
    va_start(args, format);
    if (vasprintf(&what, format, args) < 0)
        what = NULL;
    va_end(args);
    char *place = strdup(where);
    if (!what || !place) {
        free(what);
        free(place);
        run->out_of_memory = true;
        return;
    }
    out->violations[out->count++] = (struct glet_violation){rule, mark, place, what};
}

static bool prepare(struct verify_run *run)
{
    size_t models = run->plan->model_count + 1;
    run->profile_model = calloc(models, sizeof *run->profile_model);
    run->workload_model = calloc(models, sizeof *run->workload_model);
    run->rate_sum_rps = calloc(models, sizeof *run->rate_sum_rps);
    run->worst_ms = calloc(run->workload->model_count + 1, sizeof *run->worst_ms);
    return run->profile_model && run->workload_model && run->rate_sum_rps && run->worst_ms &&
           glet_verify_index(run);
}

static void check_names(struct verify_run *run)
{
    for (size_t m = 0; m < run->plan->model_count; m++) {
        const struct glet_plan_model *model = &run->plan->models[m];
        char where[64];
        snprintf(where, sizeof where, "models[%zu].name", m);
        run->workload_model[m] = glet_workload_find_model(run->workload, model->name);
        run->profile_model[m] = -1;
        for (size_t i = 0; i < run->profile->model_count && run->profile_model[m] < 0; i++)
            if (strcmp(run->profile->models[i].model, model->name) == 0)
                run->profile_model[m] = (int)i;
        if (run->workload_model[m] < 0)
            glet_verify_report(run, GLET_RULE_NAMES, model->mark, where,
                               "the workload has no model '%s'", model->name);
    }
}

/* Of each workload model: the plan serves at least its demand. */
static void check_demand(struct verify_run *run)
{
    const struct glet_plan *plan = run->plan;
    double scale = glet_plan_scale(plan);
    for (size_t w = 0; w < run->workload->model_count; w++) {
        double demand_rps = scale * glet_workload_demand_rps(run->workload, w), sum_rps = 0;
        size_t at = plan->model_count;
        for (size_t m = 0; m < plan->model_count; m++) {
            if (run->workload_model[m] != (int)w)
                continue;
            sum_rps += run->rate_sum_rps[m];
            at = m;
        }
        if (glet_verify_at_most(demand_rps, sum_rps))
            continue;
        char where[64] = "models";
        if (at < plan->model_count)
            snprintf(where, sizeof where, "models[%zu]", at);
        struct glet_mark mark =
            at < plan->model_count ? plan->models[at].mark : (struct glet_mark){0, 0};
        glet_verify_report(run, GLET_RULE_DEMAND, mark, where,
                           "the gpu-lets of %s serve %.9g requests per second of %.9g",
                           run->workload->models[w].name, sum_rps, demand_rps);
    }
}

/*
 * What the runtime goes by must be no less than what the workload asks for. Where the gpu-lets fall
 * short of it as well, that has been said.
 */
static void check_promise(struct verify_run *run, size_t m)
{
    const struct glet_plan_model *model = &run->plan->models[m];
    size_t w = (size_t)run->workload_model[m];
    const struct glet_workload_model *asked = &run->workload->models[w];
    double demand_rps = glet_plan_scale(run->plan) * glet_workload_demand_rps(run->workload, w);
    char where[64];
    snprintf(where, sizeof where, "models[%zu]", m);
    if (asked->slo_ms > 0 && glet_verify_at_most(run->worst_ms[w], asked->slo_ms) &&
        (model->slo_ms <= 0 || !glet_verify_at_most(model->slo_ms, asked->slo_ms)))
        glet_verify_report(run, GLET_RULE_PROMISE, model->mark, where,
                           "%s has an SLO of %.9g ms in the plan, of %.9g ms in the workload",
                           model->name, model->slo_ms, asked->slo_ms);
    if (asked->slo_ms > 0 && !glet_verify_at_most(asked->percentile, model->percentile))
        glet_verify_report(run, GLET_RULE_PROMISE, model->mark, where,
                           "%s has a percentile of %.9g in the plan, of %.9g in the workload",
                           model->name, model->percentile, asked->percentile);
    if (glet_verify_at_most(demand_rps, run->rate_sum_rps[m]) &&
        !glet_verify_at_most(demand_rps, model->rate_rps))
        glet_verify_report(run, GLET_RULE_PROMISE, model->mark, where,
                           "%s has a rate of %.9g requests per second in the plan, of %.9g in the "
                           "workload",
                           model->name, model->rate_rps, demand_rps);
}

static void check_promises(struct verify_run *run)
{
    for (size_t m = 0; m < run->plan->model_count; m++)
        if (run->workload_model[m] >= 0)
            check_promise(run, m);
}

/* The longest time from an app's start to the end of stage s. Stages form a DAG. */
static double stage_end_ms(const struct glet_workload_app *app, const double *of_model_ms, size_t s,
                           double *memo)
{
    if (memo[s] >= 0)
        return memo[s];
    double start_ms = 0;
    for (size_t i = 0; i < app->stages[s].after_count; i++)
        start_ms = fmax(start_ms, stage_end_ms(app, of_model_ms, app->stages[s].after[i], memo));
    memo[s] = start_ms + of_model_ms[app->stages[s].model];
    return memo[s];
}

/* of_model_ms: [workload model] what a stage takes. */
static void check_paths(struct verify_run *run, const double *of_model_ms, const char *what)
{
    for (size_t a = 0; a < run->workload->app_count; a++) {
        const struct glet_workload_app *app = &run->workload->apps[a];
        double *memo = malloc((app->stage_count + 1) * sizeof *memo), longest_ms = 0;
        if (!memo) {
            run->out_of_memory = true;
            return;
        }
        for (size_t s = 0; s < app->stage_count; s++)
            memo[s] = -1;
        for (size_t s = 0; s < app->stage_count; s++)
            longest_ms = fmax(longest_ms, stage_end_ms(app, of_model_ms, s, memo));
        free(memo);
        if (!glet_verify_at_most(longest_ms, app->slo_ms))
            glet_verify_report(run, GLET_RULE_APP, (struct glet_mark){0, 0}, "gpus",
                               "%s of app %s takes %.9g ms, its SLO is %.9g ms", what, app->name,
                               longest_ms, app->slo_ms);
    }
}

/* Latency bounds, and deadlines where the plan has some, along every path. */
static void check_apps(struct verify_run *run)
{
    const struct glet_plan *plan = run->plan;
    size_t bytes = (run->workload->model_count + 1) * sizeof(double);
    double *deadline_ms = malloc(bytes);
    if (!deadline_ms) {
        run->out_of_memory = true;
        return;
    }
    size_t known = run->out->count;
    check_paths(run, run->worst_ms, "a path");
    memcpy(deadline_ms, run->worst_ms, bytes);
    bool has_some = false;
    for (size_t m = 0; m < plan->model_count; m++) {
        const struct glet_plan_model *model = &plan->models[m];
        int w = run->workload_model[m];
        if (model->deadline_ms <= 0 || w < 0)
            continue;
        has_some = true;
        if (!glet_verify_at_most(run->worst_ms[w], model->deadline_ms)) {
            char where[64];
            snprintf(where, sizeof where, "models[%zu]", m);
            glet_verify_report(run, GLET_RULE_APP, model->mark, where,
                               "%s has a latency bound of %.9g ms, its deadline is %.9g ms",
                               model->name, run->worst_ms[w], model->deadline_ms);
        }
        deadline_ms[w] = fmax(deadline_ms[w], model->deadline_ms);
    }
    if (has_some && run->out->count == known)
        check_paths(run, deadline_ms, "a path of deadlines");
    free(deadline_ms);
}

static bool same_node(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static long used_on(const struct glet_plan *plan, const char *type, const char *node)
{
    long used = 0;
    for (size_t g = 0; g < plan->gpu_count; g++)
        used += strcmp(plan->gpus[g].type, type) == 0 && same_node(plan->gpus[g].node, node);
    return used;
}

#define ENDLESS 1e15 /* a stock without a limit; exact in a double, and so are sums of a few */

/* GPUs of a type on a node that the workload has; node NULL: those that may be anywhere. */
static double stock_on(const struct glet_workload *workload, const char *type, const char *node)
{
    double stock = 0;
    for (size_t i = 0; i < workload->gpu_count; i++)
        if (strcmp(workload->gpus[i].type, type) == 0 && same_node(workload->gpus[i].node, node))
            stock += workload->gpus[i].count < 0 ? ENDLESS : workload->gpus[i].count;
    return stock;
}

/* First occurrence of a (type, node) in the plan? Then it is counted here. */
static bool first_of(const struct glet_plan *plan, size_t g, bool with_node)
{
    for (size_t i = 0; i < g; i++)
        if (strcmp(plan->gpus[i].type, plan->gpus[g].type) == 0 &&
            (!with_node || same_node(plan->gpus[i].node, plan->gpus[g].node)))
            return false;
    return true;
}

/*
 * GPUs with a node use that node's stock, then the stock without a node; GPUs without one use
 * whatever is left anywhere.
 */
static void check_stock_of(struct verify_run *run, size_t first)
{
    const struct glet_plan *plan = run->plan;
    const char *type = plan->gpus[first].type;
    double total = 0, anywhere = stock_on(run->workload, type, NULL), overflow = 0;
    long used = 0;
    for (size_t i = 0; i < run->workload->gpu_count; i++)
        if (strcmp(run->workload->gpus[i].type, type) == 0)
            total += run->workload->gpus[i].count < 0 ? ENDLESS : run->workload->gpus[i].count;
    for (size_t g = first; g < plan->gpu_count; g++) {
        if (strcmp(plan->gpus[g].type, type) != 0)
            continue;
        used++;
        const char *node = plan->gpus[g].node;
        if (node && first_of(plan, g, true))
            overflow +=
                fmax(0, (double)used_on(plan, type, node) - stock_on(run->workload, type, node));
    }
    char where[64];
    snprintf(where, sizeof where, "gpus[%zu]", first);
    if ((double)used > total)
        glet_verify_report(run, GLET_RULE_STOCK, plan->gpus[first].mark, where,
                           "type %s: %ld GPU%s used, the workload has %.0f", type, used,
                           used == 1 ? " is" : "s are", total);
    else if (overflow > anywhere)
        glet_verify_report(run, GLET_RULE_STOCK, plan->gpus[first].mark, where,
                           "type %s: %.0f GPU%s on nodes that do not have them", type,
                           overflow - anywhere, overflow - anywhere == 1 ? " is" : "s are");
}

static int release(struct verify_run *run, struct glet_error *err)
{
    free(run->index);
    free(run->profile_model);
    free(run->workload_model);
    free(run->rate_sum_rps);
    free(run->worst_ms);
    return run->out_of_memory ? glet_error_set(err, GLET_ERR_NOMEM, "out of memory") : 0;
}

int glet_verify(const struct glet_workload *workload, const struct glet_profile *profile,
                const struct glet_plan *plan, struct glet_verdict *out, struct glet_error *err)
{
    struct verify_run run = {.workload = workload, .profile = profile, .plan = plan, .out = out};
    *out = (struct glet_verdict){0};
    if (!prepare(&run)) {
        run.out_of_memory = true;
        return release(&run, err);
    }
    check_names(&run);
    for (size_t g = 0; g < plan->gpu_count; g++)
        glet_verify_gpu(&run, g);
    check_demand(&run);
    check_promises(&run);
    check_apps(&run);
    for (size_t g = 0; g < plan->gpu_count; g++)
        if (first_of(plan, g, false))
            check_stock_of(&run, g);
    return release(&run, err);
}

void glet_verdict_fini(struct glet_verdict *verdict)
{
    if (!verdict)
        return;
    for (size_t i = 0; i < verdict->count; i++) {
        free(verdict->violations[i].where);
        free(verdict->violations[i].what);
    }
    free(verdict->violations);
    *verdict = (struct glet_verdict){0};
}
