/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The planner against published numbers on small inputs: the largest common rate of the paper's
 * named workloads (arXiv 2109.01611) on four of its GPUs, and ParvaGPU's six scenarios (SC'24) on
 * A100 MIG, once with the published rates and once with ten times those. One row each: what was
 * reached, the proven bound, what is wanted, and CPU seconds; exits with 1 on a miss.
 *
 *   published PAPER_DIR MIG_DIR
 *
 * PAPER_DIR holds max_rate/NAME.yaml and profile_padded/, MIG_DIR S1/ .. S6/ with profile/ and
 * workload_xN.yaml: the published points in the project's formats, not part of the project.
 */
#include "common/clock.h"
#include "planner/solve/solve.h"
#include "planner/verify/verify.h"
#include "profiles/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    const char *workload, *profile; /* below its folder */
    bool mig;
    double wanted;    /* GPUs at most, or requests per second per unit of rate at least */
    double seconds_s; /* CPU time at most; 0 = not asked for */
    bool proven;      /* the plan must equal its bound */
};

static const struct row rows[] = {
    {"max_rate/equal5.yaml", "profile_padded", false, 536, 0, false},
    {"max_rate/short_skew.yaml", "profile_padded", false, 388, 0, false},
    {"max_rate/long_only.yaml", "profile_padded", false, 699, 0, false},
    {"S1/workload_x1.yaml", "S1/profile", true, 2, 5, true},
    {"S2/workload_x1.yaml", "S2/profile", true, 3, 5, true},
    {"S3/workload_x1.yaml", "S3/profile", true, 5, 5, true},
    {"S4/workload_x1.yaml", "S4/profile", true, 7, 5, true},
    {"S5/workload_x1.yaml", "S5/profile", true, 12, 5, true},
    {"S6/workload_x1.yaml", "S6/profile", true, 15, 5, true},
    {"S1/workload_x10.yaml", "S1/profile", true, 9, 0, false},
    {"S2/workload_x10.yaml", "S2/profile", true, 18, 0, false},
    {"S3/workload_x10.yaml", "S3/profile", true, 36, 0, false},
    {"S4/workload_x10.yaml", "S4/profile", true, 54, 0, false},
    {"S5/workload_x10.yaml", "S5/profile", true, 113, 0, false},
    {"S6/workload_x10.yaml", "S6/profile", true, 145, 0, false},
};

/* Violations that the verifier finds in the plan, or -1. */
static int violations(const struct glet_problem *problem, struct glet_solve_result *result,
                      struct glet_error *err)
{
    struct glet_plan *plan = NULL;
    struct glet_verdict verdict = {0};
    if (glet_solution_to_plan(problem, &result->solution, &result->bound, &plan, err) < 0)
        return -1;
    int status = glet_verify(problem->workload, problem->profile, plan, &verdict, err);
    int count = status < 0 ? -1 : (int)verdict.count;
    glet_verdict_fini(&verdict);
    glet_plan_free(plan);
    return count;
}

/* Prints the row. Returns 1 = met, 0 = missed, -1. */
static int judge(const struct row *row, const struct glet_problem *problem,
                 struct glet_solve_result *result, double spent_s, struct glet_error *err)
{
    double value = row->mig ? result->solution.gpu_count : result->solution.scale;
    double bound = row->mig ? result->bound.gpus : result->bound.scale;
    int wrong = result->found ? violations(problem, result, err) : 0;
    if (wrong < 0)
        return -1;
    bool good = result->found && wrong == 0;
    good &= row->mig ? value <= row->wanted : value >= row->wanted;
    good &= !row->proven || value <= bound;
    good &= row->seconds_s <= 0 || spent_s <= row->seconds_s;
    printf("%-26s %9.2f %9.2f %9.2f %8.2f  %s\n", row->workload, value, bound, row->wanted, spent_s,
           good ? "ok" : "MISSED");
    fflush(stdout);
    return good;
}

static int run(const struct row *row, const char *folder, struct glet_error *err)
{
    char path[4096];
    struct glet_workload *workload = NULL;
    struct glet_profile *profile = NULL;
    struct glet_problem *problem = NULL;
    struct glet_solve_result result;
    struct glet_solve_options options = {.effort = GLET_EFFORT_DEFAULT, .max_moves = -1};
    int status = -1;
    snprintf(path, sizeof path, "%s/%s", folder, row->workload);
    if (glet_workload_load(path, &workload, err) < 0)
        return -1;
    snprintf(path, sizeof path, "%s/%s", folder, row->profile);
    if (glet_profile_load(path, &profile, err) == 0 &&
        glet_problem_new(workload, profile, row->mig ? GLET_MIN_GPUS : GLET_MAX_RATE, &problem,
                         err) == 0) {
        uint64_t start_us = glet_clock_process_cpu_us();
        if (glet_solve(problem, &options, &result, err) == 0) {
            double spent_s = (double)(glet_clock_process_cpu_us() - start_us) / 1e6;
            status = judge(row, problem, &result, spent_s, err);
            glet_solve_result_fini(&result);
        }
    }
    glet_problem_free(problem);
    glet_profile_free(profile);
    glet_workload_free(workload);
    return status;
}

int main(int argc, char **argv)
{
    struct glet_error err = {0};
    int missed = 0;
    if (argc != 3) {
        fprintf(stderr, "usage: published PAPER_DIR MIG_DIR\n");
        return 2;
    }
    printf("%-26s %9s %9s %9s %8s\n", "workload", "reached", "bound", "wanted", "cpu s");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int met = run(&rows[i], argv[rows[i].mig ? 2 : 1], &err);
        if (met < 0) {
            glet_error_print(&err, stderr);
            return glet_error_exit_status(err.code);
        }
        missed += !met;
    }
    printf("%d missed\n", missed);
    return missed > 0;
}
