/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One linear program per type: gpu-lets of the same size and span are one class, a column moves
 * one of a class to a level, and each level's patterns must hold what it gets. At most a few
 * hundred classes, however many gpu-lets. Values are rounded per class by largest remainders.
 */
#include "planner/solve/search/spread.h"

#include "planner/solve/space/lp_glpk.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>

/* Whether the gpu-let meets its limits in the level and still serves what is needed of it. */
static bool may_move(const struct glet_space *space, const struct glet_placed *placed, int level,
                     const double *demand_rps, const double *rate_rps)
{
    struct glet_atom trial = placed->atom;
    if (!glet_space_rate_atom(space, placed->type, level, &trial))
        return false;
    for (int k = 0; k < trial.count; k++) {
        int m = trial.model[k];
        double least_rps = glet_atom_rate_rps(&placed->atom, k) *
                           fmin(1, demand_rps[m] / rate_rps[m] * (1 + 1e-12));
        if (!(glet_atom_rate_rps(&trial, k) >= least_rps))
            return false;
    }
    return true;
}

void glet_spread_spans(const struct glet_space *space, const double *demand_rps,
                       const struct glet_placed_list *atoms, struct glet_span *spans)
{
    double *rate_rps = glet_must_alloc(sizeof *rate_rps, (size_t)space->problem->model_count);
    for (int i = 0; i < atoms->count; i++)
        for (int k = 0; k < atoms->list[i].atom.count; k++)
            rate_rps[atoms->list[i].atom.model[k]] += glet_atom_rate_rps(&atoms->list[i].atom, k);
    for (int i = 0; i < atoms->count; i++) {
        const struct glet_placed *placed = &atoms->list[i];
        spans[i] = (struct glet_span){placed->level, placed->level};
        if (placed->level == 0)
            continue;
        int levels = space->types[placed->type].level_count;
        while (spans[i].low > 1 && may_move(space, placed, spans[i].low - 1, demand_rps, rate_rps))
            spans[i].low--;
        while (spans[i].high < levels &&
               may_move(space, placed, spans[i].high + 1, demand_rps, rate_rps))
            spans[i].high++;
    }
    free(rate_rps);
}

void glet_spread_move(const struct glet_space *space, struct glet_placed *placed, int level)
{
    placed->level = (int16_t)level;
    if (!glet_space_rate_atom(space, placed->type, level, &placed->atom))
        abort(); /* the span says that it may sit there */
}

struct classes {
    int levels, sizes;
    int *of;    /* [(size * (levels + 1) + low) * (levels + 1) + high]: class or -1 */
    int *count; /* [class]: atoms */
    struct glet_span *span;
    int *size;
    int used;
};

static int *class_at(const struct classes *c, int size, struct glet_span span)
{
    return &c->of[(size * (c->levels + 1) + span.low) * (c->levels + 1) + span.high];
}

static void find_classes(struct classes *c, int type, const struct glet_span *spans,
                         const struct glet_placed_list *atoms)
{
    size_t most = (size_t)c->sizes * (size_t)(c->levels + 1) * (size_t)(c->levels + 1);
    c->of = glet_must_alloc(sizeof *c->of, most);
    c->count = glet_must_alloc(sizeof *c->count, most);
    c->span = glet_must_alloc(sizeof *c->span, most);
    c->size = glet_must_alloc(sizeof *c->size, most);
    for (size_t i = 0; i < most; i++)
        c->of[i] = -1;
    for (int i = 0; i < atoms->count; i++) {
        const struct glet_placed *placed = &atoms->list[i];
        if (placed->type != type || placed->level == 0)
            continue;
        int *at = class_at(c, placed->atom.size, spans[i]);
        if (*at < 0) {
            *at = c->used;
            c->span[c->used] = spans[i];
            c->size[c->used++] = placed->atom.size;
        }
        c->count[*at]++;
    }
}

static void free_classes(struct classes *c)
{
    free(c->of);
    free(c->count);
    free(c->span);
    free(c->size);
}

/* Rows: classes, then (level, size) slots of at least that size. */
static struct glet_lp *build(const struct classes *c, const struct glet_patterns *patterns)
{
    struct glet_lp *lp = glet_lp_new();
    int *rows = glet_must_alloc(sizeof *rows, (size_t)c->sizes + 1);
    double *values = glet_must_alloc(sizeof *values, (size_t)c->sizes + 1);
    glet_lp_add_rows(lp, c->used + c->levels * c->sizes);
    for (int i = 0; i < c->used; i++)
        glet_lp_row_at_least(lp, i, c->count[i]);
    for (int i = 0; i < c->levels * c->sizes; i++)
        glet_lp_row_at_least(lp, c->used + i, 0);
    for (int l = 1; l <= c->levels; l++)
        for (int p = 0; p < patterns->count; p++) {
            int n = 0, sum = 0;
            for (int s = c->sizes - 1; s >= 0; s--) {
                sum += patterns->uses[p * c->sizes + s];
                if (sum) {
                    rows[n] = c->used + (l - 1) * c->sizes + s;
                    values[n++] = sum;
                }
            }
            glet_lp_add_col(lp, 1, n, rows, values);
        }
    for (int i = 0; i < c->used; i++)
        for (int l = c->span[i].low; l <= c->span[i].high; l++) {
            int n = 0;
            rows[n] = i;
            values[n++] = 1;
            for (int s = 0; s <= c->size[i]; s++) {
                rows[n] = c->used + (l - 1) * c->sizes + s;
                values[n++] = -1;
            }
            glet_lp_add_col(lp, 0, n, rows, values);
        }
    free(rows);
    free(values);
    return lp;
}

/* How many of each class go to each level: whole numbers that sum to the class. */
static void round_class(int count, int levels, double *share, int *whole)
{
    int sum = 0;
    for (int l = 0; l < levels; l++) {
        whole[l] = (int)floor(share[l] + 1e-9);
        share[l] -= whole[l];
        sum += whole[l];
    }
    while (sum != count) {
        int best = 0;
        for (int l = 1; l < levels; l++)
            if (sum < count ? share[l] > share[best] : whole[l] > whole[best])
                best = l;
        whole[best] += sum < count ? 1 : -1;
        share[best] -= sum < count ? 1 : 0;
        sum += sum < count ? 1 : -1;
    }
}

void glet_spread(const struct glet_space *space, int type, const struct glet_span *spans,
                 struct glet_placed_list *atoms)
{
    const struct glet_patterns *patterns = &space->types[type].patterns;
    struct classes c = {.levels = space->types[type].level_count, .sizes = patterns->size_count};
    find_classes(&c, type, spans, atoms);
    struct glet_lp *lp = build(&c, patterns);
    if (c.used && glet_lp_solve(lp) == 0) {
        int(*whole)[GLET_LEVELS_MAX + 1] = glet_must_alloc(sizeof *whole, (size_t)c.used);
        int col = c.levels * patterns->count;
        for (int i = 0; i < c.used; i++) {
            double share[GLET_LEVELS_MAX + 1];
            int levels = c.span[i].high - c.span[i].low + 1;
            for (int l = 0; l < levels; l++)
                share[l] = glet_lp_value(lp, col++);
            round_class(c.count[i], levels, share, whole[i]);
        }
        for (int i = 0; i < atoms->count; i++) {
            struct glet_placed *placed = &atoms->list[i];
            if (placed->type != type || placed->level == 0)
                continue;
            int at = *class_at(&c, placed->atom.size, spans[i]), l = 0;
            while (whole[at][l] == 0)
                l++;
            whole[at][l]--;
            glet_spread_move(space, placed, spans[i].low + l);
        }
        free(whole);
    }
    glet_lp_free(lp);
    free_classes(&c);
}
