/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Comparing two plans. The matching of GPUs is greedy over all pairs by the number of equal
 * gpu-lets: O(GPUs^2 x gpu-lets^2) in the worst case, with equal GPUs found first, which leaves
 * little for the rest.
 */
#include "planner/diff.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int out_of_memory(struct glet_error *err)
{
    return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
}

static bool has_slot(const struct glet_plan *plan, const struct glet_plan_let *let,
                     const char *name, int batch)
{
    for (size_t k = 0; k < let->model_count; k++)
        if (let->models[k].batch == batch &&
            strcmp(plan->models[let->models[k].model].name, name) == 0)
            return true;
    return false;
}

static bool same_let(const struct glet_plan *a, const struct glet_plan_let *x,
                     const struct glet_plan *b, const struct glet_plan_let *y)
{
    if (x->units != y->units || x->model_count != y->model_count)
        return false;
    for (size_t k = 0; k < x->model_count; k++)
        if (!has_slot(b, y, a->models[x->models[k].model].name, x->models[k].batch))
            return false;
    return true;
}

#define MATCHED_LETS_MAX 128 /* per GPU; more than any device offers, more are counted as moved */

struct matcher {
    const struct glet_plan *before, *after;
    bool **kept_before, **kept_after; /* [gpu][let] */
    bool *matched_before, *matched_after;
};

/* Equal gpu-lets of two GPUs; marks them as kept when mark is set. */
static int overlap(struct matcher *m, size_t from, size_t to, bool mark)
{
    const struct glet_plan_gpu *x = &m->before->gpus[from], *y = &m->after->gpus[to];
    bool taken[MATCHED_LETS_MAX] = {false};
    int count = 0;
    if (strcmp(x->type, y->type) != 0)
        return 0;
    for (size_t i = 0; i < x->let_count; i++)
        for (size_t j = 0; j < y->let_count && j < MATCHED_LETS_MAX; j++) {
            if (taken[j] || !same_let(m->before, &x->lets[i], m->after, &y->lets[j]))
                continue;
            taken[j] = true;
            count++;
            if (mark)
                m->kept_before[from][i] = m->kept_after[to][j] = true;
            break;
        }
    return count;
}

static int keep(struct matcher *m, size_t from, size_t to)
{
    m->matched_before[from] = m->matched_after[to] = true;
    return overlap(m, from, to, true);
}

/* Pass 1 matches GPUs that lose nothing; then the best remaining pair, again and again. */
static int match(struct matcher *m)
{
    int kept = 0;
    for (size_t to = 0; to < m->after->gpu_count; to++)
        for (size_t from = 0; from < m->before->gpu_count && !m->matched_after[to]; from++)
            if (!m->matched_before[from] &&
                m->before->gpus[from].let_count == m->after->gpus[to].let_count &&
                (size_t)overlap(m, from, to, false) == m->after->gpus[to].let_count)
                kept += keep(m, from, to);
    for (;;) {
        int best = 0;
        size_t best_from = 0, best_to = 0;
        for (size_t to = 0; to < m->after->gpu_count; to++)
            for (size_t from = 0; !m->matched_after[to] && from < m->before->gpu_count; from++) {
                int count = m->matched_before[from] ? 0 : overlap(m, from, to, false);
                if (count > best) {
                    best = count;
                    best_from = from;
                    best_to = to;
                }
            }
        if (best == 0)
            return kept;
        kept += keep(m, best_from, best_to);
    }
}

static bool **let_flags(const struct glet_plan *plan)
{
    bool **flags = calloc(plan->gpu_count + 1, sizeof *flags);
    for (size_t g = 0; flags && g < plan->gpu_count; g++) {
        flags[g] = calloc(plan->gpus[g].let_count + 1, sizeof **flags);
        if (!flags[g]) {
            while (g > 0)
                free(flags[--g]);
            free(flags);
            return NULL;
        }
    }
    return flags;
}

static void free_flags(bool **flags, const struct glet_plan *plan)
{
    for (size_t g = 0; flags && g < plan->gpu_count; g++)
        free(flags[g]);
    free(flags);
}

static int count_lets(const struct glet_plan *plan)
{
    int count = 0;
    for (size_t g = 0; g < plan->gpu_count; g++)
        count += (int)plan->gpus[g].let_count;
    return count;
}

static void list_changes(const struct glet_plan *plan, bool **kept, enum glet_change_kind kind,
                         struct glet_diff *out)
{
    for (size_t g = 0; g < plan->gpu_count; g++)
        for (size_t i = 0; i < plan->gpus[g].let_count; i++)
            if (!kept[g][i])
                out->changes[out->change_count++] =
                    (struct glet_change){kind, plan->gpus[g].id, &plan->gpus[g].lets[i], plan};
}

static int compare_lets(struct glet_diff *out, const struct glet_plan *before,
                        const struct glet_plan *after, struct glet_error *err)
{
    struct matcher m = {before,
                        after,
                        let_flags(before),
                        let_flags(after),
                        calloc(before->gpu_count + 1, sizeof(bool)),
                        calloc(after->gpu_count + 1, sizeof(bool))};
    out->changes = calloc((size_t)(out->lets_before + out->lets_after) + 1, sizeof *out->changes);
    bool ok = m.kept_before && m.kept_after && m.matched_before && m.matched_after && out->changes;
    if (ok) {
        out->lets_kept = match(&m);
        list_changes(after, m.kept_after, GLET_CHANGE_START, out);
        list_changes(before, m.kept_before, GLET_CHANGE_STOP, out);
    }
    free_flags(m.kept_before, before);
    free_flags(m.kept_after, after);
    free(m.matched_before);
    free(m.matched_after);
    return ok ? 0 : out_of_memory(err);
}

static double worst_ms(const struct glet_plan *plan, size_t model)
{
    double worst = 0;
    for (size_t g = 0; g < plan->gpu_count; g++)
        for (size_t i = 0; i < plan->gpus[g].let_count; i++)
            for (size_t k = 0; k < plan->gpus[g].lets[i].model_count; k++) {
                const struct glet_plan_let_model *slot = &plan->gpus[g].lets[i].models[k];
                if (slot->model == model)
                    worst = fmax(worst, slot->latency_bound_ms);
            }
    return worst;
}

static struct glet_model_change *model_entry(struct glet_diff *out, const char *name)
{
    for (size_t i = 0; i < out->model_count; i++)
        if (strcmp(out->models[i].name, name) == 0)
            return &out->models[i];
    out->models[out->model_count] = (struct glet_model_change){.name = name};
    return &out->models[out->model_count++];
}

static int compare_models(struct glet_diff *out, const struct glet_plan *before,
                          const struct glet_plan *after, struct glet_error *err)
{
    out->models = calloc(before->model_count + after->model_count + 1, sizeof *out->models);
    if (!out->models)
        return out_of_memory(err);
    for (size_t m = 0; m < after->model_count; m++) {
        struct glet_model_change *entry = model_entry(out, after->models[m].name);
        entry->rate_after_rps = after->models[m].rate_rps;
        entry->planned_after_rps = after->models[m].planned_rps;
        entry->slo_after_ms = after->models[m].slo_ms;
        entry->worst_after_ms = worst_ms(after, m);
    }
    for (size_t m = 0; m < before->model_count; m++) {
        struct glet_model_change *entry = model_entry(out, before->models[m].name);
        entry->rate_before_rps = before->models[m].rate_rps;
        entry->planned_before_rps = before->models[m].planned_rps;
        entry->slo_before_ms = before->models[m].slo_ms;
        entry->worst_before_ms = worst_ms(before, m);
    }
    return 0;
}

/* The price of a GPU: its node's entry, else the type's first; NAN when the workload has none. */
static double price(const struct glet_workload *workload, const struct glet_plan_gpu *gpu)
{
    double cost = NAN;
    for (size_t i = 0; workload && i < workload->gpu_count; i++) {
        const struct glet_workload_gpu *entry = &workload->gpus[i];
        if (strcmp(entry->type, gpu->type) != 0)
            continue;
        if (gpu->node && entry->node && strcmp(gpu->node, entry->node) == 0)
            return entry->cost_per_hour;
        cost = isnan(cost) ? entry->cost_per_hour : cost;
    }
    return cost;
}

static double total_cost(const struct glet_plan *plan, const struct glet_workload *workload)
{
    if (!workload)
        return plan->objective == GLET_MIN_COST ? plan->certificate.cost_per_hour : NAN;
    double sum = 0;
    for (size_t g = 0; g < plan->gpu_count; g++)
        sum += price(workload, &plan->gpus[g]);
    return sum;
}

int glet_diff(const struct glet_plan *before, const struct glet_plan *after,
              const struct glet_workload *workload, struct glet_diff *out, struct glet_error *err)
{
    *out = (struct glet_diff){
        .gpus_before = (int)before->gpu_count,
        .gpus_after = (int)after->gpu_count,
        .cost_before = total_cost(before, workload),
        .cost_after = total_cost(after, workload),
        .lets_before = count_lets(before),
        .lets_after = count_lets(after),
    };
    if (compare_lets(out, before, after, err) < 0 || compare_models(out, before, after, err) < 0)
        return -1;
    return 0;
}

void glet_diff_fini(struct glet_diff *diff)
{
    free(diff->changes);
    free(diff->models);
    *diff = (struct glet_diff){0};
}

void glet_diff_let_text(const struct glet_plan *plan, const struct glet_plan_let *let, char *text,
                        size_t size)
{
    size_t used = (size_t)snprintf(text, size, "%d units:", let->units);
    for (size_t k = 0; k < let->model_count && used < size; k++)
        used += (size_t)snprintf(text + used, size - used, "%s %s x%d", k ? " +" : "",
                                 plan->models[let->models[k].model].name, let->models[k].batch);
}

double glet_headroom_percent(double worst, double slo_ms)
{
    return worst > 0 && slo_ms > 0 ? 100 * (1 - worst / slo_ms) : NAN;
}
