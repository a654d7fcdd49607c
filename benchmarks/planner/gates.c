/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long `plan check` takes to say whether a synthetic fleet fits, from files to exit status, for
 * stocks that are ample, that just suffice, that lie between the proven bound and the best plan (so
 * that nothing is decided), and that cannot suffice. Prints CPU and wall time against the limit that
 * the project holds itself to: 2 s of CPU for 100 models.
 */
#include "benchmarks/planner/fleet.h"

#include "common/clock.h"
#include "common/options.h"
#include "common/profile/profile_csv.h"
#include "common/yaml_write.h"
#include "planner/solve/solve.h"
#include "profiles/load.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_S 2.0
#define STAGES  3 /* of an app */

struct values {
    int64_t models, target, seeds, first;
    bool apps;
    const char *effort;
};

static const struct glet_option option_rows[] = {
    {.name = "models",
     .kind = GLET_OPTION_INT,
     .value = "N",
     .fallback = "100",
     .low = 3,
     .high = 5000,
     .offset = offsetof(struct values, models),
     .help = "Models of the fleet."},
    {.name = "target",
     .kind = GLET_OPTION_INT,
     .value = "GPUS",
     .fallback = "100",
     .low = 1,
     .high = 100000,
     .offset = offsetof(struct values, target),
     .help = "GPUs of its ideal load."},
    {.name = "seeds",
     .kind = GLET_OPTION_INT,
     .value = "N",
     .fallback = "3",
     .low = 1,
     .high = 1000,
     .offset = offsetof(struct values, seeds),
     .help = "Fleets."},
    {.name = "first",
     .kind = GLET_OPTION_INT,
     .value = "SEED",
     .fallback = "1",
     .low = 1,
     .high = 1e9,
     .offset = offsetof(struct values, first),
     .help = "Seed of the first."},
    {.name = "apps",
     .kind = GLET_OPTION_FLAG,
     .offset = offsetof(struct values, apps),
     .help = "Each three models are a chain of stages, with the sum of their SLOs."},
    {.name = "effort",
     .kind = GLET_OPTION_TEXT,
     .value = "EFFORT",
     .fallback = "auto",
     .offset = offsetof(struct values, effort),
     .help = "What plan check is called with."},
};

static void write_app(FILE *out, const struct glet_workload *w, const struct glet_workload_app *app)
{
    fprintf(out, "  - name: %s\n", app->name);
    glet_yaml_put_double(out, "    rate_rps: ", app->rate_rps, "\n");
    glet_yaml_put_double(out, "    slo_ms: ", app->slo_ms, "\n    stages:\n");
    for (size_t s = 0; s < app->stage_count; s++) {
        const struct glet_workload_stage *stage = &app->stages[s];
        fprintf(out, "      - {model: %s, after: [", w->models[stage->model].name);
        for (size_t i = 0; i < stage->after_count; i++)
            fprintf(out, "%s%s", i ? ", " : "", w->models[app->stages[stage->after[i]].model].name);
        glet_yaml_put_double(out, "], calls: ", stage->calls, "}\n");
    }
}

static void write_models(FILE *out, const struct glet_workload *w)
{
    fprintf(out, "schema: gpulet-workload/1\n%s:\n", w->app_count ? "apps" : "models");
    for (size_t a = 0; a < w->app_count; a++)
        write_app(out, w, &w->apps[a]);
    for (size_t m = 0; m < w->model_count && !w->app_count; m++) {
        fprintf(out, "  - name: %s\n", w->models[m].name);
        glet_yaml_put_double(out, "    rate_rps: ", w->models[m].rate_rps, "\n");
        glet_yaml_put_double(out, "    slo_ms: ", w->models[m].slo_ms, "\n");
    }
}

/* stock: of the one type; < 0 = as many as needed. */
static int write_workload(const char *path, const struct glet_workload *w, int stock,
                          struct glet_error *err)
{
    FILE *out = fopen(path, "we");
    if (!out)
        return glet_error_set(err, GLET_ERR_IO, "%s: cannot be opened", path);
    write_models(out, w);
    fprintf(out, "gpus:\n  - type: %s\n", w->gpus[0].type);
    if (stock >= 0)
        fprintf(out, "    count: %d\n", stock);
    bool failed = ferror(out);
    if (fclose(out) != 0 || failed)
        return glet_error_set(err, GLET_ERR_IO, "%s: cannot be written", path);
    return 0;
}

/* Most GPUs that cannot suffice, and least that are known to, by a search in this process. */
static int find_edges(const char *workload_path, const char *profile_path, int *bound, int *gpus,
                      struct glet_error *err)
{
    struct glet_workload *workload = NULL;
    struct glet_profile *profile = NULL;
    struct glet_problem *problem = NULL;
    struct glet_solve_options options = {.effort = GLET_EFFORT_DEFAULT, .max_moves = -1};
    struct glet_solve_result result;
    int status = -1;
    if (glet_workload_load(workload_path, &workload, err) == 0 &&
        glet_profile_load(profile_path, &profile, err) == 0 &&
        glet_problem_new(workload, profile, GLET_MIN_GPUS, &problem, err) == 0)
        status = glet_solve(problem, &options, &result, err);
    if (status == 0 && !result.found)
        status = glet_error_set(err, GLET_ERR_INTERNAL, "a fleet without limits has no plan");
    if (status == 0) {
        *bound = result.bound.gpus;
        *gpus = result.solution.gpu_count;
        glet_solve_result_fini(&result);
    }
    glet_problem_free(problem);
    glet_profile_free(profile);
    glet_workload_free(workload);
    return status;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static int run_check(const char *plan, const char *workload, const char *profile,
                     const char *effort, int *exit_status, double *cpu_s, struct glet_error *err)
{
    extern char **environ;
    const char *const command[] = {plan,    "check",    "--slo", workload, "--profiles",
                                   profile, "--effort", effort,  NULL};
    posix_spawn_file_actions_t quiet;
    struct rusage usage;
    pid_t child;
    int how = -1;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    bool ran =
        posix_spawn(&child, plan, &quiet, NULL, (char *const *)(uintptr_t)command, environ) == 0 &&
        wait4(child, &how, 0, &usage) == child && WIFEXITED(how);
    posix_spawn_file_actions_destroy(&quiet);
    if (!ran)
        return glet_error_set(err, GLET_ERR_IO, "%s: does not run", plan);
    *exit_status = WEXITSTATUS(how);
    *cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    return 0;
}

static int measure(const struct values *v, const char *plan, const char *folder, int64_t seed,
                   int *late, struct glet_error *err)
{
    struct glet_fleet_options fleet_options = {.models = (int)v->models,
                                               .target = (double)v->target,
                                               .seed = (uint64_t)seed,
                                               .types = 1,
                                               .zipf = 0.9,
                                               .interference = true};
    if (v->apps)
        fleet_options.apps = (struct glet_fleet_apps){STAGES, 1, false, 1};
    char workload[4096], profile[4096];
    struct glet_fleet fleet;
    int bound = 0, gpus = 0;
    snprintf(workload, sizeof workload, "%s/workload.yaml", folder);
    snprintf(profile, sizeof profile, "%s/profile", folder);
    glet_fleet_make(&fleet_options, &fleet);
    int status = write_workload(workload, fleet.workload, -1, err);
    if (status == 0)
        status = glet_profile_csv_export(fleet.profile, profile, err);
    if (status == 0)
        status = find_edges(workload, profile, &bound, &gpus, err);
    const int stocks[] = {gpus + gpus / 5, gpus,      (bound + gpus) / 2,
                          bound,           bound - 1, bound * 4 / 5};
    for (size_t i = 0; status == 0 && i < sizeof stocks / sizeof stocks[0]; i++) {
        static const char *const verdicts[] = {"fits", "does not fit", "bad input", "not decided"};
        uint64_t start_us = glet_clock_us();
        int exit_status = 0;
        double cpu_s = 0;
        if (i > 0 && stocks[i] == stocks[i - 1])
            continue;
        status = write_workload(workload, fleet.workload, stocks[i], err);
        if (status == 0)
            status = run_check(plan, workload, profile, v->effort, &exit_status, &cpu_s, err);
        if (status < 0)
            break;
        *late += cpu_s > LIMIT_S;
        printf("%6d %6d %5" PRId64 " %5d %5d %6d  %-12s %7.2f %7.2f  %s\n", (int)v->models,
               (int)v->target, seed, bound, gpus, stocks[i],
               exit_status < 4 ? verdicts[exit_status] : "failed", cpu_s,
               (double)(glet_clock_us() - start_us) / 1e6, cpu_s > LIMIT_S ? "late" : "ok");
        fflush(stdout);
    }
    glet_fleet_free(&fleet);
    return status;
}

/* Of a folder that holds nothing but files, with it. */
static int remove_files(const char *folder, struct glet_error *err)
{
    DIR *entries = opendir(folder);
    int failed = entries ? 0 : -1;
    for (struct dirent *entry; entries && (entry = readdir(entries));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            failed |= unlinkat(dirfd(entries), entry->d_name, 0);
    if (entries)
        closedir(entries);
    if (failed || rmdir(folder) < 0)
        return glet_error_set(err, GLET_ERR_IO, "%s: cannot be removed", folder);
    return 0;
}

static int run(const void *values, const struct glet_list *arguments, struct glet_error *err)
{
    const struct values *v = values;
    char folder[] = "/tmp/gates-XXXXXX", profile[64];
    int status = 0, late = 0;
    if (!mkdtemp(folder))
        return glet_error_set(err, GLET_ERR_IO, "%s: cannot be made", folder);
    puts("models target  seed bound  plan  stock  verdict        cpu s  wall s");
    for (int64_t n = 0; n < v->seeds && status == 0; n++)
        status = measure(v, arguments->items[0], folder, v->first + n, &late, err);
    snprintf(profile, sizeof profile, "%s/profile", folder);
    if (status == 0)
        status = remove_files(profile, err);
    if (status == 0)
        status = remove_files(folder, err);
    printf("%d late\n", late);
    return status < 0 ? status : late > 0 ? glet_error_exit_status(GLET_ERR_NO) : 0;
}

int main(int argc, char **argv)
{
    static const struct glet_command command = {
        .summary = "Times plan check on synthetic fleets.",
        .arguments = "PLAN_PROGRAM",
        .min_arguments = 1,
        .max_arguments = 1,
        .options = option_rows,
        .option_count = sizeof option_rows / sizeof option_rows[0],
        .exit_no = "a check took longer than the limit",
        .values_bytes = sizeof(struct values),
        .run = run,
    };
    static const struct glet_program program = {"gates", "times plan check", &command, 1};
    return glet_program_main(&program, argc, argv);
}
