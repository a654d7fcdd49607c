/* SPDX-License-Identifier: Apache-2.0 */
#include "profiles/sweep.h"

#include "common/memory.h"
#include "common/random.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

const int glet_sweep_default_batches[6] = {1, 8, 4, 2, 16, 32};

static void add_size(int *sizes, int *count, int room, int units, int size)
{
    if (size < 1 || size > units || *count == room)
        return;
    for (int i = 0; i < *count; i++)
        if (sizes[i] == size)
            return;
    sizes[(*count)++] = size;
}

int glet_sweep_default_sizes(int units, int grain, int *sizes_out, int room)
{
    int count = 0;
    if (grain > 1) {
        static const int tenths[] = {10, 5, 0, 2, 8, 6, 4, 3, 7};
        for (size_t i = 0; i < sizeof tenths / sizeof tenths[0]; i++)
            add_size(sizes_out, &count, room, units, tenths[i] ? tenths[i] * grain / 10 : units);
        for (int cores = 2; cores * grain < units; cores *= 2)
            add_size(sizes_out, &count, room, units, cores * grain);
        return count;
    }
    for (int size = units; size > 0; size /= 2)
        add_size(sizes_out, &count, room, units, size);
    for (int size = 1; size <= units; size++)
        add_size(sizes_out, &count, room, units, size);
    return count;
}

struct shuffled {
    struct glet_sweep_point point;
    uint64_t key;
};

static int by_rank(const void *a, const void *b)
{
    const struct shuffled *x = a, *y = b;
    if (x->point.rank != y->point.rank)
        return x->point.rank < y->point.rank ? -1 : 1;
    return (x->key > y->key) - (x->key < y->key);
}

int glet_sweep_order(size_t models, const int *batches, int batch_count, const int *sizes,
                     int size_count, uint64_t seed, struct glet_sweep_point **points_out,
                     size_t *count_out, struct glet_error *err)
{
    size_t count = models * (size_t)batch_count * (size_t)size_count, i = 0;
    GLET_CLEANUP(glet_cleanup_free) struct shuffled *all = glet_alloc(count, sizeof *all, err);
    struct glet_sweep_point *points = glet_alloc(count, sizeof *points, err);
    if (!all || !points) {
        free(points);
        return -1;
    }
    struct glet_random random = glet_random_seeded(seed);
    for (size_t model = 0; model < models; model++)
        for (int b = 0; b < batch_count; b++)
            for (int s = 0; s < size_count; s++) {
                all[i].point = (struct glet_sweep_point){model, batches[b], sizes[s], 2 * s + b};
                all[i++].key = glet_random_bits(&random);
            }
    qsort(all, count, sizeof *all, by_rank);
    for (i = 0; i < count; i++)
        points[i] = all[i].point;
    *points_out = points;
    *count_out = count;
    return 0;
}

double glet_sweep_allowance_ms(double budget_ms, double left_ms, size_t points_left,
                               double predicted_ms)
{
    enum { MOST_MS = 10000, USUAL_MS = 1000, RUNS = 20 };
    double part_ms = points_left ? left_ms / (double)points_left : left_ms;
    double wanted_ms = fmax(USUAL_MS, RUNS * predicted_ms); /* fmax() ignores a NAN */
    return fmin(MOST_MS, fmax(part_ms, fmin(wanted_ms, budget_ms / 10)));
}
