/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "common/random.h"
#include "planner/solve/search/eject.h"
#include "planner/solve/space/lp_glpk.h"
#include "tests/support/planner/fixture.h"
#include "tests/unit/planner/solve/fleet_problem.h"

#include <math.h>

struct job {
    const struct glet_problem *problem;
    struct glet_space space;
    double demand_rps[100], rate_rps[100];
    struct glet_boxes boxes;
    int before, removed;
};

static int eject(void *context)
{
    struct job *job = context;
    job->before = job->boxes.count;
    job->removed = glet_eject(&job->space, job->demand_rps, &job->boxes, NULL);
    return 0;
}

/* Every GPU is allowed, and all demands are served as before. */
static void check_plan(struct job *job)
{
    struct glet_error err = {0};
    CHECK_OK(glet_lp_guard(eject, job, NULL, &err), &err);
    assert_int_equal(job->boxes.count, job->before - job->removed);
    for (int i = 0; i < job->boxes.count; i++) {
        assert_true(glet_boxes_at(&job->boxes, i)->count > 0);
        assert_true(glet_boxes_evaluate(job->problem, &job->boxes, i));
    }
    glet_boxes_rates(job->problem, &job->boxes, job->rate_rps);
    for (int m = 0; m < job->problem->model_count; m++)
        assert_true(job->rate_rps[m] >= job->demand_rps[m] * (1 - 1e-9));
}

/* A GPU with one gpu-let of one model; its demand stands neighbours as loud as those of a level. */
static void add_single(struct job *job, int m, int size)
{
    const struct glet_problem_type *type = &job->problem->types[0];
    int levels = job->space.types[0].even_count, level = levels - m % levels / 2;
    const struct glet_single *one = glet_space_best(&job->space, 0, level, m, size);
    struct glet_box box = {.count = 1};
    assert_in_range(size, 0, type->size_count - 1);
    if (one->rate_rps <= 0)
        return;
    box.atoms[0] = (struct glet_atom){.size = (int16_t)size, .count = 1};
    box.atoms[0].model[0] = (uint16_t)m;
    box.atoms[0].batch[0] = one->batch;
    assert_true(glet_box_evaluate(job->problem, &box));
    job->demand_rps[m] += one->rate_rps;
    glet_boxes_add(&job->boxes, &box);
}

/* Any gpu-lets, each on a GPU of its own, end on hardly more GPUs than the scarcer resource needs. */
static void fills_what_is_scarcer(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct glet_fleet_options options = {.models = 100,
                                             .target = 100,
                                             .seed = seed,
                                             .memory_gib = seed % 2 ? 48 : 80,
                                             .types = 1,
                                             .zipf = 0.9,
                                             .interference = true};
        struct glet_random random = glet_random_seeded(seed);
        struct glet_fleet fleet;
        struct glet_error err = {0};
        struct glet_problem *problem = NULL;
        glet_fleet_make(&options, &fleet);
        CHECK_OK(glet_problem_new(fleet.workload, fleet.profile, GLET_MIN_GPUS, &problem, &err),
                 &err);
        struct job job = {.problem = problem};
        glet_space_init(&job.space, problem, 8);
        for (int i = 0; i < 300; i++)
            add_single(&job, i % 100, (int)glet_random_below(&random, 6));
        double units = 0, memory_mib = 0;
        for (int i = 0; i < job.boxes.count; i++) {
            const struct glet_atom *atom = &glet_boxes_at(&job.boxes, i)->atoms[0];
            units += problem->types[0].sizes_units[atom->size];
            memory_mib += glet_atom_memory_mib(problem, 0, atom);
        }
        check_plan(&job);
        double least = fmax(units / 16, memory_mib / problem->types[0].memory_mib);
        assert_true(job.boxes.count <= ceil(least) + 1);
        glet_boxes_free(&job.boxes);
        glet_space_fini(&job.space);
        glet_problem_free(problem);
        glet_fleet_free(&fleet);
    }
}

/* Large and light beside small and heavy: only together do they fill GPUs. */
static void pairs_what_belongs_together(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    int device = fixture_device(&f, "x", GLET_MECHANISM_MPS, 16, 8, 80);
    for (int m = 0; m < 80; m++) {
        char name[8];
        snprintf(name, sizeof name, "m%02d", m);
        fixture_model(&f, name, 1, 100);
        fixture_row(&f, device, m, 1, m % 2 ? 12 : 4, 10);
        f.profile->models[m].memory_mib = m % 2 ? 8 : 70;
    }
    fixture_stock(&f, "x", GLET_COUNT_UNLIMITED, 1, NULL);
    struct glet_problem *problem = fixture_problem(&f, GLET_MIN_GPUS);
    struct job job = {.problem = problem};
    glet_space_init(&job.space, problem, 8);
    for (int m = 0; m < 80; m++)
        add_single(&job, m, m % 2);
    check_plan(&job);
    assert_int_equal(job.boxes.count, 40);
    glet_boxes_free(&job.boxes);
    glet_space_fini(&job.space);
    glet_problem_free(problem);
    fixture_free(&f);
}

/* Eight gpu-lets of one model fit one GPU where they share its weights, and eight where not. */
static void knows_who_shares_weights(void **state)
{
    (void)state;
    for (int shared = 0; shared < 2; shared++) {
        struct fixture f = fixture_new();
        int device = fixture_device(
            &f, "x", shared ? GLET_MECHANISM_GREEN_CONTEXT : GLET_MECHANISM_MPS, 16, 8, 80);
        fixture_model(&f, "m", 1, 100);
        fixture_row(&f, device, 0, 1, 2, 10);
        f.profile->models[0].memory_mib = 50;
        fixture_stock(&f, "x", GLET_COUNT_UNLIMITED, 1, NULL);
        struct glet_problem *problem = fixture_problem(&f, GLET_MIN_GPUS);
        struct job job = {.problem = problem};
        glet_space_init(&job.space, problem, 8);
        for (int i = 0; i < 8; i++)
            add_single(&job, 0, 0);
        check_plan(&job);
        assert_int_equal(job.boxes.count, shared ? 1 : 8);
        glet_boxes_free(&job.boxes);
        glet_space_fini(&job.space);
        glet_problem_free(problem);
        fixture_free(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_what_is_scarcer),
        cmocka_unit_test(pairs_what_belongs_together),
        cmocka_unit_test(knows_who_shares_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
