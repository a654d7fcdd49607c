/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_TWO_LETS_H
#define GLET_PLANNER_TWO_LETS_H

#include "planner/solve/search/search_state.h"

/*
 * Whether one GPU is enough, where it holds no more than two gpu-lets, of one type and for as many
 * models as a menu (menu.h) has: offers a plan, or raises the bound to two GPUs. Loose SLOs, which
 * make menus too large, do not matter here. Its only limits are counts, so that results repeat. Returns whether it looked.
 */
bool glet_two_lets_run(struct glet_search *search);

#endif
