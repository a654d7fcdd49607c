/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_EXACT_H
#define GLET_PLANNER_EXACT_H

#include "planner/solve/search/search_state.h"

/*
 * The exact method for small menus (menu.h): afterwards the search is usually closed, with the plan
 * found or none proven to exist. Does nothing when the problem is too large; its only limits are
 * counts, so that results repeat.
 */
void glet_exact_run(struct glet_search *search);

#endif
