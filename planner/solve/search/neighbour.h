/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_NEIGHBOUR_H
#define GLET_PLANNER_NEIGHBOUR_H

#include "planner/solve/search/search_state.h"

/*
 * Large neighbourhood search: takes a few GPUs out of the best plan, badly used ones and ones with
 * models in common, and plans what they served again by the same dive with other settings. Keeps
 * what needs fewer GPUs, or as many with more room left. tries is the only limit.
 */
void glet_neighbour_run(struct glet_search *search, int tries);

#endif
