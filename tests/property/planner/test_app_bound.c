/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bound over all splits of the apps' SLOs, on random instances: it exceeds neither the optimum
 * that trying everything finds, nor what prices prove at any one split, drawn at random, estimated,
 * or the one that it calls cheapest itself. The second is the sharp one: the best of the splits is
 * mostly within some percent.
 *
 * usage: test_app_bound [COUNT [FIRST_SEED]]; prints the seed of every failure.
 */
#include "common/random.h"
#include "planner/model/latency.h"
#include "planner/solve/apps/app_bound.h"
#include "planner/solve/apps/split.h"
#include "planner/solve/bound/bound.h"
#include "planner/solve/space/lp_glpk.h"
#include "tests/property/planner/brute_force.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DRAWS   200  /* of random splits; most break a path */
#define NEAR    0.02 /* a bound that is nearer than that to the best split's is tight */
#define SETTLED 1e-4 /* what the last rounds of prices may leave (bound.c) */
#define SHARP   0.8  /* of the instances have a tight bound; measured: 0.90 */

struct trial {
    const struct glet_problem *problem;
    struct glet_problem *view;
    struct glet_random random;
    double cost[2];
    double optimum;    /* INFINITY: not known */
    double best_split; /* least that any split was found to need, by its prices */
    uint64_t seed;
    long bounds, splits, tight, apps, failures;
};

static void fail(struct trial *t, const char *what, double bound, double limit)
{
    t->failures++;
    printf("seed %llu: bound %.12g above %s %.12g\n", (unsigned long long)t->seed, bound, what,
           limit);
}

static void set_loosest(struct trial *t)
{
    for (int m = 0; m < t->problem->model_count; m++)
        t->view->models[m].limit_ms = t->problem->models[m].limit_ms;
}

/* What the view's limits need, apps forgotten. */
static void try_split(struct trial *t)
{
    struct glet_bound_options options = {.rounds = 200};
    struct glet_space space;
    glet_space_init(&space, t->view, 1);
    t->best_split = fmin(t->best_split, glet_bound_find(&space, t->cost, &options, NULL));
    t->splits++;
    glet_space_fini(&space);
}

static bool keeps_paths(const struct trial *t)
{
    double floor_ms[BRUTE_MODELS], limit_ms[BRUTE_MODELS];
    bool good = true;
    for (int m = 0; m < t->problem->model_count; m++) {
        bool used = t->problem->models[m].in_app && t->problem->models[m].demand_rps > 0;
        floor_ms[m] = used ? t->view->models[m].limit_ms : 0;
        limit_ms[m] = t->problem->models[m].limit_ms;
    }
    good = glet_problem_tighten(t->problem, floor_ms, limit_ms) == 0;
    for (int m = 0; m < t->problem->model_count; m++)
        good &= floor_ms[m] <= limit_ms[m];
    return good;
}

static void draw_splits(struct trial *t)
{
    for (int draw = 0; draw < DRAWS; draw++) {
        set_loosest(t);
        for (int m = 0; m < t->problem->model_count; m++) {
            double high_ms = t->problem->models[m].limit_ms;
            double low_ms = fmin(high_ms, glet_latency_best(t->problem, m).bound_ms);
            if (t->problem->models[m].in_app && t->problem->models[m].demand_rps > 0)
                t->view->models[m].limit_ms =
                    low_ms * pow(high_ms / low_ms, glet_random_uniform(&t->random));
        }
        if (keeps_paths(t)) {
            glet_apps_grow(t->problem, t->view);
            try_split(t);
        }
    }
    if (glet_apps_split(t->problem, t->view))
        try_split(t);
}

static double prove(struct trial *t, int grid)
{
    struct glet_app_bound_options options = {.room_ratio = 1, .grid = grid};
    double bound = 0;
    bool found = glet_app_bound(t->problem, t->view, t->cost, &options, &bound);
    if (found && keeps_paths(t))
        try_split(t);
    t->bounds++;
    if (bound > t->optimum * (1 + 1e-9))
        fail(t, "the optimum", bound, t->optimum);
    return bound;
}

/* From the loosest limits, then from the split found there. */
static int run_trial(void *context)
{
    struct trial *t = context;
    t->best_split = INFINITY;
    set_loosest(t);
    double best = prove(t, 0);
    best = fmax(best, prove(t, 0));
    prove(t, 64);
    draw_splits(t);
    if (best > t->best_split * (1 + SETTLED))
        fail(t, "that of a split", best, t->best_split);
    t->tight += best > t->best_split * (1 - NEAR);
    t->apps++;
    return 0;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 300;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct trial t = {0};
    for (long i = 0; i < count; i++) {
        struct brute_instance instance = brute_instance_new(first + (uint64_t)i);
        struct glet_problem *problem = fixture_problem(&instance.fixture, instance.objective);
        struct glet_error err = {0};
        if (problem->app_count > 0 && instance.objective != GLET_MAX_RATE) {
            struct brute_answer truth = brute_solve(&instance);
            t.problem = problem;
            t.seed = first + (uint64_t)i;
            t.random = glet_random_seeded(t.seed);
            t.optimum = truth.status == BRUTE_FOUND ? truth.value : INFINITY;
            for (int g = 0; g < problem->type_count; g++)
                t.cost[g] = glet_type_cost(problem, g);
            t.view = glet_problem_view(problem);
            if (truth.status == BRUTE_FOUND &&
                (!t.view || glet_lp_guard(run_trial, &t, NULL, &err) < 0))
                t.failures++;
            glet_problem_free(t.view);
        }
        glet_problem_free(problem);
        fixture_free(&instance.fixture);
    }
    printf("%ld instances with apps, %ld bounds, %ld splits, %ld tight, %ld failures\n", t.apps,
           t.bounds, t.splits, t.tight, t.failures);
    return t.failures > 0 || t.apps == 0 || (double)t.tight < SHARP * (double)t.apps;
}
