/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Coordinate search on the limits: start where every stage has its smallest latency bound, scaled
 * up along its tightest path, then move time between stages while the estimate of the GPUs falls.
 * The estimate is the ideal load: rate times the cheapest share of a GPU per request under the
 * limit, a step function that falls with the limit.
 */
#include "planner/solve/apps/split.h"

#include "planner/solve/space/boxes.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Room on top of what the best batch takes: neighbours and time sharing need some. */
#define ROOM_RATIO 1.15

struct step { /* from this limit on, a request costs this share of a GPU-second */
    double limit_ms, load;
};

struct curve {
    struct step *steps; /* limits ascending, loads descending */
    int count;
};

struct split {
    const struct glet_problem *base;
    struct curve *curves; /* [model] */
    double *limit_ms;     /* [model] */
    double *path_ms;      /* scratch, one per stage */
};

static int by_limit(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    if (x->limit_ms != y->limit_ms)
        return x->limit_ms > y->limit_ms ? 1 : -1;
    return x->load > y->load ? 1 : x->load < y->load ? -1 : 0;
}

static void make_curve(const struct glet_problem *problem, int m, struct curve *out)
{
    size_t room = 0;
    for (int g = 0; g < problem->type_count; g++)
        for (int s = 0; s < problem->types[g].size_count; s++) {
            const struct glet_cell_row *row =
                &problem->types[g].rows[m * problem->types[g].size_count + s];
            room += row->cells ? (size_t)(row->last_batch - row->first_batch + 1) : 0;
        }
    struct step *steps = glet_must_alloc(sizeof *steps, room);
    int count = 0, kept = 0;
    for (int g = 0; g < problem->type_count; g++) {
        const struct glet_problem_type *t = &problem->types[g];
        for (int s = 0; s < t->size_count; s++) {
            const struct glet_cell_row *row = &t->rows[m * t->size_count + s];
            for (int i = 0; row->cells && i <= row->last_batch - row->first_batch; i++) {
                double ms = row->cells[i].latency_ms;
                double share = glet_type_cost(problem, g) * t->sizes_units[s] / t->units;
                steps[count++] = (struct step){2 * ms, share * ms / (row->first_batch + i)};
            }
        }
    }
    qsort(steps, (size_t)count, sizeof *steps, by_limit);
    for (int i = 0; i < count; i++)
        if (kept == 0 || steps[i].load < steps[kept - 1].load)
            steps[kept++] = steps[i];
    out->steps = steps;
    out->count = kept;
}

static double load_at(const struct curve *curve, double limit_ms)
{
    int low = 0, high = curve->count;
    while (low < high) {
        int mid = (low + high) / 2;
        if (curve->steps[mid].limit_ms <= limit_ms)
            low = mid + 1;
        else
            high = mid;
    }
    return low ? curve->steps[low - 1].load : INFINITY;
}

static double estimate(const struct split *s)
{
    double sum = 0;
    for (int m = 0; m < s->base->model_count; m++)
        if (s->base->models[m].demand_rps > 0)
            sum += s->base->models[m].demand_rps * load_at(&s->curves[m], s->limit_ms[m]);
    return sum;
}

/* The longest path of an app over its SLO. */
static double stretch(const struct split *s, const struct glet_problem_app *app)
{
    double longest = 0;
    for (int i = 0; i < app->stage_count; i++) {
        double before = 0;
        for (int j = 0; j < app->stages[i].after_count; j++)
            before = fmax(before, s->path_ms[app->stages[i].after[j]]);
        s->path_ms[i] = before + s->limit_ms[app->stages[i].model];
        longest = fmax(longest, s->path_ms[i]);
    }
    return longest / app->slo_ms;
}

static bool is_allowed(const struct split *s)
{
    for (int m = 0; m < s->base->model_count; m++)
        if (s->limit_ms[m] > s->base->models[m].limit_ms)
            return false;
    for (int a = 0; a < s->base->app_count; a++)
        if (stretch(s, &s->base->apps[a]) > 1)
            return false;
    return true;
}

/* Grows the limits of an app's models together until its longest path is full. */
static void fill_paths(struct split *s)
{
    const struct glet_problem *base = s->base;
    double *factor = glet_must_alloc(sizeof *factor, (size_t)base->model_count);
    for (int m = 0; m < base->model_count; m++)
        factor[m] = INFINITY;
    for (int a = 0; a < base->app_count; a++) {
        double grow = 1 / stretch(s, &base->apps[a]);
        for (int i = 0; i < base->apps[a].stage_count; i++) {
            int m = base->apps[a].stages[i].model;
            factor[m] = fmin(factor[m], grow);
        }
    }
    for (int m = 0; m < base->model_count; m++) {
        if (base->models[m].in_app)
            s->limit_ms[m] *= fmax(1, factor[m] * (1 - 1e-12));
        s->limit_ms[m] = fmin(s->limit_ms[m], base->models[m].limit_ms);
    }
    free(factor);
}

/* Moves `ms` from model b (-1 = nobody) to model a when that is allowed and not dearer. */
static bool try_move(struct split *s, int a, int b, double ms, double *cost)
{
    double old_a = s->limit_ms[a], old_b = b >= 0 ? s->limit_ms[b] : 0;
    s->limit_ms[a] = fmin(old_a + ms, s->base->models[a].limit_ms);
    if (b >= 0)
        s->limit_ms[b] = old_b - ms;
    if (s->limit_ms[a] > old_a && (b < 0 || s->limit_ms[b] > 0) && is_allowed(s)) {
        double now = estimate(s);
        if (now < *cost * (1 - 1e-9)) {
            *cost = now;
            return true;
        }
    }
    s->limit_ms[a] = old_a;
    if (b >= 0)
        s->limit_ms[b] = old_b;
    return false;
}

static bool has_stage(const struct glet_problem_app *app, int model)
{
    for (int i = 0; i < app->stage_count; i++)
        if (app->stages[i].model == model)
            return true;
    return false;
}

/* From nobody, and from those that share a path's SLO with the model: others have nothing to give. */
static int try_moves_to(struct split *s, int model, double ms, double *cost)
{
    int moved = try_move(s, model, -1, ms, cost);
    for (int a = 0; a < s->base->app_count; a++) {
        const struct glet_problem_app *app = &s->base->apps[a];
        if (!has_stage(app, model))
            continue;
        for (int i = 0; i < app->stage_count; i++)
            if (app->stages[i].model != model)
                moved += try_move(s, model, app->stages[i].model, ms, cost);
    }
    return moved;
}

static void descend(struct split *s)
{
    double longest_ms = 0, cost = estimate(s);
    for (int a = 0; a < s->base->app_count; a++)
        longest_ms = fmax(longest_ms, s->base->apps[a].slo_ms);
    for (double ms = longest_ms / 2; ms > longest_ms / 512; ms /= 2)
        for (int rounds = 0, moved = 1; moved && rounds < 20; rounds++) {
            moved = 0;
            for (int m = 0; m < s->base->model_count; m++)
                if (s->base->models[m].in_app)
                    moved += try_moves_to(s, m, ms, &cost);
        }
}

/* Whatever room is left on the paths costs nothing. */
static void use_rest(struct split *s)
{
    for (int m = 0; m < s->base->model_count; m++) {
        if (!s->base->models[m].in_app)
            continue;
        double low = s->limit_ms[m], high = s->base->models[m].limit_ms;
        for (int i = 0; i < 40; i++) {
            s->limit_ms[m] = (low + high) / 2;
            if (is_allowed(s))
                low = s->limit_ms[m];
            else
                high = s->limit_ms[m];
        }
        s->limit_ms[m] = low;
    }
}

void glet_apps_grow(const struct glet_problem *base, struct glet_problem *view)
{
    struct split s = {.base = base};
    size_t stages = 1;
    for (int a = 0; a < base->app_count; a++)
        stages += (size_t)base->apps[a].stage_count;
    s.limit_ms = glet_must_alloc(sizeof *s.limit_ms, (size_t)base->model_count);
    s.path_ms = glet_must_alloc(sizeof *s.path_ms, stages);
    for (int m = 0; m < base->model_count; m++)
        s.limit_ms[m] = view->models[m].limit_ms;
    fill_paths(&s);
    use_rest(&s);
    for (int m = 0; m < base->model_count; m++)
        view->models[m].limit_ms = s.limit_ms[m];
    free(s.limit_ms);
    free(s.path_ms);
}

bool glet_apps_split(const struct glet_problem *base, struct glet_problem *view)
{
    struct split s = {.base = base};
    size_t models = (size_t)base->model_count, stages = 1;
    s.curves = glet_must_alloc(sizeof *s.curves, models);
    s.limit_ms = glet_must_alloc(sizeof *s.limit_ms, models);
    for (int a = 0; a < base->app_count; a++)
        stages += (size_t)base->apps[a].stage_count;
    s.path_ms = glet_must_alloc(sizeof *s.path_ms, stages);
    bool good = true;
    for (int m = 0; m < base->model_count; m++) {
        make_curve(base, m, &s.curves[m]);
        s.limit_ms[m] = base->models[m].limit_ms;
        if (!base->models[m].in_app || base->models[m].demand_rps <= 0)
            continue;
        good &= s.curves[m].count > 0;
        if (s.curves[m].count > 0)
            s.limit_ms[m] = fmin(s.limit_ms[m], s.curves[m].steps[0].limit_ms);
    }
    good = good && is_allowed(&s);
    if (good) {
        fill_paths(&s);
        descend(&s);
        /* A little more than the best batch needs, taken from the others where there is room. */
        for (size_t m = 0; m < models; m++) {
            const struct curve *curve = &s.curves[m];
            double wanted_ms = s.limit_ms[m];
            for (int i = 0; i < curve->count && base->models[m].in_app; i++)
                if (curve->steps[i].limit_ms <= wanted_ms)
                    s.limit_ms[m] = curve->steps[i].limit_ms;
        }
        for (size_t m = 0; m < models; m++) {
            double tight = s.limit_ms[m];
            s.limit_ms[m] = fmin(tight * ROOM_RATIO, base->models[m].limit_ms);
            if (base->models[m].in_app && !is_allowed(&s))
                s.limit_ms[m] = tight;
        }
        fill_paths(&s);
        use_rest(&s);
        for (size_t m = 0; m < models; m++)
            view->models[m].limit_ms = s.limit_ms[m];
    }
    for (size_t m = 0; m < models; m++)
        free(s.curves[m].steps);
    free(s.curves);
    free(s.limit_ms);
    free(s.path_ms);
    return good;
}
