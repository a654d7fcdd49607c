/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an interference level promises: any gpu-lets of it that fit a GPU keep their limits beside
 * each other, and each serves at least the rate that the level says. On random instances, with even
 * and with uneven levels.
 *
 * usage: test_levels [COUNT [FIRST_SEED]]; prints the seed of every failure.
 */
#include "common/random.h"
#include "planner/solve/space/space.h"
#include "tests/property/planner/brute_force.h"

#include <stdio.h>
#include <stdlib.h>

#define MIXES 40 /* per level */

struct trial {
    const struct glet_problem *problem;
    struct glet_space space;
    struct glet_random random;
    uint64_t seed;
    long mixes, uneven_mixes, failures;
};

/* Draws gpu-lets of the level until one does not fit; least_rps[] receives their rates. */
static void draw_mix(struct trial *t, int g, int level, struct glet_box *box, double *least_rps)
{
    const struct glet_problem_type *type = &t->problem->types[g];
    int units[GLET_BOX_ATOMS];
    *box = (struct glet_box){.type = g};
    for (int tries = 0; tries < 12 && box->count < GLET_BOX_ATOMS; tries++) {
        int m = (int)glet_random_below(&t->random, (uint64_t)t->problem->model_count);
        int s = (int)glet_random_below(&t->random, (uint64_t)type->size_count);
        const struct glet_single *one = glet_space_best(&t->space, g, level, m, s);
        units[box->count] = type->sizes_units[s];
        if (one->rate_rps <= 0 || !glet_problem_sizes_fit(type, units, box->count + 1))
            continue;
        least_rps[box->count] = one->rate_rps;
        box->atoms[box->count++] = (struct glet_atom){
            .size = (int16_t)s, .count = 1, .model = {(uint16_t)m}, .batch = {one->batch}};
    }
}

static void check_mix(struct trial *t, int g, int level)
{
    struct glet_box box;
    double least_rps[GLET_BOX_ATOMS];
    draw_mix(t, g, level, &box, least_rps);
    if (box.count < 2)
        return;
    t->mixes++;
    t->uneven_mixes += level > t->space.types[g].even_count;
    bool good = glet_box_evaluate(t->problem, &box);
    for (int i = 0; good && i < box.count; i++)
        good = glet_atom_rate_rps(&box.atoms[i], 0) >= least_rps[i] * (1 - 1e-9);
    if (good)
        return;
    t->failures++;
    printf("seed %llu: level %d of type %d does not keep its promise\n",
           (unsigned long long)t->seed, level, g);
}

static void check_space(struct trial *t)
{
    for (int g = 0; g < t->problem->type_count; g++)
        for (int l = 1; l <= t->space.types[g].level_count; l++)
            for (int i = 0; i < MIXES; i++)
                check_mix(t, g, l);
    glet_space_fini(&t->space);
}

static void check(struct trial *t, uint64_t seed)
{
    struct brute_instance instance = brute_instance_new(seed);
    struct glet_problem *problem = NULL;
    struct glet_error err = {0};
    if (glet_problem_new(instance.fixture.workload, instance.fixture.profile, instance.objective,
                         &problem, &err) == 0) {
        for (int g = 0; g < problem->type_count; g++)
            problem->types[g].memory_mib = 1e9; /* a level promises nothing about it */
        t->problem = problem;
        t->seed = seed;
        t->random = glet_random_seeded(seed);
        glet_space_init(&t->space, problem, 8);
        check_space(t);
        if (glet_space_init_uneven(&t->space, problem))
            check_space(t);
    }
    glet_problem_free(problem);
    fixture_free(&instance.fixture);
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 5000;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct trial t = {0};
    for (long i = 0; i < count && t.failures < 20; i++)
        check(&t, first + (uint64_t)i);
    printf("%ld instances from seed %llu, %ld mixes, %ld of uneven levels, %ld failures\n", count,
           (unsigned long long)first, t.mixes, t.uneven_mixes, t.failures);
    return t.failures || t.mixes < 10 * count || t.uneven_mixes < count / 2 ? 1 : 0;
}
