/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_SEARCH_H
#define GLET_PLANNER_SEARCH_H

#include "planner/solve/search/search_state.h"

/* The whole search: bound, baselines, column generation, repair, exact methods where they fit. */
void glet_search_run(struct glet_search *search);

#endif
