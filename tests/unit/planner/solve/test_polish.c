/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/search/dive.h"
#include "planner/solve/search/pack.h"
#include "planner/solve/search/polish.h"
#include "planner/solve/search/ruin.h"
#include "planner/solve/space/lp_glpk.h"
#include "tests/unit/planner/solve/fleet_problem.h"

#include <math.h>

struct job {
    struct glet_space space;
    double demand_rps[100];
    double dived, polished, rebuilt, saved; /* prices of what is left */
    bool served, packed;
};

static double priced(const struct glet_places *places, const struct glet_placed_list *atoms)
{
    double sum = 0;
    for (int i = 0; i < atoms->count; i++)
        for (int k = 0; k < places->count; k++) {
            const struct glet_place *at = &places->list[k];
            const struct glet_placed *placed = &atoms->list[i];
            if (at->type == placed->type && at->level == placed->level &&
                at->size == placed->atom.size)
                sum += at->price;
        }
    return sum;
}

static bool serves(const struct job *job, const double *rate_rps)
{
    for (int m = 0; m < job->space.problem->model_count; m++)
        if (rate_rps[m] < job->demand_rps[m] * (1 - 1e-9))
            return false;
    return true;
}

static int run(void *context)
{
    struct job *job = context;
    struct glet_dive_options options = {.root_rounds = 40,
                                        .rounds = 2,
                                        .commit_ratio = 1,
                                        .keep_open = 1,
                                        .duty_cycles = 16,
                                        .shared = true,
                                        .stock_ratio = 1,
                                        .memory_ratio = 1};
    struct glet_placed_list atoms = {0};
    struct glet_places places = {0};
    struct glet_boxes boxes = {0};
    struct glet_random random = glet_random_seeded(1);
    struct glet_draft draft;
    double rate_rps[100] = {0};
    glet_dive(&job->space, job->demand_rps, &options, &places, &atoms);
    job->dived = priced(&places, &atoms);
    glet_draft_init(&draft, &job->space, &places, job->demand_rps, 300000, &atoms);
    glet_polish(&draft, NULL);
    job->polished = priced(&places, &atoms);
    job->saved = glet_ruin(&draft, 2000, &random, NULL);
    glet_draft_fini(&draft);
    job->rebuilt = priced(&places, &atoms);
    for (int i = 0; i < atoms.count; i++)
        for (int k = 0; k < atoms.list[i].atom.count; k++)
            rate_rps[atoms.list[i].atom.model[k]] += glet_atom_rate_rps(&atoms.list[i].atom, k);
    job->served = serves(job, rate_rps);
    glet_pack(&job->space, job->demand_rps, &atoms, &boxes);
    glet_boxes_rates(job->space.problem, &boxes, rate_rps);
    job->packed = serves(job, rate_rps);
    for (int i = 0; i < boxes.count; i++)
        job->packed &= glet_boxes_evaluate(job->space.problem, &boxes, i);
    glet_placed_free(&atoms);
    glet_places_free(&places);
    glet_boxes_free(&boxes);
    return 0;
}

/* Cheaper, and everything is still served, by the gpu-lets and by the GPUs they are packed in. */
static void saves_and_serves(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct glet_fleet fleet;
        struct glet_problem *problem = fleet_problem(&fleet, 60, 30, seed);
        struct job job = {0};
        struct glet_error err = {0};
        glet_space_init(&job.space, problem, 8);
        for (int m = 0; m < problem->model_count; m++)
            job.demand_rps[m] = problem->models[m].demand_rps;
        CHECK_OK(glet_lp_guard(run, &job, NULL, &err), &err);
        assert_true(job.polished < job.dived);
        assert_true(job.rebuilt < job.polished);
        assert_true(fabs(job.rebuilt - job.polished + job.saved) < 1e-6);
        assert_true(job.served);
        assert_true(job.packed);
        glet_space_fini(&job.space);
        glet_problem_free(problem);
        glet_fleet_free(&fleet);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saves_and_serves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
