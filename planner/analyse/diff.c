/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Comparing two plans. Gpu-lets get numbers, equal ones the same; GPUs become sorted lists of
 * numbers and are matched greedily, most in common first: O(GPUs^2 x gpu-lets per GPU) merges in
 * the worst case, once per number in common that occurs.
 */
#include "planner/analyse/diff.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int out_of_memory(struct glet_error *err)
{
    return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
}

/*
 * A gpu-let of either plan with a number that equal gpu-lets share: `what` names size, models and
 * batches in a canonical way, and numbers are given in its order.
 */
struct let_id {
    char *what;
    size_t gpu, let;
    bool after; /* of which plan */
    int id;
};

struct gpu_ids { /* a GPU as the ascending ids of its gpu-lets */
    const struct glet_plan_gpu *gpu;
    int *ids;
    bool *kept; /* [let_count], in the order of ids */
    size_t *let;
    bool matched;
    size_t partner; /* when matched: the GPU of the other plan */
};

struct matcher {
    struct let_id *lets;
    size_t let_count;
    struct gpu_ids *gpus[2]; /* before, after */
    size_t gpu_count[2];
};

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "g 6: a x8, b x4", models in alphabetical order; NULL when memory has run out. */
static char *name_let(const struct glet_plan *plan, const struct glet_plan_gpu *gpu,
                      const struct glet_plan_let *let)
{
    char **parts = calloc(let->model_count + 1, sizeof *parts), *text = NULL;
    size_t size = 0;
    FILE *out = parts ? open_memstream(&text, &size) : NULL;
    bool ok = out != NULL;
    for (size_t k = 0; ok && k < let->model_count; k++)
        if (asprintf(&parts[k], "%s x%d", plan->models[let->models[k].model].name,
                     let->models[k].batch) < 0) {
            parts[k] = NULL;
            ok = false;
        }
    if (ok) {
        qsort(parts, let->model_count, sizeof *parts, compare_texts);
        fprintf(out, "%s %d:", gpu->type, let->units);
        for (size_t k = 0; k < let->model_count; k++)
            fprintf(out, " %s,", parts[k]);
    }
    if (out && fclose(out) != 0)
        ok = false;
    for (size_t k = 0; parts && k < let->model_count; k++)
        free(parts[k]);
    free(parts);
    if (ok)
        return text;
    free(text);
    return NULL;
}

static int compare_let_ids(const void *a, const void *b)
{
    return strcmp(((const struct let_id *)a)->what, ((const struct let_id *)b)->what);
}

static bool list_lets(struct matcher *m, const struct glet_plan *plan, bool after)
{
    for (size_t g = 0; g < plan->gpu_count; g++)
        for (size_t i = 0; i < plan->gpus[g].let_count; i++) {
            char *what = name_let(plan, &plan->gpus[g], &plan->gpus[g].lets[i]);
            if (!what)
                return false;
            m->lets[m->let_count++] = (struct let_id){what, g, i, after, 0};
        }
    return true;
}

static bool start_gpus(struct matcher *m, const struct glet_plan *plan, int side)
{
    m->gpus[side] = calloc(plan->gpu_count + 1, sizeof *m->gpus[side]);
    for (size_t g = 0; m->gpus[side] && g < plan->gpu_count; g++) {
        struct gpu_ids *gpu = &m->gpus[side][m->gpu_count[side]++];
        size_t count = plan->gpus[g].let_count + 1;
        gpu->gpu = &plan->gpus[g];
        gpu->ids = calloc(count, sizeof *gpu->ids);
        gpu->kept = calloc(count, sizeof *gpu->kept);
        gpu->let = calloc(count, sizeof *gpu->let);
        if (!gpu->ids || !gpu->kept || !gpu->let)
            return false;
    }
    return m->gpus[side] != NULL;
}

/* Sorting all gpu-lets by name numbers them, and visits those of each GPU in ascending order. */
static bool prepare(struct matcher *m, const struct glet_plan *before,
                    const struct glet_plan *after, size_t lets)
{
    m->lets = calloc(lets + 1, sizeof *m->lets);
    size_t *filled[2] = {calloc(before->gpu_count + 1, sizeof(size_t)),
                         calloc(after->gpu_count + 1, sizeof(size_t))};
    bool ok = m->lets && filled[0] && filled[1] && list_lets(m, before, false) &&
              list_lets(m, after, true) && start_gpus(m, before, 0) && start_gpus(m, after, 1);
    if (ok && m->let_count > 1)
        qsort(m->lets, m->let_count, sizeof *m->lets, compare_let_ids);
    for (size_t i = 0; ok && i < m->let_count; i++) {
        struct let_id *let = &m->lets[i];
        struct gpu_ids *gpu = &m->gpus[let->after][let->gpu];
        let->id = i > 0 ? m->lets[i - 1].id + (compare_let_ids(let - 1, let) != 0) : 0;
        size_t at = filled[let->after][let->gpu]++;
        gpu->ids[at] = let->id;
        gpu->let[at] = let->let;
    }
    free(filled[0]);
    free(filled[1]);
    return ok;
}

/* Gpu-lets that two GPUs have in common; marks them as kept when mark is set. */
static int overlap(struct gpu_ids *x, struct gpu_ids *y, bool mark)
{
    int count = 0;
    for (size_t i = 0, j = 0; i < x->gpu->let_count && j < y->gpu->let_count;) {
        if (x->ids[i] != y->ids[j]) {
            if (x->ids[i] < y->ids[j])
                i++;
            else
                j++;
            continue;
        }
        if (mark)
            x->kept[i] = y->kept[j] = true;
        count++;
        i++;
        j++;
    }
    return count;
}

/* Matches every free pair of GPUs with at least `least` gpu-lets in common; returns how many stay.
 */
static int match_at_least(struct matcher *m, int least, int *next)
{
    int kept = 0;
    *next = 0;
    for (size_t to = 0; to < m->gpu_count[1]; to++) {
        struct gpu_ids *y = &m->gpus[1][to];
        for (size_t from = 0; from < m->gpu_count[0] && !y->matched; from++) {
            struct gpu_ids *x = &m->gpus[0][from];
            int count = x->matched ? 0 : overlap(x, y, false);
            if (count >= least) {
                x->matched = y->matched = true;
                x->partner = to;
                y->partner = from;
                kept += overlap(x, y, true);
            } else if (count > *next) {
                *next = count;
            }
        }
    }
    return kept;
}

static int match(struct matcher *m)
{
    int least = 1, kept = 0, next;
    for (size_t g = 0; g < m->gpu_count[1]; g++)
        if ((int)m->gpus[1][g].gpu->let_count > least)
            least = (int)m->gpus[1][g].gpu->let_count;
    for (; least > 0; least = next < least ? next : least - 1)
        kept += match_at_least(m, least, &next);
    return kept;
}

static int count_lets(const struct glet_plan *plan)
{
    int count = 0;
    for (size_t g = 0; g < plan->gpu_count; g++)
        count += (int)plan->gpus[g].let_count;
    return count;
}

/* The gpu-lets of one plan that are not kept, in the order of the plan. */
static void list_changes(const struct glet_plan *plan, const struct gpu_ids *gpus,
                         enum glet_change_kind kind, struct glet_diff *out)
{
    for (size_t g = 0; g < plan->gpu_count; g++)
        for (size_t i = 0; i < plan->gpus[g].let_count; i++) {
            bool kept = false;
            for (size_t k = 0; k < plan->gpus[g].let_count; k++)
                kept = kept || (gpus[g].let[k] == i && gpus[g].kept[k]);
            if (!kept)
                out->changes[out->change_count++] =
                    (struct glet_change){kind, plan->gpus[g].id, &plan->gpus[g].lets[i], plan};
        }
}

static void release(struct matcher *m)
{
    for (size_t i = 0; i < m->let_count; i++)
        free(m->lets[i].what);
    for (int side = 0; side < 2; side++) {
        for (size_t g = 0; g < m->gpu_count[side]; g++) {
            free(m->gpus[side][g].ids);
            free(m->gpus[side][g].kept);
            free(m->gpus[side][g].let);
        }
        free(m->gpus[side]);
    }
    free(m->lets);
}

static int compare_lets(struct glet_diff *out, const struct glet_plan *before,
                        const struct glet_plan *after, struct glet_error *err)
{
    struct matcher m = {0};
    size_t lets = (size_t)(out->lets_before + out->lets_after);
    out->changes = calloc(lets + 1, sizeof *out->changes);
    bool ok = out->changes && prepare(&m, before, after, lets);
    if (ok) {
        out->lets_kept = match(&m);
        list_changes(after, m.gpus[1], GLET_CHANGE_START, out);
        list_changes(before, m.gpus[0], GLET_CHANGE_STOP, out);
    }
    release(&m);
    return ok ? 0 : out_of_memory(err);
}

int glet_diff_partners(const struct glet_plan *before, const struct glet_plan *after,
                       size_t *partner, struct glet_error *err)
{
    struct matcher m = {0};
    bool ok = prepare(&m, before, after, (size_t)(count_lets(before) + count_lets(after)));
    if (ok)
        match(&m);
    for (size_t g = 0; ok && g < after->gpu_count; g++)
        partner[g] = m.gpus[1][g].matched ? m.gpus[1][g].partner : GLET_DIFF_NONE;
    release(&m);
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
