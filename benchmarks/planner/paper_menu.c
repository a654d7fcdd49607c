/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The paper's schedulability experiment (arXiv 2109.01611): five models, each at one of four rates,
 * not all zero: 1,023 scenarios on 4 GPUs with at most two gpu-lets of 20, 40, 50, 60, 80 or 100 %
 * each. Prints how many are schedulable, how many are proven not to be, and how many stay open.
 *
 *   paper_menu PROFILE_DIR [--no-interference] [--rates A,B,C] [--gpulets N] [--list]
 *              [--scenarios FIRST-LAST]
 *
 * The profile is that of the paper's GPU in the project's formats; it is not part of the project.
 */
#include "common/clock.h"
#include "planner/solve/solve.h"
#include "planner/verify/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODELS    5
#define SCENARIOS 1024

static char model_names[MODELS][16] = {"lenet", "googlenet", "resnet50", "ssd_mobilenet", "vgg16"};
static const double slo_ms[MODELS] = {5, 66, 108, 202, 142}; /* ATC'22 table 4 */
static int sizes_units[] = {2, 4, 5, 6, 8, 10};

struct setup {
    const char *profile_path;
    double rates[4];
    bool interference, list;
    int gpulets, first, last; /* scenarios: base-4 numbers, a digit for each model's rate */
};

struct count {
    int schedulable, impossible, open, violations;
    double slowest_s;
};

static void make_workload(const struct setup *setup, int scenario,
                          const struct glet_profile *profile, struct glet_workload *out,
                          struct glet_workload_model *models, struct glet_workload_gpu *gpu)
{
    *gpu =
        (struct glet_workload_gpu){.type = profile->devices[0].gpu, .count = 4, .cost_per_hour = 1};
    int digits = scenario;
    for (int m = 0; m < MODELS; m++, digits /= 4)
        models[m] = (struct glet_workload_model){.name = model_names[m],
                                                 .rate_rps = setup->rates[digits % 4],
                                                 .slo_ms = slo_ms[m],
                                                 .percentile = 99};
    *out = (struct glet_workload){
        .models = models, .model_count = MODELS, .gpus = gpu, .gpu_count = 1};
    out->options = (struct glet_workload_options){.interference = setup->interference,
                                                  .latency_factor = 1,
                                                  .max_gpulets_per_gpu = setup->gpulets,
                                                  .sizes_units = sizes_units,
                                                  .size_count = 6};
}

static int verify(const struct glet_problem *problem, struct glet_solve_result *result,
                  struct count *count, struct glet_error *err)
{
    struct glet_plan *plan = NULL;
    struct glet_verdict verdict = {0};
    if (glet_solution_to_plan(problem, &result->solution, &result->bound, &plan, err) < 0)
        return -1;
    int status = glet_verify(problem->workload, problem->profile, plan, &verdict, err);
    count->violations += verdict.count > 0;
    for (size_t i = 0; i < verdict.count; i++)
        printf("violation: %s %s\n", verdict.violations[i].where, verdict.violations[i].what);
    glet_verdict_fini(&verdict);
    glet_plan_free(plan);
    return status;
}

static int decide(const struct setup *setup, int scenario, const struct glet_profile *profile,
                  struct count *count, struct glet_error *err)
{
    struct glet_workload workload;
    struct glet_workload_model models[MODELS];
    struct glet_workload_gpu gpu;
    struct glet_problem *problem = NULL;
    struct glet_solve_options options = {
        .effort = GLET_EFFORT_DEFAULT, .max_moves = -1, .fit_only = true};
    struct glet_solve_result result;
    make_workload(setup, scenario, profile, &workload, models, &gpu);
    if (glet_problem_new(&workload, profile, GLET_MIN_GPUS, &problem, err) < 0)
        return -1;
    uint64_t start_us = glet_clock_process_cpu_us();
    int status = glet_solve(problem, &options, &result, err);
    double spent_s = (double)(glet_clock_process_cpu_us() - start_us) / 1e6;
    if (status == 0) {
        const char *verdict = "open";
        if (result.found) {
            verdict = "schedulable";
            count->schedulable++;
            status = verify(problem, &result, count, err);
        } else if (result.infeasible || result.bound.gpus > 4) {
            verdict = "impossible";
            count->impossible++;
        } else {
            count->open++;
        }
        if (setup->list)
            printf("%4d %-11s gpus %d bound %d %.3f s\n", scenario, verdict,
                   result.solution.gpu_count, result.bound.gpus, spent_s);
        glet_solve_result_fini(&result);
    }
    if (spent_s > count->slowest_s)
        count->slowest_s = spent_s;
    glet_problem_free(problem);
    return status;
}

static int parse(int argc, char **argv, struct setup *setup)
{
    *setup = (struct setup){.rates = {0, 235, 448, 660},
                            .interference = true,
                            .gpulets = 2,
                            .first = 1,
                            .last = SCENARIOS - 1};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--no-interference"))
            setup->interference = false;
        else if (!strcmp(argv[i], "--list"))
            setup->list = true;
        else if (!strcmp(argv[i], "--gpulets") && i + 1 < argc)
            setup->gpulets = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--rates") && i + 1 < argc)
            sscanf(argv[++i], "%lf,%lf,%lf", &setup->rates[1], &setup->rates[2], &setup->rates[3]);
        else if (!strcmp(argv[i], "--scenarios") && i + 1 < argc)
            sscanf(argv[++i], "%d-%d", &setup->first, &setup->last);
        else if (argv[i][0] != '-' && !setup->profile_path)
            setup->profile_path = argv[i];
        else
            return -1;
    }
    bool some = setup->first >= 1 && setup->first <= setup->last && setup->last < SCENARIOS;
    return setup->profile_path && some ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct setup setup;
    struct glet_profile *profile = NULL;
    struct glet_error err = {0};
    struct count count = {0};
    if (parse(argc, argv, &setup) < 0) {
        fprintf(stderr, "usage: paper_menu PROFILE_DIR [--no-interference] [--rates A,B,C] "
                        "[--gpulets N] [--list] [--scenarios FIRST-LAST]\n");
        return 2;
    }
    if (glet_profile_load(setup.profile_path, &profile, &err) < 0) {
        glet_error_print(&err, stderr);
        return glet_error_exit_status(err.code);
    }
    uint64_t start_us = glet_clock_process_cpu_us();
    for (int scenario = setup.first; scenario <= setup.last; scenario++)
        if (decide(&setup, scenario, profile, &count, &err) < 0) {
            glet_error_print(&err, stderr);
            return glet_error_exit_status(err.code);
        }
    printf("scenarios %d schedulable %d impossible %d open %d violations %d "
           "cpu %.1f s slowest %.2f s\n",
           setup.last - setup.first + 1, count.schedulable, count.impossible, count.open,
           count.violations, (double)(glet_clock_process_cpu_us() - start_us) / 1e6,
           count.slowest_s);
    glet_profile_free(profile);
    return count.open > 0 || count.violations > 0;
}
