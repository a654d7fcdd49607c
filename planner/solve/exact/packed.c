/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inner loops run over a block, of constant length and without branches: compilers vectorise them.
   The last block is filled up with columns that cover nothing. */
#include "planner/solve/exact/packed.h"

#include "planner/solve/exact/grid.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>

#define BLOCK GLET_PACKED_BLOCK

void glet_packed_init(struct glet_packed *packed, const struct glet_item *items, const int *list,
                      int count, int models)
{
    size_t blocks = (size_t)count / BLOCK + 1;
    *packed = (struct glet_packed){.models = models,
                                   .cover = glet_must_alloc(sizeof *packed->cover, blocks),
                                   .cost = glet_must_alloc(sizeof *packed->cost, blocks)};
    for (int k = 0; k < BLOCK; k++)
        packed->cost[blocks - 1][k] = 1;
    for (int i = 0; i < count; i++) {
        const struct glet_item *item = &items[list[i]];
        for (int m = 0; m < models; m++)
            packed->cover[i / BLOCK][m][i % BLOCK] = item->cover[m];
        packed->cost[i / BLOCK][i % BLOCK] = item->cost;
    }
}

void glet_packed_fini(struct glet_packed *packed)
{
    free(packed->cover);
    free(packed->cost);
}

bool glet_packed_exceeds(const struct glet_packed *packed, int from, int end, const double *rest,
                         double budget, const double *price)
{
    double share = 0;
    for (int m = 0; m < packed->models; m++)
        share += price[m] * rest[m];
    share = glet_grid_per_cost_down(share, budget);
    for (int b = from / BLOCK; b * BLOCK < end; b++) {
        double worth[BLOCK] = {0}, most = -INFINITY;
        for (int m = 0; m < packed->models; m++)
            for (int k = 0; k < BLOCK; k++) {
                double cover = packed->cover[b][m][k];
                worth[k] += price[m] * (cover < rest[m] ? cover : rest[m]);
            }
        for (int k = 0; k < BLOCK; k++) {
            double over = worth[k] - share * packed->cost[b][k];
            most = most > over ? most : over;
        }
        if (most >= 0)
            return false;
    }
    return true;
}

int glet_packed_fit(const struct glet_packed *packed, int from, int end, const double *rest)
{
    for (int b = from / BLOCK; b * BLOCK < end; b++) {
        double missing[BLOCK] = {0}, least = INFINITY;
        for (int m = 0; m < packed->models; m++)
            for (int k = 0; k < BLOCK; k++) {
                double here = rest[m] - packed->cover[b][m][k];
                missing[k] = missing[k] > here ? missing[k] : here;
            }
        for (int k = 0; k < BLOCK; k++)
            least = least < missing[k] ? least : missing[k];
        for (int k = 0; least <= 0 && k < BLOCK; k++) {
            int at = b * BLOCK + k;
            if (missing[k] <= 0 && at >= from && at < end)
                return at;
        }
    }
    return end;
}
