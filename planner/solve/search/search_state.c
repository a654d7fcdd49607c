/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/search/search_state.h"

#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>

void glet_search_init(struct glet_search *search, const struct glet_problem *problem,
                      struct glet_space *space, enum glet_effort effort,
                      const struct glet_halt *halt)
{
    *search = (struct glet_search){.problem = problem,
                                   .space = space,
                                   .effort = effort,
                                   .halt = halt,
                                   .best_cost = INFINITY,
                                   .whole_costs = glet_whole_costs(problem)};
    space->problem = problem;
    search->cost = glet_type_costs(problem);
    search->most = glet_stock_cost(problem);
    search->demand_rps = glet_must_alloc(sizeof(double), (size_t)problem->model_count);
    search->rate_rps = glet_must_alloc(sizeof(double), (size_t)problem->model_count);
    search->rest_rps = glet_must_alloc(sizeof(double), (size_t)problem->model_count);
    for (int m = 0; m < problem->model_count; m++)
        search->demand_rps[m] = problem->models[m].demand_rps;
}

void glet_search_fini(struct glet_search *search)
{
    glet_boxes_free(&search->best);
    free(search->cost);
    free(search->demand_rps);
    free(search->rate_rps);
    glet_boxes_free(&search->bulk);
    free(search->rest_rps);
}

/* Whether everything is served without GPU number `gone`; -1 = with all. */
static bool serves(struct glet_search *search, const struct glet_boxes *boxes, int gone)
{
    glet_boxes_rates(search->problem, boxes, search->rate_rps);
    double *lost_rps = NULL;
    if (gone >= 0) {
        lost_rps = glet_must_alloc(sizeof *lost_rps, (size_t)search->problem->model_count);
        struct glet_boxes one = glet_boxes_part(boxes, gone, 1);
        glet_boxes_rates(search->problem, &one, lost_rps);
    }
    bool good = true;
    for (int m = 0; m < search->problem->model_count; m++)
        good &= glet_within(search->demand_rps[m] * (1 - GLET_TOLERANCE_RATIO / 2),
                            search->rate_rps[m] - (lost_rps ? lost_rps[m] : 0));
    free(lost_rps);
    return good;
}

static bool is_correct(struct glet_search *search, const struct glet_boxes *boxes)
{
    const struct glet_problem *problem = search->problem;
    if (!glet_boxes_within_stock(problem, boxes))
        return false;
    struct glet_box box;
    for (int i = 0; i < boxes->count; i++) {
        glet_box_copy(&box, glet_boxes_at(boxes, i));
        if (!glet_box_evaluate(problem, &box))
            return false;
    }
    bool good = serves(search, boxes, -1);
    for (int i = 0; search->survive && i < boxes->count && good; i++)
        good = serves(search, boxes, i);
    return good;
}

bool glet_search_offer(struct glet_search *search, const struct glet_boxes *boxes)
{
    double cost = glet_boxes_cost(search->problem, boxes);
    if (!is_correct(search, boxes))
        return false;
    if (cost < search->best_cost * (1 - 1e-12)) {
        glet_boxes_copy(&search->best, boxes);
        search->best_cost = cost;
    }
    return true;
}

void glet_search_raise(struct glet_search *search, double value)
{
    if (search->whole_costs && isfinite(value))
        value = ceil(value);
    if (value > search->bound)
        search->bound = value;
}

bool glet_search_excluded(const struct glet_search *search)
{
    return search->bound > search->most * (1 + GLET_TOLERANCE_RATIO);
}

bool glet_search_closed(const struct glet_search *search)
{
    if (search->best_cost <= search->bound * (1 + 1e-12) || !isfinite(search->bound) ||
        (glet_search_excluded(search) && !search->count))
        return true;
    return isfinite(search->best_cost) &&
           (search->best_cost <= search->enough || glet_search_excluded(search));
}
