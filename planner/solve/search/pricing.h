/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_PRICING_H
#define GLET_PLANNER_PRICING_H

/*
 * Pricing: atoms that are worth more than they cost at the master's prices. One-model atoms are
 * priced exactly. Time-shared ones heuristically, which never affects the lower bound: for each
 * size, the cheapest levels and a range of duty cycles, models are packed into gpu-lets by value
 * per share of the duty cycle.
 */

#include "planner/solve/search/master.h"

struct glet_pricing_options {
    bool shared;     /* time-shared atoms too */
    int levels;      /* cheapest levels tried per size, >= 1 */
    int duty_cycles; /* duty cycles tried, >= 2 */
    int most;        /* atoms added at most */
};

/* Adds promising atoms to the master; returns how many. */
int glet_pricing_round(struct glet_master *master, const struct glet_pricing_options *options);

#endif
