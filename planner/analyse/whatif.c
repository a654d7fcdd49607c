/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What-if: change the numbers of the workload, build the problem again, solve, restore. A change
 * of the input rather than of the solver's tables, so that everything (apps, quantiles, the
 * verifier) sees the same world.
 */
#include "planner/analyse/whatif.h"

#include "planner/report/answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The numbers that scenarios change. */
struct saved {
    double *rate_rps, *slo_ms; /* models, then apps */
    int *count;                /* gpus */
};

static bool save(const struct glet_workload *w, struct saved *s)
{
    size_t loads = w->model_count + w->app_count;
    s->rate_rps = malloc((loads + 1) * sizeof *s->rate_rps);
    s->slo_ms = malloc((loads + 1) * sizeof *s->slo_ms);
    s->count = malloc((w->gpu_count + 1) * sizeof *s->count);
    if (!s->rate_rps || !s->slo_ms || !s->count)
        return false;
    for (size_t i = 0; i < loads; i++) {
        size_t a = i - w->model_count;
        s->rate_rps[i] = i < w->model_count ? w->models[i].rate_rps : w->apps[a].rate_rps;
        s->slo_ms[i] = i < w->model_count ? w->models[i].slo_ms : w->apps[a].slo_ms;
    }
    for (size_t g = 0; g < w->gpu_count; g++)
        s->count[g] = w->gpus[g].count;
    return true;
}

/* Sets every number to its saved value times the scenario's factors. */
static void apply(struct glet_workload *w, const struct saved *s, const struct glet_scenario *scene,
                  int used)
{
    for (size_t m = 0; m < w->model_count; m++) {
        w->models[m].rate_rps = s->rate_rps[m] * scene->rate_factor;
        w->models[m].slo_ms = s->slo_ms[m] * scene->slo_factor;
    }
    for (size_t a = 0; a < w->app_count; a++) {
        w->apps[a].rate_rps = s->rate_rps[w->model_count + a] * scene->rate_factor;
        w->apps[a].slo_ms = s->slo_ms[w->model_count + a] * scene->slo_factor;
    }
    for (size_t g = 0; g < w->gpu_count; g++) {
        w->gpus[g].count = s->count[g];
        if ((int)g == scene->less_gpu)
            w->gpus[g].count = (s->count[g] < 0 ? used : s->count[g]) - 1;
    }
}

static void release(struct saved *s)
{
    free(s->rate_rps);
    free(s->slo_ms);
    free(s->count);
}

static int out_of_memory(struct glet_error *err)
{
    return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
}

/* GPUs of one workload entry that the plan uses. */
static int used_of(const struct glet_plan *plan, const struct glet_workload_gpu *entry)
{
    int used = 0;
    for (size_t g = 0; plan && g < plan->gpu_count; g++)
        used +=
            strcmp(plan->gpus[g].type, entry->type) == 0 &&
            (!entry->node || (plan->gpus[g].node && strcmp(plan->gpus[g].node, entry->node) == 0));
    return used;
}

static int fill_row(const struct glet_session *session, const struct glet_answer *answer,
                    struct glet_whatif_row *row, struct glet_error *err)
{
    row->outcome = answer->outcome;
    row->lower_bound = answer->bound.gpus;
    row->scale = answer->scale;
    if (answer->plan) {
        row->gpus = answer->plan->certificate.gpus;
        row->scale = glet_plan_scale(answer->plan);
        for (size_t g = 0; g < answer->plan->gpu_count; g++)
            for (int t = 0; t < session->problem->type_count; t++)
                if (strcmp(session->problem->types[t].name, answer->plan->gpus[g].type) == 0) {
                    row->cost_per_hour += session->problem->types[t].cost_per_hour;
                    break;
                }
        return 0;
    }
    char text[700];
    if (answer->outcome == GLET_PLAN_UNSERVEABLE)
        glet_unserveable_text(session->problem, &answer->unserveable[0], text, sizeof text);
    else
        glet_answer_stock_text(answer, text, sizeof text);
    row->reason = strdup(text);
    return row->reason ? 0 : out_of_memory(err);
}

/* A new last row; owns the name. */
static struct glet_whatif_row *add_row(struct glet_whatif *out, const struct glet_scenario *scene,
                                       char *name)
{
    struct glet_whatif_row *bigger = realloc(out->rows, (out->count + 1) * sizeof *bigger);
    out->rows = bigger ? bigger : out->rows;
    if (!name || !bigger) {
        free(name);
        return NULL;
    }
    bigger[out->count] = (struct glet_whatif_row){.name = name, .scenario = *scene};
    return &bigger[out->count++];
}

static int try_scenario(struct glet_session *session, const struct saved *saved,
                        struct glet_whatif *out, const struct glet_scenario *scene, char *name,
                        const int *used_by_entry, struct glet_error *err)
{
    struct glet_whatif_row *row = add_row(out, scene, name);
    if (!row)
        return out_of_memory(err);
    apply(session->workload, saved, scene,
          scene->less_gpu < 0 ? 0 : used_by_entry[scene->less_gpu]);
    struct glet_answer answer = {0};
    int result = glet_session_rebuild(session, err);
    if (result == 0)
        result = glet_session_solve(session, NULL, &answer, err);
    if (result == 0)
        result = fill_row(session, &answer, row, err);
    glet_answer_fini(&answer);
    return result;
}

/* The first row; planned unless its answer is known. */
static int start(struct glet_session *session, const struct glet_answer *known,
                 struct glet_whatif *out, int *used_by_entry, struct glet_error *err)
{
    struct glet_scenario as_is = {1, 1, -1};
    struct glet_whatif_row *row = add_row(out, &as_is, strdup("as it is"));
    struct glet_answer answer = {0};
    if (!row)
        return out_of_memory(err);
    int result = known ? 0 : glet_session_solve(session, NULL, &answer, err);
    known = known ? known : &answer;
    if (result == 0)
        result = fill_row(session, known, row, err);
    for (size_t g = 0; result == 0 && g < session->workload->gpu_count; g++)
        used_by_entry[g] = used_of(known->plan, &session->workload->gpus[g]);
    glet_answer_fini(&answer);
    return result;
}

static char *percent_name(const char *what, double percent)
{
    char *name = NULL;
    if (asprintf(&name, "%s %+g %%", what, percent) < 0)
        return NULL;
    return name;
}

static char *less_name(const struct glet_workload_gpu *entry)
{
    char *name = NULL;
    int length = entry->node ? asprintf(&name, "one %s of %s less", entry->type, entry->node)
                             : asprintf(&name, "one %s less", entry->type);
    return length < 0 ? NULL : name;
}

static int try_all(struct glet_session *session, const struct saved *saved,
                   const double *rate_percents, size_t rate_count, const double *slo_percents,
                   size_t slo_count, bool less_gpu, const int *used, struct glet_whatif *out,
                   struct glet_error *err)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < rate_count; i++) {
        struct glet_scenario scene = {1 + rate_percents[i] / 100, 1, -1};
        result = try_scenario(session, saved, out, &scene, percent_name("rates", rate_percents[i]),
                              used, err);
    }
    for (size_t i = 0; result == 0 && i < slo_count; i++) {
        struct glet_scenario scene = {1, 1 + slo_percents[i] / 100, -1};
        result = try_scenario(session, saved, out, &scene, percent_name("SLOs", slo_percents[i]),
                              used, err);
    }
    for (size_t g = 0; less_gpu && result == 0 && g < session->workload->gpu_count; g++) {
        struct glet_scenario scene = {1, 1, (int)g};
        if (saved->count[g] == 0 || (saved->count[g] < 0 && used[g] == 0))
            continue;
        result = try_scenario(session, saved, out, &scene, less_name(&session->workload->gpus[g]),
                              used, err);
    }
    return result;
}

int glet_whatif(struct glet_session *session, const struct glet_answer *as_is,
                const double *rate_percents, size_t rate_count, const double *slo_percents,
                size_t slo_count, bool less_gpu, struct glet_whatif *out, struct glet_error *err)
{
    struct saved saved = {0};
    *out = (struct glet_whatif){0};
    int *used = calloc(session->workload->gpu_count + 1, sizeof *used);
    int result;
    if (!used || !save(session->workload, &saved)) {
        result = out_of_memory(err);
    } else {
        struct glet_scenario unchanged = {1, 1, -1};
        result = start(session, as_is, out, used, err);
        if (result == 0)
            result = try_all(session, &saved, rate_percents, rate_count, slo_percents, slo_count,
                             less_gpu, used, out, err);
        apply(session->workload, &saved, &unchanged, 0);
        if (result == 0)
            result = glet_session_rebuild(session, err);
    }
    release(&saved);
    free(used);
    return result;
}

void glet_whatif_fini(struct glet_whatif *whatif)
{
    for (size_t i = 0; i < whatif->count; i++) {
        free(whatif->rows[i].name);
        free(whatif->rows[i].reason);
    }
    free(whatif->rows);
    *whatif = (struct glet_whatif){0};
}
