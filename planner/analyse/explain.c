/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Binding constraints are read off the plan: for the gpu-let that serves most of a model, what
 * stops a larger batch at the same size? Relaxations are found by asking the solver again.
 */
#include "planner/analyse/explain.h"

#include "planner/model/gpu_memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const binding_names[] = {"none",  "latency",    "app",
                                            "batch", "throughput", "rate"};

const char *glet_binding_name(enum glet_binding binding)
{
    return binding_names[binding];
}

const char *glet_binding_text(enum glet_binding binding)
{
    static const char *const texts[] = {
        "no demand",
        "its SLO: a larger batch would be too slow",
        "an app's SLO: a larger batch would be too slow",
        "the profile: it runs at the largest batch measured",
        "throughput: no larger batch is faster",
        "its rate: too small for a gpu-let of its own",
    };
    return texts[binding];
}

static int out_of_memory(struct glet_error *err)
{
    return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
}

/* What stops model slot->model, alone in a gpu-let, from running a larger batch there. */
static enum glet_binding binding_of(const struct glet_problem *problem, int type,
                                    const struct glet_let *let, const struct glet_slot *slot)
{
    const struct glet_problem_model *model = &problem->models[slot->model];
    const struct glet_cell_row *row =
        &problem->types[type].rows[slot->model * problem->types[type].size_count + let->size];
    double now_rps = slot->batch / slot->exec_ms;
    for (int b = slot->batch + 1; b <= row->last_batch; b++) {
        double exec_ms = row->cells[b - row->first_batch].latency_ms * slot->factor;
        if (b / exec_ms <= now_rps * (1 + GLET_TOLERANCE_RATIO))
            continue;
        if (!glet_within(2 * exec_ms, model->limit_ms))
            return model->in_app && (model->slo_ms <= 0 || model->limit_ms < model->slo_ms)
                       ? GLET_BINDING_APP
                       : GLET_BINDING_LATENCY;
    }
    return slot->batch == row->last_batch ? GLET_BINDING_BATCH : GLET_BINDING_THROUGHPUT;
}

static void explain_gpu(const struct glet_problem *problem, const struct glet_gpu *gpu,
                        struct glet_model_explanation *models, double *main_rps)
{
    double full = glet_memory_gpu_mib(problem, gpu) / problem->types[gpu->type].memory_mib;
    for (int i = 0; i < gpu->let_count; i++) {
        const struct glet_let *let = &gpu->lets[i];
        for (int k = 0; k < let->slot_count; k++) {
            const struct glet_slot *slot = &let->slots[k];
            struct glet_model_explanation *model = &models[slot->model];
            model->lets++;
            model->shared_lets += let->slot_count > 1;
            model->worst_ms = fmax(model->worst_ms, let->duty_cycle_ms + slot->exec_ms);
            model->worst_factor = fmax(model->worst_factor, slot->factor);
            model->memory_ratio = fmax(model->memory_ratio, full);
            if (let->slot_count == 1 && slot->rate_rps > main_rps[slot->model]) {
                main_rps[slot->model] = slot->rate_rps;
                model->binding = binding_of(problem, gpu->type, let, slot);
            }
            if (model->binding == GLET_BINDING_NONE)
                model->binding = GLET_BINDING_RATE;
        }
    }
}

static int explain_plan(const struct glet_session *session, const struct glet_answer *answer,
                        struct glet_explanation *out, struct glet_error *err)
{
    const struct glet_problem *problem = session->problem;
    size_t count = (size_t)problem->model_count + 1;
    struct glet_solution solution;
    out->models = calloc(count, sizeof *out->models);
    struct glet_sensitivity *prices = calloc(count, sizeof *prices);
    double *main_rps = calloc(count, sizeof *main_rps);
    int result = out->models && prices && main_rps ? 0 : out_of_memory(err);
    if (result == 0)
        result = glet_solution_from_plan(problem, answer->plan, &solution, err);
    if (result == 0) {
        for (int g = 0; g < solution.gpu_count; g++)
            explain_gpu(problem, &solution.gpus[g], out->models, main_rps);
        glet_solution_fini(&solution);
        out->bound = glet_sensitivity(problem, prices, err);
        result = out->bound < 0 ? -1 : 0;
    }
    for (int m = 0; result == 0 && m < problem->model_count; m++)
        out->models[m].price = prices[m];
    free(prices);
    free(main_rps);
    return result;
}

static int add(struct glet_explanation *out, struct glet_relaxation relax, struct glet_error *err)
{
    struct glet_relaxation *bigger =
        realloc(out->relaxations, (out->relaxation_count + 1) * sizeof *bigger);
    if (!bigger)
        return out_of_memory(err);
    out->relaxations = bigger;
    bigger[out->relaxation_count++] = relax;
    return 0;
}

/* Whether the session's changed workload fits. */
static int try(struct glet_session *session, bool fast, bool *fits, struct glet_error *err)
{
    *fits = false;
    if (glet_session_rebuild(session, err) < 0)
        return -1;
    return glet_session_fits(session, fast, fits, err);
}

/* How many more GPUs of one workload entry make it fit, with the others as they are. */
static int relax_gpus(struct glet_session *session, size_t entry, struct glet_explanation *out,
                      struct glet_error *err)
{
    struct glet_workload_gpu *gpu = &session->workload->gpus[entry];
    int count = gpu->count, low = 0, high = 1, result = 0;
    bool fits = false;
    if (count < 0)
        return 0;
    /* The solver may find a plan with one more GPU and miss it with two: every step is checked. */
    for (; result == 0 && !fits && high <= 1 << 16; high *= 2) {
        gpu->count = count + high;
        result = try(session, false, &fits, err);
        low = fits ? low : high;
    }
    high /= 2;
    bool found = fits;
    while (result == 0 && found && high - low > 1) {
        int middle = low + (high - low) / 2;
        gpu->count = count + middle;
        result = try(session, false, &fits, err);
        if (fits)
            high = middle;
        else
            low = middle;
    }
    gpu->count = count;
    if (result < 0 || !found)
        return result;
    double change = (double)high / (count > 0 ? count : 1);
    for (int t = 0; t < session->problem->type_count; t++)
        for (int s = 0; s < session->problem->types[t].stock_count; s++)
            if (session->problem->types[t].stock[s].workload_gpu == entry)
                return add(out, (struct glet_relaxation){GLET_RELAX_GPUS, -1, t, high, change},
                           err);
    return 0;
}

#define STEPS 128 /* of an interval: 1 % of it */

/* A value on its way from where nothing fits to a far end, in steps. */
struct value {
    double *at, from, far;
};

static int try_step(struct glet_session *session, const struct value *value, int step, bool fast,
                    bool *fits, struct glet_error *err)
{
    *value->at =
        step == STEPS ? value->far : value->from + (value->far - value->from) * step / STEPS;
    return try(session, fast, fits, err);
}

/* Halves the steps between good, with which it fits, and bad, with which it does not. */
static int halve(struct glet_session *session, const struct value *value, bool fast, int *good,
                 int bad, struct glet_error *err)
{
    bool fits;
    while (*good - bad > 1) {
        int middle = (*good + bad) / 2;
        if (try_step(session, value, middle, fast, &fits, err) < 0)
            return -1;
        if (fits)
            *good = middle;
        else
            bad = middle;
    }
    return 0;
}

/*
 * The nearest step with which it fits; 0 = none. A thorough search that finds nothing takes many
 * times as long as any other, and rarely gets much further than a fast one: it starts from there, in
 * strides that double.
 */
static int nearest_step(struct glet_session *session, const struct value *value, int *step,
                        struct glet_error *err)
{
    int good = STEPS, bad = -1;
    bool fits;
    *step = 0;
    if (try_step(session, value, STEPS, true, &fits, err) < 0 ||
        (!fits && try_step(session, value, STEPS, false, &fits, err) < 0))
        return -1;
    if (!fits)
        return 0;
    if (halve(session, value, true, &good, 0, err) < 0)
        return -1;
    for (int stride = 1; bad < 0; stride *= 2) {
        int next = good - stride;
        if (next > 0 && try_step(session, value, next, false, &fits, err) < 0)
            return -1;
        if (next > 0 && fits)
            good = next;
        else
            bad = next > 0 ? next : 0;
    }
    *step = good;
    return halve(session, value, false, step, bad, err);
}

/* The value nearest to *at, between it and the far end, with which it fits; found: there is one. */
static int relax_value(struct glet_session *session, double *at, double far, double *out,
                       bool *found, struct glet_error *err)
{
    struct value value = {at, *at, far};
    int step;
    int result = nearest_step(session, &value, &step, err);
    *at = value.from;
    *found = step > 0;
    *out = value.from + (far - value.from) * step / STEPS;
    return result;
}

#define SLO_FAR 4 /* times the SLO: nobody asks for more */

/* The largest rate and the tightest SLO of one model, the others as they are, that fit. */
static int relax_model(struct glet_session *session, size_t m, struct glet_explanation *out,
                       struct glet_error *err)
{
    struct glet_workload_model *model = &session->workload->models[m];
    double amount;
    bool found = false;
    int result = 0;
    if (model->rate_rps > 0)
        result = relax_value(session, &model->rate_rps, 0, &amount, &found, err);
    if (result == 0 && found)
        result = add(out,
                     (struct glet_relaxation){GLET_RELAX_RATE, (int)m, -1, amount,
                                              1 - amount / model->rate_rps},
                     err);
    found = false;
    if (result == 0 && model->slo_ms > 0)
        result =
            relax_value(session, &model->slo_ms, SLO_FAR * model->slo_ms, &amount, &found, err);
    if (result == 0 && found)
        result = add(out,
                     (struct glet_relaxation){GLET_RELAX_SLO, (int)m, -1, amount,
                                              amount / model->slo_ms - 1},
                     err);
    return result;
}

static int smallest_first(const void *a, const void *b)
{
    const struct glet_relaxation *x = a, *y = b;
    if (x->change_ratio != y->change_ratio)
        return x->change_ratio > y->change_ratio ? 1 : -1;
    return x->kind != y->kind ? (int)x->kind - (int)y->kind : x->model - y->model;
}

#define MODELS_MAX 12 /* models tried one by one; above that only the stock and the scale */

static int relax_stock(struct glet_session *session, const struct glet_answer *answer,
                       struct glet_explanation *out, struct glet_error *err)
{
    const struct glet_workload *workload = session->workload;
    struct glet_relaxation scale = {GLET_RELAX_SCALE, -1, -1, answer->scale, 1 - answer->scale};
    int result = answer->scale > 0 ? add(out, scale, err) : 0;
    for (size_t g = 0; result == 0 && g < workload->gpu_count; g++)
        result = relax_gpus(session, g, out, err);
    for (size_t m = 0;
         result == 0 && workload->model_count <= MODELS_MAX && m < workload->model_count; m++)
        result = relax_model(session, m, out, err);
    if (out->relaxation_count > 1)
        qsort(out->relaxations, out->relaxation_count, sizeof *out->relaxations, smallest_first);
    return result < 0 ? -1 : glet_session_rebuild(session, err);
}

int glet_explain(struct glet_session *session, const struct glet_answer *answer,
                 struct glet_explanation *out, struct glet_error *err)
{
    *out = (struct glet_explanation){0};
    if (answer->outcome == GLET_PLAN_FOUND)
        return explain_plan(session, answer, out, err);
    if (answer->outcome != GLET_PLAN_UNSERVEABLE)
        return relax_stock(session, answer, out, err);
    for (int i = 0; i < answer->unserveable_count; i++) {
        const struct glet_unserveable *why = &answer->unserveable[i];
        struct glet_relaxation relax = {GLET_RELAX_SLO, why->model, -1, why->best.bound_ms,
                                        why->best.bound_ms / why->limit_ms - 1};
        bool by_latency =
            why->reason == GLET_UNSERVEABLE_LATENCY || why->reason == GLET_UNSERVEABLE_APP;
        if (by_latency && why->best.type >= 0 && add(out, relax, err) < 0)
            return -1;
    }
    return 0;
}

void glet_explanation_fini(struct glet_explanation *explanation)
{
    free(explanation->models);
    free(explanation->relaxations);
    *explanation = (struct glet_explanation){0};
}

void glet_relaxation_text(const struct glet_problem *problem, const struct glet_relaxation *relax,
                          char *text, size_t size)
{
    switch (relax->kind) {
    case GLET_RELAX_SLO:
        snprintf(text, size, "allow %s at least %.6g ms", problem->models[relax->model].name,
                 relax->amount);
        break;
    case GLET_RELAX_RATE:
        if (relax->amount <= 0)
            snprintf(text, size, "do not serve %s", problem->models[relax->model].name);
        else
            snprintf(text, size, "send %s at most %.6g requests/s (%.1f %% of its demand)",
                     problem->models[relax->model].name, relax->amount,
                     100 * relax->amount / problem->models[relax->model].demand_rps);
        break;
    case GLET_RELAX_SCALE:
        snprintf(text, size, "send %.6g x every rate", relax->amount);
        break;
    case GLET_RELAX_GPUS:
        snprintf(text, size, "add %.0f GPU%s of type %s", relax->amount,
                 relax->amount == 1 ? "" : "s", problem->types[relax->type].name);
        break;
    }
}
