/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Cutting stock in two dimensions and a count: column generation with an exact knapsack over
 * (gpu-lets, units, memory steps), then whole patterns are committed and the rest is solved again,
 * until nothing is left. A greedy packing needs 10 % more GPUs when models take 2 to 40 GB of 80.
 *
 * The knapsack has max_gpulets x units x STEPS states times the classes present: a millisecond.
 */
#include "planner/solve/bins.h"

#include "planner/solve/lp_glpk.h"
#include "planner/solve/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEPS 32 /* of a GPU's memory */

/* Rounds of column generation before the first commit, and between commits. */
#define ROOT_ROUNDS 60
#define ROUNDS      3

struct bins {
    const struct glet_problem_type *type;
    int lets;
    int class_count;
    int *size, *steps, *left; /* [class] */
    struct glet_lp *lp;
    int *uses; /* [column * class_count + class] */
    int columns;
    /* scratch of the knapsack */
    double *value;
    int16_t *choice;
    double *price;
    int *rows;
    double *values;
    int *pattern;
};

static int class_of(struct bins *b, const struct glet_bin_item *item)
{
    double share = item->memory_mib / b->type->memory_mib;
    int steps = b->type->memory_mib > 0 ? (int)ceil(share * STEPS * (1 - 1e-12)) : 0;
    steps = steps > STEPS ? STEPS : steps;
    for (int k = 0; k < b->class_count; k++)
        if (b->size[k] == item->size && b->steps[k] == steps)
            return k;
    b->size[b->class_count] = item->size;
    b->steps[b->class_count] = steps;
    return b->class_count++;
}

static void add_column(struct bins *b)
{
    int n = 0;
    b->uses =
        glet_must_resize(b->uses, sizeof *b->uses * (size_t)b->class_count, (size_t)b->columns + 1);
    memcpy(b->uses + (size_t)b->columns * (size_t)b->class_count, b->pattern,
           sizeof *b->uses * (size_t)b->class_count);
    for (int k = 0; k < b->class_count; k++)
        if (b->pattern[k]) {
            b->rows[n] = k;
            b->values[n++] = b->pattern[k];
        }
    glet_lp_add_col(b->lp, 1, n, b->rows, b->values);
    b->columns++;
}

static size_t state(const struct bins *b, int n, int units, int steps)
{
    return ((size_t)n * (size_t)(b->type->units + 1) + (size_t)units) * (STEPS + 1) + (size_t)steps;
}

/* The most valuable pattern at the classes' prices, into b->pattern; returns its value. */
static double best_pattern(struct bins *b)
{
    for (int n = 1; n <= b->lets; n++)
        for (int u = 0; u <= b->type->units; u++)
            for (int m = 0; m <= STEPS; m++) {
                double best = b->value[state(b, n - 1, u, m)];
                int16_t choice = -1;
                for (int k = 0; k < b->class_count; k++) {
                    int units = b->type->sizes_units[b->size[k]];
                    if (units > u || b->steps[k] > m || b->price[k] <= 0)
                        continue;
                    double v = b->value[state(b, n - 1, u - units, m - b->steps[k])] + b->price[k];
                    if (v > best) {
                        best = v;
                        choice = (int16_t)k;
                    }
                }
                b->value[state(b, n, u, m)] = best;
                b->choice[state(b, n, u, m)] = choice;
            }
    memset(b->pattern, 0, sizeof *b->pattern * (size_t)b->class_count);
    int units = b->type->units, steps = STEPS;
    for (int n = b->lets; n > 0; n--) {
        int k = b->choice[state(b, n, units, steps)];
        if (k < 0)
            continue;
        b->pattern[k]++;
        units -= b->type->sizes_units[b->size[k]];
        steps -= b->steps[k];
    }
    return b->value[state(b, b->lets, b->type->units, STEPS)];
}

/* Solves the program, adding patterns while they help. */
static int generate(struct bins *b, int rounds)
{
    for (int round = 0;; round++) {
        if (glet_lp_solve(b->lp))
            return -1;
        if (round == rounds)
            return 0;
        for (int k = 0; k < b->class_count; k++)
            b->price[k] = fmax(0, glet_lp_dual(b->lp, k));
        if (best_pattern(b) <= 1 + 1e-6)
            return 0;
        add_column(b);
    }
}

static void init(struct bins *b, const struct glet_problem_type *type, struct glet_bin_item *items,
                 int count, int *class)
{
    size_t most = (size_t)type->size_count * (STEPS + 1);
    *b = (struct bins){.type = type};
    b->lets = type->max_gpulets < type->units ? type->max_gpulets : type->units;
    b->size = glet_must_alloc(sizeof(int), most);
    b->steps = glet_must_alloc(sizeof(int), most);
    b->left = glet_must_alloc(sizeof(int), most);
    for (int i = 0; i < count; i++) {
        class[i] = class_of(b, &items[i]);
        b->left[class[i]]++;
    }
    size_t classes = (size_t)b->class_count;
    b->price = glet_must_alloc(sizeof(double), classes);
    b->values = glet_must_alloc(sizeof(double), classes);
    b->rows = glet_must_alloc(sizeof(int), classes);
    b->pattern = glet_must_alloc(sizeof(int), classes);
    b->value = glet_must_alloc(sizeof(double), state(b, b->lets + 1, 0, 0));
    b->choice = glet_must_alloc(sizeof(int16_t), state(b, b->lets + 1, 0, 0));
    b->lp = glet_lp_new();
    glet_lp_add_rows(b->lp, b->class_count);
    for (int k = 0; k < b->class_count; k++) {
        glet_lp_row_at_least(b->lp, k, b->left[k]);
        memset(b->pattern, 0, sizeof(int) * classes);
        int units = type->units / type->sizes_units[b->size[k]];
        int fits = b->steps[k] ? STEPS / b->steps[k] : b->lets;
        b->pattern[k] = units < fits ? units : fits;
        b->pattern[k] = b->pattern[k] < b->lets ? b->pattern[k] : b->lets;
        add_column(b);
    }
}

static void fini(struct bins *b)
{
    glet_lp_free(b->lp);
    free(b->size);
    free(b->steps);
    free(b->left);
    free(b->uses);
    free(b->price);
    free(b->values);
    free(b->rows);
    free(b->pattern);
    free(b->value);
    free(b->choice);
}

/* Takes gpu-lets of one class into a bin while there are some and there is room. */
struct room {
    int units, lets, steps;
};

static void take(struct bins *b, int k, int most, int bin, struct room *room,
                 struct glet_bin_item *items, int *next, const int *chain)
{
    int units = b->type->sizes_units[b->size[k]];
    for (; most > 0 && b->left[k] > 0 && room->lets > 0 && units <= room->units &&
           b->steps[k] <= room->steps;
         most--) {
        items[next[k]].bin = bin;
        next[k] = chain[next[k]];
        b->left[k]--;
        room->lets--;
        room->units -= units;
        room->steps -= b->steps[k];
    }
}

/*
 * Fills one GPU by the pattern as far as gpu-lets are left, and what stays open with any others,
 * the dearest first; next[k] leads to those of a class. Returns whether any was placed.
 */
static bool commit(struct bins *b, int column, int bin, struct glet_bin_item *items, int *next,
                   const int *chain)
{
    struct room room = {b->type->units, b->lets, STEPS};
    const int *uses = b->uses + (size_t)column * (size_t)b->class_count;
    for (int k = 0; k < b->class_count; k++)
        take(b, k, uses[k], bin, &room, items, next, chain);
    for (;;) {
        int best = -1;
        for (int k = 0; k < b->class_count; k++)
            if (b->left[k] > 0 && room.lets > 0 && b->steps[k] <= room.steps &&
                b->type->sizes_units[b->size[k]] <= room.units &&
                (best < 0 || b->price[k] > b->price[best]))
                best = k;
        if (best < 0)
            return room.lets < b->lets;
        take(b, best, 1, bin, &room, items, next, chain);
    }
}

/* Whole copies of patterns, or else the largest fraction. Returns the number of GPUs so far. */
static int commit_largest(struct bins *b, int bins, struct glet_bin_item *items, int *next,
                          const int *chain)
{
    int best = 0, before = bins;
    double most = -1, *x = glet_must_alloc(sizeof *x, (size_t)b->columns);
    for (int j = 0; j < b->columns; j++) {
        x[j] = glet_lp_value(b->lp, j);
        if (x[j] - floor(x[j] + 1e-7) > most) {
            most = x[j] - floor(x[j] + 1e-7);
            best = j;
        }
    }
    for (int j = 0; j < b->columns; j++)
        for (int copy = (int)floor(x[j] + 1e-7); copy > 0; copy--)
            bins += commit(b, j, bins, items, next, chain);
    if (bins == before)
        bins += commit(b, best, bins, items, next, chain);
    free(x);
    return bins;
}

int glet_bins_pack(const struct glet_problem_type *type, struct glet_bin_item *items, int count)
{
    struct bins b;
    int *class = glet_must_alloc(sizeof *class, (size_t)count);
    int *chain = glet_must_alloc(sizeof *chain, (size_t)count);
    init(&b, type, items, count, class);
    int *next = glet_must_alloc(sizeof *next, (size_t)b.class_count);
    for (int i = count - 1; i >= 0; i--) {
        chain[i] = next[class[i]];
        next[class[i]] = i;
    }
    int bins = 0, rest = count;
    for (int rounds = ROOT_ROUNDS; rest > 0; rounds = ROUNDS) {
        if (generate(&b, rounds) < 0)
            break;
        int before = bins;
        bins = commit_largest(&b, bins, items, next, chain);
        if (bins == before)
            break;
        rest = 0;
        for (int k = 0; k < b.class_count; k++) {
            glet_lp_row_at_least(b.lp, k, b.left[k]);
            rest += b.left[k];
        }
    }
    for (int k = 0; k < b.class_count; k++) /* only if a program could not be solved */
        for (; b.left[k] > 0; b.left[k]--, next[k] = chain[next[k]])
            items[next[k]].bin = bins++;
    fini(&b);
    free(class);
    free(chain);
    free(next);
    return bins;
}
