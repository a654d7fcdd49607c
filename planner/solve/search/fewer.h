/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_FEWER_H
#define GLET_PLANNER_FEWER_H

#include "planner/solve/search/search_state.h"

/*
 * Tries to serve everything with one GPU less than the best plan, as long as that succeeds: for few
 * GPUs of one type (anneal.h).
 */
void glet_fewer_run(struct glet_search *search);

#endif
