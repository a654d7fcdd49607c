/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/search/fewer.h"

#include "planner/solve/search/anneal.h"

#include <math.h>

void glet_fewer_run(struct glet_search *search)
{
    static const int runs[] = {1, 4, 30};
    static const long steps[] = {50000, 300000, 1000000};
    struct glet_anneal_options options = {.runs = runs[search->effort],
                                          .steps = steps[search->effort],
                                          .guess = 1,
                                          .enough = 1,
                                          .survive = search->survive,
                                          .halt = search->halt};
    for (bool found = true; found && isfinite(search->best_cost);) {
        int fewer = search->best.count - 1;
        if (search->is_try || search->problem->type_count != 1 || !search->whole_costs ||
            glet_search_closed(search) || glet_halted(search->halt) ||
            !glet_anneal_suits(search->problem, fewer))
            return;
        struct glet_boxes boxes = {0}, rest = glet_boxes_part(&search->best, 0, fewer);
        glet_boxes_copy(&boxes, &rest);
        glet_anneal(search->problem, &options, &boxes);
        glet_boxes_sweep(&boxes);
        found = glet_search_offer(search, &boxes);
        glet_boxes_free(&boxes);
    }
}
