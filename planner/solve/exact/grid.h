/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_GRID_H
#define GLET_PLANNER_GRID_H

/*
 * Integer arithmetic in doubles, for proofs. Coverages, prices and costs are rounded once, in the
 * direction that weakens the proof, to multiples of powers of two so coarse that every product and
 * sum that the proof looks at has at most 53 bits: from there on the processor rounds nothing, and
 * a comparison is one of integers.
 *
 *     coverage  multiples of 2^-24, rounded up; 0 .. 1
 *     price     multiples of 2^-24 of the largest power of two within their sum, rounded down
 *     cost      whole numbers below 2^26
 *
 * A configuration's worth, sum of price x coverage, has 49 bits, and eight of them 52. An amount
 * per cost is rounded down to 26 bits, and times a cost has 52.
 */

#include <stdbool.h>

#define GLET_GRID_COVER    0x1p-24
#define GLET_GRID_COST_MAX 0x1p26

/* The least multiple of GLET_GRID_COVER that is at least cover; 0 <= cover < 2^6. */
static inline double glet_grid_cover_up(double cover)
{
    double steps = cover / GLET_GRID_COVER; /* exact: a power of two */
    int whole = (int)steps;
    return (whole + ((double)whole < steps)) * GLET_GRID_COVER;
}

/* Rounds count prices down; what is below 0 or not a number becomes 0. */
void glet_grid_prices_down(double *price, int count);

/*
 * The highest amount of at most 26 bits for which budget times it is at most total: what covers a
 * total within a budget is worth that much per cost somewhere. total >= 0, budget > 0.
 */
double glet_grid_per_cost_down(double total, double budget);

/*
 * The costs of count types as whole numbers, and how many of those are 1 of the cost. Returns true
 * when they are the same costs (at most four digits after the point), false when rounded down. A
 * type that is too cheap beside the others gets 0.
 */
bool glet_grid_costs(const double *cost, int count, double *whole, double *scale_out);

#endif
