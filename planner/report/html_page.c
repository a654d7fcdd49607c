/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/report/html_page.h"

#include "planner/analyse/diff.h"
#include "planner/analyse/trust.h"
#include "planner/report/answer.h"
#include "planner/report/html.h"
#include "planner/report/html_charts.h"
#include "planner/report/writing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct writer {
    const struct glet_page *page;
    const struct glet_problem *problem;
    const struct glet_plan *plan; /* NULL: there is none */
    struct glet_solution solution;
    int *model_of; /* [plan model] index of the problem's model */
    FILE *out;
};

static void start_section(FILE *out, const char *id, const char *title)
{
    fprintf(out, "<section id=\"%s\">\n<h2>%s</h2>\n", id, title);
}

/* A table's head; a leading '>' means a column of numbers. */
static void start_table(FILE *out, const char *const *heads, int count)
{
    fputs("<table>\n<thead><tr>", out);
    for (int i = 0; i < count; i++) {
        bool number = heads[i][0] == '>';
        fputs(number ? "<th class=\"n\">" : "<th>", out);
        glet_html_text(out, "%s", heads[i] + number);
        fputs("</th>", out);
    }
    fputs("</tr></thead>\n<tbody>\n", out);
}

static void end_table(FILE *out)
{
    fputs("</tbody></table>\n", out);
}

/* The largest latency bound of the plan's model among its gpu-lets. */
static double worst_ms(const struct glet_plan *plan, size_t model)
{
    double worst = 0;
    for (size_t g = 0; g < plan->gpu_count; g++)
        for (size_t i = 0; i < plan->gpus[g].let_count; i++)
            for (size_t k = 0; k < plan->gpus[g].lets[i].model_count; k++)
                if (plan->gpus[g].lets[i].models[k].model == model)
                    worst = fmax(worst, plan->gpus[g].lets[i].models[k].latency_bound_ms);
    return worst;
}

static void write_tightest(const struct writer *w)
{
    double least = INFINITY;
    size_t tightest = w->plan->model_count;
    for (size_t m = 0; m < w->plan->model_count; m++) {
        double percent = glet_headroom_percent(worst_ms(w->plan, m), w->plan->models[m].slo_ms);
        if (percent < least) {
            least = percent;
            tightest = m;
        }
    }
    if (tightest == w->plan->model_count)
        return;
    const struct glet_plan_model *model = &w->plan->models[tightest];
    glet_html_text(w->out, " Tightest: %s, p%g %.4g of %g ms (%.1f %% headroom).", model->name,
                   model->percentile, worst_ms(w->plan, tightest), model->slo_ms, fmax(0, least));
}

static void write_fit(const struct writer *w)
{
    const struct glet_plan_certificate *proof = &w->plan->certificate;
    fputs("<p class=\"verdict\">", w->out);
    glet_html_text(w->out, "Fits on %d GPU%s", proof->gpus, glet_report_plural(proof->gpus));
    if (w->plan->objective == GLET_MAX_RATE)
        glet_html_text(w->out, ", serving %.6g x every rate; no plan serves more than %.6g x.",
                       proof->scale, proof->scale_upper_bound);
    else if (w->plan->objective == GLET_MIN_COST)
        glet_html_text(w->out, " for %.6g per hour; no plan costs less than %.6g (gap %.1f %%).",
                       proof->cost_per_hour, proof->cost_lower_bound, 100 * proof->gap_ratio);
    else if (proof->gpus <= proof->lower_bound)
        glet_html_text(w->out, "; proven: no plan uses fewer.");
    else
        glet_html_text(w->out, "; no plan uses fewer than %d (gap %.1f %%).", proof->lower_bound,
                       100 * proof->gap_ratio);
    write_tightest(w);
    if (w->page->time_sliced_gpus > proof->gpus)
        glet_html_text(w->out, " Sharing whole GPUs in time would take %d.",
                       w->page->time_sliced_gpus);
    fputs("</p>\n", w->out);
}

static void write_misfit(const struct writer *w)
{
    const struct glet_answer *answer = w->page->answer;
    char text[700];
    fprintf(w->out, "<p class=\"verdict no\">%s</p>\n<ul>\n",
            answer->outcome == GLET_PLAN_NONE_FOUND ? "Not decided." : "Does not fit.");
    for (int i = 0; i < answer->unserveable_count; i++) {
        glet_unserveable_text(w->problem, &answer->unserveable[i], text, sizeof text);
        fputs("<li>", w->out);
        glet_html_text(w->out, "%s", text);
        fputs("</li>\n", w->out);
    }
    if (answer->outcome != GLET_PLAN_UNSERVEABLE) {
        glet_answer_stock_text(answer, text, sizeof text);
        fputs("<li>", w->out);
        glet_html_text(w->out, "%s", text);
        fputs("</li>\n", w->out);
    }
    fputs("</ul>\n", w->out);
    const struct glet_explanation *e = w->page->explanation;
    if (e->relaxation_count == 0)
        return;
    start_section(w->out, "relax", "What would make it fit");
    fputs(answer->outcome == GLET_PLAN_UNSERVEABLE
              ? "<p>These changes together:</p>\n<ul>\n"
              : "<p>Each of these alone, the smallest change first:</p>\n<ul>\n",
          w->out);
    for (size_t i = 0; i < e->relaxation_count; i++) {
        glet_relaxation_text(w->problem, &e->relaxations[i], text, sizeof text);
        fputs("<li>", w->out);
        glet_html_text(w->out, "%s", text);
        fputs("</li>\n", w->out);
    }
    fputs("</ul>\n</section>\n", w->out);
}

static void write_models(const struct writer *w)
{
    static const char *const heads[] = {"model",          ">demand/s", ">planned/s",  ">gpu-lets",
                                        ">worst ms",      ">SLO ms",   ">headroom %", ">GPUs",
                                        ">GPUs per +1/s", "what binds"};
    const struct glet_explanation *e = w->page->explanation;
    start_section(w->out, "models", "Models");
    start_table(w->out, heads, sizeof heads / sizeof heads[0]);
    for (size_t m = 0; m < w->plan->model_count; m++) {
        const struct glet_plan_model *model = &w->plan->models[m];
        const struct glet_model_explanation *why = &e->models[w->model_of[m]];
        char price[GLET_PRICE_CHARS];
        double worst = worst_ms(w->plan, m), percent = glet_headroom_percent(worst, model->slo_ms);
        fputs("<tr>", w->out);
        glet_html_cell(w->out, 0, "%s", model->name);
        glet_html_cell(w->out, 1, "%.6g", model->rate_rps);
        glet_html_cell(w->out, 1, "%.6g", model->planned_rps);
        glet_html_cell(w->out, 1, "%d", why->lets);
        glet_html_cell(w->out, 1, "%.4g", worst);
        if (isnan(percent)) { /* only apps use it */
            glet_html_cell(w->out, 1, "-");
            glet_html_cell(w->out, 1, "-");
        } else {
            glet_html_cell(w->out, 1, "%g", model->slo_ms);
            glet_html_cell(w->out, 1, "%.1f", percent);
        }
        glet_html_cell(w->out, 1, "%.3f", why->price.share);
        glet_html_cell(w->out, 1, "%s", glet_report_price(price, why->price.per_rps));
        glet_html_cell(w->out, 0, "%s", glet_binding_text(why->binding));
        fputs("</tr>\n", w->out);
    }
    end_table(w->out);
    fputs("</section>\n", w->out);
}

static void write_curves(const struct writer *w)
{
    start_section(w->out, "curves", "Latency");
    fputs(
        "<p>The bound is one round of waiting and one of running, 2 x the profile's latency for a "
        "gpu-let of one model without neighbours. Small points are profiled or interpolated, "
        "circles are gpu-lets of the plan, with the models and neighbours that they have "
        "there.</p>\n",
        w->out);
    for (int m = 0; m < w->problem->model_count; m++) {
        if (w->problem->models[m].demand_rps <= 0)
            continue;
        fputs(m < 8 ? "<details open=\"open\"><summary>" : "<details><summary>", w->out);
        glet_html_text(w->out, "%s", w->problem->models[m].name);
        fputs("</summary>\n<div class=\"charts\">\n", w->out);
        glet_html_curves(w->out, w->problem, m, w->plan ? &w->solution : NULL);
        fputs("</div></details>\n", w->out);
    }
    fputs("</section>\n", w->out);
}

static void write_whatif(const struct writer *w)
{
    static const char *const heads[] = {"scenario", ">GPUs", ">at least", ">per hour", "note"};
    const struct glet_whatif *whatif = w->page->whatif;
    start_section(w->out, "what-if", "What if");
    if (w->page->whatif_fast)
        fputs("<p>Each change was planned by a fast search: a longer one may save a GPU in a "
              "hundred. What is needed at least is proven.</p>\n",
              w->out);
    start_table(w->out, heads, sizeof heads / sizeof heads[0]);
    for (size_t i = 0; i < whatif->count; i++) {
        const struct glet_whatif_row *row = &whatif->rows[i];
        fputs("<tr>", w->out);
        glet_html_cell(w->out, 0, "%s", row->name);
        if (row->outcome == GLET_PLAN_FOUND) {
            glet_html_cell(w->out, 1, "%d", row->gpus);
            glet_html_cell(w->out, 1, "%d", row->lower_bound);
            glet_html_cell(w->out, 1, "%.6g", row->cost_per_hour);
            glet_html_cell(w->out, 0, "%s", "");
        } else {
            glet_html_cell(w->out, 1, "%s", row->outcome == GLET_PLAN_NONE_FOUND ? "?" : "none");
            glet_html_cell(w->out, 1, "%d", row->lower_bound);
            glet_html_cell(w->out, 1, "-");
            glet_html_cell(w->out, 0, "%s", row->reason ? row->reason : "");
        }
        fputs("</tr>\n", w->out);
    }
    end_table(w->out);
    fputs("</section>\n", w->out);
}

static void write_fact(FILE *out, const char *what, const char *value)
{
    fputs("<tr>", out);
    glet_html_cell(out, 0, "%s", what);
    fputs("<td><code>", out);
    glet_html_text(out, "%s", value);
    fputs("</code></td></tr>\n", out);
}

static int write_trust(const struct writer *w, struct glet_error *err)
{
    struct glet_trust_notes notes = {0};
    char text[200];
    if (!w->plan)
        return 0;
    if (glet_trust_collect(w->page->session->profile, w->plan, &notes, err) < 0)
        return -1;
    if (notes.count == 0)
        write_fact(w->out, "profile rows behind the plan", "all measured");
    for (size_t i = 0; i < notes.count; i++) {
        snprintf(text, sizeof text, "not measured: %d imported, %d estimated rows",
                 notes.notes[i].imported_rows, notes.notes[i].estimated_rows);
        char what[200];
        snprintf(what, sizeof what, "%s on %s", notes.notes[i].model, notes.notes[i].gpu);
        write_fact(w->out, what, text);
    }
    glet_trust_fini(&notes);
    return 0;
}

static int write_evidence(const struct writer *w, struct glet_error *err)
{
    static const char *const heads[] = {"what", "value"};
    const struct glet_profile *profile = w->page->session->profile;
    start_section(w->out, "evidence", "Evidence");
    start_table(w->out, heads, 2);
    write_fact(w->out, "workload, SHA-256", w->page->session->workload->sha256);
    write_fact(w->out, "profile, SHA-256", profile->sha256);
    write_fact(w->out, "planner", "gpulet " GLET_VERSION);
    if (w->plan)
        write_fact(w->out, "checked by", "plan verify: correct");
    int result = write_trust(w, err);
    for (size_t i = 0; i < profile->meta_count; i++) {
        const struct glet_profile_meta *meta = &profile->meta[i];
        char what[200];
        snprintf(what, sizeof what, "%s: %s", profile->devices[meta->device].gpu, meta->key);
        write_fact(w->out, what, meta->value);
    }
    end_table(w->out);
    fputs("</section>\n", w->out);
    return result;
}

static int prepare(struct writer *w, struct glet_error *err)
{
    glet_solution_init(&w->solution);
    if (!w->plan)
        return 0;
    w->model_of = calloc(w->plan->model_count + 1, sizeof *w->model_of);
    if (!w->model_of)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    for (size_t m = 0; m < w->plan->model_count; m++)
        for (int i = 0; i < w->problem->model_count; i++)
            if (strcmp(w->problem->models[i].name, w->plan->models[m].name) == 0)
                w->model_of[m] = i;
    return glet_solution_from_plan(w->problem, w->plan, &w->solution, err);
}

int glet_html_page(const struct glet_page *page, FILE *out, struct glet_error *err)
{
    struct writer w = {
        .page = page, .problem = page->session->problem, .plan = page->answer->plan, .out = out};
    int result = prepare(&w, err);
    if (result == 0) {
        glet_html_begin(out, "GPU capacity");
        fputs("<h1>GPU capacity</h1>\n", out);
        if (w.plan)
            write_fit(&w);
        else
            write_misfit(&w);
        glet_html_hatches(out);
        if (w.plan) {
            start_section(out, "gpus", "GPUs");
            glet_html_gpus(out, w.problem, w.plan, &w.solution, w.model_of);
            fputs("</section>\n", out);
            write_models(&w);
        }
        if (page->whatif->count > 0)
            write_whatif(&w);
        write_curves(&w);
        result = write_evidence(&w, err);
        glet_html_end(out);
    }
    free(w.model_of);
    glet_solution_fini(&w.solution);
    return result == 0 ? glet_report_finish(out, err) : result;
}
