/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The plan for people: a sentence, the GPUs with their gpu-lets, and the models. */
#include "common/table.h"
#include "planner/analyse/diff.h"
#include "planner/report/answer.h"
#include "planner/report/writing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct served { /* of one model */
    double worst_ms;
    int lets;
};

static struct served *served_of(const struct glet_plan *plan)
{
    struct served *served = calloc(plan->model_count + 1, sizeof *served);
    for (size_t g = 0; served && g < plan->gpu_count; g++)
        for (size_t i = 0; i < plan->gpus[g].let_count; i++)
            for (size_t k = 0; k < plan->gpus[g].lets[i].model_count; k++) {
                const struct glet_plan_let_model *slot = &plan->gpus[g].lets[i].models[k];
                struct served *here = &served[slot->model];
                here->worst_ms = fmax(here->worst_ms, slot->latency_bound_ms);
                here->lets++;
            }
    return served;
}

static void verdict(const struct glet_plan *plan, const struct served *served, FILE *out)
{
    const struct glet_plan_certificate *c = &plan->certificate;
    fprintf(out, "fits on %d GPU%s", c->gpus, glet_report_plural(c->gpus));
    if (plan->objective == GLET_MIN_GPUS && c->gap_ratio <= 0)
        fprintf(out, ": proven, no plan uses fewer");
    else if (plan->objective == GLET_MIN_GPUS)
        fprintf(out, ": no plan uses fewer than %d (gap %.1f %%)", c->lower_bound,
                100 * c->gap_ratio);
    else if (plan->objective == GLET_MIN_COST)
        fprintf(out, ", %.6g per hour: no plan costs less than %.6g (gap %.1f %%)",
                c->cost_per_hour, c->cost_lower_bound, 100 * c->gap_ratio);
    else
        fprintf(out, ", serving %.6g x every rate: no plan serves more than %.6g x (gap %.1f %%)",
                c->scale, c->scale_upper_bound, 100 * c->gap_ratio);
    size_t tightest = plan->model_count;
    double least = INFINITY;
    for (size_t m = 0; m < plan->model_count; m++) {
        double headroom = glet_headroom_percent(served[m].worst_ms, plan->models[m].slo_ms);
        if (headroom < least) {
            least = headroom;
            tightest = m;
        }
    }
    if (tightest < plan->model_count)
        fprintf(out, "; tightest: %s, %.1f %% below its SLO", plan->models[tightest].name,
                fmax(0, least));
    fputs("\n\n", out);
}

static void gpu_rows(const struct glet_plan *plan, const struct glet_plan_gpu *gpu,
                     struct glet_table *table)
{
    for (size_t i = 0; i < gpu->let_count; i++) {
        const struct glet_plan_let *let = &gpu->lets[i];
        for (size_t k = 0; k < let->model_count; k++) {
            const struct glet_plan_let_model *slot = &let->models[k];
            glet_table_cell(table, "%s", i + k == 0 ? gpu->id : "");
            glet_table_cell(table, "%s%s%s", i + k == 0 ? gpu->type : "",
                            i + k == 0 && gpu->node ? " @ " : "",
                            i + k == 0 && gpu->node ? gpu->node : "");
            if (k == 0) {
                glet_table_cell(table, "%d/%d", let->units, gpu->units);
                glet_table_cell(table, "%.3f", let->duty_cycle_ms);
            } else {
                glet_table_cell(table, "%s", "");
                glet_table_cell(table, "%s", "");
            }
            glet_table_cell(table, "%s", plan->models[slot->model].name);
            glet_table_cell(table, "%d", slot->batch);
            glet_table_cell(table, "%.2f", slot->rate_rps);
            glet_table_cell(table, "%.3f", slot->exec_ms);
            glet_table_cell(table, "%.3f", slot->factor);
            glet_table_cell(table, "%.3f", slot->latency_bound_ms);
        }
    }
}

static void model_rows(const struct glet_plan *plan, const struct served *served,
                       struct glet_table *table)
{
    for (size_t m = 0; m < plan->model_count; m++) {
        const struct glet_plan_model *model = &plan->models[m];
        double worst = served[m].worst_ms;
        glet_table_cell(table, "%s", model->name);
        glet_table_cell(table, "%.2f", model->rate_rps);
        glet_table_cell(table, "%.2f", model->planned_rps);
        glet_table_cell(table, "%d", served[m].lets);
        glet_table_cell(table, "%.3f", worst);
        if (model->slo_ms > 0)
            glet_table_cell(table, "%.6g", model->slo_ms);
        else
            glet_table_cell(table, "app");
        double headroom = glet_headroom_percent(worst, model->slo_ms);
        if (isnan(headroom))
            glet_table_cell(table, "-");
        else
            glet_table_cell(table, "%.1f %%", fmax(0, headroom));
    }
}

int glet_report_plan(const struct glet_plan *plan, FILE *out, struct glet_error *err)
{
    struct glet_table gpus, models;
    struct served *served = served_of(plan);
    if (!served)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    glet_table_init(&gpus,
                    "gpu|type|>units|>duty ms|model|>batch|>rate/s|>exec ms|>factor|>bound ms");
    for (size_t g = 0; g < plan->gpu_count; g++)
        gpu_rows(plan, &plan->gpus[g], &gpus);
    glet_table_init(&models, "model|>demand/s|>planned/s|>gpu-lets|>worst ms|>SLO ms|>headroom");
    model_rows(plan, served, &models);
    verdict(plan, served, out);
    free(served);
    int result = glet_report_table(&gpus, false, out, err);
    fputc('\n', out);
    if (result == 0)
        result = glet_report_table(&models, false, out, err);
    glet_table_fini(&gpus);
    glet_table_fini(&models);
    return result;
}
