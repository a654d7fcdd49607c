/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/model/gpu_memory.h"
#include "planner/report/html.h"
#include "planner/report/html_charts.h"
#include "planner/report/writing.h"

#include <math.h>
#include <string.h>

enum { LABEL = 150, BAR = 540, ROW = 56, BAR_HEIGHT = 34, MEMORY_HEIGHT = 5, ROWS_MAX = 200 };

static bool same_let(const struct glet_plan_let *a, const struct glet_plan_let *b)
{
    if (a->units != b->units || a->model_count != b->model_count)
        return false;
    for (size_t k = 0; k < a->model_count; k++)
        if (a->models[k].model != b->models[k].model || a->models[k].batch != b->models[k].batch)
            return false;
    return true;
}

static bool same_gpu(const struct glet_plan_gpu *a, const struct glet_plan_gpu *b)
{
    bool same_node = a->node && b->node ? strcmp(a->node, b->node) == 0 : a->node == b->node;
    if (strcmp(a->type, b->type) != 0 || !same_node || a->let_count != b->let_count)
        return false;
    for (size_t i = 0; i < a->let_count; i++)
        if (!same_let(&a->lets[i], &b->lets[i]))
            return false;
    return true;
}

static void draw_let(FILE *out, const struct glet_plan *plan, const struct glet_plan_let *let,
                     const int *model_of, double x, double width, double y)
{
    double total_ms = 0, top = y;
    for (size_t k = 0; k < let->model_count; k++)
        total_ms += let->models[k].exec_ms;
    for (size_t k = 0; k < let->model_count; k++) {
        const struct glet_plan_let_model *slot = &let->models[k];
        const char *name = plan->models[slot->model].name;
        double height = BAR_HEIGHT * slot->exec_ms / total_ms;
        fprintf(out,
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\" "
                "stroke=\"#fff\"><title>",
                x, top, width, height, glet_html_fill(model_of[slot->model]));
        glet_html_text(out, "%s, batch %d in %d units: %.6g requests/s, worst latency %.6g ms",
                       name, slot->batch, let->units, slot->rate_rps, slot->latency_bound_ms);
        fputs("</title></rect>\n", out);
        /* About 6 px per character: what does not fit stays in the title. */
        if (height >= 11 && width >= 6.0 * (double)(strlen(name) + 5)) {
            fprintf(out, "<text x=\"%.1f\" y=\"%.1f\">", x + 4, top + height / 2 + 4);
            glet_html_text(out, "%s \xc3\x97%d", name, slot->batch);
            fputs("</text>\n", out);
        }
        top += height;
    }
}

static void draw_memory(FILE *out, double used_mib, double whole_mib, double y)
{
    double ratio = whole_mib > 0 ? fmin(1, used_mib / whole_mib) : 0;
    fprintf(out,
            "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%d\" fill=\"#eee\"/>"
            "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"#555\"><title>"
            "memory: %.0f of %.0f MiB</title></rect>\n",
            LABEL, y, BAR, MEMORY_HEIGHT, LABEL, y, BAR * ratio, MEMORY_HEIGHT, used_mib,
            whole_mib);
}

static void draw_gpu(FILE *out, const struct glet_problem *problem, const struct glet_plan *plan,
                     const struct glet_solution *solution, const int *model_of, size_t first,
                     size_t last, double y)
{
    const struct glet_plan_gpu *gpu = &plan->gpus[first];
    double x = LABEL, per_unit = (double)BAR / gpu->units;
    fprintf(out, "<text x=\"0\" y=\"%.1f\">", y + 14);
    if (last > first)
        glet_html_text(out, "%s to %s (%zu)", gpu->id, plan->gpus[last].id, last - first + 1);
    else
        glet_html_text(out, "%s", gpu->id);
    fprintf(out, "</text><text x=\"0\" y=\"%.1f\" fill=\"#666\">", y + 29);
    glet_html_text(out, "%s%s%s", gpu->type, gpu->node ? ", " : "", gpu->node ? gpu->node : "");
    fputs("</text>\n", out);
    for (size_t i = 0; i < gpu->let_count; i++) {
        double width = per_unit * gpu->lets[i].units;
        draw_let(out, plan, &gpu->lets[i], model_of, x, width, y);
        x += width;
    }
    if (x < LABEL + BAR - 0.5)
        fprintf(out,
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"url(#free)\">"
                "<title>free</title></rect>\n",
                x, y, LABEL + BAR - x, BAR_HEIGHT);
    const struct glet_gpu *content = &solution->gpus[first];
    draw_memory(out, glet_memory_gpu_mib(problem, content),
                problem->types[content->type].memory_mib, y + BAR_HEIGHT + 3);
}

void glet_html_gpus(FILE *out, const struct glet_problem *problem, const struct glet_plan *plan,
                    const struct glet_solution *solution, const int *model_of)
{
    size_t rows = 0, drawn = 0, g = 0;
    for (size_t i = 0; i < plan->gpu_count; i++)
        rows += i == 0 || !same_gpu(&plan->gpus[i - 1], &plan->gpus[i]);
    rows = rows < ROWS_MAX ? rows : ROWS_MAX;
    fprintf(out,
            "<svg role=\"img\" aria-label=\"gpu-lets of each GPU\" viewBox=\"0 0 %d %zu\" "
            "width=\"%d\">\n",
            LABEL + BAR, rows * ROW + 1, LABEL + BAR);
    for (; g < plan->gpu_count && drawn < rows; drawn++) {
        size_t last = g;
        while (last + 1 < plan->gpu_count && same_gpu(&plan->gpus[g], &plan->gpus[last + 1]))
            last++;
        draw_gpu(out, problem, plan, solution, model_of, g, last, (double)(drawn * ROW));
        g = last + 1;
    }
    fputs("</svg>\n", out);
    if (g < plan->gpu_count)
        fprintf(out, "<p>and %zu more GPU%s, in the plan file</p>\n", plan->gpu_count - g,
                glet_report_plural((long)(plan->gpu_count - g)));
}
