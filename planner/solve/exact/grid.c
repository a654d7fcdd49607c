/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/exact/grid.h"

#include <math.h>

#define PRICE_BITS 24
#define RATIO_BITS 26
#define SAME       1e-12 /* relative: a double that was written with few digits */

/* Down to a multiple of 2^-bits of the largest power of two within `of`. */
static double down(double value, double of, int bits)
{
    double unit = ldexp(1, ilogb(of) - bits);
    return floor(value / unit) * unit;
}

void glet_grid_prices_down(double *price, int count)
{
    double sum = 0;
    for (int m = 0; m < count; m++) {
        price[m] = price[m] > 0 && isfinite(price[m]) ? price[m] : 0;
        sum += price[m];
    }
    for (int m = 0; m < count; m++)
        price[m] = sum > 1e-200 && sum < 1e200 ? down(price[m], sum, PRICE_BITS) : 0;
}

double glet_grid_per_cost_down(double total, double budget)
{
    double ratio = total / budget * (1 - 0x1p-51);
    return ratio > 0 && isfinite(ratio) ? down(ratio, ratio, RATIO_BITS - 1) : 0;
}

static bool is_whole(const double *cost, int count, double scale, double *whole)
{
    for (int g = 0; g < count; g++) {
        whole[g] = round(cost[g] * scale);
        if (fabs(cost[g] * scale - whole[g]) > SAME * whole[g] || whole[g] >= GLET_GRID_COST_MAX)
            return false;
    }
    return true;
}

bool glet_grid_costs(const double *cost, int count, double *whole, double *scale_out)
{
    double dearest = 0;
    for (double scale = 1; scale <= 1e4; scale *= 10)
        if (is_whole(cost, count, scale, whole)) {
            *scale_out = scale;
            return true;
        }
    for (int g = 0; g < count; g++)
        dearest = fmax(dearest, cost[g]);
    *scale_out = ldexp(1, 25 - ilogb(dearest));
    for (int g = 0; g < count; g++)
        whole[g] = floor(cost[g] * *scale_out);
    return false;
}
