/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Enumeration takes sizes from the largest to the smallest, so every multiset appears once. The
 * knapsack is over (units, gpu-lets left) and runs on integers: it is part of the proof of the
 * lower bound, so it may not round.
 */
#include "planner/solve/space/pattern.h"

#include "planner/solve/space/scratch.h"

#include <stdlib.h>
#include <string.h>

struct walk {
    struct glet_patterns *patterns;
    const struct glet_problem_type *type;
    int limit;
    int16_t *uses;
};

static bool is_maximal(const struct glet_problem_type *type, const int16_t *uses, int free_units,
                       int free_lets)
{
    if (free_lets > 0 && type->sizes_units[0] <= free_units)
        return false;
    for (int s = 0; s + 1 < type->size_count; s++)
        if (uses[s] && type->sizes_units[s + 1] - type->sizes_units[s] <= free_units)
            return false;
    return true;
}

static void append(struct glet_patterns *patterns, const int16_t *uses)
{
    size_t width = (size_t)patterns->size_count;
    patterns->uses =
        glet_must_resize(patterns->uses, sizeof *uses * width, (size_t)patterns->count + 1);
    memcpy(patterns->uses + (size_t)patterns->count * width, uses, sizeof *uses * width);
    patterns->count++;
}

static void walk_sizes(struct walk *walk, int size, int free_units, int free_lets)
{
    if (walk->patterns->count >= walk->limit) {
        walk->patterns->complete = false;
        return;
    }
    if (size < 0) {
        if (is_maximal(walk->type, walk->uses, free_units, free_lets))
            append(walk->patterns, walk->uses);
        return;
    }
    int units = walk->type->sizes_units[size];
    int most = free_units / units < free_lets ? free_units / units : free_lets;
    for (int n = most; n >= 0; n--) {
        walk->uses[size] = (int16_t)n;
        walk_sizes(walk, size - 1, free_units - n * units, free_lets - n);
    }
    walk->uses[size] = 0;
}

/* Counts of a layout; sizes that no model was profiled at stay empty slots. */
static void layout_uses(const struct glet_problem_type *type,
                        const struct glet_problem_layout *layout, int16_t *uses)
{
    memset(uses, 0, sizeof *uses * (size_t)type->size_count);
    int lets = 0;
    for (int i = 0; i < layout->size_count && lets < type->max_gpulets; i++) {
        int s = glet_problem_find_size(type, layout->sizes_units[i]);
        if (s >= 0) {
            uses[s]++;
            lets++;
        }
    }
}

void glet_patterns_init(struct glet_patterns *patterns, const struct glet_problem_type *type,
                        int limit)
{
    *patterns = (struct glet_patterns){.size_count = type->size_count, .complete = true};
    if (type->size_count == 0)
        return;
    int16_t *uses = glet_must_alloc(sizeof *uses, (size_t)type->size_count);
    if (type->layouts) {
        for (int i = 0; i < type->layout_count; i++) {
            layout_uses(type, &type->layouts[i], uses);
            glet_patterns_add(patterns, uses);
        }
    } else {
        struct walk walk = {patterns, type, limit, uses};
        walk_sizes(&walk, type->size_count - 1, type->units, type->max_gpulets);
    }
    free(uses);
}

void glet_patterns_fini(struct glet_patterns *patterns)
{
    free(patterns->uses);
    patterns->uses = NULL;
    patterns->count = 0;
}

bool glet_patterns_add(struct glet_patterns *patterns, const int16_t *uses)
{
    size_t width = (size_t)patterns->size_count;
    for (int i = 0; i < patterns->count; i++)
        if (memcmp(patterns->uses + (size_t)i * width, uses, sizeof *uses * width) == 0)
            return false;
    append(patterns, uses);
    return true;
}

static int64_t best_layout(const struct glet_problem_type *type, const int64_t *price,
                           int16_t *uses_out)
{
    int64_t best = -1;
    int16_t *uses = glet_must_alloc(sizeof *uses, (size_t)type->size_count);
    for (int i = 0; i < type->layout_count; i++) {
        int64_t value = 0;
        layout_uses(type, &type->layouts[i], uses);
        for (int s = 0; s < type->size_count; s++)
            value += uses[s] * price[s];
        if (value > best) {
            best = value;
            if (uses_out)
                memcpy(uses_out, uses, sizeof *uses * (size_t)type->size_count);
        }
    }
    free(uses);
    return best > 0 ? best : 0;
}

int64_t glet_pattern_best(const struct glet_problem_type *type, const int64_t *price,
                          int16_t *uses_out)
{
    if (uses_out)
        memset(uses_out, 0, sizeof *uses_out * (size_t)type->size_count);
    if (type->layouts)
        return best_layout(type, price, uses_out);
    int lets = type->max_gpulets < type->units ? type->max_gpulets : type->units;
    size_t width = (size_t)type->units + 1;
    int64_t *value = glet_must_alloc(sizeof *value, width * (size_t)(lets + 1));
    int16_t *choice = glet_must_alloc(sizeof *choice, width * (size_t)(lets + 1));
    for (int n = 1; n <= lets; n++)
        for (int u = 1; u <= type->units; u++) {
            size_t here = (size_t)n * width + (size_t)u;
            value[here] = value[here - 1];
            choice[here] = -1;
            for (int s = 0; s < type->size_count && type->sizes_units[s] <= u; s++) {
                int64_t v = value[here - width - (size_t)type->sizes_units[s]] + price[s];
                if (v > value[here]) {
                    value[here] = v;
                    choice[here] = (int16_t)(s + 1);
                }
            }
        }
    int64_t best = value[(size_t)lets * width + (size_t)type->units];
    for (int n = lets, u = type->units; uses_out && n > 0 && u > 0;) {
        int c = choice[(size_t)n * width + (size_t)u];
        if (c > 0) {
            uses_out[c - 1]++;
            u -= type->sizes_units[c - 1];
            n--;
        } else if (c < 0) {
            u--;
        } else {
            break;
        }
    }
    free(value);
    free(choice);
    return best;
}

int64_t glet_pattern_best_beside(const struct glet_problem_type *type, int taken,
                                 const int64_t *price, int16_t *uses_out)
{
    struct glet_problem_type less = *type;
    less.units -= type->sizes_units[taken];
    less.max_gpulets--;
    return glet_pattern_best(&less, price, uses_out);
}
