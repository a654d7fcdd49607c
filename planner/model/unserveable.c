/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The reasons are tried from the mildest restriction to the strictest: if even the fastest point
 * of the profile is too slow, latency is the reason; else what took that point away is.
 */
#include "planner/model/unserveable.h"

#include <math.h>
#include <stdio.h>

/* The tightest app that uses the model, by what its SLO leaves; -1 = none. */
static int tightest_app(const struct glet_problem *problem, int model)
{
    int tightest = -1;
    for (int a = 0; a < problem->app_count; a++)
        for (int s = 0; s < problem->apps[a].stage_count; s++)
            if (problem->apps[a].stages[s].model == model &&
                (tightest < 0 || problem->apps[a].slo_ms < problem->apps[tightest].slo_ms))
                tightest = a;
    return tightest;
}

static bool has_stock(const struct glet_problem *problem, const struct glet_choice *ideal)
{
    return ideal->type >= 0 && problem->types[ideal->type].count != 0;
}

bool glet_unserveable(const struct glet_problem *problem, int model, struct glet_unserveable *out)
{
    const struct glet_problem_model *m = &problem->models[model];
    *out = (struct glet_unserveable){.model = model, .limit_ms = m->limit_ms, .app = -1};
    if (m->demand_rps <= 0)
        return false;
    out->best = glet_latency_best(problem, model);
    if (out->best.type >= 0 && glet_within(out->best.bound_ms, m->limit_ms))
        return false;
    out->ideal = glet_latency_ideal(problem, model);
    bool by_app = m->in_app && (m->slo_ms <= 0 || m->limit_ms < m->slo_ms);
    if (!glet_within(out->ideal.bound_ms, m->limit_ms)) {
        out->reason = by_app ? GLET_UNSERVEABLE_APP : GLET_UNSERVEABLE_LATENCY;
        out->app = by_app ? tightest_app(problem, model) : -1;
    } else if (!has_stock(problem, &out->ideal)) {
        out->reason = GLET_UNSERVEABLE_STOCK;
    } else {
        out->reason = GLET_UNSERVEABLE_MEMORY;
    }
    return true;
}

static void point_text(const struct glet_problem *problem, const struct glet_choice *at, char *text,
                       size_t size)
{
    const struct glet_problem_type *type = &problem->types[at->type];
    snprintf(text, size, "%.6g ms (2 x %.6g ms at batch %d in %d of %d units of %s)", at->bound_ms,
             at->latency_ms, at->batch, type->sizes_units[at->size], type->units, type->name);
}

/* Names the type that is missing, and what there is instead. */
static void stock_text(const struct glet_problem *problem, const struct glet_unserveable *why,
                       char *text, size_t size)
{
    const struct glet_problem_model *m = &problem->models[why->model];
    char missing[192], best[192];
    point_text(problem, &why->ideal, missing, sizeof missing);
    if (why->best.type < 0) {
        snprintf(
            text, size,
            "%s cannot be served: no GPU in stock can run it; %s, with count 0, would reach %s",
            m->name, problem->types[why->ideal.type].name, missing);
        return;
    }
    point_text(problem, &why->best, best, sizeof best);
    snprintf(text, size,
             "%s cannot be served: its limit is %.6g ms, and the GPUs in stock reach %s at best; "
             "%s, with count 0, would reach %s",
             m->name, m->limit_ms, best, problem->types[why->ideal.type].name, missing);
}

void glet_unserveable_text(const struct glet_problem *problem, const struct glet_unserveable *why,
                           char *text, size_t size)
{
    const struct glet_problem_model *m = &problem->models[why->model];
    const struct glet_choice *shown = why->best.type >= 0 ? &why->best : &why->ideal;
    char point[192];
    point_text(problem, shown, point, sizeof point);
    switch (why->reason) {
    case GLET_UNSERVEABLE_LATENCY:
        snprintf(text, size,
                 "%s cannot be served: its best reachable latency is %s, its SLO is "
                 "%.6g ms",
                 m->name, point, m->slo_ms);
        break;
    case GLET_UNSERVEABLE_APP:
        snprintf(text, size,
                 "%s cannot be served: its best reachable latency is %s, and app %s "
                 "(SLO %.6g ms) leaves it %.6g ms beside its other stages",
                 m->name, point, problem->apps[why->app].name, problem->apps[why->app].slo_ms,
                 why->limit_ms);
        break;
    case GLET_UNSERVEABLE_MEMORY:
        snprintf(text, size,
                 "%s cannot be served: its weights of %.6g MiB, with context and "
                 "activations, do not fit where it would reach %s",
                 m->name, m->memory_mib, point);
        break;
    case GLET_UNSERVEABLE_STOCK:
        stock_text(problem, why, text, size);
        break;
    }
}

struct glet_mark glet_unserveable_mark(const struct glet_problem *problem,
                                       const struct glet_unserveable *why)
{
    const struct glet_problem_model *m = &problem->models[why->model];
    struct glet_mark none = {0, 0};
    if (why->reason == GLET_UNSERVEABLE_APP)
        return problem->apps[why->app].mark;
    if (!problem->workload)
        return none;
    if (why->reason == GLET_UNSERVEABLE_STOCK)
        return problem->workload->gpus[problem->types[why->ideal.type].stock[0].workload_gpu].mark;
    struct glet_mark slo = problem->workload->models[why->model].slo_mark;
    return why->reason == GLET_UNSERVEABLE_LATENCY && slo.line > 0 ? slo : m->mark;
}
