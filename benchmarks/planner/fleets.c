/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Plans synthetic fleets and prints GPUs, the proven bound, the gap and the CPU time, against the
 * limits that the project holds itself to.
 *
 *   fleets [OPTION]... [MODELS/TARGET[/MEMORY_GIB[/shared]|/types|/coarse|/SHAPE]... | apps]
 *
 * Rows with three types of GPUs minimise the cost, which is then what the columns show. SHAPE is
 * that of the apps whose stages the models are.
 */
#include "benchmarks/planner/fleet.h"

#include "common/clock.h"
#include "common/options.h"
#include "planner/baseline/baseline.h"
#include "planner/solve/solve.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct row { /* one line of the table */
    int models;
    double target, memory_gib;
    int types;          /* of GPUs */
    double gap_percent; /* allowed; < 0: the bound plus one GPU */
    double cpu_s;       /* allowed */
    bool coarse;        /* shares, and no interference */
    bool shared;        /* weights */
    const char *shape;  /* of apps; NULL = none */
};

/* With slo_ratio 1 the stages hardly bind each other; at 0.2 to 0.4 they do. */
static const struct shape {
    const char *name;
    struct glet_fleet_apps apps;
} shapes[] = {
    {"loose", {3, 1, false, 1}},  {"chain", {3, 1, false, 0.4}}, {"deep", {6, 1, false, 0.25}},
    {"tree", {7, 2, false, 0.3}}, {"wide", {5, 4, false, 0.3}},  {"join", {6, 4, true, 0.2}},
};

/* clang-format off */
static const struct row table[] = {
    /* models, GPUs, memory, types, gap, CPU, coarse, shared, apps */
    {10, 10, 0, 1, -1, 0.5, false, false, NULL},
    {30, 30, 0, 1, -1, 0.5, false, false, NULL},
    {30, 300, 0, 1, 1.0, 4, false, false, NULL},
    {100, 1000, 0, 1, 1.0, 4, false, false, NULL},
    {100, 100, 0, 1, 5, 2, false, false, NULL},
    {300, 300, 0, 1, 5, 4, false, false, NULL},
    {300, 1500, 0, 1, 1.5, 8, false, false, NULL},
    {100, 100, 80, 1, 5, 2, false, false, NULL},
    {100, 100, 48, 1, 8, 2, false, false, NULL},
    {100, 20, 48, 1, 16, 4, false, false, NULL},
    {100, 100, 48, 1, 6, 2, false, true, NULL},
    {100, 20, 48, 1, 22, 4, false, true, NULL},
    {100, 100, 0, 3, 7, 6, false, false, NULL},
    {1000, 500, 0, 1, 6, 20, false, false, NULL},
    {1000, 5000, 0, 1, 1.0, 30, false, false, NULL},
    {100, 40, 0, 1, 12, 4, true, false, NULL},
    {6, 2, 0, 1, -1, 30, false, false, "chain"}, /* mostly 0.2 s */
    {12, 4, 0, 1, -1, 3, false, false, "join"},
    {12, 24, 0, 1, 5, 2, false, false, "deep"},
    {21, 6, 0, 1, -1, 8, false, false, "tree"},
    {30, 6, 0, 1, -1, 10, false, false, "wide"},
    {30, 30, 0, 1, 5, 4, false, false, "join"},
    {30, 150, 0, 1, 3, 4, false, false, "tree"},
    {100, 20, 0, 1, 16, 6, false, false, "chain"},
    {100, 40, 0, 1, 12, 6, false, false, "deep"},
    {100, 100, 0, 1, 5, 8, false, false, "loose"},
    {100, 100, 0, 1, 5, 8, false, false, "tree"},
    {100, 500, 0, 1, 3, 15, false, false, "wide"},
};
/* clang-format on */

struct values {
    int64_t seeds, first;
    int effort;
};

static const char *const effort_names[] = {"fast", "default", "max", NULL}; /* enum glet_effort */

static const struct glet_option option_rows[] = {
    {.name = "seeds",
     .kind = GLET_OPTION_INT,
     .value = "N",
     .fallback = "3",
     .low = 1,
     .high = 1000,
     .offset = offsetof(struct values, seeds),
     .help = "Fleets per row."},
    {.name = "first",
     .kind = GLET_OPTION_INT,
     .value = "SEED",
     .fallback = "1",
     .low = 1,
     .high = 1e9,
     .offset = offsetof(struct values, first),
     .help = "Seed of the first."},
    {.name = "effort",
     .kind = GLET_OPTION_CHOICE,
     .choices = effort_names,
     .fallback = "default",
     .offset = offsetof(struct values, effort),
     .help = "Of the search."},
};

static double peak_mib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}

static struct glet_fleet_apps apps_of(const struct row *row)
{
    struct glet_fleet_apps none = {0};
    for (size_t i = 0; row->shape && i < sizeof shapes / sizeof shapes[0]; i++)
        if (!strcmp(row->shape, shapes[i].name))
            return shapes[i].apps;
    return none;
}

/* GPUs of the best baseline, none of which knows apps; all are printed. */
static double best_baseline(const struct glet_problem *problem)
{
    double best = INFINITY;
    for (int which = 0; !problem->app_count && which < GLET_BASELINE_IDEAL; which++) {
        struct glet_boxes boxes = {0};
        uint64_t start_us = glet_clock_process_cpu_us();
        bool good = which != GLET_BASELINE_GPULET &&
                    glet_baseline_run(problem, (enum glet_baseline)which, 0, NULL, &boxes);
        if (good)
            best = fmin(best, glet_boxes_cost(problem, &boxes));
        if (good)
            printf(" %s %d (%.2f s)", glet_baseline_name((enum glet_baseline)which), boxes.count,
                   (double)(glet_clock_process_cpu_us() - start_us) / 1e6);
        glet_boxes_free(&boxes);
    }
    return best;
}

static int plan_one(const struct row *row, uint64_t seed, enum glet_effort effort)
{
    struct glet_fleet_options fleet_options = {.models = row->models,
                                               .target = row->target,
                                               .seed = seed,
                                               .memory_gib = row->memory_gib,
                                               .shared = row->shared,
                                               .types = row->types,
                                               .zipf = 0.9,
                                               .interference = !row->coarse,
                                               .coarse = row->coarse,
                                               .apps = apps_of(row)};
    struct glet_fleet fleet;
    struct glet_problem *problem = NULL;
    struct glet_error err = {0};
    struct glet_solve_options options = {.effort = effort, .max_moves = -1};
    struct glet_solve_result result;
    glet_fleet_make(&fleet_options, &fleet);
    uint64_t start_us = glet_clock_process_cpu_us();
    int status = glet_problem_new(fleet.workload, fleet.profile,
                                  row->types > 1 ? GLET_MIN_COST : GLET_MIN_GPUS, &problem, &err);
    if (status == 0)
        status = glet_solve(problem, &options, &result, &err);
    double cpu_s = (double)(glet_clock_process_cpu_us() - start_us) / 1e6;
    if (status < 0) {
        glet_error_print(&err, stderr);
        return -1;
    }
    double gpus = result.solution.gpu_count, bound = result.bound.gpus;
    if (row->types > 1) {
        gpus = glet_solution_cost(problem, &result.solution);
        bound = result.bound.cost_per_hour;
    }
    double gap_percent = 100.0 * (gpus - bound) / bound;
    bool good = result.found && cpu_s <= row->cpu_s &&
                (row->gap_percent < 0 ? gpus <= bound + 1 : gap_percent <= row->gap_percent);
    const char *kind = row->shape       ? row->shape
                       : row->coarse    ? "coarse"
                       : row->shared    ? "shared"
                       : row->types > 1 ? "types"
                                        : "";
    printf("%5d %6g %5g %-6s %4llu %6.4g %6.4g %6.2f %8.2f %6.0f  %s", row->models, row->target,
           row->memory_gib, kind, (unsigned long long)seed, gpus, bound, gap_percent, cpu_s,
           peak_mib(), good ? "ok" : "MISSED");
    if (best_baseline(problem) < gpus) {
        printf(" WORSE THAN A BASELINE");
        good = false;
    }
    printf("\n");
    fflush(stdout);
    glet_solve_result_fini(&result);
    glet_problem_free(problem);
    glet_fleet_free(&fleet);
    return !good;
}

/* In a process of its own: its peak of memory is that of one plan. */
static int plan_apart(const struct row *row, uint64_t seed, enum glet_effort effort)
{
    fflush(stdout);
    pid_t child = fork();
    int status = 0;
    if (child < 0)
        return -1;
    if (child == 0) {
        int result = plan_one(row, seed, effort);
        fflush(stdout);
        _exit(result ? 1 : 0);
    }
    if (waitpid(child, &status, 0) < 0)
        return -1;
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

/* Whether the row is among those asked for; no names: all are. */
static bool wanted(const struct glet_list *names, const struct row *row)
{
    char name[64];
    if (names->count == 0)
        return true;
    if (row->memory_gib > 0)
        snprintf(name, sizeof name, "%d/%g/%g%s", row->models, row->target, row->memory_gib,
                 row->shared ? "/shared" : "");
    else if (row->types > 1)
        snprintf(name, sizeof name, "%d/%g/types", row->models, row->target);
    else if (row->shape)
        snprintf(name, sizeof name, "%d/%g/%s", row->models, row->target, row->shape);
    else
        snprintf(name, sizeof name, "%d/%g%s", row->models, row->target,
                 row->coarse ? "/coarse" : "");
    for (size_t i = 0; i < names->count; i++)
        if (!strcmp(names->items[i], name) || (row->shape && !strcmp(names->items[i], "apps")))
            return true;
    return false;
}

static int run(const void *values, const struct glet_list *arguments, struct glet_error *err)
{
    const struct values *v = values;
    int missed = 0;
    printf("models target memory kind   seed  gpus  bound  gap%%   cpu s    MiB\n");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        for (int64_t n = 0; n < v->seeds && wanted(arguments, &table[i]); n++) {
            int status =
                plan_apart(&table[i], (uint64_t)(v->first + n), (enum glet_effort)v->effort);
            if (status < 0)
                return glet_error_set(err, GLET_ERR_IO, "a plan's process cannot be started");
            missed += status;
        }
    printf("%d missed\n", missed);
    return missed > 0 ? glet_error_exit_status(GLET_ERR_NO) : 0;
}

int main(int argc, char **argv)
{
    static const struct glet_command command = {
        .summary = "Plans synthetic fleets against the project's limits.",
        .arguments = "[ROW...]",
        .max_arguments = -1,
        .options = option_rows,
        .option_count = sizeof option_rows / sizeof option_rows[0],
        .exit_no = "a row missed its target, or a baseline was better",
        .values_bytes = sizeof(struct values),
        .run = run,
    };
    static const struct glet_program program = {"fleets", "plans synthetic fleets", &command, 1};
    return glet_program_main(&program, argc, argv);
}
