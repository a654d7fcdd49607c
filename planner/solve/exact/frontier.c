/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/exact/frontier.h"

#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = GLET_FRONT_STEPS };

void glet_front_init(struct glet_front *front, struct glet_columns *columns, int models,
                     double grain)
{
    *front = (struct glet_front){.columns = columns, .models = models, .grain = grain, .last = -1};
}

static double raised(double cover, double grain)
{
    return cover > 0 ? cover + grain : 0;
}

static bool beats(const struct glet_column *a, const struct glet_column *b, double grain)
{
    if (a->cost > b->cost || a->type != b->type)
        return false;
    for (int m = 0; m < GLET_MENU_MODELS; m++)
        if (raised(a->cover[m], grain) < b->cover[m])
            return false;
    return true;
}

/* The highest step that the cover reaches; monotone, so that it never contradicts beats(). */
static int step_of(double cover)
{
    return cover < 1 ? (int)(cover * STEPS) : STEPS - 1;
}

static uint64_t *row_of(const struct glet_front *front, int model, int step)
{
    return &front->bits[(size_t)(model * STEPS + step) * (size_t)front->room];
}

/* Rows for twice as many columns. */
static void grow(struct glet_front *front)
{
    int rows = front->models * STEPS, room = front->room ? 2 * front->room : 16;
    uint64_t *bits = glet_must_alloc(sizeof *bits, (size_t)rows * (size_t)room);
    for (int r = 0; r < rows && front->words; r++)
        memcpy(&bits[(size_t)r * (size_t)room], &front->bits[(size_t)r * (size_t)front->room],
               (size_t)front->words * sizeof *bits);
    front->alive = glet_must_resize(front->alive, sizeof *front->alive, (size_t)room);
    memset(front->alive + front->room, 0, (size_t)(room - front->room) * sizeof *front->alive);
    free(front->bits);
    front->bits = bits;
    front->room = room;
}

static void append(struct glet_front *front, const struct glet_column *column)
{
    int at = front->columns->count;
    if (at / 64 >= front->room)
        grow(front);
    front->words = at / 64 + 1;
    uint64_t bit = (uint64_t)1 << (at % 64);
    front->alive[at / 64] |= bit;
    for (int m = 0; m < front->models; m++)
        for (int s = step_of(raised(column->cover[m], front->grain)); s >= 0; s--)
            row_of(front, m, s)[at / 64] |= bit;
    glet_columns_add(front->columns, column);
}

static bool is_beaten(struct glet_front *front, const struct glet_column *column)
{
    const struct glet_column *list = front->columns->list;
    const uint64_t *rows[GLET_MENU_MODELS];
    int count = 0;
    if (front->last >= 0 && beats(&list[front->last], column, front->grain))
        return true;
    for (int m = 0; m < front->models; m++)
        if (column->cover[m] > 0)
            rows[count++] = row_of(front, m, step_of(column->cover[m]));
    for (int w = 0; w < front->words; w++) {
        uint64_t able = front->alive[w];
        for (int r = 0; r < count; r++)
            able &= rows[r][w];
        for (; able; able &= able - 1) {
            int at = 64 * w + __builtin_ctzll(able);
            if (beats(&list[at], column, front->grain)) {
                front->last = at;
                return true;
            }
        }
    }
    return false;
}

static void drop_beaten(struct glet_front *front, const struct glet_column *column)
{
    const struct glet_column *list = front->columns->list;
    const uint64_t
        *above[GLET_MENU_MODELS]; /* more than the column covers, in spite of the grain */
    int count = 0, extra = (int)ceil(front->grain * STEPS) + 1;
    for (int m = 0; m < front->models; m++) {
        int step = step_of(column->cover[m]) + extra;
        if (step < STEPS)
            above[count++] = row_of(front, m, step);
    }
    for (int w = 0; w < front->words; w++) {
        uint64_t able = front->alive[w];
        for (int r = 0; r < count; r++)
            able &= ~above[r][w];
        for (; able; able &= able - 1) {
            int at = 64 * w + __builtin_ctzll(able);
            if (!beats(column, &list[at], 0))
                continue;
            front->alive[w] &= ~((uint64_t)1 << (at % 64));
            if (front->last == at)
                front->last = -1;
        }
    }
}

void glet_front_add(struct glet_front *front, const struct glet_column *column)
{
    if (is_beaten(front, column))
        return;
    drop_beaten(front, column);
    append(front, column);
}

void glet_front_fini(struct glet_front *front)
{
    int kept = 0;
    for (int i = 0; i < front->columns->count; i++)
        if (front->alive[i / 64] >> (i % 64) & 1)
            front->columns->list[kept++] = front->columns->list[i];
    front->columns->count = kept;
    free(front->bits);
    free(front->alive);
    *front = (struct glet_front){0};
}
