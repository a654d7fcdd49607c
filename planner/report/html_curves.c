/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/report/html.h"
#include "planner/report/html_charts.h"

#include <math.h>
#include <stdlib.h>

enum {
    WIDTH = 340,
    HEIGHT = 190,
    LEFT = 48,
    RIGHT = 12,
    TOP = 12,
    BOTTOM = 34,
    LINES_MAX = 6,
    POINTS_MAX = 20 /* of a line that are drawn as dots as well */
};

struct chart {
    FILE *out;
    double x_most, y_most;
};

struct line { /* what a line is drawn for: a type and either a batch or a size */
    int type, batch, size;
};

static double at_x(const struct chart *c, double x)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * fmin(1, x / c->x_most);
}

static double at_y(const struct chart *c, double y)
{
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * fmin(1, y / c->y_most);
}

/* 1, 2 or 5 times a power of ten, about a fourth of the range. */
static double step_of(double most)
{
    double power = pow(10, floor(log10(most / 4))), ratio = most / 4 / power;
    return power * (ratio < 1.5 ? 1 : ratio < 3.5 ? 2 : ratio < 7.5 ? 5 : 10);
}

static void begin(struct chart *c, const char *what, const char *x_name)
{
    fputs("<figure><figcaption>", c->out);
    glet_html_text(c->out, "%s", what);
    fprintf(c->out, "</figcaption>\n<svg role=\"img\" viewBox=\"0 0 %d %d\" width=\"%d\"><title>",
            WIDTH, HEIGHT, WIDTH);
    glet_html_text(c->out, "%s", what);
    fputs("</title>\n", c->out);
    double step = step_of(c->y_most);
    for (double y = 0; y <= c->y_most * 1.0001; y += step)
        fprintf(c->out,
                "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>"
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.6g</text>\n",
                LEFT, at_y(c, y), WIDTH - RIGHT, at_y(c, y), LEFT - 5, at_y(c, y) + 4, y);
    step = step_of(c->x_most);
    for (double x = 0; x <= c->x_most * 1.0001; x += step)
        fprintf(c->out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.6g</text>\n",
                at_x(c, x), HEIGHT - BOTTOM + 14, x);
    fprintf(c->out,
            "<path class=\"axis\" d=\"M%d %dV%dH%d\"/>\n"
            "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">",
            LEFT, TOP, HEIGHT - BOTTOM, WIDTH - RIGHT, WIDTH - RIGHT, HEIGHT - 4);
    glet_html_text(c->out, "%s", x_name);
    fprintf(c->out, "</text><text x=\"2\" y=\"%d\">ms</text>\n", TOP - 2);
}

static void draw_slo(const struct chart *c, double limit_ms)
{
    fprintf(c->out,
            "<line class=\"slo\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>"
            "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" fill=\"#D55E00\">SLO %.6g</text>\n",
            LEFT, at_y(c, limit_ms), WIDTH - RIGHT, at_y(c, limit_ms), WIDTH - RIGHT,
            at_y(c, limit_ms) - 3, limit_ms);
}

/* Points above the chart's range are left out: they are far beyond the SLO. */
static void draw_line(const struct chart *c, int colour, int count, const double *x,
                      const double *y, const char *name)
{
    const char *fill = glet_html_fill(colour % 8);
    fprintf(c->out, "<g fill=\"%s\"><title>", fill);
    glet_html_text(c->out, "%s", name);
    fprintf(c->out, "</title><polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"",
            fill);
    for (int i = 0; i < count; i++)
        if (y[i] <= c->y_most)
            fprintf(c->out, "%.1f,%.1f ", at_x(c, x[i]), at_y(c, y[i]));
    fputs("\"/>", c->out);
    for (int i = 0; i < count && count <= POINTS_MAX; i++)
        if (y[i] <= c->y_most)
            fprintf(c->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2\"/>", at_x(c, x[i]),
                    at_y(c, y[i]));
    fputs("</g>\n", c->out);
}

static void draw_chosen(const struct chart *c, double x, double y)
{
    fprintf(c->out,
            "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"none\" stroke=\"#000\" "
            "stroke-width=\"2\"><title>in the plan: %.6g ms</title></circle>\n",
            at_x(c, x), at_y(c, y), y);
}

/* Distinct (type, batch) or (type, size) of the model's gpu-lets. */
static int find_lines(const struct glet_problem *problem, const struct glet_solution *solution,
                      int m, bool by_batch, struct line *lines)
{
    int count = 0;
    for (int g = 0; solution && g < solution->gpu_count; g++)
        for (int i = 0; i < solution->gpus[g].let_count; i++) {
            const struct glet_let *let = &solution->gpus[g].lets[i];
            for (int k = 0; k < let->slot_count; k++) {
                struct line line = {solution->gpus[g].type, by_batch ? let->slots[k].batch : 0,
                                    by_batch ? 0 : let->size};
                bool known = let->slots[k].model != m;
                for (int l = 0; l < count && !known; l++)
                    known = lines[l].type == line.type && lines[l].batch == line.batch &&
                            lines[l].size == line.size;
                if (!known && count < LINES_MAX)
                    lines[count++] = line;
            }
        }
    for (int t = 0; t < problem->type_count && count == 0; t++) {
        const struct glet_problem_type *type = &problem->types[t];
        int last = type->size_count - 1;
        for (; last >= 0 && !type->rows[m * type->size_count + last].cells; last--)
            ;
        if (last >= 0)
            lines[count++] =
                (struct line){t, by_batch ? type->rows[m * type->size_count + last].first_batch : 0,
                              by_batch ? 0 : last};
    }
    return count;
}

static double most_of(const double *values, int count, double most)
{
    for (int i = 0; i < count; i++)
        most = fmax(most, values[i]);
    return most;
}

/* Fills the points of a line; returns how many. x and y have room for them (see room_of()). */
static int fill_line(const struct glet_problem *problem, int m, const struct line *line, double *x,
                     double *y, char *name, size_t size)
{
    const struct glet_problem_type *t = &problem->types[line->type];
    int count = 0;
    for (int s = 0; line->batch && s < t->size_count; s++) {
        const struct glet_cell *cell = glet_problem_cell(problem, line->type, m, s, line->batch);
        if (!cell)
            continue;
        x[count] = t->sizes_units[s];
        y[count++] = 2 * cell->latency_ms;
    }
    const struct glet_cell_row *row = &t->rows[m * t->size_count + line->size];
    for (int i = 0; !line->batch && row->cells && i <= row->last_batch - row->first_batch; i++) {
        x[count] = 1000.0 * (row->first_batch + i) / row->cells[i].latency_ms;
        y[count++] = 2 * row->cells[i].latency_ms;
    }
    if (line->batch)
        snprintf(name, size, "batch %d on %s", line->batch, t->name);
    else
        snprintf(name, size, "%d units of %s", t->sizes_units[line->size], t->name);
    return count;
}

static int room_of(const struct glet_problem *problem, int m)
{
    int most = 1;
    for (int t = 0; t < problem->type_count; t++) {
        const struct glet_problem_type *type = &problem->types[t];
        most = type->size_count > most ? type->size_count : most;
        for (int s = 0; s < type->size_count; s++) {
            const struct glet_cell_row *row = &type->rows[m * type->size_count + s];
            if (row->cells && row->last_batch - row->first_batch + 1 > most)
                most = row->last_batch - row->first_batch + 1;
        }
    }
    return most;
}

static void draw_all_chosen(const struct chart *c, const struct glet_problem *problem, int m,
                            const struct glet_solution *solution, bool by_batch)
{
    double last_x = NAN,
           last_y = NAN; /* equal gpu-lets are drawn once: they often follow each other */
    for (int g = 0; solution && g < solution->gpu_count; g++)
        for (int i = 0; i < solution->gpus[g].let_count; i++) {
            const struct glet_let *let = &solution->gpus[g].lets[i];
            const struct glet_problem_type *type = &problem->types[solution->gpus[g].type];
            for (int k = 0; k < let->slot_count; k++) {
                double x = by_batch ? type->sizes_units[let->size] : let->slots[k].rate_rps;
                double y = let->duty_cycle_ms + let->slots[k].exec_ms;
                if (let->slots[k].model != m || (x == last_x && y == last_y))
                    continue;
                draw_chosen(c, x, y);
                last_x = x;
                last_y = y;
            }
        }
}

static void draw_chart(FILE *out, const struct glet_problem *problem, int m,
                       const struct glet_solution *solution, bool by_batch)
{
    struct line lines[LINES_MAX];
    int count = find_lines(problem, solution, m, by_batch, lines), room = room_of(problem, m);
    double limit_ms = problem->models[m].limit_ms, x_most = 1e-9, y_most = 0;
    double *x = calloc((size_t)(2 * room), sizeof *x), *y = x ? x + room : NULL;
    char name[160];
    for (int l = 0; x && l < count; l++) {
        int points = fill_line(problem, m, &lines[l], x, y, name, sizeof name);
        x_most = most_of(x, points, x_most);
        y_most = most_of(y, points, y_most);
    }
    struct chart c = {out, x_most,
                      isfinite(limit_ms) ? fmin(1.6 * limit_ms, fmax(y_most, 1.15 * limit_ms))
                                         : y_most};
    if (!x || count == 0 || !(c.y_most > 0)) {
        free(x);
        return;
    }
    begin(&c, by_batch ? "latency bound by size" : "latency bound by rate of one gpu-let",
          by_batch ? "units" : "requests/s");
    if (isfinite(limit_ms))
        draw_slo(&c, limit_ms);
    for (int l = 0; l < count; l++) {
        int points = fill_line(problem, m, &lines[l], x, y, name, sizeof name);
        draw_line(&c, l, points, x, y, name);
        fprintf(out, "<text x=\"%d\" y=\"%d\" fill=\"#555\">", LEFT + 6, TOP + 10 + 12 * l);
        fprintf(out, "<tspan fill=\"%s\">\xe2\x96\xa0</tspan> ", glet_html_fill(l % 8));
        glet_html_text(out, "%s", name);
        fputs("</text>\n", out);
    }
    draw_all_chosen(&c, problem, m, solution, by_batch);
    fputs("</svg></figure>\n", out);
    free(x);
}

void glet_html_curves(FILE *out, const struct glet_problem *problem, int m,
                      const struct glet_solution *solution)
{
    draw_chart(out, problem, m, solution, true);
    draw_chart(out, problem, m, solution, false);
}
