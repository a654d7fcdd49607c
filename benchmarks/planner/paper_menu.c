/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The paper's schedulability experiment (arXiv 2109.01611): five models, each at one of four rates,
 * not all zero: 1,023 scenarios on 4 GPUs with at most two gpu-lets of 20, 40, 50, 60, 80 or 100 %
 * each. Prints how many are schedulable, how many are proven not to be, and how many stay open.
 * The profile is that of the paper's GPU in the project's formats; it is not part of the project.
 */
#include "common/clock.h"
#include "common/number.h"
#include "common/options.h"
#include "planner/solve/solve.h"
#include "planner/verify/verify.h"
#include "profiles/load.h"

#include <stdio.h>
#include <string.h>

#define MODELS    5
#define SCENARIOS 1024

static char model_names[MODELS][16] = {"lenet", "googlenet", "resnet50", "ssd_mobilenet", "vgg16"};
static const double slo_ms[MODELS] = {5, 66, 108, 202, 142}; /* ATC'22 table 4 */
static int sizes_units[] = {2, 4, 5, 6, 8, 10};

struct values {
    bool no_interference, list;
    int64_t gpulets;
    struct glet_list rates;
    const char *scenarios;
};

static const struct glet_option option_rows[] = {
    {.name = "no-interference",
     .kind = GLET_OPTION_FLAG,
     .offset = offsetof(struct values, no_interference),
     .help = "As if gpu-lets did not slow each other down."},
    {.name = "rates",
     .kind = GLET_OPTION_LIST,
     .value = "A,B,C",
     .fallback = "235,448,660",
     .offset = offsetof(struct values, rates),
     .help = "Requests per second of a model, besides none."},
    {.name = "gpulets",
     .kind = GLET_OPTION_INT,
     .value = "N",
     .fallback = "2",
     .low = 1,
     .high = 10,
     .offset = offsetof(struct values, gpulets),
     .help = "Gpu-lets on a GPU at most."},
    {.name = "scenarios",
     .kind = GLET_OPTION_TEXT,
     .value = "FIRST-LAST",
     .fallback = "1-1023",
     .offset = offsetof(struct values, scenarios),
     .help = "Base-4 numbers, a digit for each model's rate, lenet's the lowest."},
    {.name = "list",
     .kind = GLET_OPTION_FLAG,
     .offset = offsetof(struct values, list),
     .help = "A line for every scenario."},
};

struct setup {
    double rates[4];
    bool interference, list;
    int gpulets, first, last;
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

static int read_rates(const struct glet_list *list, double *rates, struct glet_error *err)
{
    bool good = list->count == 3;
    for (size_t i = 0; i < 3 && good; i++)
        good = glet_parse_double(list->items[i], &rates[i + 1]) && rates[i + 1] > 0;
    return good ? 0
                : glet_error_set(err, GLET_ERR_USAGE, "--rates: three rates above 0 are needed");
}

static int read_scenarios(const char *text, int *first, int *last, struct glet_error *err)
{
    char from[8] = "";
    int64_t low, high;
    size_t dash = strcspn(text, "-");
    if (dash < sizeof from)
        memcpy(from, text, dash);
    if (text[dash] == '\0' || !glet_parse_int(from, &low) ||
        !glet_parse_int(text + dash + 1, &high) || low < 1 || low > high || high >= SCENARIOS)
        return glet_error_set(err, GLET_ERR_USAGE, "--scenarios: '%s' is no part of 1-%d", text,
                              SCENARIOS - 1);
    *first = (int)low;
    *last = (int)high;
    return 0;
}

static int run(const void *values, const struct glet_list *arguments, struct glet_error *err)
{
    const struct values *v = values;
    struct setup setup = {
        .interference = !v->no_interference, .list = v->list, .gpulets = (int)v->gpulets};
    struct glet_profile *profile = NULL;
    struct count count = {0};
    if (read_rates(&v->rates, setup.rates, err) < 0 ||
        read_scenarios(v->scenarios, &setup.first, &setup.last, err) < 0 ||
        glet_profile_load(arguments->items[0], &profile, err) < 0)
        return -1;
    uint64_t start_us = glet_clock_process_cpu_us();
    int status = 0;
    for (int scenario = setup.first; scenario <= setup.last && status == 0; scenario++)
        status = decide(&setup, scenario, profile, &count, err);
    glet_profile_free(profile);
    if (status < 0)
        return -1;
    printf("scenarios %d schedulable %d impossible %d open %d violations %d "
           "cpu %.1f s slowest %.2f s\n",
           setup.last - setup.first + 1, count.schedulable, count.impossible, count.open,
           count.violations, (double)(glet_clock_process_cpu_us() - start_us) / 1e6,
           count.slowest_s);
    return count.open > 0 || count.violations > 0 ? glet_error_exit_status(GLET_ERR_NO) : 0;
}

int main(int argc, char **argv)
{
    static const struct glet_command command = {
        .summary = "Decides the scenarios of the paper on its four GPUs.",
        .arguments = "PROFILE_DIR",
        .min_arguments = 1,
        .max_arguments = 1,
        .options = option_rows,
        .option_count = sizeof option_rows / sizeof option_rows[0],
        .exit_no = "a scenario stayed open, or a plan breaks a constraint",
        .values_bytes = sizeof(struct values),
        .run = run,
    };
    static const struct glet_program program = {"paper_menu", "decides the paper's scenarios",
                                                &command, 1};
    return glet_program_main(&program, argc, argv);
}
